/** Attacks on containers and on their state: hostile images, records and terminals, two callers at once, what is kept by mistake. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { makeRoot, makeWorld, needsRoot, tsunshare } from "../support/sandbox.ts";
import { start } from "../support/target.ts";
import { tool } from "../support/tools.ts";

const world = makeWorld("review");
mkdirSync(join(world.folder, "run/sandboxes"), { recursive: true, mode: 0o700 });
t.teardown(world.remove);
const { root, folder, run, shell } = world;

/** A root of its own, to spoil. */
function image(name: string): string {
	const path = join(folder, name);
	makeRoot(path);
	return path;
}

const ended = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once("close", resolve));

t.test("an empty shell or home folder in /etc/passwd is /bin/sh and / (man 5 passwd)", needsRoot, async (t) => {
	const empty = image("empty");
	writeFileSync(join(empty, "etc/passwd"), "root:x:0:0:root::\n");
	const { stdout, stderr } = run(["--rootfs", empty], { input: "echo home $HOME, program $0\n" });
	t.equal(stdout, "home /, program /bin/sh\n", stderr);
});

t.test("a huge /etc/passwd or group costs neither much memory nor much time", needsRoot, async (t) => {
	const huge = image("huge");
	writeFileSync(join(huge, "etc/passwd"), `web:x:33:33::/:\n${"a\n".repeat(8 << 20)}`);
	writeFileSync(join(huge, "etc/group"), "a:x:44:web\n".repeat(1 << 20));
	const limited = { encoding: "utf8", env: world.env, timeout: 30_000 } as const;
	const ids = spawnSync("sh", ["-c", `ulimit -v 200000; exec ${tsunshare} --rootfs ${huge} --user web id`], limited);
	t.equal(ids.stdout, "uid=33(web) gid=33 groups=44(a)\n", ids.stderr);
	const unknown = spawnSync("sh", ["-c", `ulimit -v 200000; exec ${tsunshare} --rootfs ${huge} --user nobody id`], limited);
	t.match(unknown.stderr, /^tsunshare: --user nobody: no such user/);
	t.equal(unknown.status, 125);
});

t.test("what is no regular file in the place of /etc/passwd is not opened: to open a device may do something", needsRoot, async (t) => {
	const device = image("device");
	rmSync(join(device, "etc/passwd"));
	/* The multiplexer of pseudo-terminals makes one when it is opened. */
	spawnSync("mknod", [join(device, "etc/passwd"), "c", "5", "2"]);
	const trace = join(folder, "trace");
	const traced = spawnSync("strace", ["-f", "-o", trace, "-e", "trace=openat,openat2", tsunshare, "--rootfs", device, "true"], {
		env: world.env,
		encoding: "utf8",
	});
	t.equal(traced.status, 0, traced.stderr);
	const opens = readFileSync(trace, "utf8")
		.split("\n")
		.filter((line) => line.includes("/etc/passwd"));
	t.ok(opens.length > 0);
	for (const line of opens) t.match(line, "O_PATH");
});

t.test("names of an image cannot write to the terminal by way of an error", needsRoot, async (t) => {
	const hostile = image("hostile");
	rmSync(join(hostile, "tmp"), { recursive: true });
	symlinkSync("/proc/\x1b]0;pwned\x07\u009b1m/place", join(hostile, "tmp"));
	const { stderr, status } = run(["--rootfs", hostile, "--proc", "--tmpfs", "/tmp", "true"]);
	t.match(stderr, "\\x1b]0;pwned\\x07\\x9b1m");
	t.equal(
		[...stderr].find((c) => c !== "\n" && (c < " " || (c >= "\x7f" && c < "\xa0"))),
		undefined,
	);
	t.equal(status, 125);
});

t.test("inspect and list escape what a program calls itself", needsRoot, async (t) => {
	const { stderr } = shell(
		"$T --hold --id named --stdout /dev/null --stderr /dev/null --rootfs $R sh -c 'sleep 100 # \u009b31m\x7f' | $T start >/dev/null",
	);
	t.equal(stderr, "");
	const inspected = run(["inspect", "named"]).stdout;
	t.match(inspected, "\\u009b31m\\u007f");
	for (const text of [inspected, run(["list"]).stdout, run(["list", "--json"]).stdout]) t.notMatch(text, /[\x7f-\x9f]/);
	t.match(JSON.parse(inspected).command, ["sh", "-c", "sleep 100 # \u009b31m\x7f"]);
	run(["rm", "-f", "named"]);
});

