import { print } from "../../common/command-line/tool.ts";
import { json, table } from "../../common/table.ts";
import { formatDuration, formatSize } from "../../common/units.ts";
import { childrenOf, processesOf } from "../group/files.ts";
import { childOf, existingGroup, type Group, groupAt, type PathOptions, placesOf, plainName } from "../group/path.ts";
import { cpuUsage, isFrozen, memoryUsage, pidsUsage } from "../usage/usage.ts";

interface Line {
	options: PathOptions & { json?: true; noheadings?: true };
	operands: string[];
}

interface Row {
	group: Group;
	depth: number;
	processes: number;
	frozen: boolean;
	cpu: number | undefined;
	cpus: number | null;
	memory: number | undefined;
	memoryLimit: number | null;
	pids: number | undefined;
	pidsLimit: number | null;
}

/** The cgroups below a path, or below the root: one a line, with what they use of what they may. */
export function ls({ options, operands }: Line) {
	const rows = rowsOf(start(options, operands));
	if (options.json)
		return print(
			json(
				rows.map(({ group, processes, frozen, cpu, cpus, memory, memoryLimit, pids, pidsLimit }) => ({
					cgroup: group.name,
					processes,
					frozen,
					cpu: { usage: cpu ?? null, limit: cpus },
					memory: { current: memory ?? null, limit: memoryLimit },
					pids: { current: pids ?? null, limit: pidsLimit },
				})),
			),
		);
	print(show(rows, (row) => plainName(row.group), options.noheadings !== true));
}

/** The same, drawn as a tree. */
export function tree({ options, operands }: Line) {
	const rows = rowsOf(start(options, operands));
	const branch = (row: Row): string => {
		if (row.depth === 0) return plainName(row.group);
		const name = row.group.name.slice(row.group.name.lastIndexOf("/") + 1);
		let line = `${isLast(rows, rows.indexOf(row), row.depth) ? "└─ " : "├─ "}${name}`;
		for (let depth = row.depth - 1; depth > 0; depth--) line = `${isLast(rows, rows.indexOf(row), depth) ? "   " : "│  "}${line}`;
		return line;
	};
	print(show(rows, branch, true));
}

function start(options: PathOptions, operands: string[]): Group {
	/* That there is no root yet is no error: there are no cgroups then. */
	return operands[0] === undefined ? groupAt("/", options) : existingGroup(operands[0], options);
}

/** True where no row after this one stands at the depth, within the same parent. */
function isLast(rows: Row[], at: number, depth: number): boolean {
	for (let i = at + 1; i < rows.length; i++) {
		const other = (rows[i] as Row).depth;
		if (other < depth) return true;
		if (other === depth) return false;
	}
	return true;
}

function rowsOf(group: Group, depth = 0): Row[] {
	if (placesOf(group).length === 0) return [];
	const cpu = cpuUsage(group);
	const memory = memoryUsage(group);
	const pids = pidsUsage(group);
	const row: Row = {
		group,
		depth,
		processes: processesOf(group).length,
		frozen: isFrozen(group) === true,
		cpu: cpu.usage,
		cpus: cpu.limit,
		memory: memory.used,
		memoryLimit: memory.limit,
		pids: pids.current,
		pidsLimit: pids.limit,
	};
	return [row, ...childrenOf(group).flatMap((name) => rowsOf(childOf(group, name), depth + 1))];
}

/** `12 MiB / 1 GiB`, without a limit `12 MiB`. */
function against(now: number | undefined, limit: number | null, format: (value: number) => string): string | undefined {
	if (now === undefined) return undefined;
	return limit === null ? format(now) : `${format(now)} / ${format(limit)}`;
}

function show(rows: Row[], name: (row: Row) => string, header: boolean): string {
	return table(
		rows,
		[
			{ header: "CGROUP", value: name },
			{ header: "PROCS", value: (row) => row.processes, right: true },
			{ header: "CPU TIME", value: (row) => (row.cpu === undefined ? undefined : formatDuration(row.cpu)), right: true },
			{ header: "CPUS", value: (row) => (row.cpus === null ? undefined : Number(row.cpus.toFixed(3))), right: true },
			{ header: "MEMORY", value: (row) => against(row.memory, row.memoryLimit, formatSize), right: true },
			{ header: "PIDS", value: (row) => against(row.pids, row.pidsLimit, String), right: true },
			{ header: "STATE", value: (row) => (row.frozen ? "frozen" : row.processes > 0 ? "running" : undefined) },
		],
		{ header },
	);
}
