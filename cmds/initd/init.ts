/** What an init knows, its messages and its timers. */
import { CLOCK_MONOTONIC, clockGettime } from "../../native/linux/clock.ts";
import { warn } from "../common/command-line/tool.ts";
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
	if (init.settings.verbosity >= level) warn(level === WARNING ? `warning: ${text}` : text);
}

/** Runs `action` in so many seconds. */
export function after(init: Init, seconds: number, action: () => void): Timer {
	const timer = { due: clockGettime(CLOCK_MONOTONIC) + seconds, run: action };
	init.timers.push(timer);
	return timer;
}

/** The seconds until the first timer; undefined where there is none: then the kernel wakes us for signals only. */
export function timeLeft(init: Init): number | undefined {
	if (init.timers.length === 0) return undefined;
	return Math.max(0, Math.min(...init.timers.map((timer) => timer.due)) - clockGettime(CLOCK_MONOTONIC));
}

export function runTimers(init: Init) {
	const now = clockGettime(CLOCK_MONOTONIC);
	const due = init.timers.filter((timer) => timer.due <= now);
	init.timers = init.timers.filter((timer) => timer.due > now);
	for (const timer of due) timer.run();
}
