/** Device programs in the kernel: on the v2 hierarchy, which may be the empty one beside v1. Needs root. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { deviceProgram, PROGRAM_NAME, rulesOf } from "../../cmds/cgctl/device/program.ts";
import { type DeviceRule, everything, formatDevice, formatRule, normalise, parseRule } from "../../cmds/cgctl/device/rules.ts";
import { addRulesV1, clearRulesV1, readRulesV1, setRulesV1 } from "../../cmds/cgctl/device/v1.ts";
import { addRulesV2, clearRulesV2, readRulesV2, setRulesV2 } from "../../cmds/cgctl/device/v2.ts";
import {
	alu,
	BPF_CGROUP_DEVICE,
	BPF_F_ALLOW_MULTI,
	BPF_MOV,
	BPF_PROG_TYPE_CGROUP_DEVICE,
	exit,
	progAttach,
	progGetFdById,
	progInfo,
	progLoad,
	progQuery,
	VerifierError,
} from "../../native/linux/bpf.ts";
import { EPERM } from "../../native/linux/errno.ts";
import { close, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, open } from "../../native/linux/fd.ts";
import { mknod, S_IFBLK, S_IFCHR } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { decides, randomRules, seeded } from "../support/device-rules.ts";

const mounts = readFileSync("/proc/self/mounts", "utf8");
const v2 = /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1];
const v1 = /^\S+ (\S+) cgroup \S*\bdevices\b/m.exec(mounts)?.[1];
const skip = process.getuid?.() !== 0 ? "needs root" : v2 === undefined ? "no cgroup2 is mounted" : false;
const skipV1 = skip || (v1 === undefined ? "v1's devices controller is not mounted" : false);

const rules = (...texts: string[]) => normalise(texts.flatMap((text) => parseRule(text)));

/** A new cgroup for the time of a test. */
function cgroup(t: Tap, hierarchy = v2): string {
	const path = mkdtempSync(`${hierarchy}/tsbox-bpf-${process.pid}-`);
	t.teardown(() => rmdirSync(path));
	return path;
}
type Tap = Pick<typeof t, "teardown">;

/** A folder where device nodes work. */
function folder(t: Tap): string {
	const path = mkdtempSync(join(tmpdir(), "tsbox-bpf-"));
	t.teardown(() => rmSync(path, { recursive: true }));
	return path;
}

/** Puts this process into a cgroup, for the time of `work`. */
function inside<T>(path: string, work: () => T): T {
	const hierarchy = path.slice(0, path.lastIndexOf("/"));
	writeFileSync(`${path}/cgroup.procs`, `${process.pid}`);
	try {
		return work();
	} finally {
		writeFileSync(`${hierarchy}/cgroup.procs`, `${process.pid}`);
	}
}

function failure(work: () => void): unknown {
	try {
		work();
	} catch (error) {
		return error;
	}
	return undefined;
}

/** Whether the kernel lets us: true unless it says EPERM. A node without a driver, if it is allowed, says ENXIO. */
function isAllowed(work: () => void): boolean {
	try {
		work();
		return true;
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		return error.errno !== EPERM;
	}
}

/** The nodes that all accesses are tried on. 240 to 254 are free for local use: nothing answers there. */
const MAJORS = [240, 241];
const MINORS = [0, 1, 2];
const devices = (["c", "b"] as const).flatMap((type) => MAJORS.flatMap((major) => MINORS.map((minor) => ({ type, major, minor }))));

function makeNodes(folder: string) {
	for (const { type, major, minor } of devices)
		mknod(`${folder}/${type}${major}:${minor}`, (type === "c" ? S_IFCHR : S_IFBLK) | 0o600, (major << 8) | minor);
}

