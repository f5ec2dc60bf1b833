/** Locks on files: of the open file as a whole (man 2 flock), and of ranges of bytes (man 2 fcntl). */
import { EACCES, EAGAIN } from "./errno.ts";
import * as nr from "./nr.ts";
import { struct } from "./struct.ts";
import { call, SysError, tryCall } from "./syscall.ts";

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
