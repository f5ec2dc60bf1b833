/** mkcontainer.sh run, on Debian's busybox and on the host's own root: what a container is, and what it may use. */
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import t from "tap";
import {
	busyboxRoot,
	busyboxTar,
	cannot,
	cgroupFile,
	cgroups,
	container,
	env,
	folder,
	leftovers,
	run,
	script,
	unique,
} from "../support/container.ts";

if (cannot) {
	t.plan(0, cannot);
	process.exit();
}
const root = busyboxRoot();

t.test("a busybox archive runs with tsinit as PID 1, its own host name, and as root", async (t) => {
	const { exitCode, stdout, stderr } = await run([
		...["--init", "--hostname", "box", "--rootfs", busyboxTar()],
		...["--", "sh", "-c", "ps; hostname; id; ls /"],
	]);
	t.match(stdout, /^ +1 root +\/dev\/tsinit -- sh -c/m);
	t.match(stdout, /^box$/m);
	t.match(stdout, /^uid=0/m);
	t.match(stdout, /^bin\ndev\netc\nproc\nsys$/m);
	t.equal(stderr, "");
	t.equal(exitCode, 0);
});

t.test("a folder is used as it is: what is written stays, and only places to mount on are added", async (t) => {
	const before = readdirSync(root);
	t.equal((await run(["--init", "--rootfs", root, "sh", "-c", "echo kept >/etc/kept"])).exitCode, 0);
	t.equal(readFileSync(join(root, "etc/kept"), "utf8"), "kept\n");
	t.same(
		readdirSync(root).filter((name) => !before.includes(name)),
		["dev", "proc", "sys"],
	);
	for (const name of ["dev", "proc", "sys"]) t.same(readdirSync(join(root, name)), []);
});

t.test("a folder can be made read-only", async (t) => {
	const { exitCode, stderr } = await run(["--read-only", "--rootfs", root, "touch", "/etc/new"]);
	t.match(stderr, /Read-only file system/);
	t.equal(exitCode, 1);
});

t.test("without a root a copy-on-write view of the host's is used, with /tmp and /run of its own", async (t) => {
	const home = join("/root", unique());
	const { stdout } = await run(["sh", "-c", `touch ${home} /usr/${unique()} 2>&1; touch /tmp/x /run/x; ls /tmp /run; cat /etc/os-release`]);
	t.notMatch(stdout, /Read-only|denied/);
	t.match(stdout, /^\/run:\nx\n\n\/tmp:\nx$/m);
	t.ok(stdout.endsWith(readFileSync("/etc/os-release", "utf8").trimEnd()), stdout);
	t.notOk(existsSync(home) || existsSync("/run/x"));
});

t.test("each of the namespaces but user and time is its own", async (t) => {
	const names = ["mnt", "pid", "ipc", "uts", "net", "cgroup"];
	const { stdout } = await run(["sh", "-c", `for n in ${names.join(" ")}; do readlink /proc/self/ns/$n; done`]);
	const inside = stdout.split("\n");
	t.equal(inside.length, names.length);
	names.forEach((name, i) => {
		t.not(inside[i], readlinkSync(`/proc/self/ns/${name}`), name);
	});
	t.equal((await run(["readlink", "/proc/self/ns/user"])).stdout, readlinkSync("/proc/self/ns/user"));
	t.equal((await run(["sh", "-c", "ls /sys/class/net"])).stdout, "lo");
	t.equal((await run(["--network", "host", "readlink", "/proc/self/ns/net"])).stdout, readlinkSync("/proc/self/ns/net"));
});

t.test("its cgroup looks like the root of the tree from inside", async (t) => {
	const { stdout } = await run(["cat", "/proc/self/cgroup"]);
	t.notMatch(stdout, /tsbox/);
});

t.test("what the program reads and writes is the caller's", async (t) => {
	const { stdout, stderr } = await run(["sh", "-c", "cat; echo error >&2"], { input: "in\n" });
	t.equal(stdout, "in");
	t.equal(stderr, "error");
});

t.test("the exit status is the program's", async (t) => {
	for (const status of [0, 1, 2, 42, 125, 255]) t.equal((await run(["--rootfs", root, "sh", "-c", `exit ${status}`])).exitCode, status);
	t.equal((await run(["--rootfs", root, "sh", "-c", "kill -9 $$"])).exitCode, 0, "PID 1 is not killed from inside");
	t.equal((await run(["--init", "--rootfs", root, "sh", "-c", "kill -9 $$"])).exitCode, 137);
});

