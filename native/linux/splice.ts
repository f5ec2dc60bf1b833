/** Moving bytes between descriptors without their coming to user space: man 2 splice, tee; man 7 pipe. */
import * as host from "#host";
import { O_CLOEXEC } from "./fd.ts";
import * as nr from "./nr.ts";
import { call, isTraced, tryCall } from "./syscall.ts";

export const SPLICE_F_MOVE = 1;
export const SPLICE_F_NONBLOCK = 2;
/** More is to follow: a TCP socket waits for it before it sends a segment that is not full. */
export const SPLICE_F_MORE = 4;

const F_SETPIPE_SZ = 1031;
const F_GETPIPE_SZ = 1032;

/**
 * splice(2) between a pipe and something else, at their own positions: how many bytes were moved, 0 at the end of what is
 * read, or -errno (EAGAIN: one of both is not ready; EINTR).
 */
export function trySplice(from: number, to: number, length: number, flags: number): number {
	if (isTraced()) return tryCall("splice", nr.SYS_splice, from, null, to, null, length, flags);
	return host.syscall(nr.SYS_splice, from, null, to, null, length, flags);
}

/** tee(2): the bytes of one pipe in another one too; they stay in the first. */
export function tryTee(from: number, to: number, length: number, flags: number): number {
	return tryCall("tee", nr.SYS_tee, from, to, length, flags);
}

/**
 * Sets how many bytes a pipe has room for, rounded up by the kernel to a power of two of pages; returns what it is then.
 * Throws SysError with EPERM beyond /proc/sys/fs/pipe-max-size without CAP_SYS_RESOURCE, or where the user's pipes together
 * exceed pipe-user-pages-soft.
 */
export function setPipeSize(fd: number, bytes: number): number {
	return call("fcntl", nr.SYS_fcntl, fd, F_SETPIPE_SZ, bytes);
}

/** The same, returning -errno. */
export function trySetPipeSize(fd: number, bytes: number): number {
	return tryCall("fcntl", nr.SYS_fcntl, fd, F_SETPIPE_SZ, bytes);
}

export function getPipeSize(fd: number): number {
	return call("fcntl", nr.SYS_fcntl, fd, F_GETPIPE_SZ);
}

/** pipe2(2), closed by an exec: its ends, reader and writer, are written to `ends`. 0 or -errno. */
export function tryPipe(ends: Int32Array, flags: number): number {
	return tryCall("pipe2", nr.SYS_pipe2, ends, flags | O_CLOEXEC);
}
