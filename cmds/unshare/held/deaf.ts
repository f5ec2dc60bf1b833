/** Signals that a program does not get, since it is PID 1 of a namespace. */
import { sleep } from "../../../native/linux/clock.ts";
import { isWaitingForSignals, statusField } from "../../../native/linux/proc.ts";
import { SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM } from "../../../native/linux/signal.ts";

/**
 * PID 1 of a namespace gets no signal that it neither handles nor blocks to wait for it, as tsinit does (man 7
 * pid_namespaces). From outside SIGKILL and SIGSTOP come through, and SIGCONT continues it in any case.
 */
export function isDropped(pid: number, signal: number): boolean {
	if ([SIGKILL, SIGSTOP, SIGCONT].includes(signal) || statusField(pid, "NSpid")?.split(/\s+/).pop() !== "1") return false;
	if (["SigCgt", "SigBlk"].some((set) => hasSignal(statusField(pid, set) ?? "", signal))) return false;
	/* As long as it waits for them by sigtimedwait(2), /proc does not show them as blocked. */
	return isWaitingForSignals(pid) === false;
}

/** Seconds. */
const SETTLING = 0.05;

const ENDING = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/**
 * What is to be sent so that a signal does to PID 1 what it does to any other program: where one that asks for the end would
 * be dropped, and is not ignored on purpose, it is SIGKILL.
 */
export function effective(pid: number, signal: number): number {
	const isVain = () => isDropped(pid, signal) && !hasSignal(statusField(pid, "SigIgn") ?? "", signal);
	if (!ENDING.includes(signal) || !isVain()) return signal;
	/* It may be about to set its handlers. */
	sleep(SETTLING);
	return isVain() ? SIGKILL : signal;
}

/** A set of signals as /proc writes it: signal N is bit N-1 of a hexadecimal number. */
function hasSignal(hex: string, signal: number): boolean {
	const bit = signal - 1;
	const digit = Number.parseInt(hex[hex.length - 1 - (bit >> 2)] ?? "0", 16);
	return ((digit >> (bit & 3)) & 1) === 1;
}
