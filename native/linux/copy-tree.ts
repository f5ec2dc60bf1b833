/**
 * Copies what is below an open folder into another: content (sharing its blocks where the file system can), holes, hard
 * links, owners, modes, times, extended attributes with ACLs, links, FIFOs and, where wanted, device nodes.
 *
 * The tree may be changed meanwhile, and by an enemy: each file is opened once, by its name in its open folder and never
 * through a link, and what is made is made by its name in the new folder, never through a link.
 */
import { copyBytes } from "./copy.ts";
import { EINVAL, ENOENT, ENXIO, EOPNOTSUPP, EPERM } from "./errno.ts";
import {
	AT_EMPTY_PATH,
	AT_SYMLINK_NOFOLLOW,
	close,
	O_CREAT,
	O_DIRECTORY,
	O_EXCL,
	O_NOFOLLOW,
	O_NONBLOCK,
	O_RDONLY,
	O_WRONLY,
	open,
	readdirOf,
} from "./fd.ts";
import * as nr from "./nr.ts";
import { chown, mkdir, mknod, readlink, S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, statxStruct, symlink } from "./stat.ts";
import { struct } from "./struct.ts";
import { call, SysError, tryCall } from "./syscall.ts";
import { xattrsOf } from "./tar/archive.ts";
import { makedev } from "./tar/extract.ts";

export const FICLONE = 0x40049409;
const SEEK_SET = 0;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const permissions = 0o7777;

export interface CopyOptions {
	/** Device nodes, too. */
	devices?: boolean;
	/** Gives the folder itself the owner, mode, times and attributes of the other. */
	withRoot?: boolean;
}

const timespecs = /* @__PURE__ */ struct([
	["atime_sec", "s64"],
	["atime_nsec", "s64"],
	["mtime_sec", "s64"],
	["mtime_nsec", "s64"],
]);

type Node = ReturnType<typeof statxStruct.unpack>;

function nodeOf(dirfd: number, name: string): Node | undefined {
	const bytes = new Uint8Array(statxStruct.size);
	const flags = name === "" ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
	const result = tryCall("statx", nr.SYS_statx, dirfd, name, flags, 0x7ff, bytes);
	if (result === -ENOENT) return undefined;
	if (result < 0) throw new SysError("statx", -result, name);
	return statxStruct.unpack(bytes);
}

/** Copies all that is in the open folder `from` into the open folder `to`, which is empty. Throws SysError. */
export function copyTree(from: number, to: number, options: CopyOptions = {}) {
	/* The first place of each file that has several, by device and inode. */
	const links: Record<string, string> = Object.create(null);
	const old = call("umask", nr.SYS_umask, 0);
	try {
		copyFolder(from, to, "", to, links, options);
		if (options.withRoot) decorate(from, to, nodeOf(from, "") as Node);
	} finally {
		call("umask", nr.SYS_umask, old);
	}
}

function copyFolder(from: number, to: number, path: string, root: number, links: Record<string, string>, options: CopyOptions) {
	for (const name of readdirOf(from)) {
		const node = nodeOf(from, name);
		if (!node) continue;
		const kind = node.stx_mode & S_IFMT;
		const key = `${node.stx_dev_major}:${node.stx_dev_minor}:${node.stx_ino}`;
		if (kind !== S_IFDIR && node.stx_nlink > 1) {
			const first = links[key];
			if (first !== undefined) {
				call("linkat", nr.SYS_linkat, root, first, to, name, 0);
				continue;
			}
		}
		if (kind === S_IFDIR) {
			mkdir(name, 0o700, to);
			withOpen(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, (source) => {
				withOpen(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, (target) => {
					copyFolder(source, target, `${path}${name}/`, root, links, options);
					decorate(source, target, nodeOf(source, "") as Node);
				});
			});
		} else if (kind === S_IFREG) copyRegular(from, to, name);
		else if ((kind !== S_IFBLK && kind !== S_IFCHR) || options.devices) copyOther(from, to, name, node);
		else continue;
		if (kind !== S_IFDIR && node.stx_nlink > 1) links[key] = path + name;
	}
}

