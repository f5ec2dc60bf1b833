/** `tsunshare start`: lets held programs run, and with --wait waits for them. */
import { ENOENT, ENXIO } from "../../../native/linux/errno.ts";
import { close, ioctl, O_NONBLOCK, O_RDONLY, O_WRONLY, open, write } from "../../../native/linux/fd.ts";
import { flock, LOCK_EX, LOCK_SH } from "../../../native/linux/lock.ts";
import { exit } from "../../../native/linux/process.ts";
import { SIG_BLOCK, SIG_DFL, SIGINT, SIGQUIT, setDisposition, sigprocmask } from "../../../native/linux/signal.ts";
import { FIONREAD } from "../../../native/linux/socket.ts";
import { exists, lstatIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import {
	filterRecords,
	inputLines,
	isPlan,
	killIfHeld,
	noRecord,
	notYetMade,
	openTarget,
	operandTargets,
	parseLine,
	type Target,
} from "../../common/record.ts";
import { forget, readRecordIfAny, readStatus, sandboxFolder, withSandboxes } from "../../common/sandbox-state.ts";
import { writeState } from "../../common/state.ts";
import { describe, EXIT_FAILED, thrown } from "../container/report.ts";
import { idOf } from "./named.ts";
import { attend, attended, attendedSignals, type Watched, watch } from "./wait.ts";

export function start(operands: string[], options: { wait?: true }) {
	if (!options.wait) {
		filterRecords(operands, (target) => {
			const id = idOf(target);
			letRun(id, target, "go");
			return { held: false };
		});
		return;
	}
	try {
		/* A shell without job control has what runs in its background ignore them. */
		for (const signal of [SIGINT, SIGQUIT]) setDisposition(signal, SIG_DFL);
		sigprocmask(SIG_BLOCK, attendedSignals());
		const watched = targets(operands).map(startToWait);
		let status = 0;
		for (const one of watched) status = attended(one, attend(one));
		exit(status);
	} catch (error) {
		throw thrown(describe(error));
	}
}

/** What the operands name, or else the records of standard input, which ends here. */
function targets(operands: string[]): Target[] {
	if (operands.length > 0) return operandTargets(operands);
	const found = [...inputLines()].map((line) => {
		const parsed = parseLine(line);
		return openTarget(typeof parsed !== "number" && isPlan(parsed) ? notYetMade(parsed) : parsed);
	});
	return found.length > 0 ? found : noRecord(0, EXIT_FAILED);
}

/** Takes hold of the supervisor, and of the terminal, before the program runs: then nothing of either is missed. */
function startToWait(target: Target): Watched {
	try {
		const id = idOf(target);
		const watched = watch(id, target.record) ?? fail(`${id}: its supervisor is gone`, "`tsunshare gc` clears what is left");
		letRun(id, target, "wait");
		return watched;
	} catch (error) {
		killIfHeld(target);
		throw error;
	}
}

/** Its state is removed under the lock: with it that is seen as a whole, or not yet begun. */
function notHeld(id: string): never {
	if (withSandboxes(() => lstatIfAny(sandboxFolder(id)))) fail(`${id}: not held: it has been started already`);
	hasEnded(id);
}

function hasEnded(id: string): never {
	fail(`${id}: has ended`, "a held sandbox ends when nobody starts it in time: see --hold-timeout");
}

/** Has the supervisor release the program, and comes back when that is executed. Fails if it cannot be. */
function letRun(id: string, { record }: Target, command: "go" | "wait") {
	const folder = sandboxFolder(id);
	let commands: number;
	let unread: number;
	let lock: number;
	try {
		lock = open(`${folder}/hold`, O_RDONLY);
		commands = open(`${folder}/start`, O_WRONLY | O_NONBLOCK);
		/* When the supervisor ends, there is still a reader, and no SIGPIPE. */
		unread = open(`${folder}/start`, O_RDONLY | O_NONBLOCK);
	} catch (error) {
		if (error instanceof SysError && error.errno === ENXIO) fail(`${id}: its supervisor is gone`, "`tsunshare gc` clears what is left");
		if (error instanceof SysError && error.errno === ENOENT) notHeld(id);
		throw error;
	}
	/* Of two that start it at once, one waits here for the other. */
	flock(commands, LOCK_EX);
	if (!exists(`${folder}/start`)) notHeld(id);
	const own = readRecordIfAny(id) ?? notHeld(id);
	if (record && (record.pid !== own.pid || record.start !== own.start)) fail(`${id}: the record is of another sandbox of this name`);
	/* With the members that filters have added; those that were there stay as they were. */
	try {
		writeState(`${folder}/record`, `${JSON.stringify({ ...record, ...own, held: false })}\n`);
		write(commands, `${command}\n`);
	} catch (error) {
		if (error instanceof SysError && error.errno === ENOENT) hasEnded(id);
		throw error;
	}
	/* While we wait for the end we keep the lock: then nobody clears the status away before we have it. */
	flock(lock, LOCK_SH);
	/* The supervisor has ended without a look at it. */
	const bytes = new Uint8Array(4);
	ioctl(unread, FIONREAD, bytes);
	if (bytes.some((byte) => byte !== 0)) hasEnded(id);
	close(unread);
	close(commands);
	const error = readStatus(id)?.error;
	if (error) {
		forget(id, own.supervisor);
		throw thrown(error);
	}
	if (command === "go") close(lock);
}
