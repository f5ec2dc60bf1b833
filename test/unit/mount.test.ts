/** Mounts: mountinfo as findmnt(8) and the kernel have it, and the calls that change them, in a mount namespace of our own. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { AT_FDCWD, close, O_DIRECTORY, O_PATH, open } from "../../native/linux/fd.ts";
import {
	FSCONFIG_SET_FLAG,
	fsmount,
	MNT_DETACH,
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_RDONLY,
	MS_BIND,
	MS_NOEXEC,
	MS_NOSUID,
	MS_PRIVATE,
	MS_RDONLY,
	MS_REC,
	MS_REMOUNT,
	MS_SHARED,
	mount,
	mountinfo,
	mountSetattr,
	moveMount,
	OPEN_TREE_CLONE,
	openTree,
	parseMountinfo,
	umount,
} from "../../native/linux/mount.ts";
import { CLONE_NEWNS, setns, unshare } from "../../native/linux/namespace.ts";
import { failing } from "../support/failing.ts";

t.test("a line of mountinfo has its fields, none or several optional ones", async (t) => {
	const text = `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
22 1 0:21 / /proc rw,nosuid - proc proc rw
23 22 0:4 net:[4026532200] /run/netns/blue rw shared:12 propagate_from:2 - nsfs nsfs rw
`;
	t.same(parseMountinfo(text), [
		{
			id: 36,
			parent: 35,
			device: "98:0",
			root: "/mnt1",
			target: "/mnt2",
			options: "rw,noatime",
			optional: ["master:1"],
			type: "ext3",
			source: "/dev/root",
			superOptions: "rw,errors=continue",
			superOptionList: ["rw", "errors=continue"],
		},
		{
			id: 22,
			parent: 1,
			device: "0:21",
			root: "/",
			target: "/proc",
			options: "rw,nosuid",
			optional: [],
			type: "proc",
			source: "proc",
			superOptions: "rw",
			superOptionList: ["rw"],
		},
		{
			id: 23,
			parent: 22,
			device: "0:4",
			root: "net:[4026532200]",
			target: "/run/netns/blue",
			options: "rw",
			optional: ["shared:12", "propagate_from:2"],
			type: "nsfs",
			source: "nsfs",
			superOptions: "rw",
			superOptionList: ["rw"],
		},
	]);
	t.same(parseMountinfo(""), []);
});

t.test("the mounts of this process are those that findmnt lists", async (t) => {
	const before = mountinfo();
	/* findmnt asks /proc/self/mountinfo as well, and has a parser of its own. */
	const { stdout } = spawnSync("findmnt", ["--json", "--list", "--kernel", "--output", "ID,PARENT,TARGET,FSROOT,FSTYPE,SOURCE,MAJ:MIN"], {
		encoding: "utf8",
	});
	const theirs: { id: number; parent: number; target: string; fsroot: string; fstype: string; source: string; "maj:min": string }[] =
		JSON.parse(stdout).filesystems;
	const ours = mountinfo();
	t.ok(theirs.length > 3);
	/* Others may mount and unmount meanwhile. */
	const here = theirs.filter(({ id }) => before.some((mount) => mount.id === id) && ours.some((mount) => mount.id === id));
	t.ok(here.length > 3);
	for (const found of here) {
		const same = ours.find(({ id }) => id === found.id);
		/* findmnt adds the root to a source: /dev/vda[/folder]. */
		t.match(same, { parent: found.parent, target: found.target, root: found.fsroot, type: found.fstype, device: found["maj:min"] });
		t.equal(found.source.replace(/\[.*\]$/, ""), same?.source);
	}
});

const needsRoot = process.getuid?.() === 0 ? {} : { skip: "needs root" };

