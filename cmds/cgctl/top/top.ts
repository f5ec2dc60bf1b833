/** `tscgctl top`: what the cgroups use now, the greediest first, with a bar for each limit. */
import { CLOCK_MONOTONIC, clockGettime, sleep } from "../../../native/linux/clock.ts";
import { columns, isTerminal } from "../../../native/linux/terminal.ts";
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { getenv } from "../../common/state.ts";
import { formatDuration } from "../../common/units.ts";
import { subtree } from "../group/files.ts";
import { existingGroup, type Group, type PathOptions, placesOf, shownName } from "../group/path.ts";
import { cpuUsage, ioUsage, memoryUsage, pidsUsage } from "../usage/usage.ts";
import { withScreen } from "./screen.ts";
import { type Row, type SortKey, sortRows, tableLines } from "./table.ts";

export interface TopOptions extends PathOptions {
	sort?: SortKey;
	interval?: number;
	count?: number;
	once?: true;
	batch?: true;
	json?: true;
}

const KEYS: SortKey[] = ["cpu", "memory", "io", "pids"];

/** For an option table: what to sort by; the beginning of the name will do. */
export function sortKey(text: string, option: string): SortKey {
	const key = KEYS.find((name) => text !== "" && name.startsWith(text));
	if (!key) throw new UsageError(`${option}: "${text}" is not cpu, memory, io or pids`);
	return key;
}

export function top(line: { options: TopOptions; operands: string[] }) {
	const { options, operands } = line;
	if (operands.length > 1) throw new UsageError("top: takes one PATH");
	const interval = options.interval ?? 1;
	if (interval <= 0) throw new UsageError("--interval: needs a time above 0");
	const base = existingGroup(operands[0] ?? "/", options);
	const look = sampler(base);
	const terminal = getenv("TERM");
	const isScreen = !options.once && !options.batch && !options.json && isTerminal(1) && terminal !== undefined && terminal !== "dumb";
	if (isScreen) return live(look, base, options.sort ?? "cpu", interval, options.count ?? Infinity);

	let left = options.once ? 1 : (options.count ?? Infinity);
	for (let isFirst = true; left > 0 && placesOf(base).length > 0; left--, isFirst = false) {
		sleep(interval);
		const rows = sortRows(look(), options.sort ?? "cpu");
		if (options.json) print(`${JSON.stringify(rows)}\n`);
		else print(`${isFirst ? "" : "\n"}${tableLines(rows, options.sort ?? "cpu", columns(1)).join("\n")}\n`);
	}
}

/** What was read of a cgroup, for the difference to the next time. */
interface Counters {
	time: number;
	cpu: number | undefined;
	read: number;
	written: number;
}

/** A function that tells what was used since it was called before (since now, the first time). */
function sampler(base: Group): () => Row[] {
	let before = new Map<string, Counters>();
	const look = () => {
		const now = new Map<string, Counters>();
		const rows: Row[] = [];
		const groups = subtree(base);
		/* The cgroup that holds all that is listed is shown where it was asked for, or is all that there is. */
		if (shownName(base) === "/" && groups.length > 1) groups.pop();
		for (const group of groups) {
			const { usage, limit } = cpuUsage(group);
			const memory = memoryUsage(group);
			const disks = ioUsage(group);
			const read = disks.reduce((sum, disk) => sum + disk.rbytes, 0);
			const written = disks.reduce((sum, disk) => sum + disk.wbytes, 0);
			const pids = pidsUsage(group);
			const counters = { time: clockGettime(CLOCK_MONOTONIC), cpu: usage, read, written };
			now.set(group.name, counters);
			const last = before.get(group.name);
			const seconds = last && counters.time - last.time;
			rows.push({
				name: shownName(group),
				...(seconds && usage !== undefined && last.cpu !== undefined && { cpu: Math.max(0, usage - last.cpu) / seconds }),
				cpuLimit: limit,
				...(memory.used !== undefined && { memory: memory.used }),
				memoryLimit: memory.limit,
				...(seconds && rates(Math.max(0, read - last.read) / seconds, Math.max(0, written - last.written) / seconds)),
				...(pids.current !== undefined && { pids: pids.current }),
				pidsLimit: pids.limit,
			});
		}
		before = now;
		return rows;
	};
	look();
	return look;
}

function rates(read: number, written: number) {
	return { read, written, io: read + written };
}

/** How soon the first picture is there: its rates are of that time. */
const FIRST = 0.2;

function live(look: () => Row[], base: Group, firstKey: SortKey, interval: number, count: number) {
	let key = firstKey;
	let left = count;
	let rows: Row[] = [];
	const colour = getenv("NO_COLOR") === undefined;
	withScreen((screen) => {
		const draw = () => {
			const size = screen.size();
			const title = `tscgctl top ${shownName(base)}  every ${formatDuration(interval)}  ${rows.length} cgroups`;
			const help = "c m i p sort  q quit";
			const gap = size.columns - title.length - help.length;
			const head = gap >= 2 ? title + " ".repeat(gap) + help : title.slice(0, size.columns);
			screen.draw([head, ...tableLines(rows, key, size.columns, size.rows - 1, colour)]);
		};
		let next = clockGettime(CLOCK_MONOTONIC) + Math.min(FIRST, interval);
		while (left > 0) {
			const pressed = screen.wait(Math.max(0, next - clockGettime(CLOCK_MONOTONIC)));
			if (pressed === undefined || pressed === "q" || pressed === "Q") return;
			const chosen = KEYS.find((name) => name[0] === pressed);
			if (chosen) key = chosen;
			if (pressed === "" || pressed === " ") {
				if (placesOf(base).length === 0) return;
				rows = look();
				left--;
				next = clockGettime(CLOCK_MONOTONIC) + interval;
			}
			if (rows.length > 0) draw();
		}
	});
}
