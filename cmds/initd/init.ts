/** What the loop knows, and the loop's one step: sleep until a signal comes or a timer is due; forward; reap. */
import { CLOCK_MONOTONIC, clockGettime } from "../../native/linux/clock.ts";
import { exitStatus, killIfAny, WNOHANG, WUNTRACED, wait } from "../../native/linux/process.ts";
import { SIGCHLD, SIGINT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, signalName, sigtimedwait } from "../../native/linux/signal.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { warn } from "../common/command-line/tool.ts";
import { followStop } from "./jobcontrol.ts";
import { DEFAULT_GRACE } from "./options.ts";
import { killRest, signalRest } from "./rest.ts";
import type { Settings } from "./settings.ts";

/** How much a message matters: the verbosity that it needs to be printed, as in tini. */
export const WARNING = 1;
export const INFO = 2;
export const DEBUG = 3;
export const TRACE = 4;

export interface Timer {
	/** Seconds of CLOCK_MONOTONIC. */
	due: number;
	run(): void;
}

export interface Init {
	readonly settings: Settings;
	readonly pid: number;
	/** The mask of blocked signals that children get: the one that we were started with. */
	readonly mask: Uint8Array;
	/** The signals to wait for. */
	readonly signals: Uint8Array;
	/** SIGCHLD was ignored when we were started, and is to be so for children. */
	readonly childIgnored: boolean;
	/** We were started in the terminal's foreground, so that it is ours to hand on. */
	readonly ownsTerminal: boolean;
	/** The process that signals are forwarded to; 0 once it has ended: then they go to all that are left. */
	child: number;
	/** Its exit status, once it has ended. */
	status: number | undefined;
	/** The end was asked for, and the grace time runs. */
	stopping: boolean;
	/** --max-time has passed. */
	timedOut: boolean;
	timers: Timer[];
}

export function say(init: Init, level: number, text: string) {
	if (init.settings.verbosity >= level) warn("tsinit", level === WARNING ? `warning: ${text}` : text);
}

/** Runs `action` in so many seconds. */
export function after(init: Init, seconds: number, action: () => void): Timer {
	const timer = { due: clockGettime(CLOCK_MONOTONIC) + seconds, run: action };
	init.timers.push(timer);
	return timer;
}

/** The seconds until the first timer; undefined where there is none: then the kernel wakes us for signals only. */
function timeLeft(init: Init): number | undefined {
	if (init.timers.length === 0) return undefined;
	return Math.max(0, Math.min(...init.timers.map((timer) => timer.due)) - clockGettime(CLOCK_MONOTONIC));
}

function runTimers(init: Init) {
	const now = clockGettime(CLOCK_MONOTONIC);
	const due = init.timers.filter((timer) => timer.due <= now);
	init.timers = init.timers.filter((timer) => timer.due > now);
	for (const timer of due) timer.run();
}

export function step(init: Init) {
	const taken = sigtimedwait(init.signals, timeLeft(init));
	if (taken?.signal === SIGCHLD) {
		say(init, DEBUG, "received SIGCHLD");
		reap(init);
	} else if (taken) forward(init, taken.signal);
	if (init.timers.length > 0) runTimers(init);
}

/** Steps until the process has ended, while signals go to it. Returns its exit status. */
export function waitFor(init: Init, pid: number): number {
	init.child = pid;
	init.status = undefined;
	for (;;) {
		step(init);
		/* A step sets it, behind the compiler's back. */
		const status = init.status as number | undefined;
		if (status !== undefined) return status;
	}
}

/** SIGCHLD is one signal, however many children ended before it was taken: ask until there is none. */
function reap(init: Init) {
	for (let ended = wait(-1, WNOHANG | WUNTRACED); ended; ended = wait(-1, WNOHANG | WUNTRACED)) {
		if (ended.stopped) {
			if (ended.pid === init.child && [SIGTSTP, SIGTTIN, SIGTTOU].includes(ended.stopped)) followStop(init);
			continue;
		}
		say(init, DEBUG, `reaped process ${ended.pid}`);
		if (ended.pid === init.child) {
			say(init, INFO, `the program ended ${ended.signal ? `by ${signalName(ended.code)}` : `with status ${ended.code}`}`);
			init.status = exitStatus(ended);
		} else if (init.settings.warnOnReap) say(init, WARNING, `reaped the orphan ${ended.pid}`);
	}
}

export function forward(init: Init, received: number) {
	const { rewrite, killProcessGroup, stopSignals } = init.settings;
	const signal = rewrite[received] ?? received;
	if (signal === 0) return say(init, DEBUG, `${signalName(received)} is not passed on`);
	if (init.child === 0 && init.status === undefined) {
		/* --pause: there is no program whose end could end us. */
		if (signal === SIGTERM || signal === SIGINT) init.status = 0;
		return;
	}
	say(init, DEBUG, `passing on ${signalName(received)}${signal === received ? "" : ` as ${signalName(signal)}`}`);
	if (init.child === 0) signalRest(init, signal);
	else send(init, killProcessGroup, signal);
	if (stopSignals.includes(received) || stopSignals.includes(signal)) stopWithin(init, init.settings.grace);
}

function send(init: Init, group: boolean, signal: number) {
	try {
		/* Until the child has made its group, there is only the child. */
		if (!(group && killIfAny(-init.child, signal)) && !killIfAny(init.child, signal))
			say(init, WARNING, `the program had ended when ${signalName(signal)} came`);
	} catch (error) {
		/* EPERM: it runs as another user by now. tini ends here, and as PID 1 takes all down; the program may not care. */
		if (!(error instanceof SysError)) throw error;
		say(init, WARNING, error.message);
	}
}

/** The end is asked for: what is left after the grace time is killed. The first request counts. */
function stopWithin(init: Init, grace: number | undefined) {
	if (grace === undefined || init.stopping) return;
	init.stopping = true;
	after(init, grace, () => {
		say(init, WARNING, `${grace} s of grace are over: SIGKILL to what is left`);
		killRest(init);
	});
}

/** --max-time has passed: as if SIGTERM had come, with a grace time in any case. */
export function timeOut(init: Init) {
	init.timedOut = true;
	say(init, WARNING, `the program has run for ${init.settings.maxTime} s: SIGTERM`);
	stopWithin(init, init.settings.grace ?? DEFAULT_GRACE);
	forward(init, SIGTERM);
}
