/** `tsunshare enter` beyond what nsenter 2.38, which the tests have as peer, can show; and what a hostile target must not get. */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
	chmodSync,
	chownSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	readFileSync,
	readlinkSync,
	rmdirSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { close, O_RDONLY, open } from "../../native/linux/fd.ts";
import { namespaceId } from "../../native/linux/namespace.ts";
import { folder, NOBODY, type Result, type RunOptions, run, shell } from "../support/peers.ts";
import { start } from "../support/target.ts";
import { tool } from "../support/tools.ts";

const tsunshare = tool("tsunshare");
const isRoot = process.getuid?.() === 0;
const root = { skip: isRoot ? false : "needs root" };
const message = (text: string) => new RegExp(`^tsunshare: ${text}\\n(tsunshare: .*\\n)?$`);

const enter = (words: (string | number)[], options: RunOptions = {}): Result => run([tsunshare, "enter", ...words.map(String)], options);

/** Field 22 of /proc/PID/stat, with which a record names a process. */
function startTime(pid: number): number {
	const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
	return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
}

/** Registers a process as a sandbox; returns the environment in which tsunshare finds it. */
function register(t: Test, id: string, pid: number, begun = startTime(pid)): Record<string, string> {
	const state = folder(t, "state");
	mkdirSync(join(state, "sandboxes", id), { recursive: true });
	writeFileSync(join(state, "sandboxes", id, "record"), JSON.stringify({ tsbox: 1, id, pid, start: begun, held: false }));
	return { TSBOX_RUN: state };
}

const kinds = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

t.test("a sandbox is entered by its id, or by a PID, as a whole", root, async (t) => {
	const cwd = folder(t, "cwd");
	const pid = await start(t, ["unshare", "-muinpfCT", "--mount-proc"], { script: "hostname inside", cwd, env: { MARK: "target" } });
	const env = { ...register(t, "web", pid), MARK: "caller", TERM: "test" };
	for (const target of [["web"], ["web", "--"], [String(pid)], [String(pid), "--"]]) {
		t.match(enter([...target, "hostname"], { env }), { status: 0, stdout: "inside\n", stderr: "" }, target.join(" "));
		const links = enter([...target, "readlink", ...kinds.map((kind) => `/proc/self/ns/${kind}`)], { env }).stdout;
		t.equal(links, kinds.map((kind) => `${readlinkSync(`/proc/${pid}/ns/${kind}`)}\n`).join(""), "all namespaces");
		t.equal(enter([...target, "pwd"], { env }).stdout, `${cwd}\n`, "working folder");
		t.equal(enter([...target, "sh", "-c", "echo $MARK $TERM"], { env }).stdout, "target test\n", "environment");
	}
	t.match(enter(["-u", "web", "sh", "-c", "hostname; echo $MARK"], { env }), { stdout: "inside\ncaller\n" }, "or some namespaces only");
	t.match(enter(["-t", "web", "-u", "hostname"], { env }), { stdout: "inside\n" }, "by --target, too");
	t.match(enter(["--uts=/proc/self/ns/uts", "web"], { env }), { status: 127 }, "with a FILE the first operand is the program");
	t.match(enter(["web", "sh", "-c", "exit 8"], { env }), { status: 8 });
	t.match(enter(["web", "sh", "-c", "kill -KILL $$"], { env }), { signal: "SIGKILL" });
	t.match(enter(["web", "nosuchprogram"], { env }), { status: 127 });
});

