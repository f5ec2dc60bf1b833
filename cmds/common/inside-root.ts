/**
 * Places in a root that is not trusted: an image's, a container's, a volume's.
 *
 * Each is looked up beneath a descriptor of the root, by openat2(2) with RESOLVE_IN_ROOT or a name at a time, opened once, and
 * used by that descriptor: no link in the root leads out of it, whoever changes it meanwhile.
 */
import { EEXIST, ELOOP, ENOENT, ENOTDIR } from "../../native/linux/errno.ts";
import {
	close,
	dup,
	O_CREAT,
	O_DIRECTORY,
	O_EXCL,
	O_NOFOLLOW,
	O_PATH,
	O_WRONLY,
	open,
	openat2,
	RESOLVE_IN_ROOT,
	RESOLVE_NO_SYMLINKS,
} from "../../native/linux/fd.ts";
import { moveMount } from "../../native/linux/mount.ts";
import { mkdir, readlink, S_IFDIR, S_IFLNK, S_IFMT, stat } from "../../native/linux/stat.ts";
import { dryRun, SysError } from "../../native/linux/syscall.ts";
import { fail, show } from "./errors.ts";

/** As many links in a row as the kernel follows. */
const MAXSYMLINKS = 40;

/** How many names a walk may look at, those of ".." again: links of an image can multiply them. */
const MAX_NAMES = 400_000;

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

/** Opens a place in the root; a folder or an empty file is made there if need be, and the folders above, links followed. */
export function openOrMake(root: number, path: string, kind: "folder" | "file"): number {
	return openInside(root, path) ?? walk(root, path, kind);
}

/** A name at a time, from descriptor to descriptor, so that it takes no longer than the path is long. */
function walk(root: number, path: string, kind: "folder" | "file"): number {
	const fail = (errno: number): never => {
		throw new SysError("openat2", errno, path);
	};
	const split = (text: string) => text.split("/").filter((name) => name !== "" && name !== ".");
	/* What is yet to be walked, the next name last. */
	const rest = split(path).reverse();
	let above: string[] = [];
	let folder = dup(root, 3);
	let links = 0;
	let budget = MAX_NAMES;
	const enter = (fd: number) => {
		close(folder);
		folder = fd;
	};
	try {
		for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
			if (budget-- <= 0) fail(ELOOP);
			if (name === "..") {
				/* Not by "..", which leads out of the root where somebody has moved the folder meanwhile. */
				above.pop();
				budget -= above.length;
				enter(openat2(root, `/${above.join("/")}`, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT));
				continue;
			}
			const found = openName(folder, name, rest.length > 0 ? "folder" : kind, `/${[...above, name].join("/")}`);
			if ((stat("", found).mode & S_IFMT) !== S_IFLNK) {
				if (rest.length > 0 && (stat("", found).mode & S_IFMT) !== S_IFDIR) {
					close(found);
					fail(ENOTDIR);
				}
				above.push(name);
				enter(found);
				continue;
			}
			const target = readlink("", found);
			close(found);
			if (++links > MAXSYMLINKS) fail(ELOOP);
			if (target.startsWith("/")) {
				above = [];
				enter(dup(root, 3));
			}
			rest.push(...split(target).reverse());
		}
		return dup(folder, 3);
	} finally {
		close(folder);
	}
}

/** Opens one name in a folder, a link as itself, and makes it if it is not there. */
function openName(folder: number, name: string, kind: "folder" | "file", path: string): number {
	try {
		return open(name, O_PATH | O_NOFOLLOW, 0, folder);
	} catch (error) {
		if (!isErrno(error, ENOENT)) throw error;
	}
	try {
		if (kind === "folder") mkdir(name, 0o755, folder);
		else close(open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644, folder));
	} catch (error) {
		if (!isErrno(error, EEXIST)) throw error instanceof SysError ? new SysError(error.call, error.errno, path) : error;
	}
	return open(name, O_PATH | O_NOFOLLOW, 0, folder);
}

/** Opens a folder of the root to mount on, no component of whose path may be a link; made if need be. */
export function openPlainFolder(root: number, path: string): number {
	const plain = () => openat2(root, path, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
	try {
		return plain();
	} catch (error) {
		if (isErrno(error, ELOOP, ENOTDIR)) fail(`mount ${show(path)}: it is ${isErrno(error, ELOOP) ? "a link" : "no folder"} in the root`);
		if (!isErrno(error, ENOENT)) throw error;
	}
	close(openOrMake(root, path, "folder"));
	return plain();
}

/** Attaches a detached mount at a place in the root, which is made if need be. */
export function attachInside(mounted: number, root: number, path: string) {
	const isFolder = (stat("", mounted).mode & S_IFMT) === S_IFDIR;
	if (dryRun(`move_mount(${mounted}, "", beneath(${root}, ${JSON.stringify(path)}), "", ...)`)) return;
	const target = openOrMake(root, path, isFolder ? "folder" : "file");
	const targetIsFolder = (stat("", target).mode & S_IFMT) === S_IFDIR;
	if (isFolder !== targetIsFolder)
		fail(`mount ${show(path)}: ${targetIsFolder ? "a folder is there, the source is none" : "it is no folder, the source is one"}`);
	moveMount(mounted, target, path);
	close(target);
}

/** The same for a file system that programs trust by its place, as proc and sysfs: a link of the image is no such place. */
export function attachPlain(mounted: number, root: number, path: string) {
	if (dryRun(`move_mount(${mounted}, "", beneath(${root}, ${JSON.stringify(path)}), "", ...)`)) return;
	const target = openPlainFolder(root, path);
	moveMount(mounted, target, path);
	close(target);
	const above = openat2(root, path, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
	const isThere = stat("", above).mountId === stat("", mounted).mountId;
	close(above);
	/* Somebody who has the root as well has put something else in its place. */
	if (!isThere) fail(`mount ${show(path)}: the folder was exchanged meanwhile`);
}
