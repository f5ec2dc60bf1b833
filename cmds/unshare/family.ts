/** unshare's --fork: the program as a child, and what parent and child owe each other. */
import { close, pipe, read, write } from "../../native/linux/fd.ts";
import { POLLIN, poll } from "../../native/linux/poll.ts";
import {
	type Ended,
	exit,
	fork,
	getpid,
	killIfAny,
	PR_SET_PDEATHSIG,
	pidfdOpen,
	prctl,
	WNOHANG,
	wait,
} from "../../native/linux/process.ts";
import {
	SIG_BLOCK,
	SIG_SETMASK,
	SIGCHLD,
	SIGINT,
	SIGKILL,
	SIGTERM,
	signalNumber,
	sigprocmask,
	sigset,
	sigtimedwait,
} from "../../native/linux/signal.ts";
import { isDryRun } from "../../native/linux/syscall.ts";
import { notA } from "../common/command-line/options.ts";
import { endLike, waitForProgram } from "../common/program.ts";

/** The signal of --kill-child[=SIGNAL]. */
export function deathSignal(value: string | true): number {
	return value === true ? SIGKILL : (signalNumber(value) ?? notA("--kill-child", value, "a signal"));
}

/**
 * Forks. In the parent it does `keep` (which needs a process in the new PID namespace), waits for the child, and ends as
 * that does; the child goes on when `keep` is done. Returns in the child, with what it takes to see that the parent lives.
 * `forwarded` are the signals that the parent passes on; `killChild` is the one that the child is to get when the parent dies.
 *
 * SIGINT and SIGTERM do not end the parent: a child that takes its time to end is not left behind.
 */
export function forkProgram(forwarded: number[], killChild?: number, keep?: () => void): number | undefined {
	const parent = killChild === undefined || isDryRun() ? undefined : pidfdOpen(getpid());
	const signals = sigset(forwarded.length > 0 ? [...forwarded, SIGCHLD] : [SIGINT, SIGTERM]);
	const gate = keep && !isDryRun() ? pipe() : undefined;
	const mask = sigprocmask(SIG_BLOCK, signals);
	const pid = fork();
	if (pid === 0) {
		sigprocmask(SIG_SETMASK, mask);
		if (gate) {
			close(gate.writer);
			/* The parent has failed, and said why. */
			if (read(gate.reader, new Uint8Array(1)) === 0) exit(1);
			close(gate.reader);
		} else if (keep) keep();
		return parent;
	}
	if (gate && keep) {
		close(gate.reader);
		keep();
		write(gate.writer, "!");
		close(gate.writer);
	}
	endLike(forwarded.length > 0 ? forwardUntilEnd(pid, signals) : waitForProgram(pid));
}

/** Passes the signals that come on to the child, until it ends. */
function forwardUntilEnd(pid: number, signals: Uint8Array): Ended {
	for (;;) {
		const info = sigtimedwait(signals);
		if (!info) continue;
		if (info.signal !== SIGCHLD) killIfAny(pid, info.signal);
		else {
			const ended = wait(pid, WNOHANG);
			if (ended) return ended;
		}
	}
}

/**
 * Has the kernel signal this process when its parent dies; `parent` is the pidfd of it. Exits if that has happened already.
 *
 * The last step before the exec: a change of credentials would undo it (man 2 PR_SET_PDEATHSIG).
 */
export function setDeathSignal(signal: number, parent: number | undefined) {
	prctl("PR_SET_PDEATHSIG", PR_SET_PDEATHSIG, signal);
	if (parent === undefined) return;
	if (poll([{ fd: parent, events: POLLIN }], 0)[0] !== 0) exit(1);
	close(parent);
}
