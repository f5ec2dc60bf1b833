/** What files are (man 2 statx, statfs, faccessat2), and making, naming and removing them (mkdirat, renameat2, unlinkat ...). */
import * as host from "#host";
import { EEXIST, ENOENT, ENOSYS } from "./errno.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW } from "./fd.ts";
import * as nr from "./nr.ts";
import { getU64, struct } from "./struct.ts";
import { call, change, SysError, tryCall, tryChange } from "./syscall.ts";

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

export function mkdir(path: string, mode = 0o755, dirfd = AT_FDCWD) {
	change("mkdirat", nr.SYS_mkdirat, dirfd, path, mode);
}

/** mkdir(2), whose refusal is no surprise: 0, or -errno (-EEXIST, -ENOENT ...). */
export function tryMkdir(path: string, mode = 0o755): number {
	return tryChange("mkdirat", nr.SYS_mkdirat, AT_FDCWD, path, mode);
}

/** rmdir(2), the same: 0, or -errno (-ENOENT, -EBUSY, -ENOTEMPTY ...). */
export function tryRmdir(path: string): number {
	return tryChange("unlinkat", nr.SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

/** Makes the folder and those above it; one that exists is left as it is. */
export function mkdirAll(path: string, mode = 0o755) {
	const result = tryChange("mkdirat", nr.SYS_mkdirat, AT_FDCWD, path, mode);
	if (result === -ENOENT) {
		mkdirAll(path.replace(/\/+[^/]+\/*$/, "") || "/", mode);
		mkdir(path, mode);
	} else if (result < 0 && result !== -EEXIST) {
		throw new SysError("mkdirat", -result, path);
	}
}

export function unlink(path: string, dirfd = AT_FDCWD) {
	change("unlinkat", nr.SYS_unlinkat, dirfd, path, 0);
}

export function rmdir(path: string, dirfd = AT_FDCWD) {
	change("unlinkat", nr.SYS_unlinkat, dirfd, path, AT_REMOVEDIR);
}

/** Removes a file; one that is gone already is fine. */
export function unlinkIfAny(path: string, dirfd = AT_FDCWD) {
	const result = tryChange("unlinkat", nr.SYS_unlinkat, dirfd, path, 0);
	if (result < 0 && result !== -ENOENT) throw new SysError("unlinkat", -result, path);
}

export function rename(from: string, to: string) {
	change("renameat2", nr.SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

export function symlink(target: string, path: string, dirfd = AT_FDCWD) {
	change("symlinkat", nr.SYS_symlinkat, target, dirfd, path);
}

export function readlink(path: string, dirfd = AT_FDCWD): string {
	const bytes = new Uint8Array(4096);
	return host.decode(bytes, 0, call("readlinkat", nr.SYS_readlinkat, dirfd, path, bytes, bytes.length));
}

/** The link's target, or undefined where there is none or it may not be read. */
export function readlinkIfAny(path: string, dirfd = AT_FDCWD): string | undefined {
	const bytes = new Uint8Array(4096);
	const length = tryCall("readlinkat", nr.SYS_readlinkat, dirfd, path, bytes, bytes.length);
	return length < 0 ? undefined : host.decode(bytes, 0, length);
}

export function mknod(path: string, mode: number, device: number, dirfd = AT_FDCWD) {
	change("mknodat", nr.SYS_mknodat, dirfd, path, mode, device);
}

export function chmod(path: string, mode: number, dirfd = AT_FDCWD) {
	change("fchmodat", nr.SYS_fchmodat, dirfd, path, mode);
}

/** Changes the owner of a path (a link itself, not its target), or of `dirfd` itself where the path is "". */
export function chown(path: string, uid: number, gid: number, dirfd = AT_FDCWD) {
	change("fchownat", nr.SYS_fchownat, dirfd, path, uid, gid, AT_SYMLINK_NOFOLLOW | (path === "" ? AT_EMPTY_PATH : 0));
}

export function exists(path: string, dirfd = AT_FDCWD): boolean {
	return tryCall("faccessat2", nr.SYS_faccessat2, dirfd, path, 0, 0) === 0 || statIfAny(path, dirfd) !== undefined;
}

const X_OK = 1;
const AT_EACCESS = 0x200;

/** The errno with which executing the file would be refused, 0 if it would not. */
export function checkExecutable(path: string): number {
	const result = tryCall("faccessat2", nr.SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS);
	return result === -ENOSYS ? -tryCall("faccessat", nr.SYS_faccessat, AT_FDCWD, path, X_OK) : -result;
}

const W_OK = 2;

/** True if this process may write to the file: not where its mount is read-only. */
export function checkWritable(path: string): boolean {
	const result = tryCall("faccessat2", nr.SYS_faccessat2, AT_FDCWD, path, W_OK, AT_EACCESS);
	return (result === -ENOSYS ? tryCall("faccessat", nr.SYS_faccessat, AT_FDCWD, path, W_OK) : result) === 0;
}

export const statxTimestamp = /* @__PURE__ */ struct([
	["tv_sec", "s64"],
	["tv_nsec", "u32"],
	["__reserved", "s32"],
]);

/** linux/stat.h, the part that statx(2) always fills in. */
export const statxStruct = /* @__PURE__ */ struct([
	["stx_mask", "u32"],
	["stx_blksize", "u32"],
	["stx_attributes", "u64"],
	["stx_nlink", "u32"],
	["stx_uid", "u32"],
	["stx_gid", "u32"],
	["stx_mode", "u16"],
	["__spare0", "u16"],
	["stx_ino", "u64"],
	["stx_size", "u64"],
	["stx_blocks", "u64"],
	["stx_attributes_mask", "u64"],
	["stx_atime", statxTimestamp],
	["stx_btime", statxTimestamp],
	["stx_ctime", statxTimestamp],
	["stx_mtime", statxTimestamp],
	["stx_rdev_major", "u32"],
	["stx_rdev_minor", "u32"],
	["stx_dev_major", "u32"],
	["stx_dev_minor", "u32"],
	["stx_mnt_id", "u64"],
	["__spare3", "u8[104]"],
]);

export interface Stat {
	mode: number;
	uid: number;
	gid: number;
	ino: number;
	size: number;
	nlink: number;
	/** The file system's device, `major:minor`. */
	dev: string;
	/** A device node's device, `major:minor`. */
	rdev: string;
	/** Seconds since 1970. */
	mtime: number;
	mountId: number;
}

const STATX_BASIC_STATS = 0x7ff;
const STATX_MNT_ID = 0x1000;

function statWith(path: string, dirfd: number, flags: number): Stat | number {
	const bytes = new Uint8Array(statxStruct.size);
	const result = tryCall("statx", nr.SYS_statx, dirfd, path, flags, STATX_BASIC_STATS | STATX_MNT_ID, bytes);
	if (result < 0) return result;
	const s = statxStruct.unpack(bytes);
	return {
		mode: s.stx_mode,
		uid: s.stx_uid,
		gid: s.stx_gid,
		ino: s.stx_ino,
		size: s.stx_size,
		nlink: s.stx_nlink,
		dev: `${s.stx_dev_major}:${s.stx_dev_minor}`,
		rdev: `${s.stx_rdev_major}:${s.stx_rdev_minor}`,
		mtime: s.stx_mtime.tv_sec,
		mountId: s.stx_mnt_id,
	};
}

/** stat(2); follows links. An empty path asks about `dirfd` itself. */
export function stat(path: string, dirfd = AT_FDCWD): Stat {
	const result = statWith(path, dirfd, path === "" ? AT_EMPTY_PATH : 0);
	if (typeof result === "number") throw new SysError("stat", -result, path);
	return result;
}

/** lstat(2), or undefined where there is nothing. */
export function lstatIfAny(path: string, dirfd = AT_FDCWD): Stat | undefined {
	const result = statWith(path, dirfd, AT_SYMLINK_NOFOLLOW);
	return typeof result === "number" ? undefined : result;
}

export function statIfAny(path: string, dirfd = AT_FDCWD): Stat | undefined {
	const result = statWith(path, dirfd, path === "" ? AT_EMPTY_PATH : 0);
	return typeof result === "number" ? undefined : result;
}

let asked: Uint8Array | undefined;

/**
 * The links of a folder: two, and one for each folder in it on most file systems; 0 where there is none, or something else.
 * For those who ask of many folders: no more is read of what the kernel gives.
 */
export function folderLinks(path: string): number {
	asked ??= new Uint8Array(statxStruct.size);
	if (tryCall("statx", nr.SYS_statx, AT_FDCWD, path, 0, STATX_BASIC_STATS, asked) < 0) return 0;
	const { stx_mode, stx_nlink } = statxStruct.offset;
	const mode = (asked[stx_mode] as number) | ((asked[stx_mode + 1] as number) << 8);
	return (mode & S_IFMT) !== S_IFDIR ? 0 : new DataView(asked.buffer).getUint32(stx_nlink, true);
}

export const NSFS_MAGIC = 0x6e736673;
export const PROC_SUPER_MAGIC = 0x9fa0;
export const TMPFS_MAGIC = 0x01021994;
export const CGROUP2_SUPER_MAGIC = 0x63677270;
export const CGROUP_SUPER_MAGIC = 0x27e0eb;
export const OVERLAYFS_SUPER_MAGIC = 0x794c7630;
export const DEVPTS_SUPER_MAGIC = 0x1cd1;
export const SYSFS_MAGIC = 0x62656572;

/** The type of the file system that a descriptor or path is on: one of the *_MAGIC of linux/magic.h. */
export function fileSystemType(file: number | string): number {
	const bytes = new Uint8Array(120);
	if (typeof file === "number") call("fstatfs", nr.SYS_fstatfs, file, bytes);
	else call("statfs", nr.SYS_statfs, file, bytes);
	return getU64(new DataView(bytes.buffer), 0);
}

/** Bytes of a descriptor's file system that an ordinary user can still fill: man 2 statfs. */
export function freeSpace(fd: number): number {
	/* struct statfs: u64 f_type, f_bsize, f_blocks, f_bfree, f_bavail */
	const bytes = new Uint8Array(120);
	call("fstatfs", nr.SYS_fstatfs, fd, bytes);
	const view = new DataView(bytes.buffer);
	return getU64(view, 8) * getU64(view, 32);
}

const AT_SYMLINK_FOLLOW = 0x400;

/** Gives an open file another name: man 2 linkat, by /proc/self/fd, which needs no right of its own. */
export function linkOpen(fd: number, path: string) {
	change("linkat", nr.SYS_linkat, AT_FDCWD, `/proc/self/fd/${fd}`, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}
