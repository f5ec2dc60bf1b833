/** The life of an init, in the order in which it happens. */
import { chdir, closeRange } from "../../native/linux/fd.ts";
import { getpgrp, getpid, isChildSubreaper, PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, prctl } from "../../native/linux/process.ts";
import {
	SIG_DFL,
	SIG_SETMASK,
	SIGABRT,
	SIGBUS,
	SIGCHLD,
	SIGFPE,
	SIGILL,
	SIGSEGV,
	SIGSYS,
	SIGTRAP,
	SIGTTIN,
	SIGTTOU,
	setDisposition,
	sigprocmask,
	sigsetAllBut,
} from "../../native/linux/signal.ts";
import { getForegroundGroup } from "../../native/linux/terminal.ts";
import { warn } from "../common/command-line/tool.ts";
import { show } from "../common/errors.ts";
import { endRest } from "./ending.ts";
import { runHook } from "./hooks.ts";
import { after, INFO, type Init, say, TRACE, WARNING } from "./init.ts";
import { timeOut, waitFor } from "./loop.ts";
import type { Given } from "./options.ts";
import { leaveTerminal } from "./session.ts";
import { type Settings, settingsOf } from "./settings.ts";
import { spawn } from "./spawn.ts";
import { watchZombies } from "./zombies.ts";

/** As timeout(1). */
export const TIMED_OUT = 124;

/** Runs the program as the command line says; returns the exit status. */
export function supervise(options: Given, argv: string[]): number {
	const settings = settingsOf(options, argv);
	const init = prepare(settings);
	if (settings.before !== undefined) {
		const failed = runHook(init, settings.before, settings.environment);
		if (failed !== 0) {
			say(init, WARNING, `--before ended with status ${failed}: the program is not started`);
			return failed;
		}
	}
	if (settings.maxTime !== undefined) after(init, settings.maxTime, () => timeOut(init));
	if (settings.verbosity >= INFO) watchZombies(init);

	const ended = settings.pause ? waitFor(init, 0) : runProgram(init);
	init.child = 0;
	if (settings.waitAll !== undefined || settings.killAll !== undefined || settings.termAll || init.stopping) endRest(init);
	const status = init.timedOut ? TIMED_OUT : ended;

	if (settings.after !== undefined) {
		init.timers = [];
		const failed = runHook(init, settings.after, [...settings.environment, `TSINIT_STATUS=${status}`]);
		if (failed !== 0) say(init, WARNING, `--after ended with status ${failed}`);
	}
	return settings.expected.includes(status) ? 0 : status;
}

/** Signals first, so that none is missed; then what makes orphans ours. */
function prepare(settings: Settings): Init {
	/* Those of a fault of our own must not be blocked; those of a background process's terminal access must, or we stop. */
	const faults = [SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS].filter((signal) => settings.rewrite[signal] === undefined);
	const terminal = [SIGTTIN, SIGTTOU].filter((signal) => settings.rewrite[signal] === undefined);
	const mask = sigprocmask(SIG_SETMASK, sigsetAllBut(faults));
	/* Who ignores SIGCHLD gets none, and the kernel reaps in its place (man 2 wait): the program's status would be lost. */
	const childIgnored = setDisposition(SIGCHLD, SIG_DFL);

	if (settings.parentDeathSignal !== undefined) prctl("PR_SET_PDEATHSIG", PR_SET_PDEATHSIG, settings.parentDeathSignal);
	if (settings.subreaper) prctl("PR_SET_CHILD_SUBREAPER", PR_SET_CHILD_SUBREAPER, 1);
	if (settings.newSession) leaveTerminal();
	const foreground = settings.newSession ? -1 : getForegroundGroup(0);
	const init: Init = {
		settings,
		pid: getpid(),
		mask,
		signals: sigsetAllBut([...faults, ...terminal]),
		childIgnored,
		ownsTerminal: foreground >= 0 && foreground === getpgrp(),
		child: 0,
		status: undefined,
		stopping: false,
		timedOut: false,
		timers: [],
	};
	if (settings.subreaper) say(init, TRACE, "registered as a child subreaper");
	checkReaping(init);
	return init;
}

/** Orphans come to PID 1 and to subreapers only. */
function checkReaping(init: Init) {
	if (init.settings.subreaper || init.pid === 1 || init.settings.verbosity < WARNING || isChildSubreaper()) return;
	say(init, WARNING, "neither PID 1 nor a child subreaper: orphans do not come to tsinit, and zombie reaping won't work");
	warn("hint: use -s or set TINI_SUBREAPER, or run it as PID 1");
}

function runProgram(init: Init): number {
	const { argv, environment, after } = init.settings;
	const pid = spawn(init, argv, environment);
	say(init, INFO, `started ${show(argv[0] as string)} as process ${pid}`);
	/* An init lives long: it must not keep a pipe open or a mount busy that the program has long given up. */
	if (after === undefined) {
		closeRange(3);
		chdir("/");
	}
	return waitFor(init, pid);
}
