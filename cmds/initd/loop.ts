/** The loop's one step: sleep until a signal comes or a timer is due; forward; reap. */
import { exitStatus, killIfAny, WNOHANG, WUNTRACED, wait } from "../../native/linux/process.ts";
import { SIGCHLD, SIGINT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, signalName, sigtimedwait } from "../../native/linux/signal.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { after, DEBUG, INFO, type Init, runTimers, say, timeLeft, WARNING } from "./init.ts";
import { followStop } from "./jobcontrol.ts";
import { DEFAULT_GRACE } from "./options.ts";
import { killRest, signalRest } from "./rest.ts";
import { stopSession } from "./session.ts";

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
			if (ended.pid !== init.child || ![SIGTSTP, SIGTTIN, SIGTTOU].includes(ended.stopped)) continue;
			const signal = followStop(init);
			if (signal !== undefined) forward(init, signal);
			continue;
		}
		say(init, DEBUG, `reaped process ${ended.pid}`);
		if (ended.pid === init.child) {
			say(init, INFO, `the program ended ${ended.signal ? `by ${signalName(ended.code)}` : `with status ${ended.code}`}`);
			init.status = exitStatus(ended);
		} else if (init.settings.warnOnReap) say(init, WARNING, `Reaped zombie process with pid=${ended.pid}`);
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
	if (init.settings.newSession && [SIGTSTP, SIGTTIN, SIGTTOU].includes(signal)) return stopSession(init);
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
