/**
 * Files, folders and descriptors: man 2 openat, openat2, statx, getdents64 ...
 *
 * Every descriptor is made with O_CLOEXEC: what a program is to inherit is passed on by name (process.ts).
 */
import * as host from "#host";
import type { Argument } from "../host/host.d.ts";
import { EACCES, EAGAIN, EEXIST, ENOENT, ENOSYS, ENOTDIR, ESRCH } from "./errno.ts";
import * as nr from "./nr.ts";
import { getU64, struct } from "./struct.ts";
import { call, change, dryRun, isDryRun, SysError, tryCall, tryChange } from "./syscall.ts";

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_EMPTY_PATH = 0x1000;
export const AT_RECURSIVE = 0x8000;

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NOCTTY = 0o400;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;
export const O_NOFOLLOW = process.arch === "arm64" ? 0o100000 : 0o400000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;

/** man 2 openat2: how a path may be walked. */
export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;
export const RESOLVE_IN_ROOT = 0x10;

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

export const openHow = /* @__PURE__ */ struct([
	["flags", "u64"],
	["mode", "u64"],
	["resolve", "u64"],
]);

/** Opens a path, relative to `dirfd`; the mode is for a file that O_CREAT makes. */
export function open(path: string, flags: number, mode = 0, dirfd = AT_FDCWD): number {
	const writes = (flags & (O_WRONLY | O_RDWR | O_CREAT)) !== 0;
	return (writes ? change : call)("openat", nr.SYS_openat, dirfd, path, flags | O_CLOEXEC, mode);
}

/** Opens a path below `dirfd`, walked as `resolve` says (RESOLVE_IN_ROOT: as a chroot would). Linux 5.6. */
export function openat2(dirfd: number, path: string, flags: number, resolve: number, mode = 0): number {
	const how = openHow.pack({ flags: flags | O_CLOEXEC, mode, resolve });
	for (;;) {
		const fd = tryCall("openat2", nr.SYS_openat2, dirfd, path, how, how.length);
		if (fd >= 0) return fd;
		/* A rename or mount somewhere raced with a walk over "..": the manual asks for another try. */
		if (fd !== -EAGAIN) throw new SysError("openat2", -fd, path);
	}
}

export function close(fd: number) {
	if (!isDryRun() || fd > 2) tryCall("close", nr.SYS_close, fd);
}

/** One read(2): the number of bytes that came, 0 at the end. */
export function read(fd: number, into: Uint8Array): number {
	return call("read", nr.SYS_read, fd, into, into.length);
}

/** One write(2): the number of bytes that were taken. */
export function writeSome(fd: number, bytes: Uint8Array): number {
	return call("write", nr.SYS_write, fd, bytes, bytes.length);
}

/** Writes all of the text or bytes. Throws SysError (EPIPE, ENOSPC ...). */
export function write(fd: number, data: string | Uint8Array | ArrayBuffer) {
	let bytes = typeof data === "string" ? new Uint8Array(host.encode(data)) : data instanceof ArrayBuffer ? new Uint8Array(data) : data;
	while (bytes.length > 0) {
		const written = call("write", nr.SYS_write, fd, bytes, bytes.length);
		bytes = bytes.subarray(written);
	}
}

/** All that a descriptor still has to give. */
export function readAll(fd: number, limit = Infinity): Uint8Array {
	let bytes = new Uint8Array(4096);
	let length = 0;
	for (;;) {
		if (length === bytes.length) {
			const larger = new Uint8Array(2 * length);
			larger.set(bytes);
			bytes = larger;
		}
		const got = read(fd, bytes.subarray(length));
		length += got;
		if (got === 0 || length >= limit) return bytes.subarray(0, length);
	}
}

/** A file's text. Throws SysError with the path. */
export function readFile(path: string, dirfd = AT_FDCWD): string {
	const fd = open(path, O_RDONLY, 0, dirfd);
	try {
		return host.decode(readAll(fd));
	} catch (error) {
		throw error instanceof SysError ? new SysError(error.call, error.errno, path) : error;
	} finally {
		close(fd);
	}
}

/** A file's text, or undefined where it does not exist (or its process has gone: /proc says ESRCH). */
export function readFileIfAny(path: string, dirfd = AT_FDCWD): string | undefined {
	try {
		return readFile(path, dirfd);
	} catch (error) {
		if (error instanceof SysError && (error.errno === ENOENT || error.errno === ENOTDIR || error.errno === ESRCH)) return undefined;
		throw error;
	}
}

