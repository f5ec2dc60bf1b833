/**
 * The state of sandboxes: a folder each, sandboxes/ID below the run-time state, which root alone (or its user) can write.
 *
 *     supervisor   {"pid":4240,"start":881230}: who cares for it. Once that process is gone, so is the sandbox.
 *     record       the sandbox record (cmds/common/record.ts)
 *     leave        the tools that have a part to undo at its end, a name a line; called last first, as `TOOL leave ID`
 *     bin          the folder of those tools
 *     environment  that of its program: NAME=value, each closed by a NUL
 *     seccomp      its seccomp policy or program, where that is not the default one
 *     start        a FIFO, there as long as the sandbox is held: the supervisor reads a command from it
 *     hold         locked by the supervisor until the program has been executed, or has failed to be;
 *                  then shared by those who wait for the end
 *     status       how it ended; the last that the supervisor writes
 *
 * A folder is made and removed under the lock of sandboxes/.
 */

import { CLOCK_REALTIME, clockGettime } from "../../native/linux/clock.ts";
import { EAGAIN, ENOENT } from "../../native/linux/errno.ts";
import {
	close,
	getcwd,
	O_APPEND,
	O_CREAT,
	O_NOFOLLOW,
	O_RDONLY,
	O_WRONLY,
	open,
	readdir,
	readFileIfAny,
	write,
} from "../../native/linux/fd.ts";
import { flock, LOCK_EX, LOCK_NB, LOCK_SH } from "../../native/linux/lock.ts";
import { startTime } from "../../native/linux/proc.ts";
import { getpid, getrandom, pidfdOpen, pidfdSendSignal } from "../../native/linux/process.ts";
import { SIGKILL } from "../../native/linux/signal.ts";
import { exists, lstatIfAny, mkdir, unlinkIfAny } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { fail } from "./errors.ts";
import type { SandboxRecord } from "./record.ts";
import { isAlive, makeStateFolder, type Owner, readState, removeStateFolder, runFolder, withLock, writeState } from "./state.ts";

/** An error for people, with the exit status that it calls for. */
export interface Failure {
	message: string;
	hint?: string;
	status: number;
}

/** How a sandbox ended. */
export interface Status {
	/** The exit status, or the number of the signal. */
	code: number;
	signal: boolean;
	/** Why the program could not be executed. */
	error?: Failure;
	/** Seconds since 1970. */
	ended: number;
}

export type State = "held" | "running" | "ended" | "lost";

/** The sandbox's record as this tool makes it. */
export interface OwnRecord extends SandboxRecord {
	supervisor: Owner;
	/** Seconds since 1970. */
	created: number;
	command: string[];
	rootfs?: string;
	hostname?: string;
	/** The state is removed with the sandbox's end. */
	transient?: true;
	/** The supervisor's descriptor of the terminal's master. */
	tty?: number;
	cwd?: string;
	user?: string;
	noNewPrivs?: true;
	/** Its seccomp policy: the default one, or that of the file `seccomp` in its state. */
	seccomp?: "default" | "file";
}

export function sandboxFolder(id: string): string {
	return `${runFolder()}/sandboxes/${id}`;
}

function baseFolder(): string {
	const base = `${runFolder()}/sandboxes`;
	makeStateFolder(runFolder());
	makeStateFolder(base);
	return base;
}

/** Runs a change of which sandboxes there are. */
export function withSandboxes<T>(change: () => T): T {
	return withLock(baseFolder(), change);
}

/** Makes the folder of a new sandbox, whose supervisor we are; without an id one is made up. */
export function claim(id: string | undefined): { id: string; folder: string } {
	return withSandboxes(() => {
		const chosen = id ?? newId();
		const folder = absolute(sandboxFolder(chosen));
		if (lstatIfAny(folder)) {
			if (supervisor(chosen)) fail(`${chosen}: there is a sandbox of this name`, `\`tsunshare kill ${chosen}\` ends it`);
			if (isAwaited(chosen))
				fail(`${chosen}: there is a sandbox of this name`, "it has ended, but who waits for it has not read its status yet");
			clear(chosen);
		}
		mkdir(folder, 0o700);
		writeState(`${folder}/supervisor`, JSON.stringify({ pid: getpid(), start: startTime(getpid()) }));
		return { id: chosen, folder };
	});
}

function absolute(path: string): string {
	return path.startsWith("/") ? path : `${getcwd()}/${path}`;
}