t.test("a program that is not there gives 127, one that cannot be executed 126, a container that fails 125", async (t) => {
	const expected: [number, string[], RegExp][] = [
		[127, ["--rootfs", root, "/none"], /^tsunshare: execve \/none: No such file or directory/],
		[126, ["--rootfs", root, "/etc"], /^tsunshare: execve \/etc: Permission denied/],
		[125, ["--rootfs", "/nowhere/at/all", "sh"], /^mkcontainer\.sh: --rootfs: \/nowhere\/at\/all: no such file/],
		[125, ["--memory", "lots", "sh"], /^tscgctl: --memory: "lots" is not a size/],
		[125, ["--volume", "/nowhere:/tmp/x", "sh"], /^tsunshare: .*No such file/],
		[125, ["--no-such-option", "sh"], /^mkcontainer\.sh: --no-such-option: unknown option/],
		[125, ["--name"], /^mkcontainer\.sh: --name: needs a value/],
		[125, ["--name", "../x", "sh"], /^mkcontainer\.sh: --name: \.\.\/x: not a name/],
		[125, ["--user", "nosuchuser", "sh"], /nosuchuser/],
	];
	for (const [status, args, message] of expected) {
		const { exitCode, stderr } = await run(args);
		t.equal(exitCode, status, args.join(" "));
		t.match(stderr, message);
		t.ok(stderr.split("\n").length <= 2, "one line, and a hint at most");
	}
	t.same(leftovers(), []);
});

t.test("user, environment, working folder, volumes and tmpfs are as asked", async (t) => {
	const shared = join(folder, "shared");
	mkdirSync(shared);
	writeFileSync(join(shared, "file"), "text");
	const { stdout, stderr } = await run([
		...["--rootfs", root, "-u", "ann", "-e", "A=1", "--env=B=2 3", "-w/etc", "--hostname=there"],
		...["-v", `${shared}:/mnt:ro`, "--tmpfs", "/scratch:size=1m"],
		...["sh", "-c", "id -u; id -g; echo $A $B; pwd; hostname; cat /mnt/file; echo; touch /mnt/new; touch /scratch/x && ls /scratch"],
	]);
	t.equal(stdout, "12\n34\n1 2 3\n/etc\nthere\ntext\nx");
	t.match(stderr, /mnt\/new: Read-only/);
});

t.test("the host's environment does not get in", async (t) => {
	const { stdout } = await execa(script, ["run", "env"], { env: { ...env, SECRET: "s3cret" } });
	t.notMatch(stdout, /s3cret/);
	t.match(stdout, /^PATH=/m);
});

t.test("names, paths and arguments may hold spaces, quotes, dollars and newlines", async (t) => {
	const odd = join(folder, `it's "odd" $HOME\n`);
	await execa("cp", ["-a", root, odd]);
	mkdirSync(join(odd, "vol ume"));
	const words = ["a b", "c'd", '"', "$PATH", "`id`", "x\ny\n", "", "\\n", "*"];
	const { stdout } = await run([
		"--rootfs",
		odd,
		"-v",
		`${odd}/vol ume:/v 'v`,
		"-e",
		"X=$a 'b'",
		"--",
		"sh",
		"-c",
		`ls -d "/v 'v"; echo "$X"; printf '[%s]' "$@"`,
		...words,
	]);
	t.equal(
		stdout,
		`/v 'v\n$a 'b'\n${words
			.slice(1)
			.map((word) => `[${word}]`)
			.join("")}`,
	);
});

t.test("--dry-run prints commands that do the same when they are pasted", async (t) => {
	const name = unique();
	const options = ["--name", name, "--rm", "--rootfs", busyboxTar(), "--memory", "64m", "-e", "X=it's"];
	const { stdout, exitCode } = await container(["run", "--dry-run", ...options, "--", "sh", "-c", 'echo "$X"; id -u; hostname']);
	t.equal(exitCode, 0);
	t.match(stdout, /^printf .*'\{"tsbox":1,.*\}' \|\n.*tscgctl join .*--memory 64m .*\|\n.*tsunshare --record 0 --stdin 3 /m);
	t.notMatch(stdout, /_stage|hold/, "no helper of the script stands in it");
	t.same(leftovers(), []);
	mkdirSync(join(env.TSBOX_DATA, "containers"), { recursive: true });
	t.equal((await execa("sh", ["-c", stdout], { env })).stdout, `it's\n0\n${name}`);
	t.same(leftovers(), []);
});

