import { folderLinks } from "../../../native/linux/stat.ts";
import { print } from "../../common/command-line/tool.ts";
import { json, table } from "../../common/table.ts";
import { formatDuration, formatSize } from "../../common/units.ts";
import { childNames } from "../group/files.ts";
import { everyHierarchy } from "../group/layout.ts";
import { childOf, existingGroup, folderIn, folderOf, type Group, groupAt, type PathOptions, plainName } from "../group/path.ts";
import { pidsIn } from "../group/read.ts";
import { type Glance, glance } from "../usage/glance.ts";

interface Line {
	options: PathOptions & { json?: true; noheadings?: true };
	operands: string[];
}

interface Row extends Glance {
	group: Group;
	depth: number;
	processes: number;
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
	/* Each hierarchy is looked at once: whether the cgroup is there, what is in it, and (by its links) whether it has any below. */
	const folders = everyHierarchy(group.layout).flatMap((hierarchy) => {
		const folder = folderIn(group, hierarchy);
		const links = folderLinks(folder);
		return links > 0 ? [{ folder, isParent: links > 2 }] : [];
	});
	if (folders.length === 0) return [];
	/* Whoever is in it is in it on all, but for what other programs do: one list will do here, `ps` has them all. */
	const counted = folderOf(group, "pids");
	const from = folders.find(({ folder }) => folder === counted) ?? (folders[0] as { folder: string });
	const seen = glance(group);
	const names = new Set<string>();
	for (const { folder, isParent } of folders) if (isParent) for (const name of childNames(folder)) names.add(name);
	const row: Row = { group, depth, processes: pidsIn(from.folder).length, ...seen };
	return [row, ...[...names].sort().flatMap((name) => rowsOf(childOf(group, name), depth + 1))];
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