/** A made-up name that no sandbox has: 8 hexadecimal digits. */
export function newId(): string {
	for (;;) {
		const id = [...getrandom(4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
		/* All digits would be read as a PID. */
		if (!/^\d+$/.test(id) && !lstatIfAny(sandboxFolder(id))) return id;
	}
}

/** The process that cares for a sandbox, if it lives. */
export function supervisor(id: string): Owner | undefined {
	const owner = readState<Owner>(`${sandboxFolder(id)}/supervisor`);
	return owner && isAlive(owner) ? owner : undefined;
}

export function readStatus(id: string): Status | undefined {
	return readState<Status>(`${sandboxFolder(id)}/status`);
}

export function stateOf(id: string): State {
	if (readStatus(id)) return "ended";
	if (!supervisor(id)) return "lost";
	return exists(`${sandboxFolder(id)}/start`) ? "held" : "running";
}

/** Kills the process of a record, if it is still that. */
export function killProgram(record: { pid: number; start: number }): boolean {
	try {
		const pidfd = pidfdOpen(record.pid);
		/* In this order: the start time then belongs to the pidfd's process, or to none. */
		return startTime(record.pid) === record.start && pidfdSendSignal(pidfd, SIGKILL);
	} catch (error) {
		if (error instanceof SysError) return false;
		throw error;
	}
}

/** True where the state says that this process is the sandbox of that id: a record may say anything. */
export function isOfSandbox(id: string, pid: number, start: number | undefined): boolean {
	const record = readRecordIfAny(id);
	return record !== undefined && start !== undefined && record.pid === pid && record.start === start;
}

/** What may stand in `leave`. */
const LEAVERS = ["tscgctl", "tsvethctl", "tsportproxy", "tsvolctl", "tsunionmount", "tsdmthin"];

/** Those of a list, from a record that is not trusted, that are tools of ours. */
export function leavers(names: unknown): string[] {
	return Array.isArray(names) ? names.filter((name, i) => LEAVERS.includes(name) && names.indexOf(name) === i) : [];
}

/** Notes that a tool has, or is about to have, a part of a live sandbox to undo at its end. To be called before the first change. */
export function registerLeave(id: string, tool: string) {
	const path = `${sandboxFolder(id)}/leave`;
	if (readFileIfAny(path)?.split("\n").includes(tool)) return;
	const fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600);
	write(fd, `${tool}\n`);
	close(fd);
}

/** Keeps the status of a sandbox from being cleared until what it returns is closed. Waits until the sandbox is started. */
export function keepStatus(id: string): number | undefined {
	try {
		const lock = open(`${sandboxFolder(id)}/hold`, O_RDONLY);
		flock(lock, LOCK_SH);
		return lock;
	} catch (error) {
		if (error instanceof SysError && error.errno === ENOENT) return undefined;
		throw error;
	}
}

/** True while somebody waits for the end of a sandbox, and has perhaps not yet read its status. */
export function isAwaited(id: string): boolean {
	try {
		const lock = open(`${sandboxFolder(id)}/hold`, O_RDONLY);
		try {
			flock(lock, LOCK_EX | LOCK_NB);
			return false;
		} finally {
			close(lock);
		}
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		return error.errno === EAGAIN;
	}
}

/**
 * Makes us the one who clears a sandbox that has ended or lost its supervisor: as long as we do, its name is taken. False where
 * it is cared for, or its status is still waited for.
 */
export function takeOver(id: string): boolean {
	return withSandboxes(() => {
		if (!lstatIfAny(sandboxFolder(id)) || supervisor(id) || isAwaited(id)) return false;
		writeState(`${sandboxFolder(id)}/supervisor`, JSON.stringify({ pid: getpid(), start: startTime(getpid()) }));
		return true;
	});
}

/** Removes what is left of a sandbox that has ended or lost its supervisor. To be called under the lock. */
export function clear(id: string) {
	killLeft(id);
	removeStateFolder(sandboxFolder(id));
}

/** Kills the program of a sandbox that has lost its supervisor, where the kernel has not. */
export function killLeft(id: string) {
	const record = readRecordIfAny(id);
	if (record && !readStatus(id)) killProgram(record);
}

/** The record, undefined where there is none or it cannot be read. */
export function readRecordIfAny(id: string): OwnRecord | undefined {
	try {
		return readState<OwnRecord>(`${sandboxFolder(id)}/record`);
	} catch {
		return undefined;
	}
}

/** Removes files that a process left which died while it wrote them: NAME.PID.new. */
export function removeHalfWritten(folder: string): number {
	let removed = 0;
	try {
		for (const entry of readdir(folder)) {
			const writer = /\.(\d+)\.new$/.exec(entry);
			if (!writer || startTime(Number(writer[1])) !== undefined) continue;
			unlinkIfAny(`${folder}/${entry}`);
			removed++;
		}
	} catch (error) {
		if (!(error instanceof SysError && error.errno === ENOENT)) throw error;
	}
	return removed;
}

/**
 * Removes the state of a sandbox that has ended, once its status is known to who wanted it. By its supervisor it is told
 * from a later one of the same name.
 */
export function forget(id: string, { pid, start }: Owner) {
	withSandboxes(() => {
		const owner = readState<Owner>(`${sandboxFolder(id)}/supervisor`);
		if (owner?.pid === pid && owner.start === start) removeStateFolder(sandboxFolder(id));
	});
}

/** Removes the state of our own sandbox, by its folder: we have left the one in which a relative $TSBOX_RUN means something. */
export function discard(folder: string) {
	withLock(folder.slice(0, folder.lastIndexOf("/")), () => removeStateFolder(folder));
}

export function now(): number {
	return Math.round(clockGettime(CLOCK_REALTIME));
}
