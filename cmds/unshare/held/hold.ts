/**
 * A held sandbox. Three processes:
 *
 *     the tool        forks the supervisor, prints the record that it gets from it, and is done;
 *     the supervisor  outlives the tool and the script that called it: the parent of the container's process;
 *     the container's process  is set up completely, and blocks before the exec of its program.
 *
 * Whichever of them is killed, the others end: the tool's end closes the pipe on which the supervisor waits for the word
 * that the record is out, and the kernel kills the container's process with its parent.
 */

import { CLOCK_MONOTONIC, clockGettime } from "../../../native/linux/clock.ts";
import { chdir, close, dup2, O_NONBLOCK, O_RDWR, open, pipe, read, readAll, write } from "../../../native/linux/fd.ts";
import { flock, LOCK_EX, LOCK_UN } from "../../../native/linux/lock.ts";
import { POLLIN, poll } from "../../../native/linux/poll.ts";
import { type Ended, exit, fork, pidfdSendSignal, prctl, setsid, WNOHANG, wait } from "../../../native/linux/process.ts";
import {
	readSignal,
	SIG_BLOCK,
	SIG_DFL,
	SIGCHLD,
	SIGHUP,
	SIGINT,
	SIGKILL,
	SIGQUIT,
	SIGTERM,
	SIGUSR1,
	SIGUSR2,
	setDisposition,
	signalfd,
	sigprocmask,
	sigset,
	sigsetAllBut,
} from "../../../native/linux/signal.ts";
import { mknod, S_IFIFO, unlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { decode } from "../../../native/linux/text.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail } from "../../common/errors.ts";
import { closeAllBut } from "../../common/program.ts";
import type { Failure, OwnRecord } from "../../common/sandbox-state.ts";
import { writeState } from "../../common/state.ts";
import { type Box, begin, destroy, release } from "../container/parent.ts";
import type { Plan } from "../container/plan.ts";
import { describe, thrown } from "../container/report.ts";
import { carrying, openStreams, type Streams, startCarrying } from "../container/streams.ts";
import { leaveAll } from "./leaving.ts";
import { enroll, finish, makeRecord, type Own, revoke, statusText, writeRecord } from "./own.ts";

/** What the supervisor tells the tool: the record, or what failed. */
interface News {
	record?: OwnRecord;
	error?: Failure;
}

/** Sets the sandbox up, prints its record, and exits. */
export function hold(plan: Plan): never {
	const stdio = plan.stdio.map((text, i) => text ?? (i === 0 ? "/dev/null" : "2"));
	const streams = openStreams({ ...plan, stdio });
	if (isDryRun()) begin(plan, streams.program, sigset([]));
	const news = pipe();
	const word = pipe();
	const pid = fork();
	if (pid === 0) {
		close(news.reader);
		close(word.writer);
		beSupervisor(plan, streams, news.writer, word.reader);
	}
	close(news.writer);
	close(word.reader);
	const text = decode(readAll(news.reader));
	if (text === "") fail("the supervisor ended before the sandbox was set up");
	const { record, error } = JSON.parse(text) as News;
	if (error) throw thrown(error);
	/* If nobody reads it we end here, and so does the sandbox, to which nobody could come any more. */
	print(`${JSON.stringify(record)}\n`);
	write(word.writer, "!");
	exit(0);
}

/** What the supervisor keeps of its sandbox. */
interface Held extends Box {
	own: Own;
	streams: Streams;
	signals: number;
	commands: number;
	lock: number;
}

function beSupervisor(plan: Plan, streams: Streams, news: number, word: number): never {
	let own: Own | undefined;
	let box: Box | undefined;
	let isTold = false;
	try {
		setsid();
		/* A shell without job control has what runs in its background ignore them; the program is not of that job. */
		for (const signal of [SIGINT, SIGQUIT]) setDisposition(signal, SIG_DFL);
		const mask = sigprocmask(SIG_BLOCK, sigsetAllBut([]));
		leaveStreams();
		own = enroll(plan);
		const named = { ...plan, id: own.id };
		box = begin(named, streams.program, mask);
		const held = { ...box, own, streams, signals: signalfd(sigsetAllBut([])), ...makeState(own.folder) };
		const record = makeRecord(named, own.id, box);
		writeRecord(own, record, named, box);
		write(news, JSON.stringify({ record }));
		isTold = true;
		close(news);
		letGo(held, word, plan.tty);
		if (isRecordOut(word, held)) conclude(plan, own, supervise(plan, held));
		else {
			destroy(box);
			revoke(own);
		}
	} catch (error) {
		if (box) destroy(box);
		if (own) revoke(own);
		const failure = describe(error);
		if (!isTold) tell(news, { error: failure });
	}
	exit(0);
}

/** The tool may be gone. */
function tell(news: number, message: News) {
	try {
		write(news, JSON.stringify(message));
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
}

/** The record's pipe must not stay open in us or in the program: its reader waits for the end. */
function leaveStreams() {
	const none = open("/dev/null", O_RDWR);
	dup2(none, 0);
	dup2(none, 1);
	close(none);
}

/** The FIFO for commands is open for writing, too, so that it is never at its end. */
function makeState(folder: string): { commands: number; lock: number } {
	const lock = open(`${folder}/hold`, O_RDWR);
	flock(lock, LOCK_EX);
	mknod(`${folder}/start`, S_IFIFO | 0o600, 0);
	return { lock, commands: open(`${folder}/start`, O_RDWR | O_NONBLOCK) };
}

const PR_SET_PTRACER = 0x59616d61;

/** Keeps nothing of the caller's: no folder, no stream, no descriptor. */
function letGo({ go, report, pidfd, master, signals, commands, lock, streams }: Held, word: number, hasTerminal: boolean) {
	chdir("/");
	dup2(0, 2);
	closeAllBut([go, report, pidfd, master ?? go, signals, commands, lock, word, ...carrying(streams)]);
	/* `tsunshare start` takes the terminal's master from us; where Yama is in force, it must be allowed to. */
	if (hasTerminal) {
		try {
			prctl("PR_SET_PTRACER", PR_SET_PTRACER, -1);
		} catch {
			/* There is no Yama. */
		}
	}
}

/** Waits for the tool's word; false if it has died without it, or the container's process has ended. */
function isRecordOut(word: number, { signals }: Held): boolean {
	for (;;) {
		const [wordReady, signalReady] = poll([
			{ fd: word, events: POLLIN },
			{ fd: signals, events: POLLIN },
		]);
		if (wordReady !== 0) return read(word, new Uint8Array(1)) === 1;
		if (signalReady !== 0) return false;
	}
}

/** What ended a sandbox: its program, or before that we, or somebody who killed the held process. */
interface End {
	ended: Ended;
	wasStarted: boolean;
	/** Somebody waits for the status, and removes the state of a transient sandbox when he has it. */
	isAwaited: boolean;
	error?: Failure;
}

function supervise(plan: Plan, held: Held): End {
	const { pid, pidfd, signals, commands } = held;
	const deadline = clockGettime(CLOCK_MONOTONIC) + plan.holdTimeout;
	let wasStarted = false;
	let isAwaited = false;
	let error: Failure | undefined;
	const relay = startCarrying(held.streams);
	for (;;) {
		const left = wasStarted || plan.holdTimeout === 0 ? undefined : deadline - clockGettime(CLOCK_MONOTONIC);
		if (left !== undefined && left <= 0) pidfdSendSignal(pidfd, SIGKILL);
		const [signalReady, commandReady, ...ready] = poll(
			[{ fd: signals, events: POLLIN }, { fd: wasStarted ? -1 : commands, events: POLLIN }, ...(relay?.wanted() ?? [])],
			left === undefined ? undefined : Math.max(left, 0.01),
		);
		relay?.handle(ready);
		if (commandReady) {
			const bytes = new Uint8Array(64);
			isAwaited = decode(bytes, 0, read(commands, bytes)).startsWith("wait");
			wasStarted = true;
			error = start(held);
		}
		if (signalReady) {
			for (let info = readSignal(signals); info; info = readSignal(signals)) passOn(held, info.signal, wasStarted);
			const ended = wait(pid, WNOHANG);
			if (ended) relay?.finish();
			if (ended) return { ended, wasStarted, isAwaited, ...(error && { error }) };
		}
	}
}

/** Lets the program run. Those who ask for that wait for the lock: then it runs, or has failed to. */
function start(held: Held): Failure | undefined {
	unlinkIfAny(`${held.own.folder}/start`);
	const error = release(held);
	if (error) writeState(`${held.own.folder}/status`, statusText({ pid: held.pid, code: error.status, signal: false }, error));
	flock(held.lock, LOCK_UN);
	return error;
}

const PASSED_ON = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/** A program that does not run yet cannot take a signal its own way: then each of them ends it. */
function passOn({ pidfd }: Held, signal: number, wasStarted: boolean) {
	if (signal !== SIGCHLD && PASSED_ON.includes(signal)) pidfdSendSignal(pidfd, wasStarted ? signal : SIGKILL);
}

/** A sandbox that never ran leaves nothing. Why a program could not be executed, is read by who started it. */
function conclude(plan: Plan, own: Own, { ended, wasStarted, isAwaited, error }: End) {
	if (error) leaveAll(own.id, own.folder);
	else finish(own, ended, !wasStarted || (plan.transient && !isAwaited));
}
