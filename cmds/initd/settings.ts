/** What the command line and the environment ask for, in one plain object. */
import { environ } from "../../native/linux/process.ts";
import { SIGTERM } from "../../native/linux/signal.ts";
import { DEFAULT_GRACE, type Given } from "./options.ts";

export interface Settings {
	argv: string[];
	environment: string[];
	subreaper: boolean;
	parentDeathSignal: number | undefined;
	/** tini's levels: 0 errors only, 1 warnings, 2 information, 3 debugging, 4 all. */
	verbosity: number;
	warnOnReap: boolean;
	killProcessGroup: boolean;
	/** The program leads a session of its own; the terminal's stop signals reach it through the init. */
	newSession: boolean;
	/** Exit statuses that count as 0. */
	expected: number[];
	/** By the signal received: the one to forward in its place, 0 for none. */
	rewrite: Record<number, number>;
	/** The signals that start the grace time. */
	stopSignals: number[];
	/** Times are in seconds; undefined where the option is not given. */
	grace: number | undefined;
	maxTime: number | undefined;
	/** Infinity to wait as long as it takes. */
	waitAll: number | undefined;
	killAll: number | undefined;
	/** SIGTERM to what is left, and no more. */
	termAll: boolean;
	before: string | undefined;
	after: string | undefined;
	pause: boolean;
}

/** As tini: a variable turns its option on by being there, and TINI_VERBOSITY has the last word. */
export function settingsOf(options: Given, argv: string[]): Settings {
	const environment = environ();
	const variable = (name: string) => environment.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
	const verbosity = variable("TINI_VERBOSITY");
	const rewrite: Record<number, number> = {};
	for (const [from, to] of options.rewrite ?? []) rewrite[from] = to;
	return {
		argv,
		environment,
		subreaper: options.subreaper === true || variable("TINI_SUBREAPER") !== undefined,
		parentDeathSignal: options.parentDeathSignal,
		verbosity: verbosity === undefined ? 1 + (options.verbose?.length ?? 0) : Number.parseInt(verbosity, 10) || 0,
		warnOnReap: options.warnOnReap === true,
		killProcessGroup: options.killProcessGroup === true || options.newSession === true || variable("TINI_KILL_PROCESS_GROUP") !== undefined,
		newSession: options.newSession === true,
		expected: options.expect ?? [],
		rewrite,
		stopSignals: options.stopSignal ?? [SIGTERM],
		grace: options.grace,
		maxTime: options.maxTime,
		waitAll: options.waitAll === true ? Infinity : options.waitAll,
		killAll: options.killAll === true ? (options.grace ?? DEFAULT_GRACE) : options.killAll,
		termAll: options.termAll === true,
		before: options.before,
		after: options.after,
		pause: options.pause === true,
	};
}
