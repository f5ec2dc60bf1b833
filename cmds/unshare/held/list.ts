/** `tsunshare list`: the sandboxes that there are. */

import { print } from "../../common/command-line/tool.ts";
import { now, type OwnRecord, readRecordIfAny, readStatus, type State, stateOf } from "../../common/sandbox-state.ts";
import { listState, runFolder } from "../../common/state.ts";
import { json, table } from "../../common/table.ts";
import { formatDuration } from "../../common/units.ts";

interface Row {
	record: OwnRecord;
	state: State;
	status: string;
}

export function list(options: { json?: true; quiet?: true }) {
	const rows: Row[] = [];
	for (const id of listState(`${runFolder()}/sandboxes`)) {
		const record = readRecordIfAny(id);
		if (record) rows.push({ record, state: stateOf(id), status: statusText(id) });
	}
	if (options.json)
		return print(json(rows.map(({ record, state }) => ({ ...record, held: state === "held", state, status: readStatus(record.id) }))));
	if (options.quiet) return print(rows.map(({ record }) => `${record.id}\n`).join(""));
	print(
		table(rows, [
			{ header: "ID", value: ({ record }) => record.id },
			{ header: "PID", value: ({ record, state }) => (state === "held" || state === "running" ? record.pid : undefined), right: true },
			{ header: "STATUS", value: ({ status }) => status },
			{ header: "AGE", value: ({ record }) => formatDuration(Math.max(1, now() - record.created)), right: true },
			{ header: "COMMAND", value: ({ record }) => record.command.join(" "), cut: true },
		]),
	);
}

function statusText(id: string): string {
	const status = readStatus(id);
	if (!status) return stateOf(id);
	return status.error ? "failed" : status.signal ? `signal ${status.code}` : `exited ${status.code}`;
}
