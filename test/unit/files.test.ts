/** Files, beside stat(1), ls(1) and Node's own. */
import { spawnSync } from "node:child_process";
import {
	existsSync,
	linkSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import * as host from "../../native/host/node.ts";
import {
	AT_FDCWD,
	close,
	closeRangeOnExec,
	dup,
	fsync,
	getcwd,
	ioctl,
	isOpen,
	memfdCreate,
	O_CREAT,
	O_DIRECTORY,
	O_EXCL,
	O_NOFOLLOW,
	O_PATH,
	O_RDONLY,
	O_RDWR,
	O_WRONLY,
	open,
	openat2,
	pipe,
	RESOLVE_BENEATH,
	RESOLVE_IN_ROOT,
	RESOLVE_NO_SYMLINKS,
	read,
	readAll,
	readdir,
	readFile,
	readFileIfAny,
	setCloseOnExec,
	setNonblocking,
	write,
	writeKernelFile,
} from "../../native/linux/fd.ts";
import {
	CGROUP2_SUPER_MAGIC,
	checkExecutable,
	chmod,
	chown,
	exists,
	fileSystemType,
	lstatIfAny,
	mkdir,
	mkdirAll,
	mknod,
	NSFS_MAGIC,
	PROC_SUPER_MAGIC,
	readlink,
	readlinkIfAny,
	rename,
	rmdir,
	S_IFIFO,
	stat,
	statIfAny,
	symlink,
	unlink,
	unlinkIfAny,
} from "../../native/linux/stat.ts";
import { setDryRun } from "../../native/linux/syscall.ts";
import { failing } from "../support/failing.ts";

const folder = mkdtempSync(join(tmpdir(), `tsbox-fs-${process.pid}-`));
t.teardown(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);
const needsRoot = process.getuid?.() === 0 ? {} : { skip: "needs root" };

/** The flags of an open descriptor: man 5 proc_pid_fdinfo. */
const flagsOf = (fd: number) => Number.parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "", 8);
const CLOEXEC = 0o2000000;

t.test("a file's facts are those that stat(1) prints", async (t) => {
	writeFileSync(at("file"), "12345");
	linkSync(at("file"), at("hard"));
	for (const path of [at("file"), folder, "/dev/null", "/etc/passwd", "/"]) {
		const [mode, uid, gid, ino, size, nlink, mtime, dev, rdevMajor, rdevMinor] = spawnSync(
			"stat",
			["-L", "-c", "%f %u %g %i %s %h %Y %d %t %T", path],
			{ encoding: "utf8" },
		)
			.stdout.trim()
			.split(" ") as string[];
		const found = stat(path);
		t.match(
			found,
			{
				uid: Number(uid),
				gid: Number(gid),
				size: Number(size),
				nlink: Number(nlink),
				mtime: Number(mtime),
				mode: Number.parseInt(mode ?? "", 16),
			},
			path,
		);
		t.equal(found.ino, Number(ino));
		t.equal(found.rdev, `${Number.parseInt(rdevMajor ?? "", 16)}:${Number.parseInt(rdevMinor ?? "", 16)}`);
		const device = Number(dev);
		if (device < 65536) t.equal(found.dev, `${device >> 8}:${device & 255}`);
	}
});

t.test("an empty path asks about the descriptor, a link about itself, and nothing about nothing", async (t) => {
	const fd = open(at("file"), O_RDONLY);
	t.equal(stat("", fd).ino, statSync(at("file")).ino);
	close(fd);
	symlinkSync("file", at("link"));
	t.equal(lstatIfAny(at("link"))?.ino, lstatSync(at("link")).ino);
	t.equal(statIfAny(at("link"))?.ino, statSync(at("file")).ino);
	t.equal(lstatIfAny(at("none")), undefined);
	failing(t, () => stat(at("none")), { call: "stat", errno: 2, object: at("none") });
	symlinkSync("none", at("dangling"));
	t.equal(exists(at("dangling")), false);
	t.equal(exists(at("file")), true);
});

t.test("each descriptor is closed by an exec, unless that is taken from it", async (t) => {
	const { reader, writer } = pipe();
	const fds = [
		open(at("file"), O_RDONLY),
		openat2(AT_FDCWD, at("file"), O_RDONLY, 0),
		reader,
		writer,
		dup(reader),
		dup(reader, 100),
		memfdCreate("x"),
	];
	for (const fd of fds) t.equal(flagsOf(fd) & CLOEXEC, CLOEXEC);
	t.ok((fds[5] as number) >= 100);
	setCloseOnExec(reader, false);
	t.equal(flagsOf(reader) & CLOEXEC, 0);
	closeRangeOnExec(reader, reader);
	t.equal(flagsOf(reader) & CLOEXEC, CLOEXEC);
	setNonblocking(reader, true);
	t.equal(flagsOf(reader) & 0o4000, 0o4000);
	failing(t, () => read(reader, new Uint8Array(1)), { call: "read", errno: 11 });
	setNonblocking(reader, false);
	t.equal(flagsOf(reader) & 0o4000, 0);
	for (const fd of fds) {
		t.ok(isOpen(fd));
		close(fd);
		t.notOk(isOpen(fd));
	}
});

