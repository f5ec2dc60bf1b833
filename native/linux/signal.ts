/**
 * Signals, without handlers: a tool blocks what it wants to know of and takes it with sigtimedwait(2) or a signalfd(2),
 * so that no code of ours ever runs between two instructions.
 */
import * as host from "#host";
import { packTimespec } from "./clock.ts";
import { EAGAIN, EINTR } from "./errno.ts";
import { O_CLOEXEC } from "./fd.ts";
import * as nr from "./nr.ts";
import { putU64 } from "./struct.ts";
import { call, SysError, tryCall } from "./syscall.ts";

/** asm-generic/signal.h: the names by number, from 1 on; the same on x86_64 and aarch64. */
const NAMES =
	"HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";
export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGILL = 4;
export const SIGTRAP = 5;
export const SIGABRT = 6;
export const SIGBUS = 7;
export const SIGFPE = 8;
export const SIGKILL = 9;
export const SIGUSR1 = 10;
export const SIGSEGV = 11;
export const SIGUSR2 = 12;
export const SIGPIPE = 13;
export const SIGALRM = 14;
export const SIGTERM = 15;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGTSTP = 20;
export const SIGTTIN = 21;
export const SIGTTOU = 22;
export const SIGURG = 23;
export const SIGWINCH = 28;
export const SIGSYS = 31;
export const SIGRTMIN = 34;
export const SIGRTMAX = 64;

/** "TERM", "SIGTERM", "sigterm", "15", "RTMIN+1", "RTMAX-2" as a number; undefined if there is no such signal. */
export function signalNumber(text: string): number | undefined {
	if (/^\d+$/.test(text)) return Number(text) >= 1 && Number(text) <= SIGRTMAX ? Number(text) : undefined;
	const name = text.toUpperCase().replace(/^SIG/, "");
	const realTime = /^RT(MIN|MAX)([+-]\d+)?$/.exec(name);
	if (realTime) {
		const number = (realTime[1] === "MIN" ? SIGRTMIN : SIGRTMAX) + Number(realTime[2] ?? 0);
		return number >= SIGRTMIN && number <= SIGRTMAX ? number : undefined;
	}
	if (name === "POLL") return 29;
	if (name === "IOT") return SIGABRT;
	if (name === "CLD") return SIGCHLD;
	const at = NAMES.split(" ").indexOf(name);
	return at < 0 ? undefined : at + 1;
}

/** "SIGTERM"; real-time ones as SIGRTMIN+N. */
export function signalName(number: number): string {
	const name = NAMES.split(" ")[number - 1];
	return name ? `SIG${name}` : number === SIGRTMIN ? "SIGRTMIN" : `SIGRTMIN+${number - SIGRTMIN}`;
}

/** The kernel's sigset_t: 64 bits, signal N in bit N-1. */
export function sigset(signals: number[]): Uint8Array {
	const bytes = new Uint8Array(8);
	for (const signal of signals) bytes[(signal - 1) >> 3] = (bytes[(signal - 1) >> 3] as number) | (1 << ((signal - 1) & 7));
	return bytes;
}

/** All signals but the given ones. */
export function sigsetAllBut(signals: number[]): Uint8Array {
	return sigset(signals).map((byte) => ~byte);
}

export const SIG_BLOCK = 0;
export const SIG_UNBLOCK = 1;
export const SIG_SETMASK = 2;

/** Changes the mask of blocked signals; returns the mask before. */
export function sigprocmask(how: number, set: Uint8Array): Uint8Array {
	const before = new Uint8Array(8);
	call("rt_sigprocmask", nr.SYS_rt_sigprocmask, how, set, before, 8);
	return before;
}

export const SIG_DFL = 0;
export const SIG_IGN = 1;

/** Sets a signal's disposition; returns whether it was ignored before. */
export function setDisposition(signal: number, disposition: number): boolean {
	/* struct kernel_sigaction: handler, flags, restorer, mask; the restorer is not used without a handler. */
	const action = new Uint8Array(32);
	const before = new Uint8Array(32);
	putU64(new DataView(action.buffer), 0, disposition);
	call("rt_sigaction", nr.SYS_rt_sigaction, signal, action, before, 8);
	return before[0] === SIG_IGN && before.subarray(1, 8).every((byte) => byte === 0);
}

/** siginfo_t's first members, and those of a signal that kill(2) sent. */
export interface SignalInfo {
	signal: number;
	code: number;
	pid: number;
	uid: number;
}

const info = new Uint8Array(128);
const infoView = new DataView(info.buffer);

/**
 * Takes the next of the (blocked) signals of a set, sleeping in the kernel until there is one or `timeout` seconds
 * have passed. Undefined on the time-out, or when something else woke it (a stop and continue).
 */
export function sigtimedwait(set: Uint8Array, timeout?: number): SignalInfo | undefined {
	const time = timeout === undefined ? null : packTimespec(timeout);
	const signal = host.syscall(nr.SYS_rt_sigtimedwait, set, info, time, 8);
	if (signal === -EAGAIN || signal === -EINTR) return undefined;
	if (signal < 0) throw new SysError("sigtimedwait", -signal);
	return { signal, code: infoView.getInt32(8, true), pid: infoView.getInt32(16, true), uid: infoView.getUint32(20, true) };
}

const SFD_NONBLOCK = 0o4000;

/** A descriptor from which the (blocked) signals of a set are read with `readSignal`. */
export function signalfd(set: Uint8Array): number {
	return call("signalfd4", nr.SYS_signalfd4, -1, set, 8, O_CLOEXEC | SFD_NONBLOCK);
}

/** The next signal of a signalfd, or undefined if none is pending. struct signalfd_siginfo: u32 signo, s32 errno, s32 code, u32 pid, u32 uid ... */
export function readSignal(fd: number): SignalInfo | undefined {
	const result = tryCall("read", nr.SYS_read, fd, info, info.length);
	if (result === -EAGAIN) return undefined;
	if (result < 0) throw new SysError("read", -result, "signalfd");
	return {
		signal: infoView.getUint32(0, true),
		code: infoView.getInt32(8, true),
		pid: infoView.getUint32(12, true),
		uid: infoView.getUint32(16, true),
	};
}
