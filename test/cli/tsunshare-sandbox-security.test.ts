/** What a hostile image or program may try: the tool's own binary, leaked descriptors and folders, links out of the root. */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { makeRoot, makeWorld, NOBODY, needsRoot, tsunshare } from "../support/sandbox.ts";

const world = makeWorld("hostile");
mkdirSync(join(world.folder, "run/sandboxes"), { recursive: true, mode: 0o700 });
t.teardown(world.remove);
const { root, folder, shell } = world;

/* The tool itself is at stake: the tests attack a copy. */
const victim = join(folder, "tsunshare");
copyFileSync(tsunshare, victim);
chmodSync(victim, 0o755);
const before = readFileSync(victim);
const attack = (args: string[], env = {}) =>
	spawnSync(victim, ["--rootfs", root, "--pid", "--proc", "--dev", ...args], {
		encoding: "utf8",
		env: { ...world.env, ...env },
		timeout: 30_000,
	});

t.test("the tool's binary cannot be overwritten through /proc, whatever the image names as program (CVE-2019-5736)", needsRoot, (t) => {
	writeFileSync(join(root, "bin/entry"), "#!/proc/self/exe --hostname pwned sh\n", { mode: 0o755 });
	symlinkSync("/proc/self/exe", join(root, "bin/link"));
	for (const program of ["/proc/self/exe", "/bin/link"]) {
		const { status, stderr } = attack([program, "--version"]);
		t.same([status, stderr], [126, `tsunshare: execve ${program}: leads through /proc to a file of a process\n`]);
	}
	/* As PID 1, the tool's own code runs in the container; a program that it starts looks at it, and tries to write. */
	const script =
		'readlink /proc/1/exe; mount -o remount,rw,bind /proc/1/exe; busybox mount --bind /proc/1/exe /bin/cat; echo "echo overwritten" > /proc/1/exe; echo "status $?"; exec 3< /proc/1/exe; echo x > /proc/self/fd/3';
	writeFileSync(join(root, "bin/attack"), `#!/bin/sh\n${script}\nexit 1\n`, { mode: 0o755 });
	writeFileSync(join(root, "bin/setup"), "#!/proc/self/exe --setup=/bin/attack\n", { mode: 0o755 });
	const { stderr, stdout } = attack(["/bin/setup"]);
	t.match(stdout, /status 1\n/, stderr);
	t.match(stderr, "create /proc/1/exe: Read-only file system");
	t.match(stderr, "create /proc/self/fd/3: Read-only file system");
	t.notMatch(stderr, /Text file busy/, "that protection would end with the process");
	const viaInterpreter = attack(["/bin/entry"]);
	t.not(viaInterpreter.status, null, viaInterpreter.stderr);
	t.ok(readFileSync(victim).equals(before), "the file is as it was");
	rmSync(join(root, "bin/link"));
	t.end();
});

t.test("with the file free to be written, as when the tool has ended, it still cannot be: its mount is read-only", needsRoot, (t) => {
	/* A descriptor of it is kept by a process that lives on when all of the tool's have ended: then there is no ETXTBSY. */
	const keep =
		'exec 9< /proc/$PPID/exe; (sleep 0.3; echo x > /proc/self/fd/9; echo "status $?"; echo x >> /proc/self/fd/9; echo "status $?") & exit 1';
	writeFileSync(join(root, "bin/attack"), `#!/bin/sh\n${keep}\n`, { mode: 0o755 });
	const args = ["--rootfs", root, "--proc", "--dev", "/bin/setup"];
	const { stdout, stderr } = spawnSync(victim, args, { encoding: "utf8", env: world.env, timeout: 30_000 });
	t.match(stdout, "status 1\nstatus 1\n", stderr);
	t.equal((stderr.match(/fd\/9: Read-only file system/g) ?? []).length, 2, stderr);
	t.ok(readFileSync(victim).equals(before));
	t.end();
});

