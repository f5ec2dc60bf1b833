/** The container's root: mounts to attach in it, their attributes, and pivot_root(2) into it. */
import { EINVAL, ENOSYS } from "../../../native/linux/errno.ts";
import { AT_FDCWD, AT_RECURSIVE, close, dup, fchdir, O_DIRECTORY, O_PATH, open } from "../../../native/linux/fd.ts";
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
import { stat } from "../../../native/linux/stat.ts";
import { strerror } from "../../../native/linux/strerror.ts";
import { dryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";

/** A detached copy of the mount at a path outside. `option` is what an error names. */
export function cloneMount(path: string, recursive: boolean, option: string, dirfd = AT_FDCWD): number {
	if (dryRun(`open_tree(${dirfd}, ${JSON.stringify(path)}, OPEN_TREE_CLONE${recursive ? "|AT_RECURSIVE" : ""})`))
		return path === "" ? dup(dirfd) : open(path, O_PATH, 0, dirfd);
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
	const below = openRoot(path);
	const root = cloneMount("", true, "--rootfs", below);
	moveMount(root, below, path);
	close(below);
	return root;
}

function openRoot(path: string): number {
	try {
		return open(path, O_PATH | O_DIRECTORY);
	} catch (error) {
		throw error instanceof SysError ? new SysError("--rootfs", error.errno, path) : error;
	}
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