/** What the kernel allows of m, r, w and rw on each node, as text: `c240:0=m,r`. */
function verdicts(folder: string): string {
	return devices
		.map(({ type, major, minor }) => {
			const node = `${folder}/${type}${major}:${minor}`;
			const kind = type === "c" ? S_IFCHR : S_IFBLK;
			const allowed = [
				isAllowed(() => {
					mknod(`${folder}/new`, kind | 0o600, (major << 8) | minor);
					rmSync(`${folder}/new`);
				}) && "m",
				...(
					[
						["r", O_RDONLY],
						["w", O_WRONLY],
						["rw", O_RDWR],
					] as const
				).map(([letters, flags]) => isAllowed(() => close(open(node, flags | O_NONBLOCK))) && letters),
			];
			return `${type}${major}:${minor}=${allowed.filter(Boolean)}`;
		})
		.join(" ");
}

/** The same by the rules alone. */
function expected(list: DeviceRule[]): string {
	return devices
		.map(({ type, major, minor }) => {
			const allowed = (
				[
					["m", 1],
					["r", 2],
					["w", 4],
					["rw", 6],
				] as const
			).filter(([, access]) => decides(list, type, major, minor, access));
			return `${type}${major}:${minor}=${allowed.map(([letters]) => letters)}`;
		})
		.join(" ");
}

t.test("a program is loaded, named, and can be read back as it was made", { skip }, async (t) => {
	const random = seeded(3);
	for (let i = 0; i < 300; i++) {
		const list = normalise([everything(random(2) === 1), ...randomRules(random, random(12))]);
		const fd = progLoad(BPF_PROG_TYPE_CGROUP_DEVICE, deviceProgram(list), PROGRAM_NAME);
		const info = progInfo(fd);
		close(fd);
		const back = rulesOf(info.program ?? []);
		if (info.name !== PROGRAM_NAME || info.uid !== 0 || JSON.stringify(back) !== JSON.stringify(list))
			return t.same({ ...info, back: back?.map(formatRule) }, list.map(formatRule));
	}
	t.pass("300 lists");
});

t.test("a program that was changed in any instruction is not taken for ours, or for other rules", async (t) => {
	const list = rules("c 1:3 rwm", "b 8:* r", "deny b 8:1 r");
	const program = deviceProgram(list);
	t.same(rulesOf(program), list);
	for (const [i, instruction] of program.entries())
		for (const field of ["code", "dst", "src", "off", "imm"] as const) {
			const changed = program.map((one, j) => (j === i ? { ...one, [field]: one[field] ^ 8 } : one));
			const found = rulesOf(changed);
			/* Another number in a comparison is another rule: that makes the same program. */
			if (found && JSON.stringify(deviceProgram(found)) !== JSON.stringify(changed)) t.fail(`${i} ${field} ${JSON.stringify(instruction)}`);
		}
	t.equal(rulesOf([]), undefined);
	t.equal(rulesOf([exit()]), undefined);
	t.equal(rulesOf(program.slice(0, -1)), undefined);
});

t.test("the verifier's reason is in the error for a program that it refuses", { skip }, async (t) => {
	const broken = [exit()];
	try {
		progLoad(BPF_PROG_TYPE_CGROUP_DEVICE, broken, "tsbox_broken");
		t.fail("loaded");
	} catch (error) {
		t.ok(error instanceof VerifierError);
		t.match((error as VerifierError).message, /^bpf\(BPF_PROG_LOAD\) tsbox_broken: .*R0 !read_ok: /);
		t.match((error as VerifierError).log, /processed/);
	}
});

t.test("the kernel decides by the program as by the rules: 60 random lists, each access to 12 nodes", { skip }, async (t) => {
	const nodes = folder(t);
	const path = cgroup(t);
	makeNodes(nodes);
	const random = seeded(4);
	for (let i = 0; i < 60; i++) {
		const list = normalise([everything(random(2) === 1), ...randomRules(random, random(8), MAJORS, MINORS)]);
		setRulesV2(path, list);
		const found = inside(path, () => verdicts(nodes));
		if (found !== expected(list)) return t.equal(found, expected(list), list.map(formatRule).join("; "));
	}
	t.pass("60 lists");
});