t.test("a record that comes back changed does not change what tsunshare itself knows", needsRoot, async (t) => {
	const change = `sed 's/"command":[[][^]]*[]]/"command":5,"created":"x","extra":1/'`;
	shell(`$T --hold --id changed --stdout /dev/null --stderr /dev/null --rootfs $R sleep 100 | ${change} | $T start >/dev/null`);
	const { stdout, stderr } = run(["list"]);
	t.match(stdout, /^changed +\d+ +running .* sleep 100$/m, stderr);
	t.equal(JSON.parse(run(["inspect", "changed"]).stdout).extra, 1);
	run(["rm", "-f", "changed"]);
});

t.test("a number is no name of a sandbox: `kill` would take it for a PID", needsRoot, async (t) => {
	const { status, stderr } = run(["--hold", "--id", "4242", "--rootfs", root, "true"]);
	t.match(stderr, `--id: "4242" is not a name`);
	t.equal(status, 2);
	t.notOk(existsSync(join(folder, "run/sandboxes/4242")));
});

t.test("options of a held sandbox are refused without --hold", async (t) => {
	for (const option of [["--rm"], ["--hold-timeout", "1s"]]) {
		const { status, stderr } = run(["--rootfs", root, ...option, "true"]);
		t.match(stderr, `tsunshare: ${option[0]}: needs --hold`);
		t.equal(status, 2);
	}
});

t.test("of two that start a sandbox at once one does, the other is told", needsRoot, async (t) => {
	for (let i = 0; i < 10; i++) {
		const id = `twice${i}`;
		run(["--hold", "--id", id, "--rm", "--stdout", "/dev/null", "--stderr", "/dev/null", "--rootfs", root, "sleep", "0.1"]);
		const starts = [1, 2].map(() => spawn(tsunshare, ["start", id], { env: world.env, stdio: ["ignore", "ignore", "pipe"] }));
		let errors = "";
		for (const { stderr } of starts) stderr.on("data", (text) => (errors += text));
		const statuses = await Promise.all(starts.map(ended));
		t.same(statuses.sort(), [0, 1]);
		t.equal(errors, `tsunshare: ${id}: not held: it has been started already\n`);
	}
});

t.test("who waited for a sandbox leaves alone a new one of the same name", needsRoot, async (t) => {
	const script = `for i in 1 2 3 4 5 6 7 8 9 10; do for j in 1 2 3; do
$T --hold --id again --rm --rootfs $R --stdout /dev/null --stderr /dev/null true | $T start --wait & done; wait; done`;
	const { stderr } = shell(script);
	const usual = /^tsunshare: (again: there is a sandbox of this name|standard input: no sandbox record|hint: .*)$/;
	t.same(
		stderr.split("\n").filter((line) => line !== "" && !usual.test(line)),
		[],
	);
	/* The state of one that has ended, held by who still waits for it, and a new one that asks for its name. */
	const awaited = shell(`$T --hold --id taken --rootfs $R --stdout /dev/null --stderr /dev/null true | $T start >/dev/null
$T wait taken; exec 8<$TSBOX_RUN/sandboxes/taken/hold; flock -s 8; $T --hold --id taken --rootfs $R true`);
	t.match(awaited.stderr, "taken: there is a sandbox of this name");
	t.equal(run(["wait", "taken"]).status, 0, "its status is still there");
	run(["rm", "taken"]);
});

t.test("where a descriptor that is to be preserved is closed, none of the tool's own takes its place", needsRoot, async (t) => {
	const list = "for fd in 3 4 5 12; do readlink /proc/$$/fd/$fd; done";
	const options = `--preserve-fds 10 --rootfs $R --proc --stdout ${folder}/listed sh -c '${list}'`;
	for (const command of [`$T --hold --stderr /dev/null ${options} | $T start --wait`, `$T ${options}`]) {
		const ran = shell(`exec 4</dev/zero; ${command}`);
		t.equal(ran.status, 1, ran.stderr);
		t.equal(readFileSync(join(folder, "listed"), "utf8"), "/dev/zero\n");
		rmSync(join(folder, "listed"));
	}
});

t.test("with its standard streams closed the tool works, and the program's are closed as well", needsRoot, async (t) => {
	const { status } = shell("$T --rootfs $R --proc sh -c 'readlink /proc/$$/fd/[012] /proc/$$/fd/1 | wc -l > /tmp/count' <&- >&- 2>&-");
	t.equal(status, 0);
	t.equal(readFileSync(join(root, "tmp/count"), "utf8").trim(), "0");
	const tty = shell("$T --rootfs $R --dev --tty sh -c 'sleep 0.1; echo said' <&-");
	t.equal(tty.stdout, "said\r\n", tty.stderr);
	/* A record that nobody gets is a sandbox that nobody finds. */
	t.equal(shell("$T --hold --id nowhere --rootfs $R true >&-").status, 125);
	shell("while [ -e $TSBOX_RUN/sandboxes/nowhere ]; do sleep 0.01; done");
	t.notOk(existsSync(join(folder, "run/sandboxes/nowhere")));
});

