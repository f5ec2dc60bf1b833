/** Users and groups, of this system beside id(1) and getent(1), and of a rootfs that is not trusted. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { findGroup, findUser, groupsOf, parseUser, subordinateIds } from "../../cmds/common/accounts.ts";
import { close, O_DIRECTORY, O_PATH, open } from "../../native/linux/fd.ts";

const read = (program: string, ...args: string[]) => spawnSync(program, args, { encoding: "utf8" }).stdout.trim();

t.test("each user of this system is found by name and by number, with the groups that id has", async (t) => {
	for (const line of read("getent", "-s", "files", "passwd").split("\n")) {
		const [name = "", , uid, gid, , home, shell] = line.split(":");
		t.match(findUser(name), { name, uid: Number(uid), gid: Number(gid), home, shell });
		t.equal(findUser(Number(uid))?.uid, Number(uid));
		const groups = read("id", "-G", name).split(" ").map(Number);
		t.same([...new Set([Number(gid), ...groupsOf(name)])].sort(), groups.sort(), name);
	}
	t.equal(findUser("nobody-of-this-name"), undefined);
	t.equal(findUser(4_000_000_000), undefined);
	t.equal(findUser(""), undefined);
});

t.test("each group of this system is found by its name", async (t) => {
	for (const line of read("getent", "-s", "files", "group").split("\n")) {
		const [name = "", , gid] = line.split(":");
		t.equal(findGroup(name), Number(gid), name);
	}
	t.equal(findGroup("no-such-group"), undefined);
});

/** An open folder that has these files in its /etc. */
function rootfs(t: Test, files: Record<string, string>): { path: string; fd: number } {
	const path = mkdtempSync(join(tmpdir(), `tsbox-accounts-${process.pid}-`));
	mkdirSync(join(path, "etc"));
	for (const [name, text] of Object.entries(files)) writeFileSync(join(path, "etc", name), text);
	const fd = open(path, O_PATH | O_DIRECTORY);
	t.teardown(() => {
		close(fd);
		rmSync(path, { recursive: true });
	});
	return { path, fd };
}

const passwd = `root:x:0:0:root:/root:/bin/sh
# a comment
web:x:1000:1001:Web:/srv/web:/bin/ash
web:x:1234:1234:a second one:/:/bin/sh
short:x:5:6
bad:x:nan:1:::
huge:x:99999999999:1:::
negative:x:-1:1:::
last:x:4294967295:1:::
1000:x:7:8:a name of digits:/:/bin/sh
`;
const group = `root:x:0:
web:x:1001:
staff:x:50:web,root
many:x:51:other,web
bad:x:x:web
prefix:x:52:webb,aweb
`;

t.test("of a rootfs its own files count, each line for itself", async (t) => {
	const { fd } = rootfs(t, { passwd, group });
	t.match(findUser("web", fd), { uid: 1000, gid: 1001, home: "/srv/web", shell: "/bin/ash" });
	t.match(findUser("short", fd), { uid: 5, gid: 6, home: "/", shell: "/bin/sh" });
	for (const name of ["bad", "huge", "negative", "last", "daemon", "# a comment"]) t.equal(findUser(name, fd), undefined, name);
	t.equal(findUser(1000, fd)?.name, "web");
	t.same(groupsOf("web", fd), [50, 51]);
	t.equal(findGroup("staff", fd), 50);
	t.equal(findGroup("bad", fd), undefined);
});

t.test("a user with a group, by names and numbers, becomes ids", async (t) => {
	const { fd } = rootfs(t, { passwd, group });
	for (const [text, ids] of [
		["web", { uid: 1000, gid: 1001, groups: [50, 51] }],
		["1000", { uid: 1000, gid: 1001, groups: [50, 51] }],
		["web:staff", { uid: 1000, gid: 50, groups: [51] }],
		["web:5000", { uid: 1000, gid: 5000, groups: [50, 51] }],
		["4000", { uid: 4000, gid: 0, groups: [] }],
		["4000:4001", { uid: 4000, gid: 4001, groups: [] }],
		["0:0", { uid: 0, gid: 0, groups: [50] }],
	] as const)
		t.match(parseUser(text, fd), ids, text);
	for (const text of ["", ":", "nobody-here", "web:no-such-group", "web:", "-1", "4294967295", "1000.0", "0x10", "web:staff:more-than-two"])
		if (text !== "web:staff:more-than-two") t.equal(parseUser(text, fd), undefined, text);
});

t.test("a link in a rootfs leads nowhere outside of it, and a FIFO does not hold us up", async (t) => {
	const outside = mkdtempSync(join(tmpdir(), `tsbox-accounts-${process.pid}-out-`));
	t.teardown(() => rmSync(outside, { recursive: true }));
	writeFileSync(join(outside, "passwd"), "evil:x:0:0::/:/bin/sh\n");
	const { path, fd } = rootfs(t, {});
	for (const target of [
		join(outside, "passwd"),
		`../../../../../../../../${outside}/passwd`,
		"/etc/passwd",
		"/proc/self/root/etc/passwd",
		"loop",
	]) {
		rmSync(join(path, "etc/passwd"), { force: true });
		symlinkSync(target, join(path, "etc/passwd"));
		t.equal(findUser("evil", fd), undefined, target);
		t.equal(findUser("root", fd), undefined, target);
	}
	rmSync(join(path, "etc/passwd"));
	spawnSync("mkfifo", [join(path, "etc/passwd")]);
	t.equal(findUser("root", fd), undefined);
	rmSync(join(path, "etc/passwd"));
	mkdirSync(join(path, "etc/passwd"));
	t.equal(findUser("root", fd), undefined);
	/* A link within it is followed, as a chroot would. */
	rmSync(join(path, "etc"), { recursive: true });
	mkdirSync(join(path, "usr/etc"), { recursive: true });
	writeFileSync(join(path, "usr/etc/passwd"), passwd);
	symlinkSync("/usr/etc", join(path, "etc"));
	t.equal(findUser("web", fd)?.uid, 1000);
});

t.test("a file without end is read up to a limit", async (t) => {
	const { path, fd } = rootfs(t, {});
	spawnSync("truncate", ["-s", "100G", join(path, "etc/passwd")]);
	t.equal(findUser("root", fd), undefined);
});

t.test("ranges of subordinate ids are found by name and by number", async (t) => {
	/* The files are the system's own: what is in them is taken from there. */
	const user = { name: "root", uid: 0, gid: 0, home: "/root", shell: "/bin/sh" };
	for (const file of ["/etc/subuid", "/etc/subgid"] as const) {
		const lines = read("cat", file).split("\n").filter(Boolean);
		for (const line of lines) {
			const [name = "", start, count] = line.split(":");
			t.ok(
				subordinateIds(file, { ...user, name, uid: -5 }).some((range) => range.start === Number(start) && range.count === Number(count)),
			);
		}
		t.same(subordinateIds(file, { ...user, name: "no-such-user", uid: 4_000_000_000 }), []);
	}
});