t.test("a program in a sandbox has its limits, and may do no more than the sandbox's program", root, async (t) => {
	const facts = ["sh", "-c", "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs)' /proc/self/status; ulimit -n; ulimit -Hn; ulimit -c"];
	const compare = async (name: string, words: string[], expected: RegExp) => {
		const pid = await start(t, ["prlimit", "--nofile=77:88", "--core=0", ...words]);
		const env = register(t, "web", pid);
		const { stdout, stderr } = enter(["web", ...facts], { env });
		const wanted = readFileSync(`/proc/${pid}/status`, "utf8")
			.split("\n")
			.filter((line) => /^(Uid|Gid|Groups|Cap|NoNewPrivs)/.test(line));
		t.equal(stdout, `${wanted.join("\n")}\n77\n88\n0\n`, name, { stderr });
		t.match(stdout, expected, name);
	};
	await compare("root", [], /^Uid:\t0/);
	await compare("capabilities dropped", ["setpriv", "--bounding-set=-sys_admin,-net_raw", "--inh-caps=-all"], /CapBnd:\t.*(?!f{10})/);
	await compare("another user", ["setpriv", "--reuid=33", "--regid=33", "--groups=7,8"], /^Uid:\t33[\s\S]*Groups:\t7 8/);
	await compare(
		"another user with ambient capabilities",
		["setpriv", "--reuid=33", "--regid=33", "--clear-groups", "--inh-caps=+net_raw", "--ambient-caps=+net_raw"],
		/CapAmb:\t0000000000002000/,
	);
	await compare("no_new_privs", ["setpriv", "--no-new-privs"], /NoNewPrivs:\t1/);
});

t.test("in a user namespace, the program has the ids that the sandbox's has there", root, async (t) => {
	const inside = async (words: string[], uid?: number) => {
		const pid = await start(t, words, uid === undefined ? {} : { uid });
		const env = register(t, "web", pid);
		return { found: enter(["web", "sh", "-c", "id -u; id -g"], { env }).stdout, uid: readFileSync(`/proc/${pid}/uid_map`, "utf8") };
	};
	t.equal((await inside(["unshare", "-r"])).found, "0\n0\n");
	t.equal((await inside(["unshare", "-r"], NOBODY)).found, "0\n0\n");
	t.equal((await inside([tsunshare, "--map-users=0:100000:10", "--map-groups=0:100000:10", "-S", "5", "-G", "6"])).found, "5\n6\n");
	t.equal((await inside(["unshare", "-U"], NOBODY)).found, "65534\n65534\n", "without a map");
});

t.test("an ordinary user enters a sandbox of his own", async (t) => {
	const uid = isRoot ? NOBODY : process.getuid?.();
	const options = isRoot ? { uid: NOBODY } : {};
	const pid = await start(t, ["unshare", "-rmuinpf", "--mount-proc"], { script: "hostname inside", ...options });
	const env = register(t, "web", pid);
	if (isRoot) execFileSync("chown", ["-R", String(uid), env.TSBOX_RUN as string]);
	t.match(enter(["web", "sh", "-c", "hostname; id -u; cat /proc/1/comm"], { ...options, env }), {
		status: 0,
		stdout: "inside\n0\nsleep\n",
		stderr: "",
	});
});

/** The folders of a hierarchy, of version 1 and 2, in which the tests can make a cgroup. */
function hierarchies(): string[] {
	const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
	const of = (type: RegExp) => mounts.find((line) => type.test(line))?.split(" ")[4];
	return [of(/ - cgroup .*pids/), of(/ - cgroup2 /)].filter(
		(path): path is string => path !== undefined && existsSync(join(path, "cgroup.procs")),
	);
}

t.test("a program in a sandbox is in its cgroups, and --join-cgroup does the same", root, async (t) => {
	const folders = hierarchies().map((path) => join(path, `tsbox-enter-${process.pid}`));
	t.ok(folders.length > 0, "there is a hierarchy to test with");
	for (const path of folders) mkdirSync(path);
	t.teardown(() => {
		for (const path of folders) rmdirSync(path);
	});
	const pid = await start(t, ["unshare", "-u"]);
	for (const path of folders) writeFileSync(join(path, "cgroup.procs"), String(pid));
	const env = register(t, "web", pid);
	const cgroups = readFileSync(`/proc/${pid}/cgroup`, "utf8");
	t.match(cgroups, `/tsbox-enter-${process.pid}`);
	t.equal(enter(["web", "cat", "/proc/self/cgroup"], { env }).stdout, cgroups);
	t.equal(enter(["-t", pid, "-u", "-c", "cat", "/proc/self/cgroup"]).stdout, cgroups);
	t.not(enter(["-t", pid, "-u", "cat", "/proc/self/cgroup"]).stdout, cgroups);
});