function withOpen(dirfd: number, name: string, flags: number, work: (fd: number) => void) {
	let fd: number;
	try {
		fd = open(name, flags, 0, dirfd);
	} catch (error) {
		/* It is gone, or something else by now. */
		if (error instanceof SysError && (error.errno === ENOENT || error.errno === ENXIO)) return;
		throw error;
	}
	try {
		work(fd);
	} finally {
		close(fd);
	}
}

function copyRegular(from: number, to: number, name: string) {
	withOpen(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, (source) => {
		const node = nodeOf(source, "") as Node;
		if ((node.stx_mode & S_IFMT) !== S_IFREG) return;
		const target = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600, to);
		try {
			if (tryCall("ioctl", nr.SYS_ioctl, target, FICLONE, source) < 0) copyData(source, target, node.stx_size);
			decorate(source, target, node);
		} finally {
			close(target);
		}
	});
}

/** What lies between holes, at its place. */
function copyData(source: number, target: number, size: number) {
	for (let at = 0; at < size; ) {
		const data = tryCall("lseek", nr.SYS_lseek, source, at, SEEK_DATA);
		/* ENXIO: only a hole is left. */
		if (data < 0) break;
		const hole = call("lseek", nr.SYS_lseek, source, data, SEEK_HOLE);
		call("lseek", nr.SYS_lseek, source, data, SEEK_SET);
		call("lseek", nr.SYS_lseek, target, data, SEEK_SET);
		copyRange(source, target, data, Math.min(hole, size) - data);
		at = hole;
	}
	call("ftruncate", nr.SYS_ftruncate, target, size);
}

/** From the positions that both have, `at`. Blocks are shared where the file system can (copy_file_range). */
function copyRange(source: number, target: number, at: number, length: number) {
	let done = 0;
	while (done < length) {
		const moved = tryCall("copy_file_range", nr.SYS_copy_file_range, source, null, target, null, Math.min(length - done, 0x40000000), 0);
		if (moved <= 0) break;
		done += moved;
	}
	if (done < length) copyBytes(source, target, length - done, at + done);
}

/** Owner, attributes, mode and times of an open file; the mode after the owner, whose change takes setuid away. */
function decorate(source: number, target: number, node: Node) {
	chown("", node.stx_uid, node.stx_gid, target);
	for (const [key, value] of xattrsOf(source)) {
		const result = tryCall("fsetxattr", nr.SYS_fsetxattr, target, key, value, value.length, 0);
		if (result < 0 && result !== -EOPNOTSUPP && result !== -EPERM && result !== -EINVAL) throw new SysError("fsetxattr", -result, key);
	}
	call("fchmod", nr.SYS_fchmod, target, node.stx_mode & permissions);
	call("utimensat", nr.SYS_utimensat, target, null, timesOf(node), 0);
}

function timesOf({ stx_atime, stx_mtime }: Node): Uint8Array {
	return timespecs.pack({
		atime_sec: stx_atime.tv_sec,
		atime_nsec: stx_atime.tv_nsec,
		mtime_sec: stx_mtime.tv_sec,
		mtime_nsec: stx_mtime.tv_nsec,
	});
}

function copyOther(from: number, to: number, name: string, node: Node) {
	const kind = node.stx_mode & S_IFMT;
	/* With its mode from the start (the umask is 0): to change it later would follow a link that somebody has put there. */
	if (kind === S_IFLNK) symlink(readlink(name, from), name, to);
	else mknod(name, node.stx_mode, makedev(node.stx_rdev_major, node.stx_rdev_minor), to);
	chown(name, node.stx_uid, node.stx_gid, to);
	call("utimensat", nr.SYS_utimensat, to, name, timesOf(node), AT_SYMLINK_NOFOLLOW);
}
