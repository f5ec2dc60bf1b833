/** tsdmthin where there is no device-mapper: its errors, its files, what a dry run prints. The rest is in test/vm. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { tool } from "../support/tools.ts";

const folder = mkdtempSync(join(tmpdir(), `tsbox-dmthin-${process.pid}-`));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const data = join(folder, "data");

function run(words: string[], options: { input?: string; path?: string } = {}) {
	const { stdout, stderr, status } = spawnSync(options.path ?? tool("tsdmthin"), words, {
		encoding: "utf8",
		input: options.input ?? "",
		env: { PATH: process.env.PATH, TSBOX_DATA: data, TSBOX_RUN: join(folder, "run") },
	});
	return { stdout, stderr, status };
}

/* A machine that has device-mapper would do the work. */
const withoutDeviceMapper = existsSync("/dev/mapper/control")
	? { skip: "this machine has device-mapper" }
	: process.getuid?.() !== 0
		? { skip: "needs root" }
		: {};

const pool = {
	...{ format: 1, name: "web", uuid: "0123", block_size: 128, low_water: 10, on_full: "queue" },
	...{ autoextend: { threshold: 80, percent: 20 }, min_free: 10, skip_block_zeroing: false },
	loop: { data: "/srv/web/data", metadata: "/srv/web/metadata" },
};
function makePool() {
	const store = join(data, "devicemapper/web");
	for (const name of ["metadata", "mnt"]) mkdirSync(join(store, name), { recursive: true, mode: 0o700 });
	writeFileSync(join(store, "pool"), JSON.stringify(pool));
	const record = { device_id: 1, size: 1 << 30, transaction_id: 1, initialized: true, deleted: false, fs: "ext4" };
	writeFileSync(join(store, "metadata/base"), JSON.stringify(record));
	writeFileSync(join(store, "metadata/one"), JSON.stringify({ ...record, device_id: 2, transaction_id: 2, parent: "base" }));
	t.teardown(() => rmSync(store, { recursive: true, force: true }));
}

t.test("without device-mapper it says so, with a hint, and leaves nothing", withoutDeviceMapper, async (t) => {
	for (const words of [
		["dmsetup", "ls"],
		["targets"],
		["create", "x", "--table", "0 8 zero"],
		["pool", "create", "p", "--loop", join(folder, "loop"), "--data-size", "1g"],
	]) {
		const { stdout, stderr, status } = run(words);
		t.equal(status, 1);
		t.equal(stdout, "");
		t.match(
			stderr,
			/^tsdmthin: open \/dev\/mapper\/control: No such file or directory\ntsdmthin: hint: .*modprobe dm_mod, and dm_thin_pool for pools\n$/,
		);
	}
	t.same(readdirSync(join(data, "devicemapper")), [".lock"]);
	t.same(existsSync(join(folder, "loop")) ? readdirSync(join(folder, "loop")) : [], []);
});

t.test("what only reads files works without device-mapper", withoutDeviceMapper, async (t) => {
	t.equal(run(["pool", "ls", "-n"]).stdout, "");
	makePool();
	t.match(run(["pool", "ls", "-n"]).stdout, /^web +inactive +- +- +2 +\/srv\/web\/data\n$/);
	t.match(run(["ls", "web"]).stdout, /\nbase +1 +1 GiB +- +- +ext4 +- +-\n└─ one +2 +1 GiB /);
	t.match(run(["status", "web"]).stdout, /^Pool Name: tsbox-web\n(.*\n)*Active: false\n/);
	const facts = JSON.parse(run(["pool", "status", "web", "--json"]).stdout);
	t.match(facts, { active: false, data_space: null, data_loop_file: "/srv/web/data", volumes: 2 });
	t.equal(JSON.parse(run(["ls", "web", "--json"]).stdout)[1].parent, "base");
	t.equal(run(["gc"]).status, withoutDeviceMapper.skip ? 0 : 1);
});

