/** `tsunshare kill`: signals sandboxes, or any processes, each by a pidfd. */
import { pidfdSendSignal } from "../../native/linux/process.ts";
import { SIGKILL, SIGTERM, signalNumber } from "../../native/linux/signal.ts";
import { fail } from "../common/errors.ts";
import { notA } from "../common/options.ts";
import { filterRecords } from "../common/record.ts";
import { stateOf } from "./sandboxes.ts";

export function kill(operands: string[], options: { signal?: string }) {
	const signal = options.signal === undefined ? SIGTERM : (signalNumber(options.signal) ?? notA("--signal", options.signal, "a signal"));
	filterRecords(operands, ({ pid, pidfd, record }) => {
		/* A held program cannot take a signal its own way; as PID 1 of its namespace it would not even get it. */
		const isHeld = record !== undefined && stateOf(record.id) === "held";
		if (!pidfdSendSignal(pidfd, isHeld ? SIGKILL : signal)) fail(`${record?.id ?? pid}: has ended`);
		return undefined;
	});
}
