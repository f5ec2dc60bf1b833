/** `tsunshare wait`: waits for sandboxes to end, and exits with the status of the last. */
import { close } from "../../../native/linux/fd.ts";
import { POLLIN, poll } from "../../../native/linux/poll.ts";
import { exit, pidfdGetfd, pidfdOpen, pidfdSendSignal } from "../../../native/linux/process.ts";
import {
	readSignal,
	SIGHUP,
	SIGINT,
	SIGQUIT,
	SIGTERM,
	SIGUSR1,
	SIGUSR2,
	SIGWINCH,
	signalfd,
	sigset,
} from "../../../native/linux/signal.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import type { SandboxRecord } from "../../common/record.ts";
import { forget, keepStatus, type OwnRecord, readRecordIfAny, readStatus, supervisor } from "../../common/sandbox-state.ts";
import { isAlive, type Owner } from "../../common/state.ts";
import { copySize, ownTerminal, startRelay } from "../container/tty.ts";
import { effective } from "./deaf.ts";
import { operandIds } from "./named.ts";

/** A sandbox whose end is waited for: its supervisor by a pidfd, its process and its terminal's master. */
export interface Watched {
	id: string;
	supervisor: number;
	pid: number;
	pidfd: number;
	master: number | undefined;
	/** The user's terminal, by another way than the standard streams. */
	terminal: number | undefined;
	/** Its state is to be removed, and is this supervisor's. */
	transient: Owner | undefined;
}

export function wait(operands: string[]) {
	let status = 0;
	for (const id of operandIds(operands)) {
		const owner = openSupervisor(id);
		const lock = keepStatus(id);
		if (owner !== undefined) poll([{ fd: owner, events: POLLIN }]);
		status = shellStatus(id);
		if (lock !== undefined) close(lock);
	}
	exit(status);
}

function openSupervisor(id: string): number | undefined {
	const owner = supervisor(id);
	if (!owner) return undefined;
	try {
		const pidfd = pidfdOpen(owner.pid);
		return isAlive(owner) ? pidfd : undefined;
	} catch (error) {
		if (error instanceof SysError) return undefined;
		throw error;
	}
}

/** Takes hold of a sandbox before it is started; undefined if its supervisor is gone. */
export function watch(id: string, given: SandboxRecord | undefined): Watched | undefined {
	const owner = openSupervisor(id);
	const record = (readRecordIfAny(id) ?? given) as OwnRecord | undefined;
	if (owner === undefined || !record) return undefined;
	const master = record.tty === undefined ? undefined : pidfdGetfd(owner, record.tty);
	const terminal = master === undefined ? undefined : ownTerminal();
	if (master !== undefined) copySize(master, terminal ?? 0, terminal ?? 1);
	return {
		id,
		supervisor: owner,
		pid: record.pid,
		pidfd: pidfdOpen(record.pid),
		master,
		terminal,
		transient: record.transient && record.supervisor,
	};
}

export function attendedSignals(): Uint8Array {
	return sigset([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH]);
}

/** Passes signals (blocked already) and the terminal's bytes on until the sandbox has ended; returns its status. */
export function attend({ id, supervisor, pid, pidfd, master, terminal }: Watched): number {
	const signals = signalfd(attendedSignals());
	const relay = master === undefined ? undefined : startRelay(master, terminal ?? 0, terminal ?? 1);
	try {
		for (;;) {
			const [signalReady, ended, ...ready] = poll([
				{ fd: signals, events: POLLIN },
				{ fd: supervisor, events: POLLIN },
				...(relay?.wanted() ?? []),
			]);
			relay?.handle(ready);
			if (signalReady) {
				for (let info = readSignal(signals); info; info = readSignal(signals)) {
					if (info.signal === SIGWINCH) relay?.resize();
					else pidfdSendSignal(pidfd, effective(pid, info.signal));
				}
			}
			if (ended) break;
		}
	} finally {
		relay?.finish();
	}
	return shellStatus(id);
}

/** A transient sandbox is forgotten with its status. */
export function attended({ id, transient }: Watched, status: number): number {
	if (transient) forget(id, transient);
	return status;
}

/** The status as a shell has it: that of the program, or 128+N for signal N. */
function shellStatus(id: string): number {
	const status = readStatus(id);
	if (status) return status.signal ? 128 + status.code : status.code;
	if (readRecordIfAny(id)) fail(`${id}: ended without a status: its supervisor was killed`, "`tsunshare gc` clears what is left", 125);
	return fail(
		`${id}: ended; its status was not kept`,
		"it is for a sandbox with --id and without --rm, or one that `start --wait` has started",
		125,
	);
}