t.test("options of nsenter since 2.38", root, async (t) => {
	const socket = "import socket,time,os; s=socket.socket(); os.dup2(s.fileno(), 9); print('x', flush=True)";
	const pid = await start(t, ["unshare", "-runpf"], { script: "hostname inside", env: { MARK: "target" } });
	t.equal(enter(["-t", pid, "-u", "-e", "sh", "-c", "echo $MARK"], { env: { MARK: "caller" } }).stdout, "target\n", "--env");
	t.equal(enter(["-t", pid, "-U", "-S", "follow", "-G", "follow", "sh", "-c", "id -u; id -g"]).stdout, "0\n0\n", "follow");
	const other = await start(t, ["setpriv", "--reuid=33", "--regid=34", "--clear-groups"]);
	t.equal(
		enter(["-t", other, "-u", "-S", "follow", "-G", "follow", "sh", "-c", "id -u; id -g"]).stdout,
		"33\n34\n",
		"follow, without a user namespace",
	);
	await t.test("--net-socket: the network of a socket that the target has", async (t) => {
		/* It makes the socket in one network namespace, and is in another then. */
		const child = spawn(
			"unshare",
			["-n", "python3", "-c", `${socket}; import ctypes; ctypes.CDLL(None).unshare(0x40000000); time.sleep(100)`],
			{
				stdio: ["ignore", "pipe", "inherit"],
			},
		);
		t.teardown(() => child.kill("SIGKILL"));
		await new Promise((resolve) => child.stdout.once("data", resolve));
		for (let i = 0; i < 100 && readlinkSync(`/proc/${child.pid}/ns/net`) === readlinkSync("/proc/self/ns/net"); i++)
			await new Promise((r) => setTimeout(r, 10));
		const { stdout, stderr } = enter(["-t", child.pid as number, "-N", 9, "readlink", "/proc/self/ns/net"]);
		t.match(stdout, /^net:\[\d+\]\n$/, stderr);
		t.not(stdout.trim(), readlinkSync("/proc/self/ns/net"));
		t.match(enter(["-t", child.pid as number, "-N", 77, "true"]), { status: 1, stderr: message("pidfd_getfd: Bad file descriptor") });
	});
	await t.test("--user-parent: the parent user namespace, in which the target's owner has all rights", async (t) => {
		const nested = await start(t, ["unshare", "-r", "unshare", "-rn"]);
		const parent = enter(["-t", nested, "--user-parent", "--preserve-credentials", "readlink", "/proc/self/ns/user"]);
		t.match(parent.stdout, /^user:\[\d+\]\n$/, parent.stderr);
		t.not(parent.stdout.trim(), readlinkSync(`/proc/${nested}/ns/user`));
		t.not(parent.stdout.trim(), readlinkSync("/proc/self/ns/user"));
	});
	await t.test("--target PID:INODE: the inode of the process's pidfd", async (t) => {
		const code = `import os; print(os.fstat(os.pidfd_open(${pid})).st_ino)`;
		const inode = run(["python3", "-c", code]).stdout.trim();
		t.match(enter(["-t", `${pid}:${inode}`, "-u", "hostname"]), { status: 0, stdout: "inside\n" });
		t.match(enter(["-t", `${pid}:${Number(inode) + 1}`, "-u", "hostname"]), { status: 1, stderr: message(`${pid}:\\d+: has ended; .*`) });
	});
	await t.test("--net=:NSID: a namespace by its id", async (t) => {
		const fd = open(`/proc/${pid}/ns/net`, O_RDONLY);
		let id: number;
		try {
			id = namespaceId(fd);
		} catch {
			return t.pass("namespaces have no ids before Linux 6.18");
		} finally {
			close(fd);
		}
		t.equal(enter([`--net=:${id}`, "readlink", "/proc/self/ns/net"]).stdout.trim(), readlinkSync(`/proc/${pid}/ns/net`));
		t.match(enter(["--net=:999999999999", "true"]), { status: 1, stderr: message(":999999999999: no net namespace with this id") });
		t.match(enter(["--net=:x", "true"]), { status: 1, stderr: message('--net: ":x" is not .*') });
	});
	t.match(enter(["-t", pid, "-u", "-Z", "hostname"]), { status: 0, stdout: "inside\n" }, "--follow-context does nothing without SELinux");
	t.match(enter(["-t", pid, "-U", "--keep-caps", "-S", "0", "grep", "CapAmb", "/proc/self/status"]), {
		stdout: /^CapAmb:\t0+1ffffffffff\n$/,
	});
});

