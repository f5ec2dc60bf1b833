/** Calls, answers and conditions in words. */
import { type Architecture, callsOf } from "../../../native/linux/seccomp/calls.ts";
import {
	SECCOMP_DATA_ARCH,
	SECCOMP_DATA_ARGS,
	SECCOMP_DATA_NR,
	SECCOMP_RET_ALLOW,
	SECCOMP_RET_DATA,
	SECCOMP_RET_ERRNO,
	SECCOMP_RET_KILL_PROCESS,
	SECCOMP_RET_KILL_THREAD,
	SECCOMP_RET_LOG,
	SECCOMP_RET_TRACE,
	SECCOMP_RET_TRAP,
	SECCOMP_RET_USER_NOTIF,
} from "../../../native/linux/seccomp/constants.ts";
import type { Condition, Operator } from "../../../native/linux/seccomp/policy.ts";
import { errnoName } from "../../../native/linux/strerror.ts";
import { formatWord64 } from "./json.ts";

const NAMES: Readonly<Record<number, string>> = {
	[SECCOMP_RET_KILL_THREAD]: "kill thread",
	[SECCOMP_RET_TRAP]: "trap",
	[SECCOMP_RET_ERRNO]: "errno",
	[SECCOMP_RET_USER_NOTIF]: "notify",
	[SECCOMP_RET_TRACE]: "trace",
	[SECCOMP_RET_LOG]: "log",
	[SECCOMP_RET_ALLOW]: "allow",
};

/** An answer: `allow`, `errno EPERM`. One that the kernel does not know kills the process. */
export function actionWords(value: number): string {
	const action = (value & ~SECCOMP_RET_DATA) >>> 0;
	const name = action === SECCOMP_RET_KILL_PROCESS ? "kill process" : (NAMES[action] ?? "kill process");
	const data = value & SECCOMP_RET_DATA;
	if (action === SECCOMP_RET_ERRNO) return data === 0 ? "errno 0 (success)" : `errno ${errnoName(data)}`;
	if (action === SECCOMP_RET_TRACE || (action === SECCOMP_RET_TRAP && data > 0)) return `${name} ${data}`;
	return name;
}

/** Whether a call is made under it. */
export function isAllowed(value: number): boolean {
	const action = (value & ~SECCOMP_RET_DATA) >>> 0;
	return action === SECCOMP_RET_ALLOW || action === SECCOMP_RET_LOG;
}

const SIGNS: Readonly<Record<Exclude<Operator, "masked">, string>> = { ne: "!=", lt: "<", le: "<=", eq: "==", ge: ">=", gt: ">" };

/** `arg0 < 38`, `(arg0 & 0x7e020000) == 0`. */
export function conditionWords({ argument, operator, value, mask }: Condition): string {
	if (operator !== "masked") return `arg${argument} ${SIGNS[operator]} ${formatWord64(value)}`;
	return `(arg${argument} & ${formatWord64(mask ?? { high: 0, low: 0 })}) == ${formatWord64(value)}`;
}

/** A call's name; a number for one that has none. */
export function callName(architecture: Architecture, number: number): string {
	for (const [name, at] of callsOf(architecture)) if (at === number) return name;
	return String(number);
}

/** What a program loads from a place of struct seccomp_data. */
export function wordName(offset: number): string {
	if (offset === SECCOMP_DATA_NR) return "nr";
	if (offset === SECCOMP_DATA_ARCH) return "arch";
	if (offset < SECCOMP_DATA_ARGS) return offset % 8 === 0 ? "instruction pointer, lower half" : "instruction pointer, upper half";
	return `arg${(offset - SECCOMP_DATA_ARGS) >> 3}, ${offset % 8 === 0 ? "lower" : "upper"} half`;
}