t.test("all that is written is read again, whatever its length", async (t) => {
	for (const length of [0, 1, 4095, 4096, 4097, 100_000]) {
		const bytes = new Uint8Array(length).map((_, i) => i * 7);
		const fd = open(at("data"), O_RDWR | O_CREAT, 0o600);
		write(fd, bytes);
		fsync(fd);
		close(fd);
		t.same(readFileSync(at("data")), Buffer.from(bytes));
		const again = open(at("data"), O_RDONLY);
		t.same(Buffer.from(readAll(again)), Buffer.from(bytes));
		close(again);
		rmSync(at("data"));
	}
	const fd = open(at("text"), O_WRONLY | O_CREAT | O_EXCL, 0o640);
	write(fd, "é\udcff\n");
	close(fd);
	t.same([...readFileSync(at("text"))], [0xc3, 0xa9, 0xff, 0x0a]);
	t.equal(readFile(at("text")), "é\udcff\n");
	t.equal(statSync(at("text")).mode & 0o777, 0o640 & ~process.umask());
	failing(t, () => open(at("text"), O_WRONLY | O_CREAT | O_EXCL), { call: "openat", errno: 17, object: at("text") });
});

t.test("a file that is not there has no text; one that may not be read is an error", async (t) => {
	t.equal(readFileIfAny(at("none")), undefined);
	t.equal(readFileIfAny(at("file", "below")), undefined);
	failing(t, () => readFile(at("none")), { call: "openat", errno: 2, object: at("none") });
	failing(t, () => readFileIfAny(folder), { call: "read", errno: 21, object: folder });
});

t.test("a folder's names are those that Node lists, whatever they are and however many", async (t) => {
	mkdirSync(at("many"));
	const names = [...Array(2000).keys()].map((i) => `${"n".repeat(i % 200)}${i}`);
	for (const name of ["with space", "new\nline", "-dash", ".hidden", "é", "...", ...names]) writeFileSync(at("many", name), "");
	/* Node has no way to give a name that is no UTF-8. */
	spawnSync("bash", ["-c", `>"$0"/$'\\xff\\xfe'`, at("many")]);
	const found = readdir(at("many"));
	t.equal(found.length, 2007);
	t.same(
		found.map((name) => Buffer.from(host.encode(name)).toString("hex")).sort(),
		readdirSync(Buffer.from(at("many")), "buffer")
			.map((name) => name.toString("hex"))
			.sort(),
	);
	t.ok(found.includes("\udcff\udcfe"));
	unlink(at("many", "\udcff\udcfe"));
	t.equal(readdir(at("many")).length, 2006);
	failing(t, () => readdir(at("file")), { call: "openat", errno: 20 });
});

t.test("folders, links, nodes, modes and names are made and changed", async (t) => {
	mkdirAll(at("a/b/c"));
	mkdirAll(at("a/b/c"));
	t.ok(statSync(at("a/b/c")).isDirectory());
	failing(t, () => mkdirAll(at("file/x")), { errno: 20 });
	mkdir(at("a/d"), 0o700);
	t.equal(statSync(at("a/d")).mode & 0o777, 0o700);
	symlink("../b", at("a/d/up"));
	t.equal(readlinkSync(at("a/d/up")), "../b");
	t.equal(readlink(at("a/d/up")), "../b");
	t.equal(readlinkIfAny(at("a/d")), undefined);
	mknod(at("a/fifo"), S_IFIFO | 0o600, 0);
	t.ok(statSync(at("a/fifo")).isFIFO());
	chmod(at("a/fifo"), 0o644);
	t.equal(statSync(at("a/fifo")).mode & 0o777, 0o644);
	rename(at("a/fifo"), at("a/pipe"));
	t.notOk(existsSync(at("a/fifo")));
	unlink(at("a/pipe"));
	unlinkIfAny(at("a/pipe"));
	failing(t, () => unlink(at("a/pipe")), { call: "unlinkat", errno: 2 });
	failing(t, () => rmdir(at("a")), { call: "unlinkat", errno: 39 });
	rmdir(at("a/b/c"));
	t.notOk(existsSync(at("a/b/c")));
});

t.test("an owner is given to a link itself, and to an open folder", needsRoot, async (t) => {
	symlinkSync("file", at("owned"));
	chown(at("owned"), 12, 34);
	t.match(lstatSync(at("owned")), { uid: 12, gid: 34 });
	t.not(statSync(at("file")).uid, 12);
	const fd = open(folder, O_PATH | O_DIRECTORY);
	chown("", 0, 56, fd);
	t.equal(statSync(folder).gid, 56);
	close(fd);
});

