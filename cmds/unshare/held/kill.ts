/** `tsunshare kill`: signals sandboxes, or any processes, each by a pidfd. */
import { SYS_rt_sigtimedwait } from "../../../native/linux/nr.ts";
import { currentSyscall, statusField } from "../../../native/linux/proc.ts";
import { pidfdSendSignal } from "../../../native/linux/process.ts";
import { SIGCONT, SIGKILL, SIGSTOP, SIGTERM, signalName, signalNumber } from "../../../native/linux/signal.ts";
import { notA } from "../../common/command-line/options.ts";
import { fail } from "../../common/errors.ts";
import { filterRecords, findRecord } from "../../common/record.ts";
import { stateOf } from "../../common/sandbox-state.ts";

export function kill(operands: string[], options: { signal?: string }) {
	const signal = options.signal === undefined ? SIGTERM : (signalNumber(options.signal) ?? notA("--signal", options.signal, "a signal"));
	for (const word of operands) if (!/^\d+$/.test(word) && stateOf(findRecord(word).id) === "ended") fail(`${word}: has ended`);
	const deaf: string[] = [];
	filterRecords(operands, ({ pid, pidfd, record, isSandbox }) => {
		const name = record?.id ?? String(pid);
		if (record && !isSandbox) fail(`${name}: process ${pid} is not the sandbox's`, "the record is none of this machine's, or was changed");
		/* A held program cannot take a signal its own way; as PID 1 of its namespace it would not even get it. */
		const isHeld = record !== undefined && stateOf(record.id) === "held";
		if (!isHeld && isDropped(pid, signal)) deaf.push(name);
		if (!pidfdSendSignal(pidfd, isHeld ? SIGKILL : signal)) fail(`${name}: has ended`);
		return undefined;
	});
	/* Not before the others have got theirs. */
	if (deaf.length > 0)
		fail(
			`${deaf.join(", ")}: the program is PID 1 and does not handle ${signalName(signal)}: the kernel drops it`,
			"-s KILL ends it; with tsinit in front it gets signals",
		);
}

/**
 * PID 1 of a namespace gets no signal that it neither handles nor blocks to wait for it, as tsinit does (man 7
 * pid_namespaces). From outside SIGKILL and SIGSTOP come through, and SIGCONT continues it in any case.
 */
function isDropped(pid: number, signal: number): boolean {
	if ([SIGKILL, SIGSTOP, SIGCONT].includes(signal) || statusField(pid, "NSpid")?.split(/\s+/).pop() !== "1") return false;
	if (["SigCgt", "SigBlk"].some((set) => hasSignal(statusField(pid, set) ?? "", signal))) return false;
	/* As long as it waits for them by sigtimedwait(2), /proc does not show them as blocked. */
	const current = currentSyscall(pid);
	return current !== undefined && current !== SYS_rt_sigtimedwait;
}

/** A set of signals as /proc writes it: signal N is bit N-1 of a hexadecimal number. */
function hasSignal(hex: string, signal: number): boolean {
	const bit = signal - 1;
	const digit = Number.parseInt(hex[hex.length - 1 - (bit >> 2)] ?? "0", 16);
	return ((digit >> (bit & 3)) & 1) === 1;
}
