/** System-call filters: man 2 seccomp; Documentation/userspace-api/seccomp_filter.rst. */
import * as host from "#host";
import { EINVAL } from "./errno.ts";
import * as nr from "./nr.ts";
import { struct } from "./struct.ts";
import { change, SysError } from "./syscall.ts";

/** linux/filter.h: struct sock_filter {u16 code; u8 jt; u8 jf; u32 k} */
export const SOCK_FILTER_SIZE = 8;
const BPF_MAXINSNS = 4096;
const SECCOMP_SET_MODE_FILTER = 1;

export const sockFprog = struct([
	["len", "u16"],
	["filter", "u64"],
]);

/**
 * Puts a classic BPF program (an array of struct sock_filter) in force on this process and all that it will start. Throws
 * EACCES without no_new_privs or CAP_SYS_ADMIN, EINVAL for what is no such program.
 */
export function setSeccompFilter(program: Uint8Array) {
	const length = program.length / SOCK_FILTER_SIZE;
	if (!Number.isInteger(length) || length === 0 || length > BPF_MAXINSNS) throw new SysError("seccomp(SECCOMP_SET_MODE_FILTER)", EINVAL);
	const fprog = sockFprog.pack({ len: length, filter: host.addressOf(program) });
	change("seccomp(SECCOMP_SET_MODE_FILTER)", nr.SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, fprog);
}
