/**
 * The way to the kernel: every binding of native/linux goes through `call` (it asks) or `change` (it alters the system).
 *
 * That is where `--trace` shows the calls as they are made, and where `--dry-run` shows the changes in place of making
 * them.
 */
import * as host from "#host";
import type { Argument } from "../host/host.d.ts";
import { EINTR } from "./errno.ts";
import { SYS_write } from "./nr.ts";
import { strerror } from "./strerror.ts";
import { formatCall } from "./trace.ts";

/** A system call that failed: what was called, on what (a path, a PID ...), and the kernel's error number. */
export class SysError extends Error {
	constructor(
		readonly call: string,
		readonly errno: number,
		readonly object?: string,
	) {
		super();
		this.name = "SysError";
	}
	override get message(): string {
		return `${this.call}${this.object === undefined ? "" : ` ${this.object}`}: ${strerror(this.errno)}`;
	}
}

const mode = { trace: false, dryRun: false };

export function setTrace(on: boolean) {
	mode.trace = on;
}

/** For calls that are made a million times and cannot be interrupted: whether they have to go through `tryCall` at all. */
export function isTraced(): boolean {
	return mode.trace;
}

export function setDryRun(on: boolean) {
	mode.dryRun = on;
}

export function isDryRun(): boolean {
	return mode.dryRun;
}

function print(fd: number, line: string) {
	const bytes = host.encode(`${line}\n`);
	host.syscall(SYS_write, fd, bytes, bytes.byteLength);
}

/*
 * The functions below are declared with a list of arguments and take six by name: the engine needs longer to make and to
 * spread a list than for the system call. An argument that is absent is 0.
 */
type Arguments = (Argument | undefined)[];

/** The arguments that there are. */
function given(...args: Arguments): Argument[] {
	return args.filter((arg): arg is Argument => arg !== undefined);
}

/** Calls, and returns what the kernel returned: -errno on failure. Interrupted calls are made again. */
export function tryCall(name: string, nr: number, ...args: Arguments): number;
export function tryCall(name: string, nr: number, a?: Argument, b?: Argument, c?: Argument, d?: Argument, e?: Argument, f?: Argument) {
	let result: number;
	do result = host.syscall(nr, a ?? 0, b ?? 0, c ?? 0, d ?? 0, e ?? 0, f ?? 0);
	while (result === -EINTR);
	if (mode.trace) print(2, formatCall(name, given(a, b, c, d, e, f), result));
	return result;
}

/** The same, for a call that changes the system: in a dry run it is printed, and counts as done. */
export function tryChange(name: string, nr: number, ...args: Arguments): number;
export function tryChange(name: string, nr: number, a?: Argument, b?: Argument, c?: Argument, d?: Argument, e?: Argument, f?: Argument) {
	if (!mode.dryRun) return tryCall(name, nr, a, b, c, d, e, f);
	print(1, formatCall(name, given(a, b, c, d, e, f)));
	return 0;
}

/**
 * A step that is more than one call, for people: `write /proc/self/uid_map "0 1000 1"`, or what makes the line if it is
 * wanted. True if it must not be done.
 */
export function dryRun(line: string | (() => string)): boolean {
	if (mode.dryRun) print(1, typeof line === "string" ? line : line());
	return mode.dryRun;
}

/** A line of the trace that says what the calls before it have done. */
export function note(line: () => string) {
	if (mode.trace) print(2, line());
}

function check(result: number, name: string, a?: Argument, b?: Argument, c?: Argument, d?: Argument, e?: Argument, f?: Argument): number {
	if (result >= 0 || result < -4095) return result;
	throw new SysError(
		name,
		-result,
		[a, b, c, d, e, f].find((arg): arg is string => typeof arg === "string"),
	);
}

/** Calls; throws SysError, whose object is the first string among the arguments. */
export function call(name: string, nr: number, ...args: Arguments): number;
export function call(name: string, nr: number, a?: Argument, b?: Argument, c?: Argument, d?: Argument, e?: Argument, f?: Argument) {
	return check(tryCall(name, nr, a, b, c, d, e, f), name, a, b, c, d, e, f);
}

/** `call` for what changes the system. */
export function change(name: string, nr: number, ...args: Arguments): number;
export function change(name: string, nr: number, a?: Argument, b?: Argument, c?: Argument, d?: Argument, e?: Argument, f?: Argument) {
	return check(tryChange(name, nr, a, b, c, d, e, f), name, a, b, c, d, e, f);
}
