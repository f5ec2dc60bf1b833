/** The option table: letters and meanings are those of tini 0.19, -r is dumb-init's, -P catatonit's; the rest is ours. */

import { SIGCHLD, SIGKILL, SIGSTOP, signalNumber } from "../../native/linux/signal.ts";
import { notA, options, type Values } from "../common/command-line/options.ts";
import { duration, integer } from "../common/units.ts";

const signals = "Signals";
const ending = "Ending";

/** SIGKILL comes so many seconds after SIGTERM where no other time is given: docker stop's default. */
export const DEFAULT_GRACE = 10;

/** The last of the signals that have a meaning (man 7 signal): as numbers, dumb-init takes these only. Others are named: RTMIN+3. */
const LAST_STANDARD = 31;

function signal(text: string, option: string): number {
	return signalNumber(text) ?? notA(option, text, "a signal (SIGTERM, TERM, 15)");
}

/** `15:3`, `TERM:QUIT`, `HUP:0`. */
function rewriteRule(text: string, option: string): [from: number, to: number] {
	const [first = "", second = "", ...more] = text.split(":");
	const from = signalNumber(first);
	const to = second === "0" ? 0 : signalNumber(second);
	if (from === undefined || to === undefined || more.length > 0 || [first, second].some((text) => Number(text) > LAST_STANDARD))
		notA(option, text, "FROM:TO, two signals (15:3, TERM:QUIT, HUP:0; a number is at most 31)");
	if (from === SIGKILL || from === SIGSTOP || from === SIGCHLD) notA(option, text, "a rule for a signal that tsinit forwards");
	return [from, to];
}

export const optionTable = options([
	{ long: "subreaper", short: "s", help: "become a child subreaper, to reap orphans without being PID 1" },
	{
		long: "expect",
		short: "e",
		value: "CODE",
		repeat: true,
		parse: integer(0, 255, "an exit status"),
		help: "exit with 0 if PROGRAM exits with CODE",
	},
	{ long: "verbose", short: "v", repeat: true, help: "say more (up to -vvv); also watches for zombies whose parent does not wait" },
	{ long: "warn-on-reap", short: "w", help: "say so when an orphan is reaped" },
	{ long: "before", value: "COMMAND", help: "run a shell command first; if it fails, PROGRAM is not started" },
	{ long: "after", value: "COMMAND", help: "run a shell command last; PROGRAM's status is in $TSINIT_STATUS" },
	{ long: "pause", short: "P", help: "run no program: reap orphans until SIGTERM or SIGINT" },
	{ long: "license", short: "l", help: "print the licence", rare: true },

	{ long: "kill-process-group", short: "g", group: signals, help: "forward signals to PROGRAM's process group" },
	{ long: "new-session", group: signals, help: "as -g, and PROGRAM leads a session (dumb-init)" },
	{
		long: "rewrite",
		short: "r",
		value: "FROM:TO",
		repeat: true,
		parse: rewriteRule,
		group: signals,
		help: "forward TO when FROM comes; 0 forwards none",
	},
	{ long: "parent-death-signal", short: "p", value: "SIGNAL", parse: signal, group: signals, help: "get SIGNAL when the parent ends" },

	{ long: "grace", value: "TIME", parse: duration, group: ending, help: "after a forwarded SIGTERM, SIGKILL what is left by then" },
	{
		long: "stop-signal",
		value: "SIGNAL",
		repeat: true,
		parse: signal,
		group: ending,
		help: "start the grace time at SIGNAL in place of SIGTERM",
		rare: true,
	},
	{ long: "max-time", value: "TIME", parse: duration, group: ending, help: "stop PROGRAM after TIME, and exit with 124" },
	{
		long: "wait-all",
		value: "TIME",
		optional: "long",
		parse: duration,
		group: ending,
		help: "after PROGRAM, wait for all others (at most TIME)",
	},
	{ long: "term-all", group: ending, help: "then SIGTERM to those left, and exit (dumb-init)" },
	{
		long: "kill-all",
		value: "TIME",
		optional: "long",
		parse: duration,
		group: ending,
		help: `then SIGTERM to those left, and SIGKILL after TIME (${DEFAULT_GRACE}s)`,
	},
]);

export type Given = Values<typeof optionTable>;