t.test(
	"a kernel whose setns takes no pidfd is served by the files",
	{ skip: isRoot && existsSync("/usr/bin/strace") ? false : "needs root and strace" },
	async (t) => {
		const pid = await start(t, ["unshare", "-muinpfCT", "--mount-proc"], { script: "hostname inside" });
		const old = ["strace", "-f", "-o", "/dev/null", "-e", "trace=setns", "-e", "inject=setns:error=EINVAL:when=1", tsunshare];
		const found = run([...old, "enter", "-t", String(pid), "-a", "sh", "-c", "hostname; cat /proc/1/comm"]);
		t.same(found, { status: 0, signal: null, stdout: "inside\nsleep\n", stderr: "" });
	},
);

t.test("bad input gives an error line and status 1", root, async (t) => {
	const pid = await start(t, ["unshare", "-u"]);
	const gone = run(["sh", "-c", "echo $$"]).stdout.trim();
	const env = register(t, "web", pid, startTime(pid) + 1);
	const bad: [words: (string | number)[], stderr: RegExp][] = [
		[[], message("enter: no target: .*")],
		[["-t", gone, "-u", "true"], message(`${gone}: no such process`)],
		[[gone, "true"], message(`${gone}: no such process`)],
		[["web", "true"], message(`web \\(pid ${pid}\\): has ended; its PID names another process now`)],
		[["other", "true"], message("other: no such sandbox")],
		[["../web", "true"], message("--target: .* is not a PID, .*")],
		[["-t", pid, "true"], message("enter: no namespace to enter.*")],
		[["--net=/etc/passwd", "true"], message("/etc/passwd: not a namespace")],
		[[`--net=/proc/${pid}/ns/uts`, "true"], message(`/proc/${pid}/ns/uts: CLONE_NEWUTS, not CLONE_NEWNET`)],
		[["--net=/nonexistent", "true"], message("openat /nonexistent: No such file or directory")],
		[["-t", pid, "-U", "true"], message(`setns\\(CLONE_NEWUSER\\) /proc/${pid}/ns/user: Invalid argument`)],
		[["-t", pid, "-u", "-S", "x", "true"], message('--setuid: "x" is not .*')],
		[["-t", pid, "-u", "-w", "-W", "/", "true"], message("--wd and --wdns: only one of them")],
		[["-t", pid, "-r/etc/passwd", "true"], message("openat /etc/passwd: Not a directory")],
		[["--uts=/proc/self/ns/uts", "-w", "true"], message("--wd: needs a target .*")],
	];
	for (const [words, stderr] of bad) t.match(enter(words, { env }), { status: 1, stdout: "", stderr }, words.join(" "));
});

t.test(
	"no descriptor beyond 2 reaches a program in a whole sandbox; with nsenter's options they are passed on, as by nsenter",
	root,
	async (t) => {
		const pid = await start(t, ["unshare", "-muinpf", "--mount-proc"]);
		const found = (words: string) => shell(`exec 3</ 4</etc/group 7</etc/hostname; ${tsunshare} enter ${words}`).stdout;
		/* The 3 is ls's own, for the folder that it lists. */
		t.equal(found(`${pid} /bin/ls /proc/self/fd`), "0\n1\n2\n3\n");
		t.equal(found(`--preserve-fds 2 ${pid} /bin/ls /proc/self/fd`), "0\n1\n2\n3\n4\n5\n");
		const peer = shell(`exec 3</ 4</etc/group 7</etc/hostname; nsenter -t ${pid} -u /bin/ls /proc/self/fd`).stdout;
		t.match(peer, /\n3\n4\n[\s\S]*7\n/);
		for (const words of [`-t ${pid} -u`, `--preserve-fds 1 -t ${pid} -u`]) t.equal(found(`${words} /bin/ls /proc/self/fd`), peer, words);
	},
);