t.test("v1's devices controller and our program decide alike: 60 random lists that v1 can express", { skip: skipV1 }, async (t) => {
	const nodes = folder(t);
	const two = cgroup(t);
	const one = cgroup(t, v1);
	makeNodes(nodes);
	const random = seeded(5);
	for (let i = 0; i < 60; i++) {
		const allow = random(2) === 1;
		/* No minor for every major: an entry for each of two sides of a device is more than v1 adds up. */
		const list = normalise([
			everything(!allow),
			...randomRules(random, random(8), MAJORS, MINORS).map((rule) => ({
				...rule,
				allow,
				minor: rule.major === undefined ? undefined : rule.minor,
			})),
		]);
		setRulesV1(one, list);
		setRulesV2(two, list);
		const byV1 = inside(one, () => verdicts(nodes));
		const byV2 = inside(two, () => verdicts(nodes));
		if (byV1 !== byV2) return t.equal(byV1, byV2, list.map(formatRule).join("; "));
	}
	t.pass("60 lists");
});

for (const [version, hierarchy, why, set, add, clear, read] of [
	["v1", v1, skipV1, setRulesV1, addRulesV1, clearRulesV1, readRulesV1],
	["v2", v2, skip, setRulesV2, addRulesV2, clearRulesV2, (path: string) => readRulesV2(path).rules ?? [everything(true)]],
] as const) {
	t.test(`${version}: one rule is added without losing the others, and taken away again`, { skip: why }, async (t) => {
		const path = cgroup(t, hierarchy);
		const list = () => read(path).map(formatRule);
		t.same(list(), ["allow a *:* rwm"]);
		set(path, rules("c 1:3 rw", "c 1:5 r"));
		t.same(list(), ["deny a *:* rwm", "allow c 1:3 rw", "allow c 1:5 r"]);
		add(path, parseRule("c 1:8 r"));
		t.same(list(), ["deny a *:* rwm", "allow c 1:3 rw", "allow c 1:5 r", "allow c 1:8 r"]);
		add(path, parseRule("deny c 1:3 w"));
		t.same(list().sort(), ["allow c 1:3 r", "allow c 1:5 r", "allow c 1:8 r", "deny a *:* rwm"]);
		add(path, parseRule("deny c *:* rwm"));
		t.same(list(), ["deny a *:* rwm"]);
		clear(path);
		t.same(list(), ["allow a *:* rwm"]);
	});

	t.test(`${version}: a busy reader never sees a wrong answer while its rules are replaced`, { skip: why, timeout: 60_000 }, async (t) => {
		const path = cgroup(t, hierarchy);
		const one = rules("c 1:3 rw", "c 1:7 r");
		const other = rules("c 1:3 rw", "c 1:8 r", "b 7:* rw");
		set(path, one);
		/* Its thread pool's memory and all else it needs is there before it enters. */
		const reader = spawn(
			process.execPath,
			[
				"-e",
				`const fs = require("node:fs");
				fs.writeFileSync(${JSON.stringify(`${path}/cgroup.procs`)}, String(process.pid));
				fs.writeSync(1, "in\\n");
				let tries = 0, wrong = 0;
				const end = Date.now() + 20000;
				while (!fs.existsSync(process.argv[1]) && Date.now() < end) {
					try { fs.closeSync(fs.openSync("/dev/null", "r+")); } catch { wrong++; }
					try { fs.closeSync(fs.openSync("/dev/zero", "r")); wrong++; } catch {}
					tries++;
				}
				fs.writeSync(1, JSON.stringify({ tries, wrong }));`,
				join(folder(t), "stop"),
			],
			{ stdio: ["ignore", "pipe", "inherit"] },
		);
		let said = "";
		reader.stdout.on("data", (data) => {
			said += data;
		});
		const ended = new Promise((resolve) => reader.once("close", resolve));
		while (!said.startsWith("in\n")) await new Promise((resolve) => setTimeout(resolve, 5));
		for (let i = 0; i < 200; i++) {
			set(path, i % 2 ? one : other);
			if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
		}
		writeFileSync(reader.spawnargs[reader.spawnargs.length - 1] as string, "");
		await ended;
		const { tries, wrong } = JSON.parse(said.slice(3)) as { tries: number; wrong: number };
		t.equal(wrong, 0);
		t.ok(tries > 200, `${tries} tries during 200 changes`);
	});
}

