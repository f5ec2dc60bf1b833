/**
 * Verbs of tscgctl of several steps, each of their system calls refused, or the tool killed there: strace(1) injects it.
 * What was there before is there afterwards, and what a kill leaves, gc clears.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { bin } from "../support/tools.ts";

t.setTimeout(300_000);
const hasStrace = spawnSync("strace", ["-V"]).status === 0;
const skip = process.getuid?.() !== 0 ? "needs root" : hasStrace ? false : "there is no strace";
const folder = mkdtempSync(join(tmpdir(), "tsbox-cgctl-faults-"));
const root = `/tsbox/faults${process.pid}`;
const env = { ...process.env, TSBOX_RUN: join(folder, "run"), TSBOX_CGROUP_ROOT: root };
const tool = join(bin, "tscgctl");
const mounts = readFileSync("/proc/self/mountinfo", "utf8")
	.split("\n")
	.filter((line) => / - cgroup2? /.test(line))
	.map((line) => line.split(" ")[4] as string);

function tscgctl(args: string[], input = "") {
	return spawnSync(tool, args, { encoding: "utf8", env, input });
}

/** Runs it with the N-th call of a name failing, or the tool killed at it; `reached` is false once there are fewer calls. */
function injected(name: string, what: string, nth: number, args: string[], input = "") {
	const log = join(folder, "log");
	const strace = ["-o", log, "-e", `trace=${name}`, "-e", `inject=${name}:${what}:when=${nth}`, tool, ...args];
	const { status, signal, stderr } = spawnSync("strace", strace, { encoding: "utf8", env, input, timeout: 20_000 });
	const text = readFileSync(log, "utf8");
	return { status, signal, stderr, reached: /INJECTED|killed by SIGKILL/.test(text) };
}

/** On which hierarchies a cgroup is. */
function places(name: string): string[] {
	return mounts.filter((mount) => existsSync(`${mount}${root}/${name}`));
}

t.teardown(() => {
	tscgctl(["kill", "/"]);
	tscgctl(["rm", "-r", "/"]);
	rmSync(folder, { recursive: true });
});

const limits = ["--memory", "64m", "--memory-swap", "64m", "--cpus", "0.5", "--pids", "7", "--cpuset-cpus", "0"];

t.test("create: where a folder cannot be made or a limit not be written, no half of it stays", { skip }, async (t) => {
	tscgctl(["create", "keep"]);
	let tried = 0;
	for (const [name, what] of [
		["mkdirat", "error=ENOSPC"],
		["write", "error=EINVAL"],
		["write", "error=EBUSY"],
	] as const)
		for (let nth = 1; ; nth++) {
			const { status, reached, stderr } = injected(name, what, nth, ["create", "web", ...limits]);
			if (!reached) {
				tscgctl(["rm", "web"]);
				break;
			}
			tried++;
			if (status !== 0) {
				if (places("web").length > 0) t.fail(`${name} ${nth}: left on ${places("web")}: ${stderr}`);
				if (!/^tscgctl: .+/.test(stderr)) t.fail(`${name} ${nth}: says ${JSON.stringify(stderr)}`);
			}
			tscgctl(["rm", "web"]);
		}
	t.ok(tried > 15, `${tried} faults`);
	t.ok(places("keep").length > 0);
});

t.test("set: whichever write is refused, the limits are those before", { skip }, async (t) => {
	tscgctl(["create", "web", ...limits]);
	const before = tscgctl(["get", "--as", "options", "web"]).stdout;
	let tried = 0;
	const change = [
		"--memory",
		"128m",
		"--memory-swap",
		"256m",
		"--cpus",
		"2",
		"--cpu-period",
		"50ms",
		"--pids",
		"9",
		"--set",
		"pids.max=11",
	];
	for (let nth = 1; ; nth++) {
		const { status, reached } = injected("write", "error=EINVAL", nth, ["set", "web", ...change]);
		if (!reached) break;
		/* The last ones are to standard error. */
		if (status === 0) continue;
		tried++;
		t.equal(tscgctl(["get", "--as", "options", "web"]).stdout, before, `write ${nth}`);
	}
	t.ok(tried >= 6, `${tried} faults`);
	tscgctl(["rm", "web"]);
});

t.test("join: a process that one hierarchy refuses is where it was on all others", { skip }, async (t) => {
	const sleeper = spawnSync("sh", ["-c", "sleep 60 >/dev/null 2>&1 & echo $!"], { encoding: "utf8" }).stdout.trim();
	const before = readFileSync(`/proc/${sleeper}/cgroup`, "utf8");
	for (let nth = 1; ; nth++) {
		const { status, reached } = injected("write", "error=EINVAL", nth, ["join", "web", sleeper]);
		if (!reached || status === 0) break;
		t.equal(readFileSync(`/proc/${sleeper}/cgroup`, "utf8"), before, `write ${nth}`);
		t.same(places("web"), [], `write ${nth}: nothing is left`);
	}
	process.kill(Number(sleeper), "SIGKILL");
	tscgctl(["rm", "--kill", "web"]);
});

t.test("a plan that fails anywhere leaves no cgroup and no note", { skip }, async (t) => {
	let tried = 0;
	for (const name of ["mkdirat", "write", "renameat2"])
		for (let nth = 1; ; nth++) {
			const plan = '{"tsbox":1,"id":"faulty"}\n';
			const { status, reached } = injected(name, "error=ENOSPC", nth, ["join", "web", "--pids", "5", "--device", "standard"], plan);
			if (!reached) {
				tscgctl(["leave", "faulty"]);
				break;
			}
			tried++;
			if (status !== 0) {
				t.same(places("web"), [], `${name} ${nth}`);
				t.same(notes(), [], `${name} ${nth}`);
			}
			tscgctl(["leave", "faulty"]);
		}
	t.ok(tried > 10, `${tried} faults`);
	t.same(places("web"), []);
});

function notes(): string[] {
	const path = join(folder, "run/cgroups");
	return existsSync(path) ? readdirSync(path).filter((name) => !name.startsWith(".")) : [];
}

t.test("killed at any point of join, leave or rm, gc or the same again clears what is left", { skip }, async (t) => {
	const plan = '{"tsbox":1,"id":"killed"}\n';
	let tried = 0;
	for (const call of ["mkdirat", "write", "openat", "unlinkat", "renameat2", "close"]) {
		for (const [args, input, isMade] of [
			[["join", "web", "--pids", "5"], plan, false],
			[["leave", "killed"], "", true],
		] as const)
			for (let nth = 1; ; nth += 2) {
				if (isMade) tscgctl(["join", "web"], plan);
				const { reached } = injected(call, "signal=KILL", nth, [...args], input);
				if (reached) tried++;
				const { status, stderr } = tscgctl(["gc", "--age", "0"]);
				if (status !== 0 || places("web").length > 0 || notes().length > 0)
					t.fail(`${args[0]} ${call} ${nth}: gc ${status} ${stderr}, left ${places("web")} ${notes()}`);
				if (!reached) break;
			}
		for (let nth = 1; ; nth += 2) {
			tscgctl(["create", "half"]);
			const { reached } = injected(call, "signal=KILL", nth, ["rm", "half"]);
			if (reached) tried++;
			if (places("half").length > 0) tscgctl(["rm", "half"]);
			if (places("half").length > 0) t.fail(`rm ${call} ${nth}: left ${places("half")}`);
			if (!reached) break;
		}
	}
	t.ok(tried > 40, `${tried} kills`);
});