t.test("no folder outside of the root is left as the working folder", root, async (t) => {
	const outside = folder(t, "outside");
	/* A root without a mount namespace, as chroot(8) makes it. */
	const at = folder(t, "root");
	run(["sh", "-c", `for d in bin lib lib64 usr proc; do mkdir -p ${at}/$d; done`]);
	const pid = await start(t, [
		"unshare",
		"-m",
		"sh",
		"-c",
		`for d in bin lib lib64 usr proc; do [ -e /$d ] && mount --rbind /$d ${at}/$d; done; exec chroot ${at} "$@"`,
		"sh",
	]);
	for (const words of [["-t", pid, "-r"], ["-t", pid, "-m", "-r"], ["-t", pid, "-a", "-r", "-w"], [pid]])
		t.match(enter([...words, "/bin/pwd"], { cwd: outside }), { status: 0, stdout: "/\n" }, words.join(" "));
	await t.test("nor by a link to a descriptor of ours (CVE-2024-21626)", async (t) => {
		const leak = shell(`exec 7<${outside}; ${tsunshare} enter -t ${pid} -m -r -W /proc/self/fd/7 /bin/ls -la`);
		t.match(leak, { status: 1, stdout: "", stderr: message("openat2 /proc/self/fd/7: Too many levels of symbolic links") });
		const prepare = `for d in bin lib lib64 usr proc; do [ -e /$d ] && mount --rbind /$d ${at}/$d; done; exec 7<${outside}`;
		const rooted = run(["unshare", "-m", "sh", "-c", `${prepare}; ${tsunshare} -m -R ${at} -w /proc/self/fd/7 /bin/ls`]);
		t.match(rooted, { status: 1, stdout: "", stderr: message("/proc/self/fd/7: leads out of the new root") });
	});
});

/**
 * The attack of CVE-2019-5736, from inside a PID namespace that others enter: opens the file that a new process runs, and
 * writes to it as soon as the kernel lets it. Says "seen" once it has it; tries when its standard input is closed.
 */
const attack = (inode: number) => `
import errno, os, select, time
seen, done = [], False
print("ready", flush=True)
while not (done := select.select([0], [], [], 0)[0]):
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or int(pid) == os.getpid(): continue
        try:
            fd = os.open("/proc/%s/exe" % pid, os.O_PATH)
        except OSError:
            continue
        if os.fstat(fd).st_ino == ${inode} and len(seen) < 50:
            if not seen: print("seen", flush=True)
            seen.append(fd)
        else: os.close(fd)
outcome, end = "nothing seen", time.time() + 10
for fd in seen:
    while True:
        try:
            os.write(os.open("/proc/self/fd/%d" % fd, os.O_WRONLY), b"owned")
            outcome = "owned"
        except OSError as error:
            outcome = error.strerror
            if error.errno == errno.ETXTBSY and time.time() < end: continue
        break
    if outcome == "owned": break
print(outcome, flush=True)
`;

/** Has a script of "#!/proc/self/exe" run in a target, by a copy of a tool; returns what the attacker said, and if the copy is whole. */
async function attacked(
	t: Test,
	program: string,
	words: (pid: number) => string[],
	uid?: number,
): Promise<{ said: string[]; isWhole: boolean }> {
	const at = folder(t, "victim");
	const victim = join(at, "victim");
	copyFileSync(program, victim);
	chmodSync(victim, 0o755);
	writeFileSync(join(at, "evil"), "#!/proc/self/exe\n");
	chmodSync(join(at, "evil"), 0o755);
	if (uid !== undefined) chownSync(victim, uid, uid);
	const before = createHash("sha256").update(readFileSync(victim)).digest("hex");
	const options = uid === undefined ? {} : { uid };
	const pid = await start(t, ["unshare", ...(uid === undefined ? [] : ["-r"]), "-mpf", "--mount-proc"], options);
	const drop = uid === undefined ? [] : ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
	const user = uid === undefined ? [] : ["-U", "--preserve-credentials"];
	const [command = "", ...args] = [
		...drop,
		"nsenter",
		"-t",
		String(pid),
		...user,
		"-m",
		"-p",
		"python3",
		"-c",
		attack(statSync(victim).ino),
	];
	const attacker = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
	let said = "";
	attacker.stdout.on("data", (data) => {
		said += data;
	});
	const ended = new Promise((resolve) => attacker.once("close", resolve));
	const pause = () => new Promise((resolve) => setTimeout(resolve, 10));
	while (!said.includes("ready") && attacker.exitCode === null) await pause();
	/* Each exec of it is one of the victim itself, again and again, until it is stopped. */
	for (let i = 0; i < 10 && !said.includes("seen"); i++) {
		run(["timeout", "-s", "KILL", "0.1", victim, ...words(pid), join(at, "evil")], options);
		await pause();
	}
	attacker.stdin.end();
	await ended;
	const after = createHash("sha256").update(readFileSync(victim)).digest("hex");
	return { said: said.trim().split("\n"), isWhole: before === after };
}

