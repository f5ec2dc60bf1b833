/** What /proc tells of processes: man 5 proc. All answers are undefined for a process that is gone. */
import { readdir, readFileIfAny } from "./fd.ts";
import { SYS_rt_sigtimedwait } from "./nr.ts";
import { readlinkIfAny } from "./stat.ts";
import { SysError } from "./syscall.ts";

export interface ProcessStat {
	pid: number;
	comm: string;
	/** R, S, D, Z, T ... */
	state: string;
	ppid: number;
	pgrp: number;
	session: number;
	/** Start time in clock ticks since boot: field 22. With the PID it names a process for good. */
	start: number;
	/** User and system time in clock ticks. */
	utime: number;
	stime: number;
}

/** /proc/PID/stat. The command's name stands in parentheses and may hold any byte, `)` too. */
export function processStat(pid: number | "self"): ProcessStat | undefined {
	const text = readFileIfAny(`/proc/${pid}/stat`);
	if (text === undefined || text === "") return undefined;
	const open = text.indexOf("(");
	const close = text.lastIndexOf(")");
	const rest = text.slice(close + 2).split(" ");
	return {
		pid: Number(text.slice(0, open)),
		comm: text.slice(open + 1, close),
		state: rest[0] as string,
		ppid: Number(rest[1]),
		pgrp: Number(rest[2]),
		session: Number(rest[3]),
		utime: Number(rest[11]),
		stime: Number(rest[12]),
		start: Number(rest[19]),
	};
}

/** When the process started, in clock ticks since boot. */
export function startTime(pid: number): number | undefined {
	return processStat(pid)?.start;
}

/** The PIDs of all processes, as /proc lists them. */
export function processes(): number[] {
	return readdir("/proc")
		.filter((name) => /^\d+$/.test(name))
		.map(Number);
}

/** A value of /proc/PID/status: `statusField(1, "Uid")` is its text after the colon. */
export function statusField(pid: number | "self", name: string): string | undefined {
	const text = readFileIfAny(`/proc/${pid}/status`);
	const start = text === undefined ? -1 : `\n${text}`.indexOf(`\n${name}:`);
	return start < 0 ? undefined : (text as string).slice(start + name.length + 1, (text as string).indexOf("\n", start)).trim();
}

/** The command line's arguments; none for a kernel thread or a zombie. */
export function commandLine(pid: number): string[] {
	return (readFileIfAny(`/proc/${pid}/cmdline`) ?? "").split("\0").slice(0, -1);
}

/** The file that a process runs, or undefined where we may not see it. */
export function executable(pid: number | "self"): string | undefined {
	return readlinkIfAny(`/proc/${pid}/exe`);
}

/** Whether a process sleeps in sigtimedwait(2), which takes signals without a handler; undefined where we may not see it. */
export function isWaitingForSignals(pid: number): boolean | undefined {
	try {
		const text = readFileIfAny(`/proc/${pid}/syscall`);
		return text ? Number.parseInt(text, 10) === SYS_rt_sigtimedwait : undefined;
	} catch (error) {
		if (error instanceof SysError) return undefined;
		throw error;
	}
}
