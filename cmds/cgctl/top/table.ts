/** The table of `tscgctl top`: what a screen of some width shows of the cgroups' use. */
import { show } from "../../common/errors.ts";
import { formatSize } from "../../common/units.ts";

/** One cgroup between two looks. Absent is what the kernel does not tell; a limit is null where there is none. */
export interface Row {
	name: string;
	/** cpus' worth of time: 1 is one cpu, all the time. */
	cpu?: number;
	cpuLimit: number | null;
	/** Bytes. */
	memory?: number;
	memoryLimit: number | null;
	/** Bytes read and written per second, and both together. */
	read?: number;
	written?: number;
	io?: number;
	pids?: number;
	pidsLimit: number | null;
}

export type SortKey = "cpu" | "memory" | "io" | "pids";

/** The most first; those of equal use by name. */
export function sortRows(rows: Row[], key: SortKey): Row[] {
	return [...rows].sort((a, b) => (b[key] ?? -1) - (a[key] ?? -1) || (a.name < b.name ? -1 : 1));
}

const ESCAPE = "\x1b[";
const PLAIN = `${ESCAPE}0m`;
const GREEN = `${ESCAPE}32m`;
const YELLOW = `${ESCAPE}33m`;
const RED = `${ESCAPE}31m`;
const REVERSE = `${ESCAPE}7m`;

/** `[####    ]`, as wide as it is told; spaces where there is no limit to compare with. */
function bar(use: number | undefined, limit: number | null, width: number, colour: boolean): string {
	if (width === 0) return "";
	if (use === undefined || limit === null) return " ".repeat(width);
	const share = limit > 0 ? Math.min(1, use / limit) : 1;
	const filled = share === 0 ? 0 : Math.max(1, Math.round(share * (width - 2)));
	const text = "#".repeat(filled);
	const mark = share < 0.7 ? GREEN : share < 0.9 ? YELLOW : RED;
	return `[${colour && filled > 0 ? mark + text + PLAIN : text}${" ".repeat(width - 2 - filled)}]`;
}

/** A size in eight columns at most: "1023 MiB". */
function size(bytes: number | undefined): string {
	return bytes === undefined ? "-" : formatSize(Math.round(bytes));
}

function percent(cpus: number | undefined): string {
	return cpus === undefined ? "-" : `${(100 * cpus).toFixed(1)}%`;
}

/** The columns beside the name and the three bars: ` 12345.6%`, ` 1023 MiB` three times, ` 99999`. */
const NUMBERS = 9 + 9 + 9 + 9 + 6;
const MIN_NAME = 12;
const MIN_BAR = 7;
const MAX_BAR = 22;

/**
 * The table's lines, the header first; cut to `height` lines, the last of which then says what is left out. Without a
 * width it is 80 columns, or what the names need.
 */
export function tableLines(rows: Row[], key: SortKey, screen?: number, height = Infinity, colour = false): string[] {
	const longest = Math.max(MIN_NAME, ...rows.map((row) => show(row.name).length));
	const width = screen ?? Math.max(80, NUMBERS + 3 + 3 * MIN_BAR + longest);
	/* Each bar has a space before it. What the names do not need, the bars have. */
	const bars = Math.floor((width - NUMBERS - 3 - longest) / 3);
	const isNarrow = width < NUMBERS + 3 + 3 * MIN_BAR + MIN_NAME;
	const barWidth = isNarrow ? 0 : Math.max(MIN_BAR, Math.min(MAX_BAR, bars));
	const nameWidth = Math.max(MIN_NAME, Math.min(longest, width - NUMBERS - 3 - 3 * barWidth));
	const cells = (name: string, cpu: string, memory: string, [read, written]: [string, string], pids: string, drawn: string[]) =>
		[
			name.padEnd(nameWidth),
			`${cpu.padStart(9)} ${drawn[0]}`,
			`${memory.padStart(9)} ${drawn[1]}`,
			read.padStart(9),
			written.padStart(9),
			`${pids.padStart(6)} ${drawn[2]}`,
		].join("");
	const title = (name: SortKey) => (name === key ? `${name.toUpperCase()}*` : name.toUpperCase());
	const blank = Array(3).fill(" ".repeat(barWidth)) as string[];
	const header = cells(
		"CGROUP",
		title("cpu"),
		title("memory"),
		key === "io" ? ["READ/s*", "WRITE/s*"] : ["READ/s", "WRITE/s"],
		title("pids"),
		blank,
	);

	const room = rows.length + 1 > height ? Math.max(0, height - 2) : rows.length;
	const lines = sortRows(rows, key)
		.slice(0, room)
		.map((row) =>
			cells(
				shorten(show(row.name), nameWidth),
				percent(row.cpu),
				size(row.memory),
				[size(row.read), size(row.written)],
				row.pids === undefined ? "-" : String(row.pids),
				[
					bar(row.cpu, row.cpuLimit, barWidth, colour),
					bar(row.memory, row.memoryLimit, barWidth, colour),
					bar(row.pids, row.pidsLimit, barWidth, colour),
				],
			),
		);
	if (room < rows.length) lines.push(`... and ${rows.length - room} more`);
	return [colour ? `${REVERSE}${header}${PLAIN}` : header.trimEnd(), ...(colour ? lines : lines.map((line) => line.trimEnd()))];
}

/** A name that is too long keeps its end, which tells one cgroup from its siblings. */
function shorten(name: string, width: number): string {
	return name.length <= width ? name : `<${name.slice(name.length - width + 1)}`;
}