t.test("what a program with a terminal writes arrives whole in a pipe that does not block", needsRoot, async (t) => {
	const reader = `import os, subprocess, sys, time
r, w = os.pipe(); os.set_blocking(w, False)
p = subprocess.Popen(sys.argv[1:], stdout=w, stdin=subprocess.DEVNULL); os.close(w)
time.sleep(0.3); n = 0
while True:
    b = os.read(r, 65536)
    if not b: break
    n += len(b)
print(p.wait(), n)`;
	const args = ["-c", reader, tsunshare, "--rootfs", root, "--dev", "--tty", "sh", "-c", "dd if=/dev/zero bs=1000 count=1000 2>/dev/null"];
	const { stdout, stderr } = spawnSync("python3", args, { env: world.env, encoding: "utf8", timeout: 30_000 });
	t.equal(stdout, "0 1000000\n", stderr);
});

t.test("a program's terminal has its size before the program runs", needsRoot, async (t) => {
	const trace = join(folder, "size.trace");
	const traced = `strace -f -s 99 -o ${trace} -e trace=ioctl,execve -e signal=none`;
	const held = "$T --hold --tty --dev --rootfs $R true";
	for (const command of [`${traced} $T --tty --dev --rootfs $R true`, `${traced} sh -c "${held} | $T start --wait"`]) {
		const { status, stdout } = spawnSync("script", ["-qec", `stty rows 33 cols 101; ${command}`, "/dev/null"], {
			env: world.env,
			encoding: "utf8",
			stdio: ["ignore", "pipe", "pipe"],
		});
		t.equal(status, 0, stdout);
		const lines = readFileSync(trace, "utf8").split("\n");
		const sized = lines.findIndex((line) => line.includes("TIOCSWINSZ, {ws_row=33, ws_col=101"));
		const executed = lines.findIndex((line) => line.includes('execve("/usr/bin/true"') || line.includes('execve("/bin/true"'));
		t.ok(sized >= 0 && executed >= 0 && sized < executed, `line ${sized} is before line ${executed}`);
	}
});

/** Runs a command of tsunshare's with a key in the session keyring: true if the program that it is given finds that. */
function findsKey(t: Test, words: string[]): boolean {
	/* keyctl(1) is not everywhere: its calls by number. 248 add_key, 250 keyctl: 1 join a session keyring, 10 search */
	const script = `import ctypes, os, sys
libc = ctypes.CDLL(None)
print(libc.syscall(250, 1, None), flush=True)
print(libc.syscall(248, b"user", b"tsbox", b"secret", 6, -3), flush=True)
os.execv(sys.argv[1], sys.argv[1:])`;
	const inside = "import ctypes; print(ctypes.CDLL(None).syscall(250, 10, -3, b'user', b'tsbox', 0))";
	const argv = ["-c", script, tsunshare, ...words, "python3", "-c", inside];
	const { stdout, stderr } = spawnSync("python3", argv, { env: world.env, encoding: "utf8" });
	const [session = 0, key = 0, found = 0] = stdout.split("\n").map(Number);
	t.ok(session > 0 && key > 0, stdout + stderr);
	return found === key;
}

t.test("the caller's session keyring is not the program's", needsRoot, async (t) => {
	t.ok(findsKey(t, ["--pid", "--fork"]), "unshare(1) leaves it as it is");
	t.notOk(findsKey(t, ["--pid", "--rootfs", "/"]));
	t.notOk(findsKey(t, ["--pid", "--rootfs", "/", "--map-root-user"]));
});

t.test("who enters a sandbox does not take his session keyring along", needsRoot, async (t) => {
	const target = String(await start(t, ["unshare", "-u"]));
	t.notOk(findsKey(t, ["enter", target]));
	t.ok(findsKey(t, ["enter", "-t", target, "-u"]), "nsenter(1) leaves it as it is");
});

