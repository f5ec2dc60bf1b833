/** The process whose namespaces are entered, opened so that its PID cannot come to mean another one in between. */

import { ENOENT, ESRCH } from "../../../native/linux/errno.ts";
import { close, O_DIRECTORY, O_PATH, O_RDONLY, open, readAll } from "../../../native/linux/fd.ts";
import { POLLIN, poll } from "../../../native/linux/poll.ts";
import { stat } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { decode } from "../../../native/linux/text.ts";
import { notA } from "../../common/command-line/options.ts";
import { fail } from "../../common/errors.ts";
import { findRecord, openTarget, type SandboxRecord } from "../../common/record.ts";
import { isName } from "../../common/state.ts";

export interface Entered {
	pid: number;
	pidfd: number;
	/** /proc/PID, opened: names of files below it are of this process or, once it has ended, of none. */
	proc: number;
	record?: SandboxRecord;
}

/** Opens what `-t` or the first operand names: a PID, PID:INODE (the inode of its pidfd, Linux 6.9), or a sandbox's id. */
export function openEntered(text: string): Entered {
	const [, digits, inode] = /^(\d{1,10})(?::(\d+))?$/.exec(text) ?? [];
	if (digits === undefined && !isName(text)) notA("--target", text, "a PID, PID:INODE or a sandbox's id");
	const { pid, pidfd, record } = openTarget(digits === undefined ? findRecord(text) : Number(digits));
	if (inode !== undefined && stat("", pidfd).ino !== Number(inode)) fail(`${text}: has ended; its PID names another process now`);
	const gone = () => fail(`${record ? record.id : pid}: no such process`);
	let proc: number;
	try {
		proc = open(`/proc/${pid}`, O_PATH | O_DIRECTORY);
	} catch (error) {
		if (error instanceof SysError && (error.errno === ENOENT || error.errno === ESRCH)) gone();
		throw error;
	}
	/* As long as the process of the pidfd lives, its PID is not used again: so the folder is its own. */
	if (poll([{ fd: pidfd, events: POLLIN }], 0)[0] !== 0) gone();
	return { pid, pidfd, proc, ...(record && { record }) };
}

/** Opens a file of the target's in /proc. */
export function openOf(target: Entered, file: string, flags = O_RDONLY): number {
	try {
		return open(file, flags, 0, target.proc);
	} catch (error) {
		throw error instanceof SysError ? new SysError("open", error.errno, `/proc/${target.pid}/${file}`) : error;
	}
}

/** A text of the target's in /proc. */
export function readOf(target: Entered, file: string): string {
	const fd = openOf(target, file);
	const text = decode(readAll(fd));
	close(fd);
	return text;
}