t.test("as an ordinary user who owns the binary, it is run from a sealed copy", (t) => {
	const own = join(folder, "own");
	makeRoot(own, NOBODY);
	const steal = 'readlink /proc/1/exe; echo overwritten > /proc/1/exe; echo "status $?"; exit 1';
	writeFileSync(join(own, "bin/attack"), `#!/bin/sh\n${steal}\n`, { mode: 0o755 });
	writeFileSync(join(own, "bin/setup"), "#!/proc/self/exe --setup=/bin/attack\n", { mode: 0o755 });
	const script = `cp ${tsunshare} $TSBOX_RUN/tool; cp ${tsunshare} $TSBOX_RUN/same
		$TSBOX_RUN/tool -r --rootfs ${own} --pid --proc /bin/setup
		cmp $TSBOX_RUN/tool $TSBOX_RUN/same && echo same`;
	const { stdout, stderr } = shell(script, { nobody: true });
	t.match(stdout, /memfd:tsunshare.*\nstatus 1\nsame\n/, stderr);
	t.end();
});

t.test("no descriptor leaks, whatever the caller had open, and none leads to a folder of the host (CVE-2024-21626)", needsRoot, (t) => {
	const list =
		"for f in /proc/self/fd/*; do echo $f $(readlink $f); done; for p in /proc/[0-9]*; do readlink $p/cwd; readlink $p/root; done";
	for (const how of ["", "--hold"]) {
		const tail = how ? " | $T start --wait" : "";
		const { stdout, stderr } = shell(
			`exec 5< / 6< /etc/passwd 7> ${folder}/seven 9< .; $T ${how} --rootfs $R --pid --proc --stdin /dev/null --stdout ${folder}/fds --stderr /dev/null -- sh -c '${list}'${tail}; cat ${folder}/fds; rm ${folder}/fds`,
		);
		const lines = stdout.trim().split("\n");
		/* The shell reads the folder with a descriptor, which is gone when it is looked at: that has no target. */
		t.same(
			lines.filter((line) => /^\/proc\/self\/fd\/([3-9]|\d\d+) ./.test(line)),
			[],
			stderr,
		);
		t.equal(lines.filter((line) => /^\/proc\/self\/fd\/[012] ./.test(line)).length, 3);
		t.same([...new Set(lines.filter((line) => !line.startsWith("/proc/self/fd/")))], ["/"]);
	}
	t.end();
});

t.test("a working folder by way of a descriptor of the tool is refused (CVE-2024-21626)", needsRoot, (t) => {
	for (let fd = 3; fd < 12; fd++) {
		const { status, stdout, stderr } = attack(["--cwd", `/proc/self/fd/${fd}`, "sh", "-c", "ls ../../../../etc/shadow"]);
		t.equal(status, 125, `${stdout}${stderr}`);
		t.match(stderr, /^tsunshare: (chdir|--cwd) /);
	}
	t.end();
});

t.test("--preserve-fds leaves those open that are named, and no other", needsRoot, (t) => {
	const { stdout } = shell(`exec 3< /etc/hostname 4< / 5< /; $T --rootfs $R --proc --preserve-fds 1 sh -c 'ls /proc/self/fd'`);
	/* 4 is what ls(1) reads the folder with. */
	t.equal(stdout, "0\n1\n2\n3\n4\n");
	t.end();
});

t.test("links of an image do not lead mounts out of its root, and missing places are made inside", needsRoot, (t) => {
	const target = join(folder, "outside");
	mkdirSync(target);
	const depth = "../".repeat(20);
	const links: [string, string][] = [
		["absolute", target],
		["relative", `${depth}${target.slice(1)}`],
		["dangling", `${target}/made/by/mkdir`],
		["dangling-up", `${depth}${target.slice(1)}/also`],
	];
	for (const [name, to] of links) symlinkSync(to, join(root, name));
	for (const [name] of links) {
		const { status, stderr } = attack([
			"--tmpfs",
			`/${name}/sub/deep`,
			"--bind",
			`/etc/passwd:/${name}/file`,
			"sh",
			"-c",
			`test -f /${name}/file && mount | grep -q 'tmpfs.*sub/deep'`,
		]);
		t.equal(status, 0, stderr);
	}
	t.equal(spawnSync("find", [target, "-mindepth", "1"], { encoding: "utf8" }).stdout, "", "nothing is made outside");
	t.ok(existsSync(join(root, target, "sub/deep")), "but in the root");
	t.end();
});