t.test("in a mount namespace", needsRoot, async (t) => {
	const before = open("/proc/thread-self/ns/mnt", 0);
	unshare(CLONE_NEWNS);
	mount(null, "/", null, MS_REC | MS_PRIVATE);
	const folder = mkdtempSync(join(tmpdir(), `tsbox-mount-${process.pid}-`));
	t.teardown(() => {
		setns(before, CLONE_NEWNS);
		close(before);
		rmSync(folder, { recursive: true });
	});
	/* /proc/self is the main thread, which is this one. */
	const at = (target: string) => mountinfo().find((each) => each.target === target);
	const place = (name: string) => {
		mkdirSync(join(folder, name));
		return join(folder, name);
	};

	t.test("a mount point of any name is told as it is", async (t) => {
		for (const name of ["with space", "tab\tnewline\n", "back\\slash", "\\040", "#hash", "-", "- nsfs nsfs rw", "ünï", "a,b=c:d", "'\""]) {
			const target = place(name);
			mount("tmpfs", target, "tmpfs", 0);
			t.match(at(target), { target, type: "tmpfs", root: "/" }, JSON.stringify(name));
			umount(target);
			t.equal(at(target), undefined);
		}
	});

	t.test("a source of any name is told as it is", async (t) => {
		const target = place("source");
		for (const source of ["a b", "tab\t", "back\\slash", "#x", "none"]) {
			mount(source, target, "tmpfs", 0);
			t.equal(at(target)?.source, source, JSON.stringify(source));
			umount(target);
		}
	});

	t.test("flags, a remount and propagation are what the kernel then says", async (t) => {
		const target = place("flags");
		mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NOEXEC, "size=1m,mode=700");
		t.match(at(target)?.options.split(","), ["rw", "nosuid", "noexec"]);
		t.match(at(target)?.superOptions, /size=1024k,mode=700/);
		mount(null, target, null, MS_REMOUNT | MS_BIND | MS_RDONLY);
		t.match(at(target)?.options, /^ro\b/);
		mount(null, target, null, MS_SHARED);
		t.match(at(target)?.optional[0], /^shared:\d+$/);
		mount(null, target, null, MS_PRIVATE);
		t.same(at(target)?.optional, []);
		umount(target);
	});

	t.test("a bind mount has the folder that it shows as its root", async (t) => {
		const [source, target] = [place("bind-source"), place("bind-target")];
		writeFileSync(join(source, "file"), "x");
		mount(source, target, null, MS_BIND);
		t.ok(at(target)?.root.endsWith(source));
		t.ok(existsSync(join(target, "file")));
		const busy = open(target, O_PATH | O_DIRECTORY);
		failing(t, () => umount(target), { call: "umount2", errno: 16, object: target });
		umount(target, MNT_DETACH);
		t.equal(at(target), undefined);
		close(busy);
	});

	t.test("a file system is made detached, given attributes, and attached", async (t) => {
		const target = place("new-api");
		const detached = fsmount("tmpfs", { size: "1m", ...(FSCONFIG_SET_FLAG === 0 && { noswap: true }) }, MOUNT_ATTR_NODEV);
		mountSetattr(detached, MOUNT_ATTR_NOEXEC);
		const fd = open(target, O_PATH | O_DIRECTORY);
		moveMount(detached, fd);
		t.match(at(target)?.options, /nodev.*noexec|noexec.*nodev/);
		mountSetattr(target, MOUNT_ATTR_RDONLY, { clear: MOUNT_ATTR_NOEXEC, recursive: true });
		t.match(at(target)?.options, /^ro,nodev/);
		t.notMatch(at(target)?.options, "noexec");
		close(fd);
		close(detached);
		umount(target);
	});

	t.test("a tree is cloned, changed before anyone sees it, and attached elsewhere", async (t) => {
		const [source, target] = [place("tree-source"), place("tree-target")];
		mount("tmpfs", source, "tmpfs", 0);
		writeFileSync(join(source, "file"), "x");
		const tree = openTree(AT_FDCWD, source, OPEN_TREE_CLONE);
		mountSetattr(tree, MOUNT_ATTR_RDONLY, { recursive: true });
		const fd = open(target, O_PATH | O_DIRECTORY);
		moveMount(tree, fd, target);
		t.equal(readFileSync(join(target, "file"), "utf8"), "x");
		t.throws(() => writeFileSync(join(target, "file"), "y"), { code: "EROFS" });
		writeFileSync(join(source, "file"), "z");
		for (const open of [fd, tree]) close(open);
		umount(target);
		umount(source);
	});

	t.test("a mount that fails says on what", async (t) => {
		failing(t, () => mount("none", join(folder, "none"), "tmpfs", 0), { call: "mount", errno: 2, object: join(folder, "none") });
		failing(t, () => mount("none", folder, "no-such-fs", 0), { call: "mount", errno: 19, message: `mount ${folder}: No such device` });
		failing(t, () => umount(folder), { call: "umount2", errno: 22 });
		failing(t, () => fsmount("no-such-fs", {}), { call: "fsopen", errno: 19 });
		failing(t, () => fsmount("tmpfs", { "no-such-option": "x" }), { call: "fsconfig", errno: 22 });
	});
});
