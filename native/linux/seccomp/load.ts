/** Putting system-call filters in force: man 2 seccomp; Documentation/userspace-api/seccomp_filter.rst. */
import * as host from "#host";
import { EINVAL } from "../errno.ts";
import * as nr from "../nr.ts";
import { struct } from "../struct.ts";
import { change, SysError } from "../syscall.ts";
import { BPF_MAXINSNS } from "./constants.ts";

/** linux/filter.h: struct sock_filter {u16 code; u8 jt; u8 jf; u32 k} */
export const SOCK_FILTER_SIZE = 8;
const SECCOMP_SET_MODE_FILTER = 1;

export const sockFprog = /* @__PURE__ */ struct([
	["len", "u16"],
	["filter", "u64"],
]);

/** A classic BPF program, an array of struct sock_filter, and the SECCOMP_FILTER_FLAG_* it is to be loaded with. */
export interface Filter {
	program: Uint8Array;
	flags: number;
}

/**
 * Puts a filter in force on this process and all that it will start. Throws SysError: EACCES without no_new_privs or
 * CAP_SYS_ADMIN, EINVAL for what is no such program.
 */
export function loadFilter({ program, flags }: Filter) {
	const length = program.length / SOCK_FILTER_SIZE;
	if (!Number.isInteger(length) || length === 0 || length > BPF_MAXINSNS) throw new SysError("seccomp(SECCOMP_SET_MODE_FILTER)", EINVAL);
	const fprog = sockFprog.pack({ len: length, filter: host.addressOf(program) });
	change("seccomp(SECCOMP_SET_MODE_FILTER)", nr.SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, fprog);
}

/** `loadFilter` of a program without flags. */
export function setSeccompFilter(program: Uint8Array) {
	loadFilter({ program, flags: 0 });
}
