/** `tsunshare gc`, `tsunshare rm`: clear what is left of sandboxes. Both may be called again, at any time. */

import { POLLIN, poll } from "../../../native/linux/poll.ts";
import { pidfdOpen } from "../../../native/linux/process.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { findRecord } from "../../common/record.ts";
import {
	killProgram,
	readRecordIfAny,
	removeHalfWritten,
	sandboxFolder,
	stateOf,
	supervisor,
	withSandboxes,
} from "../../common/sandbox-state.ts";
import { listState, runFolder } from "../../common/state.ts";
import { clearLeft } from "./leaving.ts";

/** Seconds that a killed process may take to be gone. */
const PATIENCE = 5;

/** Clears the sandboxes that have ended or lost their supervisor, and with `held` ends those that nobody has started. */
export function gc(options: { held?: true }) {
	const base = `${runFolder()}/sandboxes`;
	if (options.held) for (const id of listState(base)) if (stateOf(id) === "held" && end(id)) print(`${id}\n`);
	withSandboxes(() => removeHalfWritten(base));
	for (const id of listState(base)) {
		if (supervisor(id)) removeHalfWritten(sandboxFolder(id));
		else if (clearLeft(id)) print(`${id}\n`);
	}
}

/** Kills the program, and waits until the supervisor has written that down, and ended. False if there is none any more. */
function end(id: string): boolean {
	const owner = supervisor(id);
	const record = readRecordIfAny(id);
	if (!owner || !record) return false;
	try {
		const pidfd = pidfdOpen(owner.pid);
		killProgram(record);
		poll([{ fd: pidfd, events: POLLIN }], PATIENCE);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
	return true;
}

/** Forgets sandboxes that have ended. */
export function rm(operands: string[], options: { force?: true }) {
	if (operands.length === 0) throw new UsageError("no sandbox named");
	for (const id of operands) {
		findRecord(id);
		if (options.force) end(id);
		if (!clearLeft(id)) fail(`${id}: it has not ended`, `\`tsunshare kill ${id}\` first, or rm --force`);
	}
}
