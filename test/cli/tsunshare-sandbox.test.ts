/** Containers in the foreground: their root, mounts, devices, names, users, limits. */
import { existsSync, mkdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { makeRoot, makeWorld, NOBODY, needsRoot } from "../support/sandbox.ts";

const world = makeWorld("sandbox");
mkdirSync(join(world.folder, "run/sandboxes"), { recursive: true });
t.teardown(world.remove);
const { root, run, shell, folder } = world;
const nobodyRoot = join(folder, "nobody-root");
makeRoot(nobodyRoot, NOBODY);

/** What a shell in a container prints, whose status has to be 0. */
function inside(args: string[], script: string, options = {}): string {
	const { status, stdout, stderr } = run(["--rootfs", root, ...args, "--", "sh", "-c", script], options);
	if (status !== 0) throw new Error(`status ${status}: ${stderr}`);
	return stdout.trim();
}

t.test("as root", needsRoot, (t) => {
	t.test("the root folder is the root, and nothing of the host is mounted below it", (t) => {
		t.equal(inside([], "ls /"), "bin\netc\nroot\ntmp\nvar");
		t.equal(inside(["--proc"], "wc -l < /proc/self/mountinfo"), "2");
		t.end();
	});

	t.test("the old root is gone: no mount of it is left in the namespace", (t) => {
		const targets = inside(["--proc"], "cut -d' ' -f5 /proc/self/mountinfo").split("\n");
		t.same(targets, ["/", "/proc"]);
		t.end();
	});

	t.test("mounts are made in the order written: the later one covers the earlier", (t) => {
		writeFileSync(join(folder, "file"), "bound\n");
		const bind = ["--bind", `${folder}/file:/data/file`];
		t.equal(inside(["--tmpfs", "/data", ...bind], "cat /data/file"), "bound");
		t.equal(inside([...bind, "--tmpfs", "/data"], "ls /data"), "");
		t.end();
	});

	t.test("options of binds are what /proc/self/mountinfo shows", (t) => {
		const options = (text: string) =>
			inside(["--proc", "--bind", `${folder}:/mnt:${text}`], "grep ' /mnt ' /proc/self/mountinfo | cut -d' ' -f6").split(",");
		for (const word of ["ro", "nosuid", "nodev", "noexec"]) t.ok(options(word).includes(word), word);
		t.strictSame(options("ro,nosuid,nodev,noexec").slice(0, 4), ["ro", "nosuid", "nodev", "noexec"]);
		t.end();
	});

	t.test("a bind is private unless it is to be a slave, and then mounts of the host appear in it", (t) => {
		const { stdout, stderr } = shell(`
			mkdir -p ${folder}/shared && unshare -m --propagation private sh -c '
				mount -t tmpfs none ${folder}/shared && mount --make-shared ${folder}/shared && mkdir ${folder}/shared/sub
				for kind in private slave; do
					mkfifo ${folder}/shared/go.$kind
					$T --rootfs $R --bind ${folder}/shared:/s:rec,$kind sh -c "echo ready > /s/go.$kind; cat /s/go.$kind; echo $kind: \\$(ls /s/sub)" &
					cat ${folder}/shared/go.$kind > /dev/null
					mount -t tmpfs none ${folder}/shared/sub && touch ${folder}/shared/sub/new
					echo > ${folder}/shared/go.$kind
					wait
					umount ${folder}/shared/sub
				done'`);
		t.match(stdout, /private:\s*\n/, stderr);
		t.match(stdout, /slave: new/, stderr);
		t.end();
	});

	t.test("without rec a bind leaves out what is mounted below, with rec it comes along and is read-only, too", (t) => {
		const mounts = (options: string) =>
			shell(`unshare -m sh -c 'mkdir -p ${folder}/above/below && mount -t tmpfs none ${folder}/above/below && touch ${folder}/above/below/file &&
				$T --rootfs $R --bind ${folder}/above:/mnt:${options} sh -c "ls /mnt/below; touch /mnt/below/x"'`);
		t.equal(mounts("private").stdout, "");
		t.equal(mounts("rec").stdout, "file\n");
		t.match(mounts("rec,ro").stderr, /Read-only file system/);
		t.end();
	});

	t.test("a read-only root still takes what is mounted in it", (t) => {
		const script = "touch /x; touch /tmp/x && echo tmp; touch /new/x && echo new";
		const { stdout, stderr } = run(["--rootfs", root, "--read-only", "--tmpfs", "/tmp", "--tmpfs", "/new", "sh", "-c", script]);
		t.match(stderr, /touch: \/x: Read-only file system/);
		t.equal(stdout, "tmp\nnew\n");
		t.end();
	});

	t.test("on a kernel without mount_setattr the old remount makes the same mounts", (t) => {
		const script = `$T --rootfs $R --read-only --proc --bind ${folder}:/mnt:ro,nosuid sh -c 'cut -d" " -f5,6 /proc/self/mountinfo'`;
		const now = shell(script);
		const old = shell(`strace -f -qq -e trace=none -e inject=mount_setattr:error=ENOSYS ${script}`);
		t.equal(now.status, 0, now.stderr);
		t.equal(old.stdout, now.stdout, old.stderr);
		t.match(now.stdout, /^\/ ro,/m);
		t.match(now.stdout, /^\/mnt ro,nosuid/m);
		t.end();
	});

	t.test("/dev has the nodes, links and file systems that programs count on", (t) => {
		const list = inside(
			["--proc", "--dev", "--ipc"],
			"ls /dev; for n in null zero full random urandom tty; do stat -c '%n %t:%T %a' /dev/$n; done",
		);
		t.match(list, /core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n/);
		t.match(list, "/dev/null 1:3 666\n/dev/zero 1:5 666\n/dev/full 1:7 666\n/dev/random 1:8 666\n/dev/urandom 1:9 666\n/dev/tty 5:0 666");
		const types = inside(["--proc", "--dev", "--ipc"], "mount | grep /dev");
		for (const [type, place] of ["tmpfs /dev", "devpts /dev/pts", "tmpfs /dev/shm", "mqueue /dev/mqueue"].map((line) => line.split(" ")))
			t.match(types, `on ${place} type ${type}`);
		t.equal(inside(["--dev"], "echo x > /dev/null; head -c 3 /dev/zero | wc -c"), "3");
		t.end();
	});

	t.test("files and folders are masked, paths made read-only, and what is not there is skipped", (t) => {
		writeFileSync(join(root, "etc/secret"), "secret");
		const masks = [
			"--mask",
			"/etc/secret",
			"--mask",
			"/var/www",
			"--mask",
			"/nothing",
			"--readonly-path",
			"/etc",
			"--readonly-path",
			"/nothing",
		];
		const { stdout, stderr } = run([
			"--rootfs",
			root,
			...masks,
			"--",
			"sh",
			"-c",
			"wc -c < /etc/secret; ls -A /var/www; touch /etc/x; ls -d /nothing",
		]);
		t.equal(stdout, "0\n");
		t.match(stderr, /touch: \/etc\/x: Read-only file system/);
		t.match(stderr, /\/nothing: No such file/);
		t.end();
	});

	t.test("--mask-defaults protects /proc/sys, which then cannot be written to", (t) => {
		const { stderr } = run([
			"--rootfs",
			root,
			"--pid",
			"--proc",
			"--mask-defaults",
			"--",
			"sh",
			"-c",
			"echo x > /proc/sys/kernel/domainname",
		]);
		t.match(stderr, /Read-only file system/);
		t.end();
	});

	t.test("names are set in a UTS namespace of its own, which they imply", (t) => {
		const before = readlinkSync("/proc/self/ns/uts");
		t.equal(
			inside(["--hostname", "box", "--domainname", "example.org"], "hostname; cat /proc/sys/kernel/domainname 2>/dev/null || true"),
			"box",
		);
		t.equal(inside(["--proc", "--hostname", "box", "--domainname", "example.org"], "cat /proc/sys/kernel/domainname"), "example.org");
		t.not(inside(["--proc", "--hostname", "box"], "readlink /proc/self/ns/uts"), before);
		t.end();
	});

	t.test("a new network namespace has lo up, and only that", (t) => {
		t.match(inside(["--net"], "ip -o link"), /^1: lo: <LOOPBACK,UP,LOWER_UP>[^\n]*$/);
		t.end();
	});

	t.test("an existing network namespace is joined, by a PID or a file", (t) => {
		const { stdout, stderr } = shell(
			`unshare -n sh -c 'readlink /proc/self/ns/net; exec 9< /proc/self/ns/net
				nsenter -n -t ${process.pid} $T --rootfs $R --proc --join net=/proc/$$/ns/net readlink /proc/self/ns/net
				nsenter -n -t ${process.pid} $T --rootfs $R --proc --join net=$$ readlink /proc/self/ns/net'`,
		);
		const [own, byFile, byPid] = stdout.trim().split("\n");
		t.match(own, /^net:/, stderr);
		t.equal(byFile, own);
		t.equal(byPid, own);
		t.end();
	});

	t.test("a user is looked up in the root's files, with groups and home", (t) => {
		const look = "id; echo $HOME; grep -E '^(Groups|CapEff|CapBnd)' /proc/self/status";
		const output = inside(["--proc", "--user", "web"], look);
		t.match(output, "uid=33(web) gid=33(web) groups=44(extra)\n/var/www\n");
		t.match(output, /Groups:\s+44\s*\nCapEff:\s+0000000000000000/);
		t.match(inside(["--user=33:44"], "id"), "uid=33(web) gid=44(extra)");
		t.match(inside(["--user", "7:8"], "id"), "uid=7 gid=8");
		t.end();
	});

	t.test("root keeps the capabilities that are not dropped, in all sets but the inheritable and ambient", (t) => {
		const sets = (args: string[]) =>
			inside(["--proc", ...args], "grep ^Cap /proc/self/status")
				.replace(/\t/g, " ")
				.split("\n");
		t.same(sets(["--cap-drop", "ALL", "--cap-add", "net_raw,CAP_CHOWN"]), [
			"CapInh: 0000000000000000",
			"CapPrm: 0000000000002001",
			"CapEff: 0000000000002001",
			"CapBnd: 0000000000002001",
			"CapAmb: 0000000000000000",
		]);
		/* The set of Docker's containers, as their /proc/1/status shows it. */
		t.match(sets(["--cap-drop", "ALL", "--cap-add", "DEFAULT"])[3], "00000000a80425fb");
		t.end();
	});

	t.test("another user has what is added, as ambient, and no more", (t) => {
		const sets = inside(["--proc", "--user", "web", "--cap-drop", "ALL", "--cap-add", "NET_RAW"], "grep ^Cap /proc/self/status");
		t.equal((sets.match(/0000000000002000/g) ?? []).length, 5, sets);
		t.end();
	});

	t.test("no_new_privs, limits, environment, working folder, argv[0] and umask are as told", (t) => {
		const args = [
			"--proc",
			"--no-new-privs",
			"--rlimit",
			"nofile=64:128",
			"--clear-env",
			"--env",
			"A=b c",
			"--env",
			"PASSED",
			"--env",
			"UNSET",
			"--cwd",
			"/etc",
		];
		const output = inside(args, "grep NoNewPrivs /proc/self/status; ulimit -n; ulimit -Hn; env; pwd; umask", {
			env: { PASSED: "on", OTHER: "off" },
		});
		t.match(output, /NoNewPrivs:\t1\n64\n128\n/);
		t.match(output, /^A=b c$/m);
		t.match(output, /^PASSED=on$/m);
		t.match(output, /^HOME=\/root$/m);
		t.notMatch(output, /OTHER|UNSET/);
		t.match(output, /\n\/etc\n0022$/);
		t.equal(run(["--rootfs", root, "--argv0", "echo", "/bin/busybox", "called by another name"]).stdout, "called by another name\n");
		t.end();
	});

	t.test("a seccomp filter from a file is in force in the program", (t) => {
		/* Loads the number of the call; for mkdir(2) or mkdirat(2) returns EACCES, else allows it. */
		const [mkdir, mkdirat] = process.arch === "x64" ? [83, 258] : [34, 34];
		const words: [number, number, number, number][] = [
			[0x20, 0, 0, 0],
			[0x15, 1, 0, mkdir as number],
			[0x15, 0, 1, mkdirat as number],
			[0x06, 0, 0, 0x00050000 + 13],
			[0x06, 0, 0, 0x7fff0000],
		];
		const program = Buffer.alloc(40);
		words.forEach(([code, jt, jf, k], i) => {
			program.writeUInt16LE(code, 8 * i);
			program.writeUInt8(jt, 8 * i + 2);
			program.writeUInt8(jf, 8 * i + 3);
			program.writeUInt32LE(k, 8 * i + 4);
		});
		writeFileSync(join(folder, "filter"), program);
		const { stdout, stderr } = run([
			"--rootfs",
			root,
			"--proc",
			"--seccomp",
			join(folder, "filter"),
			"sh",
			"-c",
			"grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status; mkdir /tmp/refused",
		]);
		t.match(stdout, /NoNewPrivs:\t1\nSeccomp:\t2/);
		t.match(stderr, /Permission denied/);
		writeFileSync(join(folder, "filter"), "no filter");
		const bad = run(["--rootfs", root, "--seccomp", join(folder, "filter"), "true"]);
		t.equal(bad.status, 125);
		t.match(bad.stderr, /^tsunshare: seccomp.*: Invalid argument/);
		t.end();
	});

	t.test("a set-up command runs in the new namespaces, with the host's programs, before the root changes", (t) => {
		const { status, stdout, stderr } = run([
			"--rootfs",
			root,
			"--uts",
			"--net",
			"--setup",
			'hostname inner; readlink /proc/self/ns/net; ls -d "$TSBOX_ROOTFS"',
			"sh",
			"-c",
			"hostname",
		]);
		t.equal(status, 0, stderr);
		const [net, path, name] = stdout.split("\n");
		t.not(net, readlinkSync("/proc/self/ns/net"));
		t.equal(path, root);
		t.equal(name, "inner");
		const failed = run(["--rootfs", root, "--setup", "exit 3", "echo", "ran"]);
		t.same([failed.status, failed.stdout], [125, ""]);
		t.match(failed.stderr, /^tsunshare: --setup "exit 3": it ended with status 3\n$/);
		t.end();
	});

	t.test("clocks of a time namespace are ahead", (t) => {
		const uptime = Number(inside(["--proc", "--time", "--boottime", "5000000"], "cut -d' ' -f1 /proc/uptime"));
		t.ok(uptime > 5000000, String(uptime));
		t.end();
	});

	t.test("a namespace is kept by a file, and PID 1's PID is written to one", (t) => {
		const { stdout, stderr } = shell(
			`cd ${folder}; touch net; $T --rootfs $R --proc --net=net --pidfile pid sh -c 'readlink /proc/self/ns/net'; nsenter --net=net readlink /proc/self/ns/net; umount net; cat pid`,
		);
		const [made, kept, pid] = stdout.split("\n");
		t.match(made, /^net:/, stderr);
		t.equal(kept, made);
		t.match(pid, /^\d+$/);
		t.end();
	});

	t.test("streams go to the files and descriptors named", (t) => {
		const { stdout } = shell(
			`cd ${folder}; echo in > in; exec 7> seven; $T --rootfs $R --stdin in --stdout 7 --stderr err sh -c 'cat; echo problem >&2'; cat seven; cat err`,
		);
		t.equal(stdout, "in\nproblem\n");
		t.end();
	});

	t.test("the exit status is the program's, a signal that ends it ends the tool, and signals are passed on", (t) => {
		t.equal(run(["--rootfs", root, "sh", "-c", "exit 42"]).status, 42);
		t.equal(run(["--rootfs", root, "sh", "-c", "kill -TERM $$"]).signal, "SIGTERM");
		const { stdout } = shell(
			`$T --rootfs $R --pidfile ${folder}/up sh -c 'trap "echo got it; exit 9" USR1; echo ready; while :; do sleep 0.05; done' > ${folder}/said & p=$!
			while ! grep -q ready ${folder}/said 2>/dev/null; do sleep 0.05; done; kill -USR1 $p; wait $p; echo $?; cat ${folder}/said`,
		);
		t.equal(stdout, "9\nready\ngot it\n");
		t.end();
	});

	t.test("when the tool is killed so is all of the container; with --die-with-parent also when its parent is", (t) => {
		const alive = (how: string) =>
			shell(`${how}
				while ! [ -s ${folder}/lives ]; do sleep 0.05; done; pid=$(cat ${folder}/lives)
				kill -9 $victim; for i in $(seq 100); do [ -d /proc/$pid ] || { echo gone; break; }; sleep 0.05; done; rm ${folder}/lives`).stdout;
		t.equal(alive(`$T --rootfs $R --pid --pidfile ${folder}/lives sleep 100 & victim=$!`), "gone\n");
		t.equal(alive(`sh -c '$T --rootfs $R --die-with-parent --pid --pidfile ${folder}/lives sleep 100; :' & victim=$!`), "gone\n");
		t.end();
	});

	t.test("what is wrong is one line, with a status that says whose fault it is, and nothing is run", (t) => {
		const wrong: [string[], number, RegExp][] = [
			[["--rootfs", "/nowhere", "true"], 125, /^tsunshare: --rootfs \/nowhere: No such file or directory\n$/],
			[["--rootfs", "/etc/passwd", "true"], 125, /^tsunshare: --rootfs \/etc\/passwd: Not a directory\n$/],
			[["--rootfs", root, "nosuch"], 127, /^tsunshare: execve nosuch: No such file or directory\n$/],
			[["--rootfs", root, "/etc/passwd"], 126, /^tsunshare: execve \/etc\/passwd: Permission denied\n/],
			[["--rootfs", root, "--bind", "/nowhere:/x", "true"], 125, /^tsunshare: --bind \/nowhere: No such file or directory\n$/],
			[["--rootfs", root, "--bind", "/etc", "true"], 2, /^tsunshare: --bind: "\/etc" is not SRC:DST/],
			[["--rootfs", root, "--bind", "/etc:/../x", "true"], 2, /without "\.\."/],
			[["--rootfs", root, "--bind", "/etc:/x:bogus", "true"], 2, /^tsunshare: --bind: "bogus" is not an option/],
			[["--rootfs", root, "--bind", "/etc/passwd:/tmp", "true"], 125, /a folder is there/],
			[["--rootfs", root, "--tmpfs", "/x:size=lots", "true"], 2, /"size=lots" is not an option of tmpfs/],
			[["--rootfs", root, "--cap-add", "CAP_FLY", "true"], 2, /"CAP_FLY" is not a capability/],
			[["--rootfs", root, "--rlimit", "nofile=5:4", "true"], 2, /SOFT is greater than HARD/],
			[["--rootfs", root, "--user", "stranger", "true"], 125, /--user stranger: no such user/],
			[["--rootfs", root, "--cwd", "/nowhere", "true"], 125, /chdir \/nowhere: No such file or directory/],
			[["--rootfs", root, "--stdin", "99", "true"], 125, /--stdin 99: Bad file descriptor/],
			[["--rootfs", root, "--join", "net=/etc/passwd", "true"], 125, /setns\(CLONE_NEWNET\) \/etc\/passwd: Invalid argument/],
			[["--rootfs", root, "--net", "--join", "net=1", "true"], 2, /a new namespace of this kind is asked for, too/],
			[["--rootfs", root, "--tty", "true"], 125, /no devpts/],
			[["--root", root, "--hostname", "x", "true"], 2, /use --rootfs/],
			[["--read-only", "true"], 2, /needs --rootfs/],
			[["--hold", "--stdout", "1", "true"], 2, /where the record goes/],
		];
		for (const [args, status, line] of wrong) {
			const ran = run(args);
			t.equal(ran.status, status, args.join(" "));
			t.match(ran.stderr, line);
			t.equal(ran.stdout, "");
		}
		t.end();
	});

	t.test("a dry run prints the calls in order and makes none", (t) => {
		const { status, stdout } = run(["--dry-run", "--rootfs", root, "--pid", "--proc", "--tmpfs", "/not-made", "true"]);
		t.equal(status, 0);
		t.match(
			stdout,
			/clone3.*CLONE_NEWPID\|CLONE_NEWNS[\s\S]*fsmount\(proc[\s\S]*pivot_root\("\.", "\."\)\numount2\("\.", MNT_DETACH\)[\s\S]*execve\(/,
		);
		t.notOk(existsSync(join(root, "not-made")));
		t.end();
	});
	t.end();
});

t.test("as an ordinary user, in a user namespace", (t) => {
	const rootless = (args: string[], script: string) =>
		run(["-r", "--rootfs", nobodyRoot, ...args, "--", "sh", "-c", script], { nobody: true });

	t.test("a container has all of it: namespaces, mounts, devices, a read-only root", (t) => {
		const args = [
			"--pid",
			"--net",
			"--ipc",
			"--cgroup",
			"--hostname",
			"box",
			"--proc",
			"--dev",
			"--sysfs",
			"--read-only",
			"--tmpfs",
			"/tmp",
			"--mask-defaults",
		];
		const { status, stdout, stderr } = rootless(
			args,
			"id -u; hostname; echo $$; touch /x; touch /tmp/x && echo tmp; head -c 2 /dev/zero | wc -c; ls /sys/class/net; mount | grep -c /dev/mqueue",
		);
		t.equal(status, 0, stderr);
		t.equal(stdout, "0\nbox\n1\ntmp\n2\nlo\n1\n");
		t.match(stderr, /^touch: \/x: Read-only file system\n$/);
		t.end();
	});

	t.test("the host's root serves as a read-only root", (t) => {
		const { status, stdout, stderr } = run(
			["-r", "--rootfs", "/", "--pid", "--proc", "--read-only", "--tmpfs", "/tmp", "sh", "-c", "echo /proc/[0-9]*; touch /x /tmp/x"],
			{ nobody: true },
		);
		t.equal(status, 1);
		t.match(stdout, /^\/proc\/1( \/proc\/\d)?\n$/);
		t.match(stderr, /'\/x': Read-only file system/);
		t.notMatch(stderr, /tmp/);
		t.end();
	});

	t.test("a bind without rec of a tree with mounts is refused, with the remedy", (t) => {
		const { status, stderr } = rootless(["--bind", "/:/host"], "true");
		t.equal(status, 125);
		t.equal(
			stderr,
			"tsunshare: --bind /: Invalid argument\ntsunshare: hint: in a new user namespace, what is mounted below it has to come along: add the option rec\n",
		);
		t.equal(rootless(["--bind", "/:/host:rec,ro"], "test -d /host/etc").status, 0);
		t.end();
	});

	t.test("sysfs without a network namespace is refused, with the remedy", (t) => {
		const { stderr } = rootless(["--sysfs"], "true");
		t.equal(
			stderr,
			"tsunshare: mount sysfs: Operation not permitted\ntsunshare: hint: in a user namespace, sysfs needs a network namespace of its own: --net\n",
		);
		t.end();
	});

	t.test("a user that is not mapped is refused, with the remedy", (t) => {
		const { status, stderr } = rootless(["--user", "web"], "true");
		t.equal(status, 125);
		t.match(stderr, /uid 33 is not mapped in the user namespace\ntsunshare: hint: --map-auto/);
		t.end();
	});

	t.test("capabilities are dropped there, too", (t) => {
		const { stdout } = rootless(["--proc", "--pid", "--cap-drop", "ALL"], "grep CapEff /proc/self/status; hostname x 2>&1 | head -1");
		t.match(stdout, /CapEff:\t0000000000000000\n/);
		t.end();
	});

	t.test("the clocks of a time namespace are ahead, without a fork in between", (t) => {
		const { stdout, stderr } = rootless(["--pid", "--proc", "--time", "--boottime", "5000000"], "cut -d. -f1 /proc/uptime");
		t.ok(Number(stdout) > 5000000, stderr);
		t.end();
	});
	t.end();
});

t.test("root maps ranges, and then runs as another user of them", needsRoot, (t) => {
	const mapped = join(folder, "mapped-root");
	makeRoot(mapped, 100000);
	const { status, stdout, stderr } = run([
		"--map-users",
		"0:100000:1000",
		"--map-groups",
		"0:100000:1000",
		"--rootfs",
		mapped,
		"--pid",
		"--proc",
		"--dev",
		"--user",
		"web",
		"sh",
		"-c",
		"id; touch /tmp/mine 2>&1; cat /proc/self/uid_map",
	]);
	t.equal(status, 0, stderr);
	t.match(stdout, /^uid=33\(web\) gid=33\(web\) groups=44\(extra\)\n/);
	t.match(stdout, /0 +100000 +1000/);
	t.end();
});

t.test("the help shows the container's options on a screen", (t) => {
	const { stdout } = run(["--help"]);
	for (const option of ["--rootfs", "--bind", "--hold", "--tty"]) t.match(stdout, option);
	const options = stdout.slice(stdout.indexOf("Container:"), stdout.indexOf("Common:")).split("\n");
	t.ok(
		options.every((line) => line.length <= 80),
		"no wider than 80 columns",
	);
	t.end();
});
