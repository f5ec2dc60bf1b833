import { commandLine, processStat, statusField } from "../../../native/linux/proc.ts";
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { formatSize } from "../../common/units.ts";
import { processesOf, subtree } from "../group/files.ts";
import { existingGroup, type PathOptions, plainName } from "../group/path.ts";

/** Lists the processes of a cgroup, with --recursive those of the cgroups below it too. */
export function ps(line: { options: PathOptions & { recursive?: true; quiet?: true; json?: true }; operands: string[] }) {
	const { options, operands } = line;
	if (operands.length !== 1) throw new UsageError("ps: give one PATH");
	const group = existingGroup(operands[0] as string, options);
	const groups = options.recursive ? subtree(group).reverse() : [group];
	const found = groups.flatMap((each) => processesOf(each).map((pid) => ({ pid, group: each })));
	if (options.quiet) return print(found.map(({ pid }) => `${pid}\n`).join(""));
	/* One that ends meanwhile is left out. */
	const rows = found.flatMap(({ pid, group: each }) => {
		const stat = processStat(pid);
		if (!stat) return [];
		const resident = /^(\d+) kB/.exec(statusField(pid, "VmRSS") ?? "");
		const argv = commandLine(pid);
		return [
			{
				pid,
				cgroup: each,
				state: stat.state,
				memory: resident ? Number(resident[1]) * 1024 : undefined,
				command: argv.length > 0 ? argv.join(" ") : `[${stat.comm}]`,
			},
		];
	});
	if (options.json) return print(json(rows.map((row) => ({ ...row, cgroup: row.cgroup.name }))));
	print(
		table(rows, [
			{ header: "PID", value: (row) => row.pid, right: true },
			...(options.recursive ? [{ header: "CGROUP", value: (row: (typeof rows)[number]) => plainName(row.cgroup) }] : []),
			{ header: "STATE", value: (row) => row.state },
			{ header: "MEMORY", value: (row) => (row.memory === undefined ? undefined : formatSize(row.memory)), right: true },
			{ header: "COMMAND", value: (row) => row.command, cut: true },
		]),
	);
}
