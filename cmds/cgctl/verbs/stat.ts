import { sleep } from "../../../native/linux/clock.ts";
import { notA } from "../../common/command-line/options.ts";
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { json } from "../../common/table.ts";
import { formatDuration, formatSize, parseDuration } from "../../common/units.ts";
import { existingGroup, type PathOptions, shownName } from "../group/path.ts";
import { readUsage, type Usage } from "../usage/usage.ts";

/** Shows what cgroups have used; with --watch again and again, as JSON one object a line. */
export function stat(line: { options: PathOptions & { json?: true; watch?: string }; operands: string[] }) {
	const { options, operands } = line;
	if (operands.length === 0) throw new UsageError("stat: no PATH given");
	const seconds =
		options.watch === undefined ? undefined : (parseDuration(options.watch) ?? notA("--watch", options.watch, "a time (1, 500ms)"));
	if (seconds === 0) notA("--watch", "0", "a time above 0");
	for (;;) {
		for (const group of operands.map((path) => existingGroup(path, options))) {
			const usage = readUsage(group);
			if (!options.json) print(text(usage, shownName(group)));
			else print(seconds === undefined ? json(usage) : `${JSON.stringify(usage)}\n`);
		}
		if (seconds === undefined) return;
		sleep(seconds);
	}
}

function of(limit: number | null | undefined, format: (value: number) => string): string {
	return limit === null || limit === undefined ? "no limit" : `limit ${format(limit)}`;
}

function text(usage: Usage, name: string): string {
	const rows: [string, string][] = [];
	const row = (label: string, ...facts: (string | undefined)[]) => {
		const known = facts.filter((fact) => fact !== undefined);
		if (known.length > 0) rows.push([label, known.join(", ")]);
	};
	const { cpu, memory, pids } = usage;
	row("processes", `${usage.processes}`, usage.frozen ? "frozen" : undefined);
	row(
		"cpu",
		cpu.usage === undefined ? undefined : `${formatDuration(cpu.usage)} used`,
		cpu.user === undefined ? undefined : `${formatDuration(cpu.user)} user`,
		cpu.system === undefined ? undefined : `${formatDuration(cpu.system)} system`,
		of(cpu.limit, (cpus) => `${Number(cpus.toFixed(3))} cpus`),
	);
	if (cpu.periods) row("throttled", formatDuration(cpu.throttled ?? 0), `in ${cpu.throttledPeriods} of ${cpu.periods} periods`);
	if (memory.current !== undefined)
		row(
			"memory",
			`${formatSize(memory.used ?? memory.current)} now`,
			memory.cache ? `${formatSize(memory.cache)} page cache` : undefined,
			memory.peak === undefined ? undefined : `${formatSize(memory.peak)} at the peak`,
			of(memory.limit, formatSize),
			typeof memory.high === "number" ? `high ${formatSize(memory.high)}` : undefined,
		);
	const kinds = Object.entries(memory.kinds).filter(([, bytes]) => bytes > 0);
	row("  of it", ...kinds.map(([kind, bytes]) => `${kind} ${formatSize(bytes)}`));
	if (memory.swap) row("swap", `${formatSize(memory.swap.current)} now`, of(memory.swap.limit, formatSize));
	const events = Object.entries(memory.events).filter(([, count]) => count > 0);
	row("memory events", ...events.map(([event, count]) => `${event} ${count}`));
	for (const disk of usage.io)
		row(
			`io ${disk.name ?? disk.device}`,
			`read ${formatSize(disk.rbytes)} in ${disk.rios}`,
			`written ${formatSize(disk.wbytes)} in ${disk.wios}`,
		);
	if (pids.current !== undefined)
		row("pids", `${pids.current}`, pids.peak === undefined ? undefined : `${pids.peak} at the peak`, of(pids.limit, String));
	for (const [size, huge] of Object.entries(usage.hugetlb ?? {}))
		if (huge.current > 0 || huge.limit !== null) row(`hugetlb ${size}`, formatSize(huge.current), of(huge.limit, formatSize));
	for (const [resource, kinds] of Object.entries(usage.pressure ?? {}))
		row(
			`pressure ${resource}`,
			...Object.entries(kinds).map(([kind, p]) => `${kind} ${p.avg10}% ${p.avg60}% ${p.avg300}% (${formatDuration(p.total)})`),
		);
	const width = Math.max(...rows.map(([label]) => label.length));
	return `${name}\n${rows.map(([label, facts]) => `  ${label.padEnd(width)}  ${facts}\n`).join("")}`;
}