t.test("a program of someone else's stays attached, in force and listed beside ours", { skip }, async (t) => {
	const path = cgroup(t);
	const group = open(path, O_RDONLY);
	const foreign = progLoad(BPF_PROG_TYPE_CGROUP_DEVICE, [alu(BPF_MOV, 0, 1), exit()], "someone_else");
	progAttach(group, foreign, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI);
	const { id, tag } = progInfo(foreign);
	setRulesV2(path, rules("c 1:3 rw"));
	addRulesV2(path, parseRule("c 1:5 r"));
	const { foreign: others, own } = readRulesV2(path);
	t.match(others, [{ id, tag, name: "someone_else", uid: 0 }]);
	t.equal(own.length, 1);
	t.same(progQuery(group, BPF_CGROUP_DEVICE).ids[0], id);
	clearRulesV2(path);
	t.same(progQuery(group, BPF_CGROUP_DEVICE), { flags: BPF_F_ALLOW_MULTI, ids: [id] });
	close(foreign);
	close(group);
});

t.test("a program that lets no other in is named, here and above", { skip }, async (t) => {
	const path = cgroup(t);
	mkdirSync(`${path}/child`);
	t.teardown(() => rmdirSync(`${path}/child`));
	const group = open(path, O_RDONLY);
	const foreign = progLoad(BPF_PROG_TYPE_CGROUP_DEVICE, [alu(BPF_MOV, 0, 1), exit()], "jealous");
	progAttach(group, foreign, BPF_CGROUP_DEVICE, 0);
	const { id } = progInfo(foreign);
	for (const at of [path, `${path}/child`])
		t.throws(() => setRulesV2(at, rules("c 1:3 rw")), {
			message: `${at}: the device program "jealous" (id ${id}) on ${path} lets no other beside or below it`,
		});
	close(foreign);
	close(group);
});

t.test("an id that is not there gives no descriptor", { skip }, async (t) => t.equal(progGetFdById(0xfffffff), undefined));

t.test("v1: what its list of exceptions cannot express is an error, and changes nothing", { skip: skipV1 }, async (t) => {
	const path = cgroup(t, v1);
	setRulesV1(path, rules("c 1:* rw"));
	t.throws(() => addRulesV1(path, parseRule("deny c 1:3 w")), {
		message: /: cgroup v1 cannot deny c 1:3 w and allow c 1:\* rw in all else$/,
	});
	t.throws(() => setRulesV1(path, rules("deny c 1:* w", "c 1:3 w")), {
		message: /: cgroup v1 cannot allow c 1:3 w and deny c 1:\* w in all else$/,
	});
	t.equal(readFileSync(`${path}/devices.list`, "utf8"), `${formatDevice(parseRule("c 1:* rw")[0] as DeviceRule)}\n`);
});

t.test("v1: a child cannot have more than its parent, and is told so", { skip: skipV1 }, async (t) => {
	const path = cgroup(t, v1);
	setRulesV1(path, rules("c 1:3 rw"));
	mkdirSync(`${path}/child`);
	t.teardown(() => rmdirSync(`${path}/child`));
	t.match(
		failure(() => addRulesV1(`${path}/child`, parseRule("c 1:5 r"))),
		{
			message: `${path}/child: allow c 1:5 r: Operation not permitted`,
			hint: /can have no device that its parent does not have/,
		},
	);
	t.match(
		failure(() => setRulesV1(path, rules("deny c 1:3 w"))),
		{ hint: /only where a cgroup has no children/ },
	);
	setRulesV1(`${path}/child`, rules("c 1:3 r"));
	clearRulesV1(`${path}/child`);
	t.equal(readFileSync(`${path}/child/devices.list`, "utf8"), "c 1:3 rw\n");
});
