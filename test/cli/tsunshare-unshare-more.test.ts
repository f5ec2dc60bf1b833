/** `tsunshare` beyond what unshare 2.38, which the tests have as peer, can show: see FEATURES B1. */
import { spawn } from "node:child_process";
import { chmodSync, existsSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { folder, NOBODY, run, shell } from "../support/peers.ts";
import { tool } from "../support/tools.ts";

const tsunshare = tool("tsunshare");
const isRoot = process.getuid?.() === 0;
const root = { skip: isRoot ? false : "needs root" };
const nobody = isRoot ? { uid: NOBODY } : {};
/* A message of ours, and at most one line of hint. */
const message = (text: string) => new RegExp(`^tsunshare: ${text}\\n(tsunshare: .*\\n)?$`);

t.test("the six namespaces of man 7 namespaces, and two more", root, async (t) => {
	t.test("a tmpfs mounted inside is not seen outside", async (t) => {
		const at = folder(t, "mount");
		const inside = run([tsunshare, "-m", "sh", "-c", `mount -t tmpfs tmpfs ${at} && touch ${at}/seen && ls ${at}`]);
		t.same(inside, { status: 0, signal: null, stdout: "seen\n", stderr: "" });
		t.notOk(existsSync(join(at, "seen")));
		t.notMatch(readFileSync("/proc/self/mountinfo", "utf8"), at);
	});
	t.test("ps shows PID 1", async (t) => {
		const { stdout } = run([tsunshare, "-pf", "--mount-proc", "ps", "-eo", "pid=,comm="]);
		t.equal(stdout.trim(), "1 ps");
	});
	t.test("the host name set inside stays inside", async (t) => {
		const before = readFileSync("/proc/sys/kernel/hostname", "utf8");
		t.equal(run([tsunshare, "-u", "sh", "-c", "hostname elsewhere; hostname"]).stdout, "elsewhere\n");
		t.equal(readFileSync("/proc/sys/kernel/hostname", "utf8"), before);
	});
	t.test("a message queue made inside is not there outside", async (t) => {
		const queues = () => readFileSync("/proc/sysvipc/msg", "utf8").trim().split("\n").length;
		const before = queues();
		t.match(run([tsunshare, "-i", "sh", "-c", "ipcmk -Q >/dev/null && ipcs -q"]).stdout, /0x[0-9a-f]+/);
		t.equal(queues(), before);
	});
	t.test("an ordinary user is root, and may not reboot", async (t) => {
		t.equal(run([tsunshare, "-r", "id", "-u"], nobody).stdout, "0\n");
		/* LINUX_REBOOT_CMD_CAD_OFF changes nothing on a machine whose init set it; the kernel refuses it before. */
		const reboot = "import ctypes,os; l=ctypes.CDLL(None,use_errno=True); print(l.reboot(0), os.strerror(ctypes.get_errno()))";
		t.equal(run([tsunshare, "-r", "python3", "-c", reboot], nobody).stdout, "-1 Operation not permitted\n");
	});
	t.test("there is only the loopback interface", async (t) => {
		t.match(run([tsunshare, "-n", "ip", "-o", "link"]).stdout, /^1: lo: [^\n]*\n$/);
	});
	t.test("the process's cgroup is the root", async (t) => {
		const lines = run([tsunshare, "-C", "cat", "/proc/self/cgroup"]).stdout.trim().split("\n");
		t.ok(lines.length > 0 && lines.every((line) => /^\d+:[^:]*:\/$/.test(line)), lines.join());
	});
	t.test("the clocks are ahead by what was asked", async (t) => {
		const seconds = (words: string[]) => Number(run([...words, "cat", "/proc/uptime"]).stdout.split(" ")[0]);
		const ahead = seconds([tsunshare, "-Tf", "--boottime", "100000"]) - seconds([]);
		t.ok(ahead > 99_990 && ahead < 100_010, String(ahead));
	});
});

t.test("namespaces are kept by files", root, async (t) => {
	const kinds = [
		["--uts", "uts"],
		["--ipc", "ipc"],
		["--net", "net"],
		["--cgroup", "cgroup"],
		["--user", "user"],
		["--mount", "mnt"],
		["--pid", "pid"],
		["--time", "time"],
	] as const;
	for (const [option, name] of kinds)
		t.test(`${option}=FILE`, async (t) => {
			const file = join(folder(t, name), "file");
			writeFileSync(file, "");
			t.teardown(() => shell(`umount ${file} 2>/dev/null; umount ${file} 2>/dev/null`));
			const inside = run([
				tsunshare,
				...(name === "pid" || name === "time" ? ["-f"] : []),
				`${option}=${file}`,
				"readlink",
				`/proc/self/ns/${name}`,
			]);
			t.equal(inside.status, 0, inside.stderr);
			t.not(inside.stdout.trim(), readlinkSync(`/proc/self/ns/${name}`));
			t.equal(run(["stat", "-Lc", `${name}:[%i]`, file]).stdout, inside.stdout, "the file is the namespace");
			if (name !== "pid" && name !== "user")
				t.equal(run(["nsenter", `${option}=${file}`, "readlink", `/proc/self/ns/${name}`]).stdout, inside.stdout, "nsenter enters it");
		});
	t.test("all at once, with a new user namespace", async (t) => {
		const at = folder(t, "all");
		const files = kinds.map(([option, name]) => `${option}=${at}/${name}`);
		for (const [, name] of kinds) writeFileSync(join(at, name), "");
		t.teardown(() => shell(`umount ${at}/* 2>/dev/null; umount ${at}/mnt 2>/dev/null`));
		const { status, stderr, stdout } = run([tsunshare, "-rf", ...files, "--mount-proc", "sh", "-c", "echo $$; id -u"]);
		t.same({ status, stderr, stdout }, { status: 0, stderr: "", stdout: "1\n0\n" });
		for (const [, name] of kinds) t.match(run(["stat", "-fc", "%T", join(at, name)]).stdout, "nsfs", name);
	});
	t.test("a mount namespace is kept on a shared mount, too", async (t) => {
		const at = folder(t, "shared");
		t.teardown(() => shell(`umount -R ${at} 2>/dev/null`));
		const script = `mount -t tmpfs t ${at} && mount --make-shared ${at} && touch ${at}/ns &&
			${tsunshare} --mount=${at}/ns readlink /proc/self/ns/mnt && stat -Lc 'mnt:[%i]' ${at}/ns && nsenter --mount=${at}/ns readlink /proc/self/ns/mnt`;
		/* Linux 6.18 takes namespaces made on different processors in the wrong order now and then, and refuses the younger. */
		const processor = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
		const { status, stdout, stderr } = run(["taskset", "-c", processor, "unshare", "-m", "sh", "-c", script]);
		t.equal(status, 0, stderr);
		t.equal(new Set(stdout.trim().split("\n")).size, 1, stdout);
	});
	t.test("what cannot be kept is not kept in part, and the program does not run", async (t) => {
		const at = folder(t, "part");
		writeFileSync(join(at, "uts"), "");
		for (const fork of [[], ["-f"]]) {
			const { status, stdout, stderr } = run([tsunshare, ...fork, `--uts=${at}/uts`, `--net=${at}/missing`, "echo", "ran"]);
			t.same({ status, stdout }, { status: 1, stdout: "" });
			t.match(stderr, message(`mount ${at}/missing: No such file or directory`));
			t.notMatch(readFileSync("/proc/self/mountinfo", "utf8"), at, "nothing is left mounted");
		}
		const pid = run([tsunshare, `--pid=${at}/uts`, "echo", "ran"]);
		t.equal(pid.status, 1);
		t.match(pid.stderr, /pid_for_children: No such file or directory\ntsunshare: hint: .*--fork/);
	});
});

t.test("ids are mapped", root, async (t) => {
	const maps = (words: string[], options = {}) =>
		run([tsunshare, ...words, "cat", "/proc/self/uid_map", "/proc/self/gid_map"], options)
			.stdout.trim()
			.replace(/ +/g, " ");
	t.equal(maps(["--map-users=0:5:10", "--map-groups=0:7:10"]), "0 5 10\n 0 7 10", "inner:outer:count");
	t.equal(maps(["--map-users=0:5:10", "--map-users=20:100:5", "--map-groups=0:7:1"]), "0 5 10\n 20 100 5\n 0 7 1", "several ranges");
	t.equal(
		maps(["-r", "--map-users=0:100000:10", "--map-groups=0:100000:10"]),
		"0 0 1\n 1 100001 9\n 0 0 1\n 1 100001 9".replace(/1 100001/g, "1 100000"),
		"a single id and a range that overlap",
	);
	t.match(maps(["--map-users=all", "--map-groups=all"]), /^0 0 \d+\n 0 0 \d+$/, "all");
	t.equal(maps(["--owner=5:6", "-r"]), "0 0 1\n 0 0 1", "a single id that is not that of the owner");
	t.test("the user namespace belongs to --owner", async (t) => {
		const { stdout } = run([
			tsunshare,
			"--owner=5:6",
			"--map-users=0:0:10",
			"--map-groups=0:0:10",
			"-S",
			"0",
			"lsns",
			"-t",
			"user",
			"-no",
			"OUID",
			"-p",
			"self",
		]);
		/* lsns 2.38 has no owner's column; the kernel shows it by who may enter. */
		const at = folder(t, "owner");
		writeFileSync(join(at, "user"), "");
		t.teardown(() => shell(`umount ${at}/user 2>/dev/null`));
		t.equal(run([tsunshare, `--user=${at}/user`, "--owner=5:6", "--map-users=0:0:10", "--map-groups=0:0:10", "true"]).status, 0, stdout);
		const enter = (uid: number) => run(["nsenter", `--user=${at}/user`, "--preserve-credentials", "id", "-u"], { uid }).status;
		t.same([enter(5), enter(7)], [0, 1]);
	});
	t.test("newuidmap is run by an ordinary user with ranges only", async (t) => {
		const at = folder(t, "newidmap");
		for (const name of ["newuidmap", "newgidmap"]) {
			writeFileSync(join(at, name), `#!/bin/sh\necho ${name} "$@" >&2\nexit 9\n`);
			chmodSync(join(at, name), 0o755);
		}
		const env = { PATH: `${at}:${process.env.PATH}` };
		t.match(run([tsunshare, "--map-users=0:100000:10", "true"], { ...nobody, env }), {
			status: 1,
			stderr: /^newuidmap \d+ 0 100000 10\n$/,
		});
		t.match(run([tsunshare, `--map-users=0:${NOBODY}:1`, "id", "-u"], { ...nobody, env }), { status: 0, stdout: "0\n", stderr: "" });
		t.match(run([tsunshare, "-r", "id", "-u"], { ...nobody, env }), { status: 0, stdout: "0\n", stderr: "" });
		t.match(run([tsunshare, "--map-users=0:100000:10", "true"], { env }), { status: 0, stderr: "" });
	});
	t.test("without newuidmap, it says in which package that is", async (t) => {
		const { status, stderr } = run([tsunshare, "--map-users=0:100000:10", "/bin/true"], { ...nobody, env: { PATH: "/nonexistent" } });
		t.equal(status, 1);
		t.match(stderr, /^tsunshare: execve newuidmap: No such file or directory\ntsunshare: hint: .*uidmap\n$/);
	});
});

t.test("the environment", async (t) => {
	const env = { A: "1", B: "2", PATH: process.env.PATH ?? "" };
	t.equal(run([tsunshare, "--clear-env", "/usr/bin/env"], { env }).stdout, "");
	t.equal(run([tsunshare, "--whitelist-env=B,NONE,A", "/usr/bin/env"], { env }).stdout.split("\n").sort().join(" "), " A=1 B=2");
	t.equal(run([tsunshare, "--clear-env", "--whitelist-env", "A", "/usr/bin/env"], { env }).stdout, "A=1\n");
});

t.test("open descriptors reach the program, as they do by unshare", async (t) => {
	const open = (words: string) => shell(`exec 3</etc/passwd 4</etc/group 7</etc/hostname; ${words}`);
	/* One more is ls's own, for the folder that it lists. */
	const list = "/bin/ls /proc/self/fd";
	for (const options of ["", "-r", "-f", "-rf"])
		t.same(open(`${tsunshare} ${options} ${list}`), open(`unshare ${options} ${list}`), options);
	t.equal(open(`${tsunshare} -r sh -c 'cat <&4'`).stdout, readFileSync("/etc/group", "utf8"));
	t.equal(run(["bash", "-c", `${tsunshare} -r cat <(echo substituted)`]).stdout, "substituted\n");
	t.match(open(`${tsunshare} --preserve-fds x true`), { status: 1, stderr: message('--preserve-fds: "x" is not a number of descriptors') });
});

/** Starts a program; resolves with it once its standard output has a first line. */
async function start(
	t: Test,
	argv: string[],
): Promise<{ pid: number; line: string; end: Promise<{ code: number | null; signal: string | null; rest: string }> }> {
	const [program = "", ...args] = argv;
	const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
	t.teardown(() => child.kill("SIGKILL"));
	let text = "";
	const end = new Promise<{ code: number | null; signal: string | null; rest: string }>((resolve) => {
		child.on("close", (code, signal) => resolve({ code, signal, rest: text.slice(text.indexOf("\n") + 1) }));
	});
	const line = await new Promise<string>((resolve, reject) => {
		child.stdout.on("data", (data) => {
			text += data;
			if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
		});
		end.then(() => reject(new Error(`${argv.join(" ")} ended`)));
	});
	return { pid: child.pid as number, line, end };
}

const isGone = async (pid: number) => {
	for (let i = 0; i < 500; i++) {
		/* A zombie has ended; who reaps it is not our matter. */
		if (!existsSync(`/proc/${pid}`) || /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) return true;
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
	return false;
};

t.test("the child is killed when tsunshare is, with --kill-child", async (t) => {
	for (const [option, expected] of [
		["--kill-child", true],
		["--kill-child=TERM", true],
		["--fork", false],
	] as const) {
		const { pid, line } = await start(t, [tsunshare, option, "sh", "-c", "echo $$; exec sleep 100"]);
		process.kill(pid, "SIGKILL");
		if (expected) t.ok(await isGone(Number(line)), option);
		else {
			t.notOk(/^State:\s+[ZX]/m.test(readFileSync(`/proc/${line}/status`, "utf8")), option);
			process.kill(Number(line), "SIGKILL");
		}
	}
});

t.test("--kill-child holds for a program with another user id, too", root, async (t) => {
	const { pid, line } = await start(t, [tsunshare, "--kill-child", "-S", "33", "-G", "33", "sh", "-c", "echo $$; exec sleep 100"]);
	process.kill(pid, "SIGKILL");
	t.ok(await isGone(Number(line)));
});

t.test("SIGTERM and SIGINT do not end the parent, and are passed on with --forward-signals", async (t) => {
	const script = 'trap "echo got TERM; exit 5" TERM; trap "echo got INT; exit 6" INT; echo ready; while :; do sleep 0.02; done';
	for (const [signal, code] of [
		["SIGTERM", 5],
		["SIGINT", 6],
	] as const) {
		const { pid, end } = await start(t, [tsunshare, "--forward-signals", "sh", "-c", script]);
		process.kill(pid, signal);
		t.same(await end, { code, signal: null, rest: `got ${signal.slice(3)}\n` });
	}
	const { pid, end } = await start(t, [tsunshare, "--fork", "sh", "-c", "echo ready; sleep 0.2; echo done"]);
	process.kill(pid, "SIGTERM");
	process.kill(pid, "SIGINT");
	t.same(await end, { code: 0, signal: null, rest: "done\n" }, "without, it ends as the child does");
});

t.test("a child that is killed takes tsunshare along, by the same signal", async (t) => {
	t.match(run([tsunshare, "-f", "sh", "-c", "kill -KILL $$"]), { status: null, signal: "SIGKILL" });
	t.match(run([tsunshare, "-rpf", "sh", "-c", `${tsunshare} -f sh -c 'kill -TERM $$'; echo $?`]), { stdout: "143\n" });
});

t.test("an ignored SIGCHLD loses no status", async (t) => {
	t.equal(run(["bash", "-c", `trap '' CHLD; exec ${tsunshare} -f sh -c 'exit 4'`]).status, 4);
});

t.test("bad input gives an error line and the right status, and changes nothing", async (t) => {
	const at = folder(t, "bad");
	const bad: [words: string[], status: number, stderr: RegExp][] = [
		[["--nonsense"], 1, message("--nonsense: unknown option")],
		[["--mont"], 1, message("--mont: unknown option")],
		[["-w"], 1, message("-w: needs a value: DIR")],
		[["--map-users=1:2", "true"], 1, message('--map-users: "1:2" is not a mapping .*')],
		[["--owner=x", "true"], 1, message('--owner: "x" is not UID:GID')],
		[["-R", `${at}/none`, "true"], 1, message(isRoot ? `chroot ${at}/none: No such file or directory` : "chroot .*")],
		[["-r", "-R", `${at}/none`, "true"], 1, message(`chroot ${at}/none: No such file or directory`)],
		[["-r", "-R", at, "/bin/true"], 127, message("execve /bin/true: No such file or directory")],
		[["-r", "-R", "/etc/passwd", "true"], 1, message("chroot /etc/passwd: Not a directory")],
		[["-w", `${at}/none`, "true"], 1, message(`chdir ${at}/none: No such file or directory`)],
		[["nosuchprogram"], 127, message("execve nosuchprogram: No such file or directory")],
		[["/etc/passwd"], 126, message("execve /etc/passwd: Permission denied")],
		[["--monotonic=5", "true"], 1, message("--monotonic: needs a time namespace \\(-T\\)")],
		[["-rTf", "--monotonic=-999999999", "true"], 1, message("write /proc/self/timens_offsets: Numerical result out of range")],
		[["-r", "--setgroups=allow", "true"], 1, message("--setgroups=allow: not with a single group .*")],
		[
			["--map-users=0:0:1", "--map-users=0:2:1", "true"],
			1,
			isRoot ? message("write /proc/\\d+/uid_map: Invalid argument") : /^newuidmap: /,
		],
		[["-r", "-S", "5", "true"], 1, message("setresuid: Invalid argument")],
	];
	const mounts = readFileSync("/proc/self/mountinfo", "utf8");
	for (const [words, status, stderr] of bad) t.match(run([tsunshare, ...words]), { status, stdout: "", stderr }, words.join(" "));
	t.equal(readFileSync("/proc/self/mountinfo", "utf8"), mounts);
});

t.test("what forbids a namespace is named", root, async (t) => {
	const hint = (argv: string[], options = {}) => /hint: (.*)/.exec(run(argv, options).stderr)?.[1];
	t.match(hint([tsunshare, "-m", "true"], nobody), /CAP_SYS_ADMIN; -r/);
	t.match(hint([tsunshare, "-pr", "--mount-proc", "true"], nobody), /--pid --fork/);
	t.match(hint(["unshare", "-R", folder(t, "chroot"), tsunshare]), undefined);
	/* Limits hold in the user namespace and below. */
	const limited = (kind: string, option: string) =>
		hint(["unshare", "-Ur", "sh", "-c", `echo 0 > /proc/sys/user/max_${kind}_namespaces && exec ${tsunshare} ${option} true`]);
	for (const [kind, option] of [
		["user", "-U"],
		["net", "-n"],
		["mnt", "-m"],
		["pid", "-p"],
	] as const)
		t.match(limited(kind, option), new RegExp(`max_${kind}_namespaces is 0`), kind);
});

t.test("--dry-run prints the steps in their order, and makes none", async (t) => {
	const { status, stdout, stderr } = run([tsunshare, "--dry-run", "-rpmf", "--mount-proc", "-w", "/tmp", "echo", "ran"]);
	t.same({ status, stderr }, { status: 0, stderr: "" });
	t.same(
		stdout.split("\n").map((line) => line.replace(/ .*|\(.*/, "")),
		["unshare", "fork", "write", "write", "write", "mount", "mount", "execve", ""],
		stdout,
	);
	t.match(stdout, /^unshare\(CLONE_NEWNS\|CLONE_NEWUSER\|CLONE_NEWPID\)\nfork\(\)\nwrite \/proc\/self\/uid_map "0 \d+ 1\\n"\n/);
	t.match(stdout, /execve\(".*\/echo", \["echo","ran"\]\)\n$/);
	const ranges = run([tsunshare, "--dry-run", "--map-users=0:5:10", "true"]).stdout;
	t.match(ranges, isRoot ? /write \/proc\/\d+\/uid_map "0 5 10\\n"/ : /newuidmap \d+ 0 5 10/);
});

t.test("--trace shows the calls with their results", async (t) => {
	const { stderr, stdout } = run([tsunshare, "--trace", "-U", "/bin/echo", "ran"]);
	t.equal(stdout, "ran\n");
	t.match(stderr, /^unshare\(CLONE_NEWUSER\) = 0$/m);
});

/* The build with the sanitizers needs its libraries. */
const isStatic = !readFileSync(tsunshare).includes("/ld-linux");
t.test("the tool starts in an empty root, with nothing beside it", isStatic ? root : { skip: "a dynamic build" }, async (t) => {
	const at = folder(t, "empty");
	run(["cp", tsunshare, join(at, "tsunshare")]);
	t.match(run(["chroot", at, "/tsunshare", "-u", "/tsunshare", "--version"]), { status: 0, stdout: /^tsunshare/ });
});

t.test("binary formats are registered in the user namespace", root, async (t) => {
	const at = folder(t, "binfmt");
	writeFileSync(join(at, "interpreter"), "#!/bin/sh\necho interpreted\n");
	writeFileSync(join(at, "program"), "TSBOXFORMAT\n");
	for (const name of ["interpreter", "program"]) chmodSync(join(at, name), 0o755);
	const definition = `:tsbox:M::TSBOXFORMAT::${at}/interpreter:`;
	const found = run([tsunshare, "-r", "-pf", "-l", definition, join(at, "program")]);
	t.same({ status: found.status, stdout: found.stdout }, { status: 0, stdout: "interpreted\n" }, found.stderr);
	t.match(run([tsunshare, "-r", "-pf", "--mount-binfmt", "ls", "/proc/sys/fs/binfmt_misc"]).stdout, /^register\nstatus\n$/);
	t.notOk(existsSync("/proc/sys/fs/binfmt_misc/tsbox"), "not outside");
});
