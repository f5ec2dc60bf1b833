/** What a filter is compiled from: rules by the names of calls. */

import type { Architecture } from "./calls.ts";
import {
	SECCOMP_RET_ALLOW,
	SECCOMP_RET_ERRNO,
	SECCOMP_RET_KILL_PROCESS,
	SECCOMP_RET_KILL_THREAD,
	SECCOMP_RET_LOG,
	SECCOMP_RET_TRACE,
	SECCOMP_RET_TRAP,
} from "./constants.ts";

/** A 64-bit number in two halves of 32 bits: a JavaScript number is exact up to 2^53 only. */
export interface Word64 {
	high: number;
	low: number;
}

/** How an argument is compared, unsigned: as SCMP_CMP_* of libseccomp. `masked` is (argument & mask) == value. */
export type Operator = "ne" | "lt" | "le" | "eq" | "ge" | "gt" | "masked";

export interface Condition {
	/** The argument's number, 0 to 5. */
	argument: number;
	operator: Operator;
	value: Word64;
	/** For `masked` only. */
	mask?: Word64;
}

export interface Rule {
	/** Those that an architecture does not have concern it not. */
	names: readonly string[];
	/** SECCOMP_RET_*, with its data in the lower 16 bits. */
	action: number;
	/** All must hold; none for every call. */
	conditions: readonly Condition[];
}

/**
 * For a call the first rule without conditions decides, wherever it stands, as with libseccomp; where there is none, the
 * first rule whose conditions hold; else the default.
 */
export interface Policy {
	architectures: readonly Architecture[];
	/** SECCOMP_RET_*, for calls that no rule speaks of. */
	defaultAction: number;
	rules: readonly Rule[];
}

/** A policy that cannot be compiled; the message says what of it, and why. */
export class PolicyError extends Error {}

/** The actions by the names that libseccomp and OCI have for them, without SCMP_ACT_. */
export const ACTIONS: Readonly<Record<string, number>> = {
	KILL: SECCOMP_RET_KILL_THREAD,
	KILL_THREAD: SECCOMP_RET_KILL_THREAD,
	KILL_PROCESS: SECCOMP_RET_KILL_PROCESS,
	TRAP: SECCOMP_RET_TRAP,
	ERRNO: SECCOMP_RET_ERRNO,
	TRACE: SECCOMP_RET_TRACE,
	LOG: SECCOMP_RET_LOG,
	ALLOW: SECCOMP_RET_ALLOW,
};

/** The order in which the kernel takes the most restrictive of several answers: lower is stricter. */
export function permissiveness(action: number): number {
	return action >= SECCOMP_RET_KILL_PROCESS ? -1 : action & 0x7fff0000;
}
