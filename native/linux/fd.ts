/**
 * Descriptors, and what is read and written through them: man 2 openat, openat2, fcntl, getdents64 ...
 *
 * Every descriptor is made with O_CLOEXEC: what a program is to inherit is passed on by name (process.ts).
 */
import * as host from "#host";
import type { Argument } from "../host/host.d.ts";
import { EAGAIN, ENOENT, ENOTDIR, ESRCH } from "./errno.ts";
import * as nr from "./nr.ts";
import { struct } from "./struct.ts";
import { call, change, dryRun, isDryRun, SysError, tryCall } from "./syscall.ts";

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

let page: Uint8Array | undefined;

/**
 * A kernel file's text, or -errno where it cannot be opened or read: for those who ask for many files, of which some are
 * not there. What fits into a page is read by one read(2).
 */
export function tryReadFile(path: string, dirfd = AT_FDCWD): string | number {
	const fd = tryCall("openat", nr.SYS_openat, dirfd, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0) return fd;
	try {
		page ??= new Uint8Array(4096);
		const length = tryCall("read", nr.SYS_read, fd, page, page.length);
		if (length < page.length) return length < 0 ? length : host.decode(page, 0, length);
		const rest = readAll(fd);
		const bytes = new Uint8Array(length + rest.length);
		bytes.set(page);
		bytes.set(rest, length);
		return host.decode(bytes);
	} finally {
		tryCall("close", nr.SYS_close, fd);
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

/** The names in a folder, without `.` and `..`, as the kernel orders them. */
export function readdir(path: string, dirfd = AT_FDCWD, type?: number): string[] {
	const fd = open(path, O_RDONLY | O_DIRECTORY, 0, dirfd);
	try {
		return readdirOf(fd, type);
	} finally {
		close(fd);
	}
}

export const DT_DIR = 4;

/**
 * The names in an open folder, from its read position on; those of one type only (DT_DIR), where the file system tells it.
 *
 * linux_dirent64: u64 d_ino, s64 d_off, u16 d_reclen, u8 d_type, char d_name[]
 */
export function readdirOf(fd: number, type?: number): string[] {
	const names: string[] = [];
	const bytes = new Uint8Array(16384);
	const view = new DataView(bytes.buffer);
	for (;;) {
		const length = call("getdents64", nr.SYS_getdents64, fd, bytes, bytes.length);
		if (length === 0) return names;
		for (let at = 0; at < length; ) {
			const next = at + view.getUint16(at + 16, true);
			if (type === undefined || bytes[at + 18] === type) {
				let end = at + 19;
				while (bytes[end] !== 0) end++;
				const name = host.decode(bytes, at + 19, end);
				if (name !== "." && name !== "..") names.push(name);
			}
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

export const SEEK_END = 2;

/** lseek(2): the new offset. */
export function lseek(fd: number, offset: number, whence: number): number {
	return call("lseek", nr.SYS_lseek, fd, offset, whence);
}

/** One pread(2) at an offset: the number of bytes that came. */
export function pread(fd: number, into: Uint8Array, offset: number): number {
	return call("pread64", nr.SYS_pread64, fd, into, into.length, offset);
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

/** Writes all that has changed on the descriptor's file system through to the disk: man 2 syncfs. */
export function syncfs(fd: number) {
	call("syncfs", nr.SYS_syncfs, fd);
}