t.test("enter --new-session runs the program in a session without a terminal, and passes signals on", needsRoot, async (t) => {
	const field = (pid: number, index: number) => {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[index - 3];
	};
	for (const kinds of [["-u"], ["-p", "-m"]]) {
		const target = await start(t, ["unshare", "-umpf", "--mount-proc"]);
		/* A job of an interactive shell leads its process group, and has a terminal. */
		const terminal = `${tsunshare} enter -t ${target} ${kinds.join(" ")} --new-session sh -c`;
		const typed = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)";
		const { stdout } = spawnSync("script", ["-qec", `exec ${terminal} 'cut -d" " -f7 < /proc/self/stat; : < /dev/tty'`, "/dev/null"], {
			encoding: "utf8",
			env: world.env,
			stdio: ["ignore", "pipe", "pipe"],
		});
		t.match(stdout, /^0\r\n.*\/dev\/tty: No such device or address/, `${kinds}: no controlling terminal`);
		const stolen = spawnSync("script", ["-qec", `exec ${terminal} 'python3 -c "${typed}"'`, "/dev/null"], {
			encoding: "utf8",
			env: world.env,
			stdio: ["ignore", "pipe", "pipe"],
		});
		t.match(stolen.stdout, "PermissionError", "it cannot get it back");

		const child = spawn(tsunshare, ["enter", "-t", String(target), ...kinds, "--new-session", "sleep", "1000"], {
			env: world.env,
			detached: true,
		});
		const children = () => readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
		for (let i = 0; i < 500 && (children() === "" || field(Number(children()), 6) !== children()); i++) await sleep(10);
		const program = Number(children());
		t.equal(field(program, 6), String(program), "it leads its session");
		for (let i = 0; i < 500 && readFileSync(`/proc/${program}/comm`, "utf8") !== "sleep\n"; i++) await sleep(10);
		const end = new Promise((resolve) => child.once("exit", (_, signal) => resolve(signal)));
		child.kill("SIGQUIT");
		t.equal(await end, "SIGQUIT");
		t.notOk(existsSync(`/proc/${program}`), "it does not stay behind");
	}
});

t.test(
	"kill says when a signal is dropped since the program is PID 1 and does not handle it; one that asks for the end becomes SIGKILL",
	needsRoot,
	async (t) => {
		const held = (id: string, program: string) =>
			shell(
				`$T --hold --id ${id} --pid --proc --stdout ${folder}/${id} --stderr /dev/null --rootfs $R ${program} | $T start >/dev/null; while ! [ -s ${folder}/${id} ]; do sleep 0.01; done`,
			);
		held("deaf", "sh -c 'trap : USR1; echo; while :; do sleep 0.1; done'");
		held("deaf2", "sh -c 'trap : USR1; echo; while :; do sleep 0.1; done'");
		const dropped = run(["kill", "-s", "USR2", "deaf"]);
		t.equal(
			dropped.stderr,
			"tsunshare: deaf: the program is PID 1 and does not handle SIGUSR2: the kernel drops it\ntsunshare: hint: -s KILL ends it; with tsinit in front it gets signals\n",
		);
		t.equal(dropped.status, 1);
		t.same([run(["kill", "-s", "USR1", "deaf"]).stderr, run(["kill", "-s", "CONT", "deaf"]).stderr], ["", ""], "those that it gets");
		t.match(run(["kill", "-s", "RTMAX", "deaf", "deaf2"]).stderr, "tsunshare: deaf, deaf2: the program is PID 1");
		t.match(shell("$T inspect deaf | tr -d '\\n' | $T kill -s RTMIN").stderr, "deaf: the program is PID 1 and does not handle SIGRTMIN");
		t.same([run(["kill", "deaf2"]).stderr, run(["wait", "deaf2"]).status], ["", 137], "one that asks for the end is made SIGKILL");
		t.same([run(["kill", "-s", "KILL", "deaf"]).stderr, run(["wait", "deaf"]).status], ["", 137]);

		/* tsinit blocks signals, and takes them from there. */
		copyFileSync(tool("tsinit"), join(root, "bin/tsinit"));
		held("hears", "tsinit sh -c 'echo; exec sleep 1000'");
		t.same([run(["kill", "hears"]).stderr, run(["wait", "hears"]).status], ["", 143]);
	},
);

t.test("kill says of a sandbox that has ended that it has", needsRoot, async (t) => {
	shell("$T --hold --id over --stdout /dev/null --stderr /dev/null --rootfs $R true | $T start >/dev/null; $T wait over");
	const { status, stderr } = run(["kill", "over"]);
	t.same([status, stderr], [1, "tsunshare: over: has ended\n"]);
	t.match(run(["kill", "never"]).stderr, "never: no such sandbox");
});

