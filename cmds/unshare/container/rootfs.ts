/**
 * The container's root: what is mounted in it, and pivot_root(2) into it.
 *
 * An image is hostile input. Each place in it is looked up by openat2(2) with RESOLVE_IN_ROOT, beneath a descriptor of the
 * root, and mounted on by descriptor, so that no link of the image leads out of it, whoever changes it meanwhile.
 */
import { EEXIST, EINVAL, ELOOP, ENOENT, ENOSYS, ENOTDIR } from "../../../native/linux/errno.ts";
import {
	AT_FDCWD,
	AT_RECURSIVE,
	close,
	fchdir,
	O_CREAT,
	O_DIRECTORY,
	O_EXCL,
	O_NOFOLLOW,
	O_PATH,
	O_WRONLY,
	open,
	openat2,
	RESOLVE_IN_ROOT,
} from "../../../native/linux/fd.ts";
import {
	fsmount,
	MNT_DETACH,
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
	MS_BIND,
	MS_NODEV,
	MS_NOEXEC,
	MS_NOSUID,
	MS_PRIVATE,
	MS_RDONLY,
	MS_REC,
	MS_REMOUNT,
	mount,
	mountinfo,
	mountSetattr,
	moveMount,
	OPEN_TREE_CLONE,
	openTree,
	pivotRoot,
	umount,
} from "../../../native/linux/mount.ts";
import { mkdir, readlinkIfAny, S_IFDIR, S_IFMT, stat } from "../../../native/linux/stat.ts";
import { strerror } from "../../../native/linux/strerror.ts";
import { dryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";

/** As many links in a row as the kernel follows. */
const MAXSYMLINKS = 40;

/** A detached copy of the mount at a path outside. `option` is what an error names. */
export function cloneMount(path: string, recursive: boolean, option: string, dirfd = AT_FDCWD): number {
	if (dryRun(`open_tree(${dirfd}, ${JSON.stringify(path)}, OPEN_TREE_CLONE${recursive ? "|AT_RECURSIVE" : ""})`))
		return open(path, O_PATH, 0, dirfd);
	try {
		return openTree(dirfd, path, OPEN_TREE_CLONE | (recursive ? AT_RECURSIVE : 0));
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		if (error.errno === EINVAL && !recursive)
			fail(
				`${option} ${show(path)}: ${strerror(EINVAL)}`,
				"in a new user namespace, what is mounted below it has to come along: add the option rec",
			);
		throw new SysError(option, error.errno, path);
	}
}

/**
 * Binds the root on itself, since pivot_root wants a mount, and returns a descriptor of it. What is mounted below comes
 * along. Nothing spreads to or from the host any more.
 */
export function bindRoot(path: string): number {
	const root = cloneMount(path, true, "--rootfs");
	if ((stat("", root).mode & S_IFMT) !== S_IFDIR) throw new SysError("--rootfs", ENOTDIR, path);
	const below = open(path, O_PATH | O_DIRECTORY);
	moveMount(root, below, path);
	close(below);
	return root;
}

/** A new file system, detached. */
export function newMount(type: string, data: Record<string, string>, attributes: number): number {
	const words = Object.keys(data).map((key) => `${key}=${data[key]}`);
	if (dryRun(`fsmount(${type}, "${words.join(",")}", 0x${attributes.toString(16)})`)) return open("/", O_PATH);
	try {
		return fsmount(type, { source: type, ...data }, attributes);
	} catch (error) {
		throw error instanceof SysError ? new SysError("mount", error.errno, type) : error;
	}
}

/** Stops mounts from spreading to the host and back. */
export function makePrivate(propagation = MS_REC | MS_PRIVATE) {
	if (propagation !== 0) mount(null, "/", null, propagation);
}

function isErrno(error: unknown, ...errnos: number[]): boolean {
	return error instanceof SysError && errnos.includes(error.errno);
}

/** Opens a place in the root, or returns undefined where it is not there. */
export function openInside(root: number, path: string, flags = O_PATH): number | undefined {
	try {
		return openat2(root, path, flags, RESOLVE_IN_ROOT);
	} catch (error) {
		if (isErrno(error, ENOENT, ENOTDIR)) return undefined;
		throw error;
	}
}

/**
 * Opens a place in the root; a folder or an empty file is made there if need be, and the folders above. `links` have been
 * followed on the way.
 */
export function openOrMake(root: number, path: string, kind: "folder" | "file", links = 0): number {
	if (links > MAXSYMLINKS) throw new SysError("openat2", ELOOP, path);
	/* From the first folder on that is not there: an image's link can name more of them than calls can be nested. */
	let end = path.length;
	let found = openInside(root, path);
	while (found === undefined && end > 0) {
		end = path.lastIndexOf("/", end - 1);
		found = openInside(root, path.slice(0, end) || "/");
	}
	while (end < path.length) {
		const start = end + 1;
		end = path.indexOf("/", start) < 0 ? path.length : path.indexOf("/", start);
		const parent = found as number;
		found = make(root, parent, path.slice(0, end), start, end < path.length ? "folder" : kind, links);
		close(parent);
	}
	return found as number;
}

/** Makes the last component of a path, which begins at `start`, in the folder above it, and opens it. */
function make(root: number, parent: number, path: string, start: number, kind: "folder" | "file", links: number): number {
	const name = path.slice(start);
	try {
		if (kind === "folder") mkdir(name, 0o755, parent);
		else close(open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644, parent));
	} catch (error) {
		if (!isErrno(error, EEXIST)) throw named(error, path);
		/* A link that leads nowhere yet: what it names is made in its place. "." and ".." are there, and are no links. */
		const link = readlinkIfAny(name, parent);
		if (link !== undefined) return openOrMake(root, link.startsWith("/") ? link : `${path.slice(0, start)}${link}`, kind, links + 1);
	}
	return openat2(root, path, O_PATH, RESOLVE_IN_ROOT);
}

