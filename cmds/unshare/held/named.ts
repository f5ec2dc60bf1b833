/** The sandboxes that operands and records name. */
import { fail } from "../../common/errors.ts";
import { allRecords, findRecord, inputLines, noRecord, parseLine, type Target } from "../../common/record.ts";

/** The sandbox that a target is; fails for a process that is none. */
export function idOf({ pid, record }: Target): string {
	return record?.id ?? idOfPid(pid);
}

/** The sandboxes that the operands name, by id or PID, or the records of standard input. Those that have ended count, too. */
export function operandIds(operands: string[]): string[] {
	if (operands.length === 0) {
		const ids = [...inputLines()].map(parseLine).map((line) => (typeof line === "number" ? idOfPid(line) : line.id));
		return ids.length > 0 ? ids : noRecord();
	}
	return operands.map((word) => (/^\d+$/.test(word) ? idOfPid(Number(word)) : findRecord(word).id));
}

function idOfPid(pid: number): string {
	return (allRecords().find((record) => record.pid === pid) ?? fail(`${pid}: not a sandbox's process`)).id;
}
