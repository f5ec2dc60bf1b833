/** `run --wait`: stays as the program's parent, and tells afterwards what became of it and what it used. */

import { CLOCK_MONOTONIC, clockGettime } from "../../../native/linux/clock.ts";
import { close, O_CREAT, O_TRUNC, O_WRONLY, open, write } from "../../../native/linux/fd.ts";
import { type Ended, exit, exitStatus, fork, getpid, kill, killIfAny, WNOHANG, WUNTRACED, wait } from "../../../native/linux/process.ts";
import {
	SIG_SETMASK,
	SIGBUS,
	SIGCHLD,
	SIGCONT,
	SIGFPE,
	SIGILL,
	SIGKILL,
	SIGSEGV,
	SIGSTOP,
	SIGSYS,
	SIGTRAP,
	SIGTSTP,
	SIGTTIN,
	SIGTTOU,
	signalName,
	sigprocmask,
	sigsetAllBut,
	sigtimedwait,
} from "../../../native/linux/signal.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { notA } from "../../common/command-line/options.ts";
import { warn } from "../../common/command-line/tool.ts";
import { show, ToolError } from "../../common/errors.ts";
import { formatSize } from "../../common/units.ts";
import { processesOf, subtree } from "../group/files.ts";
import { killGroup } from "../group/kill.ts";
import { type Group, shownName } from "../group/path.ts";
import { removeGroup, removeIfEmpty } from "../group/remove.ts";
import { whileOpen } from "../open.ts";
import { type OomKill, oomKillCount, oomKills, openKernelLog } from "../usage/oom.ts";
import { beginStats, type Stats } from "../usage/run-stats.ts";
import { memoryUsage } from "../usage/usage.ts";
import { enterGroup, execute, type RunOptions, readRun } from "./run.ts";

/** A signal's si_code where the kernel sent it, such as a terminal's to its whole foreground group. */
const SI_KERNEL = 0x80;

/** Runs a program in a cgroup, and exits with its status once it has ended. */
export function runAndWait(line: { options: RunOptions; operands: string[] }) {
	const { options } = line;
	const { group, limits, argv } = readRun(line);
	const output = options.stats === undefined ? undefined : openOutput(options.stats);
	const isNew = whileOpen(group, options, limits, {}, ({ isNew: made }) => made);
	const log = isDryRun() ? undefined : openKernelLog();
	const killsBefore = oomKillCount(group);
	const stats = output === undefined ? undefined : beginStats(group, isNew);

	/* Signals are taken one at a time from here on; those of a fault, and the terminal's that stop, act as ever. */
	const taken = sigsetAllBut([SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGTSTP, SIGTTIN, SIGTTOU]);
	const mask = sigprocmask(SIG_SETMASK, taken);
	const started = clockGettime(CLOCK_MONOTONIC);
	const pid = fork();
	if (pid === 0) {
		sigprocmask(SIG_SETMASK, mask);
		enterGroup(group, options, {});
		execute(argv);
	}
	const ended = supervise(pid, taken);
	const wall = clockGettime(CLOCK_MONOTONIC) - started;

	const counted = oomKillCount(group) - killsBefore;
	const kills = listKills(group, log, ended, argv, counted);
	/* A cgroup below that is gone has taken its count along; the log still has it. */
	const count = Math.max(counted, kills.length);
	if (count > 0) reportKills(group, kills, count);
	if (stats && output !== undefined) writeStats(output, stats, { pid, ended, wall, count, kills });
	if (options.rm) removeAfter(group, isNew);
	exit(exitStatus(ended));
}

/** Waits for the program, passing on to it the signals that we get. */
function supervise(pid: number, taken: Uint8Array): Ended {
	for (;;) {
		const signal = sigtimedwait(taken);
		if (!signal) continue;
		if (signal.signal !== SIGCHLD) {
			/* Of a terminal's signal the program has its own: it is in the same process group. */
			if (signal.code !== SI_KERNEL) killIfAny(pid, signal.signal);
			continue;
		}
		for (let ended = wait(pid, WNOHANG | WUNTRACED); ended; ended = wait(pid, WNOHANG | WUNTRACED)) {
			if (ended.stopped === undefined) return ended;
			/* To the shell we are the job: it must see that it has stopped. */
			kill(getpid(), SIGSTOP);
			killIfAny(pid, SIGCONT);
		}
	}
}

/** --stats FD|FILE */
function openOutput(text: string): number {
	if (text === "") notA("--stats", text, "a descriptor or a file");
	return /^\d+$/.test(text) ? Number(text) : open(text, O_WRONLY | O_CREAT | O_TRUNC, 0o644);
}

function listKills(group: Group, log: number | undefined, ended: Ended, argv: string[], counted: number): OomKill[] {
	const kills = log === undefined ? [] : oomKills(log, group, [ended.pid]);
	if (kills.length > 0 || counted === 0) return kills;
	/* The log is closed to us (kernel.dmesg_restrict, or a container's): the program's end tells enough. */
	const name = argv[0] as string;
	return ended.signal && ended.code === SIGKILL ? [{ pid: ended.pid, task: name.slice(name.lastIndexOf("/") + 1) }] : [];
}

/** `/web: out of memory: limit 1 GiB, killed memhog (pid 4242)` */
function reportKills(group: Group, kills: OomKill[], count: number) {
	const limitOf = kills.find((kill) => kill.limitOf !== undefined)?.limitOf ?? group.name;
	const owner: Group = { ...group, name: limitOf === "/" ? "" : limitOf };
	const limit = owner.name === "" ? null : memoryUsage(owner).limit;
	const which =
		owner.name === ""
			? "the machine has no more"
			: `${limit === null ? "no limit" : `limit ${formatSize(limit)}`}${owner.name === group.name ? "" : ` of ${shownName(owner)}`}`;
	const whom = kills.map(({ task, pid }) => `${show(task)} (pid ${pid})`);
	if (whom.length < count) whom.push(`${count - whom.length} ${whom.length > 0 ? "more" : count === 1 ? "process" : "processes"}`);
	warn(`${shownName(group)}: out of memory: ${which}, killed ${whom.join(", ")}`);
}

interface Outcome {
	pid: number;
	ended: Ended;
	wall: number;
	count: number;
	kills: OomKill[];
}

function writeStats(output: number, stats: Stats, { pid, ended, wall, count, kills }: Outcome) {
	const facts = {
		pid,
		status: exitStatus(ended),
		...(ended.signal && { signal: signalName(ended.code) }),
		wall,
		oom: count > 0,
		oomKills: count,
		...(kills.length > 0 && { oomKilled: kills.map(({ pid, task }) => ({ pid, task })) }),
		...stats.end(),
	};
	write(output, `${JSON.stringify(facts)}\n`);
	if (output > 2) close(output);
}

/** --rm: a cgroup that was made for the program goes with it, and so do the processes that it left. */
function removeAfter(group: Group, isNew: boolean) {
	try {
		if (isNew && removeIfEmpty(group)) return;
		if (isNew) killGroup(group, 10);
		else if (subtree(group).some((each) => processesOf(each).length > 0))
			throw new ToolError(`${shownName(group)}: not removed: it was there before, and others are in it`);
		removeGroup(group, true);
	} catch (error) {
		if (!(error instanceof Error)) throw error;
		warn(error.message);
	}
}