/** The error of a step on part of a path, with all of the path. */
function named(error: unknown, path: string): unknown {
	return error instanceof SysError ? new SysError(error.call, error.errno, path) : error;
}

/** Attaches a detached mount at a place in the root, which is made if need be. */
export function attach(mounted: number, root: number, path: string) {
	const isFolder = (stat("", mounted).mode & S_IFMT) === S_IFDIR;
	if (dryRun(`move_mount(${mounted}, "", beneath(${root}, ${JSON.stringify(path)}), "", ...)`)) return;
	const target = openOrMake(root, path, isFolder ? "folder" : "file");
	const targetIsFolder = (stat("", target).mode & S_IFMT) === S_IFDIR;
	if (isFolder !== targetIsFolder)
		fail(`mount ${show(path)}: ${targetIsFolder ? "a folder is there, the source is none" : "it is no folder, the source is one"}`);
	moveMount(mounted, target, path);
	close(target);
}

const REMOUNT: [attribute: number, flag: number, word: string][] = [
	[MOUNT_ATTR_RDONLY, MS_RDONLY, "ro"],
	[MOUNT_ATTR_NOSUID, MS_NOSUID, "nosuid"],
	[MOUNT_ATTR_NODEV, MS_NODEV, "nodev"],
	[MOUNT_ATTR_NOEXEC, MS_NOEXEC, "noexec"],
];

/**
 * Sets MOUNT_ATTR_* on an attached mount, with `recursive` also on what is mounted below it. Before Linux 5.12 each mount
 * is bound anew, with the options that it has and those.
 */
export function setAttributes(mounted: number, set: number, options: { recursive?: boolean; clear?: number; propagation?: number } = {}) {
	if (set === 0 && !options.clear && !options.propagation) return;
	try {
		mountSetattr(mounted, set, options);
	} catch (error) {
		if (!isErrno(error, ENOSYS)) throw error;
		if (options.propagation) mount(null, `/proc/self/fd/${mounted}`, null, options.propagation | (options.recursive ? MS_REC : 0));
		remount(mounted, set, options.clear ?? 0, options.recursive === true);
	}
}

/** What a mount has is kept: in a user namespace it is locked, and leaving it out is refused with EPERM. */
function remount(mounted: number, set: number, clear: number, recursive: boolean) {
	const id = stat("", mounted).mountId;
	const table = mountinfo();
	const top = table.find((entry) => entry.id === id);
	const isBelow = (entry: { id: number; parent: number }): boolean => {
		for (let at = entry.parent; ; ) {
			if (at === id) return true;
			const parent = table.find((other) => other.id === at);
			if (!parent || parent.parent === at) return false;
			at = parent.parent;
		}
	};
	for (const entry of table) {
		if (entry !== top && !(recursive && isBelow(entry))) continue;
		const has = entry.options.split(",");
		let flags = MS_REMOUNT | MS_BIND;
		for (const [attribute, flag, word] of REMOUNT)
			if ((set & attribute) !== 0 || (has.includes(word) && (clear & attribute) === 0)) flags |= flag;
		mount(null, entry === top ? `/proc/self/fd/${mounted}` : entry.target, null, flags);
	}
}

/** True where the mount at a descriptor is read-only. */
export function isReadOnly(mounted: number): boolean {
	const id = stat("", mounted).mountId;
	return mountinfo().some((entry) => entry.id === id && entry.options.split(",").includes("ro"));
}

/** Makes `root` the root of this mount namespace, and lets go of the old one: from now on no path leads there. */
export function changeRoot(root: number) {
	fchdir(root);
	/* The old root ends up on top of the new one, where "." finds it: no folder of the image is needed (man 2 pivot_root). */
	pivotRoot(".", ".");
	umount(".", MNT_DETACH);
	fchdir(root);
}