t.test("a program may be left without any descriptor to open, or memory to be had", needsRoot, async (t) => {
	for (const options of [[], ["--cap-drop", "ALL", "--user", "web"]]) {
		for (const [limit, flag, shown] of [
			["nofile=0", "n", "0"],
			["nofile=1:2", "n", "1"],
			["data=307200", "d", "300"],
			["fsize=0", "f", "0"],
		]) {
			const { stdout, stderr } = run(["--rootfs", root, ...options, "--rlimit", `${limit}`, "sh", "-c", `ulimit -${flag}`]);
			t.equal(stdout, `${shown}\n`, stderr);
		}
	}
	shell("$T --hold --id bare --rlimit nofile=0 --stdout /dev/null --stderr /dev/null --rootfs $R sleep 100 | $T start >/dev/null");
	t.equal(run(["enter", "bare", "/bin/sh", "-c", "ulimit -n"]).stdout, "0\n", "who enters it has the same");
	t.equal(run(["enter", "--new-session", "bare", "/bin/sh", "-c", "ulimit -n"]).stdout, "0\n");
	run(["rm", "-f", "bare"]);
});

const quiet = ["--stdout", "/dev/null", "--stderr", "/dev/null"];

t.test("--hold-timeout 0 is no time-out", needsRoot, async (t) => {
	const { stdout, stderr } = run(["--hold", "--id", "patient", "--hold-timeout", "0", ...quiet, "--rootfs", root, "true"]);
	const { supervisor } = JSON.parse(stdout);
	await sleep(200);
	t.equal(run(["start", "patient"]).status, 0, stderr);
	t.ok(supervisor.pid > 0);
	run(["wait", "patient"]);
	run(["rm", "patient"]);
	t.match(run(["--help"]).stdout + spawnSync(tsunshare, ["man"], { encoding: "utf8" }).stdout, /nobody starts in time \(60s\); 0: never/);
});

t.test("folders that are not there are made, however many, and links to what is not there are followed", needsRoot, async (t) => {
	const deep = image("deep");
	const path = "/a".repeat(60);
	const made = run(["--rootfs", deep, "--tmpfs", path, "stat", "-f", "-c", "%T", path]);
	t.same([made.stdout, made.stderr], ["tmpfs\n", ""]);
	symlinkSync("not/yet/../there", join(deep, "link"));
	const linked = run(["--rootfs", deep, "--tmpfs", "/link/place", "stat", "-f", "-c", "%T", "/not/there/place"]);
	t.same([linked.stdout, linked.stderr], ["tmpfs\n", ""]);

	/* A hostile image: each link is at the end of the kernel's patience, or of ours. */
	const hostile = image("links");
	for (let i = 0; i < 39; i++) symlinkSync(`l${i + 1}${"/x".repeat(100)}`, join(hostile, `l${i}`));
	const { status, stderr } = run(["--rootfs", hostile, "--tmpfs", "/l0", "true"]);
	t.match(stderr, /^(tsunshare: [^\n]+: (Too many levels of symbolic links|File name too long)\n)?$/);
	t.ok(status === 125 || status === 0, `status ${status}`);
});

t.test("start says of a held sandbox whose time is over that it has ended, at whichever step it finds that", needsRoot, async (t) => {
	const message = "tsunshare: late: has ended\ntsunshare: hint: a held sandbox ends when nobody starts it in time: see --hold-timeout\n";
	for (const step of [
		"flock:delay_enter=900000:when=1",
		"fsync:delay_enter=900000",
		"rename,renameat,renameat2:delay_enter=900000",
		"rename,renameat,renameat2:delay_exit=900000",
	]) {
		run(["--hold", "--id", "late", "--hold-timeout", "400ms", ...quiet, "--rootfs", root, "true"]);
		const traced = ["-qq", "-o", join(folder, "late.trace"), "-e", "signal=none", "-e", `inject=${step}`];
		const { status, stderr } = spawnSync("strace", [...traced, tsunshare, "start", "late"], { env: world.env, encoding: "utf8" });
		t.same([status, stderr], [1, message], step);
		t.notOk(existsSync(join(folder, "run/sandboxes/late")), "nothing is left");
	}
});

t.test("a program that is held in the background of a script takes SIGINT and SIGQUIT", needsRoot, async (t) => {
	const { stdout, stderr } = shell(
		`($T --hold --proc --rootfs $R --stdout ${folder}/ignored grep SigIgn /proc/self/status | $T start --wait) & wait`,
	);
	t.match(readFileSync(join(folder, "ignored"), "utf8"), /^SigIgn:\t0000000000000[0-9a-f]{2}[0189]$/m, stdout + stderr);
});

t.test("the manual page says what root with CAP_SYS_ADMIN in a user namespace can undo", async (t) => {
	t.match(spawnSync(tsunshare, ["man"], { encoding: "utf8" }).stdout, /keeps CAP_SYS_ADMIN can undo masks/);
});