t.test("a path in a root does not lead out of it", async (t) => {
	mkdirSync(at("root/etc"), { recursive: true });
	writeFileSync(at("root/etc/passwd"), "inside");
	writeFileSync(at("outside"), "outside");
	symlinkSync("/etc/passwd", at("root/absolute"));
	symlinkSync("../../../../../../etc/passwd", at("root/climbing"));
	symlinkSync(at("outside"), at("root/outside"));
	const root = open(at("root"), O_PATH | O_DIRECTORY);
	const text = (path: string, resolve: number) => {
		const fd = openat2(root, path, O_RDONLY, resolve);
		const found = host.decode(readAll(fd));
		close(fd);
		return found;
	};
	for (const path of ["etc/passwd", "/etc/passwd", "absolute", "climbing", "../../../etc/passwd"])
		t.equal(text(path, RESOLVE_IN_ROOT), "inside", path);
	failing(t, () => text("outside", RESOLVE_IN_ROOT), { call: "openat2", errno: 2, object: "outside" });
	failing(t, () => text("climbing", RESOLVE_BENEATH), { errno: 18 });
	failing(t, () => text("absolute", RESOLVE_NO_SYMLINKS), { errno: 40 });
	failing(t, () => open(at("root/absolute"), O_RDONLY | O_NOFOLLOW), { errno: 40 });
	close(root);
});

t.test("what may be executed is told as the shell finds it", async (t) => {
	writeFileSync(at("script"), "#!/bin/sh\n", { mode: 0o755 });
	t.equal(checkExecutable(at("script")), 0);
	t.equal(checkExecutable(at("file")), 13);
	t.equal(checkExecutable(at("none")), 2);
	t.equal(checkExecutable(at("file/x")), 20);
});

t.test("a file system's type is that of stat -f", async (t) => {
	for (const path of ["/", "/proc", "/dev", folder, "/sys"])
		t.equal(fileSystemType(path).toString(16), spawnSync("stat", ["-f", "-c", "%t", path], { encoding: "utf8" }).stdout.trim(), path);
	t.equal(fileSystemType("/proc"), PROC_SUPER_MAGIC);
	const fd = open("/proc/self/ns/net", O_RDONLY);
	t.equal(fileSystemType(fd), NSFS_MAGIC);
	close(fd);
	t.not(fileSystemType("/"), CGROUP2_SUPER_MAGIC);
});

t.test("an ioctl that the file does not know is an error", async (t) => {
	const fd = open(at("file"), O_RDONLY);
	failing(t, () => ioctl(fd, 0x5401, new Uint8Array(64)), { call: "ioctl", errno: 25 });
	close(fd);
});

t.test("the working folder is where Node thinks it is", async (t) => {
	t.equal(getcwd(), process.cwd());
});

t.test("a kernel file is written at once, and what it refuses is said with its path", needsRoot, async (t) => {
	const path = "/proc/self/oom_score_adj";
	const before = readFileSync(path, "utf8").trim();
	writeKernelFile(path, "501");
	t.equal(readFileSync(path, "utf8"), "501\n");
	writeKernelFile(path, before);
	failing(t, () => writeKernelFile(path, "99999"), { call: "write", errno: 22, object: path });
	failing(t, () => writeKernelFile("/proc/self/none", "1"), { call: "openat", errno: 2, object: "/proc/self/none" });
});

t.test("a dry run changes nothing, and prints each call with its flags by name", async (t) => {
	const printed: string[] = [];
	const script = `const fs = { ...(await import("./native/linux/fd.ts")), ...(await import("./native/linux/stat.ts")) };
		(await import("./native/linux/syscall.ts")).setDryRun(true);
		const [folder] = process.argv.slice(1);
		fs.mkdir(folder + "/dry", 0o750);
		fs.symlink("x", folder + "/dry/link");
		fs.writeKernelFile(folder + "/dry/file", "1\\n");
		fs.rename(folder + "/file", folder + "/gone");
		fs.unlink(folder + "/file");`;
	const { stdout, stderr } = spawnSync(
		process.execPath,
		["--import=./test/support/typescript.mjs", "--input-type=module", "-e", script, folder],
		{ encoding: "utf8" },
	);
	printed.push(...stdout.trimEnd().split("\n"));
	t.equal(stderr, "");
	t.same(printed, [
		`mkdirat(AT_FDCWD, "${folder}/dry", 0750)`,
		`symlinkat("x", AT_FDCWD, "${folder}/dry/link")`,
		`write ${folder}/dry/file "1\\n"`,
		`renameat2(AT_FDCWD, "${folder}/file", AT_FDCWD, "${folder}/gone", 0)`,
		`unlinkat(AT_FDCWD, "${folder}/file", 0)`,
	]);
	t.notOk(existsSync(at("dry")));
	t.ok(existsSync(at("file")));
	setDryRun(false);
});
