/** A container in the foreground: the tool is its parent, passes signals and the terminal on, and ends as its program does. */
import { isOpen, O_PATH, open } from "../../../native/linux/fd.ts";
import { POLLIN, poll } from "../../../native/linux/poll.ts";
import {
	type Ended,
	exit,
	getpid,
	getppid,
	kill,
	PR_SET_PDEATHSIG,
	pidfdSendSignal,
	prctl,
	WNOHANG,
	WUNTRACED,
	wait,
} from "../../../native/linux/process.ts";
import {
	readSignal,
	SIG_BLOCK,
	SIG_DFL,
	SIGCHLD,
	SIGCONT,
	SIGKILL,
	SIGSTOP,
	SIGTSTP,
	SIGTTIN,
	SIGTTOU,
	SIGWINCH,
	type SignalInfo,
	setDisposition,
	signalfd,
	sigprocmask,
	sigsetAllBut,
} from "../../../native/linux/signal.ts";
import { ToolError } from "../../common/errors.ts";
import { hold } from "../held/hold.ts";
import { endLike } from "../program.ts";
import { protectOwnBinary } from "./own-binary.ts";
import { type Box, begin, openStdio, release } from "./parent.ts";
import { type Plan, readPlan, type SandboxLine } from "./plan.ts";
import { describe, thrown } from "./report.ts";
import { copySize, startRelay } from "./tty.ts";

export function sandbox(line: SandboxLine) {
	try {
		const plan = readPlan(line);
		protectOwnBinary();
		occupyClosed(2 + plan.preserve);
		/* A status would be lost where the caller ignores SIGCHLD. */
		setDisposition(SIGCHLD, SIG_DFL);
		if (plan.dieWithParent) dieWithParent();
		if (plan.hold) hold(plan);
		else runInForeground(plan);
	} catch (error) {
		throw error instanceof ToolError && error.status !== undefined ? error : thrown(describe(error));
	}
}

/**
 * No descriptor of ours is to take the place of a standard stream, or of one to be preserved, that is closed. To read and
 * write still fails, and the exec closes it.
 */
function occupyClosed(last: number) {
	for (let fd = 0; fd <= last; fd++) if (!isOpen(fd)) open("/dev/null", O_PATH);
}

function dieWithParent() {
	const parent = getppid();
	prctl("PR_SET_PDEATHSIG", PR_SET_PDEATHSIG, SIGKILL);
	/* It may have died before that call. */
	if (getppid() !== parent) exit(1);
}

function runInForeground(plan: Plan): never {
	/* Those that stop a job stop us as well as the program; in a session of its own it does not get them. */
	const signals = sigsetAllBut(plan.newSession ? [] : [SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT]);
	const mask = sigprocmask(SIG_BLOCK, signals);
	const box = begin(plan, openStdio(plan), mask);
	if (box.master !== undefined) copySize(box.master, 0, 1);
	const failure = release(box);
	if (failure) {
		wait(box.pid);
		throw thrown(failure);
	}
	endLike(attend(plan, box, signalfd(signals)));
}

/** Passes on the signals that come and what goes through the terminal, until the program has ended. */
function attend(plan: Plan, box: Box, signals: number): Ended {
	const relay = box.master === undefined ? undefined : startRelay(box.master, 0, 1);
	try {
		for (;;) {
			const [signalReady, ...ready] = poll([{ fd: signals, events: POLLIN }, ...(relay?.wanted() ?? [])]);
			relay?.handle(ready);
			if (signalReady === 0) continue;
			for (let info = readSignal(signals); info; info = readSignal(signals)) {
				if (info.signal === SIGWINCH && relay) relay.resize();
				else if (info.signal !== SIGCHLD) passOn(plan, box, info);
			}
			const ended = reap(box);
			if (ended) return ended;
		}
	} finally {
		relay?.finish();
	}
}

const SI_KERNEL = 0x80;

/** What the terminal sends to its foreground group, the program has got itself. */
function passOn(plan: Plan, { pidfd }: Box, { signal, code }: SignalInfo) {
	if (code === SI_KERNEL && !plan.newSession) return;
	pidfdSendSignal(pidfd, signal);
}

/** The end of the program, if it has come. When it is stopped we stop as well: to a shell we are the job. */
function reap({ pid, pidfd }: Box): Ended | undefined {
	const ended = wait(pid, WNOHANG | WUNTRACED);
	if (ended?.stopped === undefined) return ended;
	kill(getpid(), SIGSTOP);
	pidfdSendSignal(pidfd, SIGCONT);
	return undefined;
}