t.test("the limits are written to its cgroup", async (t) => {
	const name = unique();
	await run([
		"-d",
		"--name",
		name,
		"-m64m",
		"--cpus=0.5",
		"--cpu-shares",
		"512",
		"--cpuset-cpus",
		"0",
		"--pids-limit",
		"17",
		"sleep",
		"60",
	]);
	t.equal(cgroupFile(name, ["memory.limit_in_bytes", "memory.max"]), String(64 << 20));
	t.match(cgroupFile(name, ["cpu.cfs_quota_us", "cpu.max"]), /^50000\b/);
	t.match(cgroupFile(name, ["cpu.shares", "cpu.weight"]), /^(512|50)$/);
	t.equal(cgroupFile(name, ["cpuset.cpus"]), "0");
	t.equal(cgroupFile(name, ["pids.max"]), "17");
	t.equal((await container(["rm", "-f", name])).exitCode, 0);
	t.same(cgroups(name), []);
});

t.test("a program that takes more memory than it may is killed, and that is said", async (t) => {
	const { exitCode, stderr } = await run(["-m", "64m", "sh", "-c", "head -c 300m /dev/zero | tail -c 300m >/dev/null"]);
	t.equal(exitCode, 137);
	t.match(stderr, /^tscgctl: \S+: out of memory: the kernel killed 1 of its processes$/m);
	t.equal((await run(["-m", "64m", "sh", "-c", "head -c 10m /dev/zero | tail -c 10m | wc -c"])).stdout, String(10 << 20));
});

t.test("a process too many cannot be made", async (t) => {
	const { exitCode, stderr } = await run(["--rootfs", root, "--pids-limit", "4", "sh", "-c", "for i in 1 2 3 4 5 6; do sleep 5 & done"]);
	t.match(stderr, /can't fork/);
	t.not(exitCode, 0);
});

t.test("a busy program is held to its cpu time", async (t) => {
	const name = unique();
	await run(["-d", "--name", name, "--cpus", "0.1", "sh", "-c", "while :; do :; done"]);
	await new Promise((resolve) => setTimeout(resolve, 1500));
	t.ok(Number(/nr_throttled (\d+)/.exec(cgroupFile(name, ["cpu.stat"]))?.[1]) > 3);
	await container(["rm", "-f", name]);
});

t.test("a device of the host can be opened if it is given, and only then", async (t) => {
	const open = "mknod /dev/n c 10 229; (: <>/dev/n) && echo open";
	const without = await run(["sh", "-c", open]);
	t.match(without.stderr, /Operation not permitted/);
	t.equal((await run(["--device", "/dev/fuse", "sh", "-c", `ls /dev/fuse; ${open}`])).stdout, "/dev/fuse\nopen");
	const readOnly = await run([
		"--device",
		"/dev/fuse:/dev/mine:r",
		"sh",
		"-c",
		"(: </dev/mine) && echo read; (: <>/dev/mine) && echo written",
	]);
	t.equal(readOnly.stdout, "read");
	t.match((await run(["--device", "/etc/passwd", "true"])).stderr, /--device: \/etc\/passwd: not a device/);
});

t.test("a place that is not in the host's root is not made in it", async (t) => {
	const place = `/${unique()}`;
	const { exitCode, stdout } = await run(["-v", `${folder}:${place}`, "ls", place]);
	t.equal(exitCode, 0);
	t.match(stdout, /data/);
	t.notOk(existsSync(place));
});

t.test("with a terminal the program has it, with its size, and the status comes through", async (t) => {
	/* A moment may pass until the container's terminal has the size of this one. */
	const program = 'tty; for i in 1 2 3 4 5 6 7 8 9; do [ "$(stty size)" = "0 0" ] || break; sleep 0.1; done; stty size; exit 4';
	const command = `stty rows 33 cols 77; ${script} run -t sh -c '${program}'; echo status=$?`;
	/* At the end of its input script(1) would type a NUL. */
	const { stdout } = await execa("script", ["-qec", command, "/dev/null"], { env, stdin: "pipe" });
	t.match(stdout, /\/dev\/pts\/0\r\n33 77\r\n/);
	t.match(stdout, /status=4/);
});

t.test("it runs in dash and in bash", async (t) => {
	for (const shell of [["dash"], ["bash"], ["bash", "--posix"]]) {
		const { stdout, stderr } = await run(["--rootfs", root, "echo", "fine"], { shell });
		t.equal(stdout, "fine", shell.join(" "));
		t.equal(stderr, "");
	}
	t.same(leftovers(), []);
});

t.test("the help fits a screen", async (t) => {
	const lines = (await container(["--help"])).stdout.split("\n");
	t.ok(lines.length <= 45);
	t.ok(lines.every((line) => line.length <= 110));
});
