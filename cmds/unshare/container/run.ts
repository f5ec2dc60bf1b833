/** A container in the foreground: the tool is its parent, passes signals and its streams on, and ends as its program does. */
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
	SIGINT,
	SIGKILL,
	SIGQUIT,
	SIGSTOP,
	SIGTTIN,
	SIGTTOU,
	SIGWINCH,
	setDisposition,
	signalfd,
	sigprocmask,
	sigsetAllBut,
} from "../../../native/linux/signal.ts";
import { ToolError } from "../../common/errors.ts";
import { endLike } from "../../common/program.ts";
import { readPlanRecord } from "../../common/record.ts";
import { effective } from "../held/deaf.ts";
import { hold } from "../held/hold.ts";
import { enroll, finish, makeRecord, revoke, writeRecord } from "../held/own.ts";
import { protectOwnBinary } from "./own-binary.ts";
import { type Box, begin, destroy, release } from "./parent.ts";
import { type Plan, readPlan, type SandboxLine } from "./plan.ts";
import { describe, thrown } from "./report.ts";
import { openStreams, type Streams, startCarrying } from "./streams.ts";
import { copySize, type Relay, startRelay } from "./tty.ts";

export function sandbox(line: SandboxLine) {
	try {
		/* All that can be wrong with the command line is found before we start anew, and before a plan is read. */
		readPlan(line);
		protectOwnBinary();
		const plan = readPlan(line, line.options.record === undefined ? undefined : readPlanRecord(line.options.record));
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
	/* Those of job control stop us, as a job; the program is in a session of its own, and does not get them. */
	const signals = sigsetAllBut([SIGTTIN, SIGTTOU]);
	/* A shell without job control has what runs in its background ignore them; then they would not come to us either. */
	if (plan.record) for (const signal of [SIGINT, SIGQUIT]) setDisposition(signal, SIG_DFL);
	const mask = sigprocmask(SIG_BLOCK, signals);
	const streams = openStreams(plan);
	/* A sandbox with a name has a state, and its supervisor is this process. */
	const own = plan.id === undefined ? undefined : enroll(plan);
	/* With a plan on standard input, the user's terminal is what --stdin names. */
	const input = plan.tty && /^\d{1,7}$/.test(plan.stdio[0] ?? "") ? Number(plan.stdio[0]) : 0;
	let box: Box | undefined;
	let ended: Ended;
	try {
		box = begin(plan, streams.program, mask);
		if (own) writeRecord(own, makeRecord(plan, own.id, box), plan, box);
		if (box.master !== undefined) copySize(box.master, input, 1);
		const failure = release(box);
		if (failure) {
			wait(box.pid);
			box = undefined;
			throw thrown(failure);
		}
		ended = attend({ ...box, input }, streams, signalfd(signals), own !== undefined);
	} catch (error) {
		if (box) destroy(box);
		if (own) revoke(own);
		throw error;
	}
	if (own) finish(own, ended, plan.transient);
	endLike(ended);
}

/** The process that is attended, and the master of its terminal. */
export interface Attended extends Pick<Box, "pid" | "pidfd" | "master"> {
	/** Where the terminal's input comes from, if not from our standard input. */
	input?: number;
}

/** Passes on the signals that come (with `endsDeaf`, one that asks a PID 1 in vain to end becomes SIGKILL) and what goes through the streams, until the program has ended. */
export function attend(box: Attended, streams: Streams, signals: number, endsDeaf = false): Ended {
	const relay: Relay | undefined = box.master === undefined ? startCarrying(streams) : startRelay(box.master, box.input ?? 0, 1);
	let replaced: number | undefined;
	try {
		for (;;) {
			const [signalReady, ...ready] = poll([{ fd: signals, events: POLLIN }, ...(relay?.wanted() ?? [])]);
			relay?.handle(ready);
			if (signalReady === 0) continue;
			for (let info = readSignal(signals); info; info = readSignal(signals)) {
				if (info.signal === SIGWINCH && relay) relay.resize();
				else if (info.signal !== SIGCHLD) {
					const sent = endsDeaf ? effective(box.pid, info.signal) : info.signal;
					if (sent !== info.signal) replaced = info.signal;
					pidfdSendSignal(box.pidfd, sent);
				}
			}
			const ended = reap(box);
			/* The status is that of the signal that was asked for. */
			if (ended) return replaced !== undefined && ended.signal && ended.code === SIGKILL ? { ...ended, code: replaced } : ended;
		}
	} finally {
		relay?.finish();
	}
}

/** The end of the program, if it has come. When it is stopped we stop as well: to a shell we are the job. */
function reap({ pid, pidfd }: Attended): Ended | undefined {
	const ended = wait(pid, WNOHANG | WUNTRACED);
	if (ended?.stopped === undefined) return ended;
	kill(getpid(), SIGSTOP);
	pidfdSendSignal(pidfd, SIGCONT);
	return undefined;
}