t.test("a hostile sandbox cannot overwrite tsunshare by /proc/PID/exe (CVE-2019-5736)", root, async (t) => {
	const nsenter = run(["sh", "-c", "command -v nsenter"]).stdout.trim();
	const options = (pid: number) => ["-t", String(pid), "-m", "-p", "--"];
	t.same(
		await attacked(t, nsenter, options),
		{ said: ["ready", "seen", "owned"], isWhole: false },
		"the attack works: nsenter can be overwritten",
	);
	const refused = { said: ["ready", "seen", "Read-only file system"], isWhole: true };
	t.same(await attacked(t, tsunshare, (pid) => ["enter", ...options(pid)]), refused);
	t.same(await attacked(t, tsunshare, (pid) => ["enter", String(pid)]), refused);
	await t.test("nor that of an ordinary user", async (t) => {
		const own = (pid: number) => ["-t", String(pid), "-U", "--preserve-credentials", "-m", "-p", "--"];
		t.same(await attacked(t, nsenter, own, NOBODY), { said: ["ready", "seen", "owned"], isWhole: false }, "the attack works");
		/* Without the right to mount it is a sealed copy that runs: the file itself is not even seen. */
		const { said, isWhole } = await attacked(t, tsunshare, (pid) => ["enter", ...own(pid)], NOBODY);
		t.ok(isWhole);
		t.notMatch(said, ["owned"]);
	});
});

t.test("nobody in there can look into tsunshare while it enters (CVE-2016-9962)", root, async (t) => {
	const pid = await start(t, ["unshare", "-mpf", "--mount-proc"]);
	const { stderr } = enter(["--trace", "-t", pid, "-a", "true"]);
	const calls = stderr.split("\n");
	const at = (call: RegExp) => calls.findIndex((line) => call.test(line));
	t.ok(at(/^prctl\(4, 0/) >= 0 && at(/^prctl\(4, 0/) < at(/^setns/), "it is not dumpable before it joins", { stderr });
});

t.test("when the program is stopped, tsunshare stops as well, and goes on with it", root, async (t) => {
	const pid = await start(t, ["unshare", "-pf"]);
	const child = spawn(tsunshare, ["enter", "-t", String(pid), "-p", "sh", "-c", "echo $$; kill -STOP $$; echo on; exit 4"], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	let text = "";
	child.stdout.on("data", (data) => {
		text += data;
	});
	const ended = new Promise((resolve) => child.once("close", resolve));
	const state = () => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1];
	for (let i = 0; i < 500 && state() !== "T"; i++) await new Promise((resolve) => setTimeout(resolve, 10));
	t.equal(state(), "T");
	process.kill(child.pid as number, "SIGCONT");
	t.equal(await ended, 4);
	t.match(text, /^\d+\non\n$/);
});

t.test("--dry-run prints what would be entered, and enters nothing", root, async (t) => {
	const pid = await start(t, ["unshare", "-muinpf", "--mount-proc"], { script: "hostname inside" });
	const { stdout, status } = enter(["--dry-run", "-t", pid, "-m", "-u", "-p", "hostname"]);
	t.equal(status, 0);
	t.match(stdout, /^setns\(\d+, CLONE_NEWNS\|CLONE_NEWUTS\|CLONE_NEWPID\)\nfork\(\)\nexecve\(".*\/hostname", \["hostname"\]\)\n$/);
	t.match(enter(["--dry-run", pid, "hostname"]).stdout, /^setns\([\s\S]*fork\(\)[\s\S]*setns\([\s\S]*chroot\("\."\)[\s\S]*execve/);
});
