/** `tsunshare inspect`: a sandbox's record, and what the kernel says of it now. */
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { NAMESPACES, namespaceInode } from "../../../native/linux/namespace.ts";
import { commandLine, executable, startTime, statusField } from "../../../native/linux/proc.ts";
import { print } from "../../common/command-line/tool.ts";
import { findRecord, type SandboxRecord } from "../../common/record.ts";
import { readStatus, stateOf } from "../../common/sandbox-state.ts";
import { json } from "../../common/table.ts";
import { operandIds } from "./named.ts";

export function inspect(operands: string[]) {
	const all = operandIds(operands).map((id) => ({ ...findRecord(id), ...live(findRecord(id)) }));
	print(json(all.length === 1 ? all[0] : all));
}

function live(record: SandboxRecord): Record<string, unknown> {
	const { id, pid, start } = record;
	const state = stateOf(id);
	const status = readStatus(id);
	const facts: Record<string, unknown> = { state, held: state === "held", ...(status && { status }) };
	if (startTime(pid) !== start) return facts;
	const ns: Record<string, number> = {};
	for (const { name } of NAMESPACES) {
		const inode = namespaceInode(pid, name);
		if (inode !== undefined) ns[name] = inode;
	}
	const lines = (text: string | undefined) => text?.split("\n").filter((line) => line !== "");
	return {
		...facts,
		process: {
			executable: executable(pid),
			command: commandLine(pid),
			uid: statusField(pid, "Uid")?.split("\t")[0],
			capabilities: statusField(pid, "CapEff"),
			noNewPrivs: statusField(pid, "NoNewPrivs") === "1",
			seccomp: statusField(pid, "Seccomp") !== "0",
			memory: statusField(pid, "VmRSS"),
			cgroups: lines(readFileIfAny(`/proc/${pid}/cgroup`)),
			uidMap: lines(readFileIfAny(`/proc/${pid}/uid_map`))?.map((line) => line.trim().replace(/\s+/g, " ")),
		},
		namespaces: ns,
	};
}