t.test("a wrong command line is status 2, changes nothing, and never means all", async (t) => {
	for (const [words, message] of [
		[["pool"], "pool: no command given"],
		[["pool", "frob"], "pool: frob: unknown command"],
		[["pool", "create"], "no NAME given"],
		[["pool", "create", "", "--loop", "/x"], '"": not a name'],
		[["pool", "create", "a/b", "--loop", "/x"], "a/b: not a name"],
		[["pool", "create", "a"], "one of --loop DIR and --device DEV is needed"],
		[["pool", "create", "a", "--loop", "/x", "--device", "/dev/y"], "one of --loop DIR and --device DEV is needed"],
		[["pool", "create", "a", "--loop", "relative"], "--loop: relative: not a path from /"],
		[["pool", "create", "a", "--loop", "/x", "--block-size", "63k"], '--block-size: "63k" is not a multiple of 64k, up to 1g'],
		[["pool", "create", "a", "--loop", "/x", "--on-full", "x"], '--on-full: "x" is not queue or error'],
		[["pool", "create", "a", "--loop", "/x", "--data-percent", "9"], "--metadata, --data-percent and --metadata-percent are for --device"],
		[["pool", "rm"], "no POOL given"],
		[["pool", "rm", ""], '"": not a name'],
		[["pool", "deactivate"], "no POOL given"],
		[["pool", "activate", ""], '"": not a name'],
		[["rm", "web"], "no VOLUME given"],
		[["rm", "web", ""], '"": not a name'],
		[["deactivate", "web"], "no VOLUME given"],
		[["trim", "web"], "no VOLUME given"],
		[["create", "web", "v", "--size", "x"], '--size: "x" is not a size'],
		[["create", "web", "v", "--fs", "ext4"], "--size is needed"],
		[["create", "web", "v", "--size", "1g", "--fs", "ntfs"], '--fs: "ntfs" is not ext4 or xfs'],
		[["create", "web", "v"], "--size is needed for a volume in web"],
		[["resize", "web", "base"], "--size is needed"],
		[["leave"], "no ID given"],
		[["leave", ""], '"": not a sandbox\'s id'],
		[["leave", "../x"], "../x: not a sandbox's id"],
		[["message", ""], '"": not a device'],
		[["udevcomplete", "x"], "no COOKIE given"],
	] as [string[], string][]) {
		if (words.includes("web") && !existsSync(join(data, "devicemapper/web"))) makePool();
		const { stdout, stderr, status } = run(words);
		t.equal(status, 2, words.join(" "));
		t.equal(stdout, "");
		t.ok(stderr.startsWith(`tsdmthin: ${message}`), `${words.join(" ")}: ${stderr}`);
		t.notMatch(stderr, /\bat .*:\d+/, "no stack");
	}
	t.same(readdirSync(join(data, "devicemapper/web/metadata")), ["base", "one"]);
});

t.test("what is not there is named, and a name cannot write to the terminal", async (t) => {
	t.equal(run(["status", "gone", "--json", "web"]).status, 1);
	t.match(run(["pool", "status", "gone"]).stderr, /^tsdmthin: gone: no such pool\ntsdmthin: hint: /);
	t.match(run(["rm", "web", "gone"]).stderr, /^tsdmthin: gone: no such volume in web\n/);
	t.notMatch(run(["rm", "web", "a\x1b[31m"]).stderr, "\x1b");
	t.match(run(["pool", "rm", "web"]).stderr, /^tsdmthin: web: has volumes: base, one\ntsdmthin: hint: --force/);
	writeFileSync(join(data, "devicemapper/web/metadata/bad"), "{");
	const { stderr, status } = run(["ls", "web"]);
	t.equal(status, 1);
	t.match(stderr, /metadata\/bad: not JSON\n/);
	rmSync(join(data, "devicemapper/web/metadata/bad"));
});

