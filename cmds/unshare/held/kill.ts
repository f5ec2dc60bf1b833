/** `tsunshare kill`: signals sandboxes, or any processes, each by a pidfd. */
import { pidfdSendSignal } from "../../../native/linux/process.ts";
import { SIGKILL, SIGTERM, signalName, signalNumber } from "../../../native/linux/signal.ts";
import { notA } from "../../common/command-line/options.ts";
import { fail } from "../../common/errors.ts";
import { filterRecords, findRecord } from "../../common/record.ts";
import { stateOf } from "../../common/sandbox-state.ts";
import { effective, isDropped } from "./deaf.ts";

export function kill(operands: string[], options: { signal?: string }) {
	const signal = options.signal === undefined ? SIGTERM : (signalNumber(options.signal) ?? notA("--signal", options.signal, "a signal"));
	for (const word of operands) if (!/^\d+$/.test(word) && stateOf(findRecord(word).id) === "ended") fail(`${word}: has ended`);
	const deaf: string[] = [];
	filterRecords(operands, ({ pid, pidfd, record, isSandbox }) => {
		const name = record?.id ?? String(pid);
		if (record && !isSandbox) fail(`${name}: process ${pid} is not the sandbox's`, "the record is none of this machine's, or was changed");
		/* A held program cannot take a signal its own way; as PID 1 of its namespace it would not even get it. */
		const sent = record === undefined ? signal : stateOf(record.id) === "held" ? SIGKILL : effective(pid, signal);
		if (sent === signal && isDropped(pid, signal)) deaf.push(name);
		if (!pidfdSendSignal(pidfd, sent)) fail(`${name}: has ended`);
		return undefined;
	});
	/* Not before the others have got theirs. */
	if (deaf.length > 0)
		fail(
			`${deaf.join(", ")}: the program is PID 1 and does not handle ${signalName(signal)}: the kernel drops it`,
			"-s KILL ends it; with tsinit in front it gets signals",
		);
}