t.test("links in a circle, and /proc, /dev and /etc as links, do no harm", needsRoot, (t) => {
	const evil = join(folder, "evil");
	makeRoot(evil);
	symlinkSync("loop2", join(evil, "loop1"));
	symlinkSync("loop1", join(evil, "loop2"));
	const outside = join(folder, "elsewhere");
	mkdirSync(outside);
	for (const name of ["proc", "dev"]) symlinkSync(`${"../".repeat(20)}${outside.slice(1)}/${name}`, join(evil, name));
	const circle = spawnSync(tsunshare, ["--rootfs", evil, "--tmpfs", "/loop1/x", "true"], { encoding: "utf8" });
	t.equal(circle.status, 125);
	t.match(circle.stderr, /: Too many levels of symbolic links\n/);
	for (const name of ["proc", "dev"]) {
		const { status, stderr } = spawnSync(tsunshare, ["--rootfs", evil, "--pid", `--${name}`, "true"], { encoding: "utf8" });
		t.same([status, stderr], [125, `tsunshare: mount /${name}: it is a link in the root\n`]);
	}
	t.equal(spawnSync("find", [outside, "-mindepth", "1"], { encoding: "utf8" }).stdout, "");

	/* A passwd that is a FIFO, endless or a link to the host's must not be waited for, nor read. */
	rmSync(join(evil, "etc/passwd"));
	symlinkSync(`${"../".repeat(20)}etc/passwd`, join(evil, "etc/passwd"));
	t.match(spawnSync(tsunshare, ["--rootfs", evil, "--user", "daemon", "true"], { encoding: "utf8" }).stderr, /no such user/);
	rmSync(join(evil, "etc/passwd"));
	spawnSync("mkfifo", [join(evil, "etc/passwd")]);
	t.match(
		spawnSync(tsunshare, ["--rootfs", evil, "--user", "daemon", "true"], { encoding: "utf8", timeout: 10_000 }).stderr,
		/no such user/,
	);
	t.end();
});

t.test("a chroot in the container does not reach what was the root before", needsRoot, (t) => {
	/* The classic way out of a chroot: a chroot below the working folder, and then up. */
	const { stdout } = attack([
		"sh",
		"-c",
		"mkdir -p /tmp/a; cd /; busybox chroot /tmp/a true 2>/dev/null; cd ../../../../..; pwd; ls -d /work /home 2>/dev/null; ls /proc/1/root",
	]);
	t.equal(stdout.split("\n")[0], "/");
	t.notMatch(stdout, /^\/(work|home)$/m);
	t.end();
});

t.test("while it is set up, another user of the same PID namespace cannot look into it", needsRoot, (t) => {
	/* The set-up command waits; meanwhile an ordinary user tries /proc of the container's process. */
	const { stdout } = shell(`
		mkfifo ${folder}/hold; $T --rootfs $R --user web --setup 'echo $PPID > ${folder}/setting-up; cat ${folder}/hold' true & tool=$!
		while ! [ -s ${folder}/setting-up ]; do sleep 0.02; done
		setpriv --reuid=33 --regid=33 --clear-groups ls /proc/$(cat ${folder}/setting-up)/fd 2>&1 | head -1; stat -c %U /proc/$(cat ${folder}/setting-up)/fd; : > ${folder}/hold; wait $tool`);
	t.match(stdout, /Permission denied\nroot\n/);
	t.end();
});