/** Writes a kernel file (/proc, /sys, cgroup) with one write(2), as those demand. Throws SysError with the path. */
export function writeKernelFile(path: string, text: string, dirfd = AT_FDCWD) {
	if (dryRun(`write ${path} ${JSON.stringify(text)}`)) return;
	const fd = open(path, O_WRONLY, 0, dirfd);
	try {
		const bytes = host.encode(text);
		const result = tryCall("write", nr.SYS_write, fd, bytes, bytes.byteLength);
		if (result < 0) throw new SysError("write", -result, path);
	} finally {
		close(fd);
	}
}

export function mkdir(path: string, mode = 0o755, dirfd = AT_FDCWD) {
	change("mkdirat", nr.SYS_mkdirat, dirfd, path, mode);
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
	["stx_atime", "u8[16]"],
	["stx_btime", "u8[16]"],
	["stx_ctime", "u8[16]"],
	["stx_mtime", "u8[16]"],
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
		mtime: getU64(new DataView(s.stx_mtime.buffer, s.stx_mtime.byteOffset), 0),
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

/** The names in a folder, without `.` and `..`, as the kernel orders them. */
export function readdir(path: string, dirfd = AT_FDCWD): string[] {
	const fd = open(path, O_RDONLY | O_DIRECTORY, 0, dirfd);
	try {
		return readdirOf(fd);
	} finally {
		close(fd);
	}
}

/**
 * The names in an open folder, from its read position on.
 *
 * linux_dirent64: u64 d_ino, s64 d_off, u16 d_reclen, u8 d_type, char d_name[]
 */
export function readdirOf(fd: number): string[] {
	const names: string[] = [];
	const bytes = new Uint8Array(16384);
	const view = new DataView(bytes.buffer);
	for (;;) {
		const length = call("getdents64", nr.SYS_getdents64, fd, bytes, bytes.length);
		if (length === 0) return names;
		for (let at = 0; at < length; ) {
			const next = at + view.getUint16(at + 16, true);
			let end = at + 19;
			while (bytes[end] !== 0) end++;
			const name = host.decode(bytes, at + 19, end);
			if (name !== "." && name !== "..") names.push(name);
			at = next;
		}
	}
}

/** A pipe: what is written to `writer` comes out of `reader`. */
export function pipe(flags = 0): { reader: number; writer: number } {
	const ends = new Int32Array(2);
	call("pipe2", nr.SYS_pipe2, ends, flags | O_CLOEXEC);
	return { reader: ends[0] as number, writer: ends[1] as number };
}

const F_DUPFD_CLOEXEC = 1030;
const F_GETFD = 1;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const FD_CLOEXEC = 1;

/** Makes `to` the same open file as `from`; it stays open across an exec. */
export function dup2(from: number, to: number) {
	if (from === to) call("fcntl", nr.SYS_fcntl, from, F_SETFD, 0);
	else call("dup3", nr.SYS_dup3, from, to, 0);
}

/** A duplicate of at least `least`, closed by an exec. */
export function dup(fd: number, least = 0): number {
	return call("fcntl", nr.SYS_fcntl, fd, F_DUPFD_CLOEXEC, least);
}

export function setCloseOnExec(fd: number, on: boolean) {
	call("fcntl", nr.SYS_fcntl, fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

export function setNonblocking(fd: number, on: boolean) {
	const now = call("fcntl", nr.SYS_fcntl, fd, F_GETFL);
	call("fcntl", nr.SYS_fcntl, fd, F_SETFL, on ? now | O_NONBLOCK : now & ~O_NONBLOCK);
}

export function isOpen(fd: number): boolean {
	return tryCall("fcntl", nr.SYS_fcntl, fd, F_GETFD) >= 0;
}

const CLOSE_RANGE_CLOEXEC = 4;

/** Marks every descriptor from `first` to `last` to be closed by the next exec. Linux 5.11, before: by /proc/self/fd. */
export function closeRangeOnExec(first: number, last = 0xffffffff) {
	if (tryCall("close_range", nr.SYS_close_range, first, last, CLOSE_RANGE_CLOEXEC) === 0) return;
	for (const name of readdir("/proc/self/fd"))
		if (Number(name) >= first && Number(name) <= last && isOpen(Number(name))) setCloseOnExec(Number(name), true);
}

/** Closes every descriptor from `first` to `last`. Linux 5.9, before: by /proc/self/fd. */
export function closeRange(first: number, last = 0xffffffff) {
	if (first > last || tryCall("close_range", nr.SYS_close_range, first, last, 0) === 0) return;
	for (const name of readdir("/proc/self/fd")) if (Number(name) >= first && Number(name) <= last) close(Number(name));
}

export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;

export function flock(fd: number, operation: number) {
	call("flock", nr.SYS_flock, fd, operation);
}

const F_OFD_SETLK = 37;
const F_OFD_SETLKW = 38;
export const F_RDLCK = 0;
export const F_WRLCK = 1;
export const F_UNLCK = 2;

/** linux/fcntl.h's struct flock; l_whence 0 counts from the start of the file. */
export const flockStruct = /* @__PURE__ */ struct([
	["l_type", "u16"],
	["l_whence", "u16"],
	["l_start", "s64"],
	["l_len", "s64"],
	["l_pid", "s32"],
]);

/**
 * Sets a lock (F_RDLCK, F_WRLCK, F_UNLCK) on bytes of an open file, waiting for it. It goes with the open file, and turns
 * from one kind to the other with no moment between: man 2 fcntl, "Open file description locks".
 */
export function setOfdLock(fd: number, type: number, start: number, length: number) {
	call("fcntl", nr.SYS_fcntl, fd, F_OFD_SETLKW, flockStruct.pack({ l_type: type, l_start: start, l_len: length }));
}

/** The same without waiting: false where someone else has a lock in the way. */
export function tryOfdLock(fd: number, type: number, start: number, length: number): boolean {
	const lock = flockStruct.pack({ l_type: type, l_start: start, l_len: length });
	const result = tryCall("fcntl", nr.SYS_fcntl, fd, F_OFD_SETLK, lock);
	if (result === -EAGAIN || result === -EACCES) return false;
	if (result < 0) throw new SysError("fcntl(F_OFD_SETLK)", -result);
	return true;
}

export function fsync(fd: number) {
	call("fsync", nr.SYS_fsync, fd);
}

export function ioctl(fd: number, request: number, argument: Argument = 0): number {
	return call("ioctl", nr.SYS_ioctl, fd, request, argument);
}

export const MFD_CLOEXEC = 1;
export const MFD_ALLOW_SEALING = 2;

/** A file in memory; man 2 memfd_create. */
export function memfdCreate(name: string, flags = MFD_CLOEXEC): number {
	return call("memfd_create", nr.SYS_memfd_create, name, flags);
}

const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE */
const ALL_SEALS = 15;

/** Makes a file in memory (MFD_ALLOW_SEALING) unchangeable for good. */
export function sealFile(fd: number) {
	call("fcntl", nr.SYS_fcntl, fd, F_ADD_SEALS, ALL_SEALS);
}

export const NSFS_MAGIC = 0x6e736673;
export const PROC_SUPER_MAGIC = 0x9fa0;
export const TMPFS_MAGIC = 0x01021994;
export const CGROUP2_SUPER_MAGIC = 0x63677270;
export const CGROUP_SUPER_MAGIC = 0x27e0eb;
export const OVERLAYFS_SUPER_MAGIC = 0x794c7630;
export const DEVPTS_SUPER_MAGIC = 0x1cd1;

/** The type of the file system that a descriptor or path is on: one of the *_MAGIC of linux/magic.h. */
export function fileSystemType(file: number | string): number {
	const bytes = new Uint8Array(120);
	if (typeof file === "number") call("fstatfs", nr.SYS_fstatfs, file, bytes);
	else call("statfs", nr.SYS_statfs, file, bytes);
	return getU64(new DataView(bytes.buffer), 0);
}

export function chdir(path: string) {
	call("chdir", nr.SYS_chdir, path);
}

export function fchdir(fd: number) {
	call("fchdir", nr.SYS_fchdir, fd);
}

export function getcwd(): string {
	const bytes = new Uint8Array(4096);
	return host.decode(bytes, 0, call("getcwd", nr.SYS_getcwd, bytes, bytes.length) - 1);
}

/** Sets an extended attribute (`user.NAME`, `trusted.NAME`): man 2 setxattr. */
export function setxattr(path: string, name: string, value: string) {
	const bytes = host.encode(value);
	change("setxattr", nr.SYS_setxattr, path, name, bytes, bytes.byteLength, 0);
}

/** An extended attribute's value of up to 4 KiB; undefined where there is none, or the file is not there or has none. */
export function getxattrIfAny(path: string, name: string): string | undefined {
	const bytes = new Uint8Array(4096);
	const length = tryCall("getxattr", nr.SYS_getxattr, path, name, bytes, bytes.length);
	return length < 0 ? undefined : host.decode(bytes, 0, length);
}