t.test("a dry run prints each step, and makes none", async (t) => {
	const { stdout, status } = run(["pool", "create", "dry", "--loop", join(folder, "dry"), "--data-size", "1g", "--dry-run"]);
	t.equal(status, 0);
	const steps = [
		/^mkdir .*devicemapper\/dry$/,
		/^create .*dry\/data, 1 GiB$/,
		/^LOOP_CONFIGURE .*dry\/metadata$/,
		/^DM_DEV_CREATE tsbox-dry uuid=TSBOX-/,
		/^DM_TABLE_LOAD tsbox-dry "0 \d+ thin-pool /,
		/^DM_DEV_SUSPEND tsbox-dry resume$/,
		/^rename .*creating .*dry\/pool$/,
	];
	const lines = stdout.split("\n");
	let at = -1;
	for (const step of steps) {
		const found = lines.findIndex((line, i) => i > at && step.test(line));
		t.ok(found > at, String(step));
		at = found;
	}
	t.notOk(existsSync(join(data, "devicemapper/dry")));
	t.notOk(existsSync(join(folder, "dry")));
	const step = run(["dmsetup", "message", "tsbox-x", "0", "create_thin 1", "--dry-run"], {});
	if (!withoutDeviceMapper.skip) t.match(step.stderr, /^tsdmthin: open \/dev\/mapper\/control/);
});

t.test("a link that is called dmsetup has dmsetup's words alone", async (t) => {
	const link = join(folder, "dmsetup");
	symlinkSync(tool("tsdmthin"), link);
	t.match(run(["--help"], { path: link }).stdout, /^Usage: dmsetup /);
	t.match(run(["pool", "ls"], { path: link }).stderr, /^dmsetup: pool: unknown command\n/);
	t.equal(run(["udevflags", String(0x40 * 0x10000 + 5)], { path: link }).stdout, "DM_UDEV_PRIMARY_SOURCE_FLAG='1'\n");
	t.equal(
		run(["udevflags", String(0x0103 * 0x10000 + 5)]).stdout,
		"DM_UDEV_DISABLE_DM_RULES_FLAG='1'\nDM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG='1'\nDM_SUBSYSTEM_UDEV_FLAG0='1'\n",
	);
});

t.test("udev's cookies are listed, and udevcomplete takes one off", { skip: process.getuid?.() !== 0 && "needs root" }, async (t) => {
	/* A semaphore that Python makes, as libdevmapper does. */
	const key = 0x0d4d0000 + 1 + (process.pid % 0xffff);
	const python = (code: string) => spawnSync("python3", ["-c", `import ctypes\nc = ctypes.CDLL(None)\n${code}`], { encoding: "utf8" });
	const made = python(`i = c.semget(${key}, 1, 0o3600)\nc.semctl(i, 0, 16, 2)\nprint(i)`).stdout.trim();
	t.match(run(["udevcookies"]).stdout, new RegExp(`0x${key.toString(16)} +${made} +2 +20\\d\\d-`));
	t.same(run(["udevcomplete", String(0x40 * 0x10000 + (key % 0x10000))]), { stdout: "", stderr: "", status: 0 });
	t.equal(python(`print(c.semctl(${made}, 0, 12))\nc.semctl(${made}, 0, 0)`).stdout, "1\n");
	t.match(run(["udevcomplete", String(key)]), { status: 1, stderr: /No such file/ });
});

t.test("attach without a plan fails without a word where the stage before has failed", async (t) => {
	const piped = spawnSync("sh", ["-c", `false | ${tool("tsdmthin")} attach web base`], {
		encoding: "utf8",
		env: { PATH: process.env.PATH, TSBOX_DATA: data },
	});
	t.match(piped, { status: 1, stdout: "", stderr: "" });
	t.match(run(["attach", "web"], { input: "x\n" }).stderr, /^tsdmthin: standard input: not a sandbox record or a PID: x\n/);
	t.same(run(["leave", "nobody"]), { stdout: "", stderr: "", status: 0 });
	t.ok(readFileSync(join(data, "devicemapper/web/pool"), "utf8"));
});
