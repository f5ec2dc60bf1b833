/**
 * What a cgroup has used and what it may use: the same facts from v1's and from v2's files. Times are seconds, sizes
 * bytes; a fact that the kernel does not give is absent, an absent limit is null.
 */
import { processesOf } from "../group/files.ts";
import { hierarchyOf, unified } from "../group/layout.ts";
import { folderIn, type Group, placesOf } from "../group/path.ts";
import { keyed, readIn, readTrimmed } from "../group/read.ts";
import { v1Limit, v2Limit } from "../limits/step.ts";
import { diskName } from "./disk.ts";
import { oomKillCount } from "./oom.ts";

export interface CpuUsage {
	usage?: number;
	user?: number;
	system?: number;
	/** Periods of the cpu limit that passed, those in which it was reached, and for how long. */
	periods?: number;
	throttledPeriods?: number;
	throttled?: number;
	/** cpus' worth. */
	limit: number | null;
	/** v2's cpu.weight, v1's cpu.shares. */
	weight?: number;
	shares?: number;
}

export interface MemoryUsage {
	/** All that is charged, the page cache included. */
	current?: number;
	/** The same without page cache that has not been used for a while, as `docker stats` shows it. */
	used?: number;
	/** The page cache. */
	cache?: number;
	peak?: number;
	limit: number | null;
	high?: number | null;
	/** How it is used: anon, file, kernel, shmem, slab, sock, dirty, writeback, swapcached ... */
	kinds: Record<string, number>;
	swap?: { current: number; peak?: number; limit: number | null };
	/** Times that a limit was reached; processes that the OOM killer ended. */
	events: Record<string, number>;
}

export interface IoUsage {
	device: string;
	name?: string;
	rbytes: number;
	wbytes: number;
	rios: number;
	wios: number;
}

export interface Pressure {
	/** Percent of the last 10, 60 and 300 seconds in which some, or all, of the processes waited; in total, seconds. */
	[kind: string]: { avg10: number; avg60: number; avg300: number; total: number };
}

export interface Usage {
	cgroup: string;
	processes: number;
	frozen?: boolean;
	cpu: CpuUsage;
	memory: MemoryUsage;
	io: IoUsage[];
	pids: { current?: number; peak?: number; limit: number | null };
	hugetlb?: Record<string, { current: number; limit: number | null }>;
	pressure?: Record<string, Pressure>;
}

/** All facts of a cgroup; see Usage. */
export function readUsage(group: Group): Usage {
	const pressure = readPressure(group);
	const frozen = isFrozen(group);
	const huge = hugetlbUsage(group);
	return {
		cgroup: group.name,
		processes: processesOf(group).length,
		...(frozen !== undefined && { frozen }),
		cpu: cpuUsage(group),
		memory: memoryUsage(group),
		io: ioUsage(group),
		pids: pidsUsage(group),
		...(huge && { hugetlb: huge }),
		...(pressure && { pressure }),
	};
}

/** JSON has no Infinity. */
function limit(value: number): number | null {
	return value === Infinity ? null : value;
}

function number(text: string | undefined): number | undefined {
	return text === undefined || text === "" ? undefined : Number(text);
}

/** Leaves out what is undefined. */
function defined<T extends object>(values: { [K in keyof T]: T[K] | undefined }): T {
	const kept = {} as T;
	for (const key in values) if (values[key] !== undefined) kept[key] = values[key] as T[typeof key];
	return kept;
}

export function cpuUsage(group: Group): CpuUsage {
	const version = hierarchyOf(group.layout, "cpu")?.version;
	if (version !== 1) {
		const stat = keyed(readIn(group, "cpuacct", "cpu.stat"));
		const [quota, period] = (readIn(group, "cpu", "cpu.max") ?? "max 100000").split(" ");
		const seconds = (name: string) => (stat[name] === undefined ? undefined : stat[name] / 1e6);
		return defined<CpuUsage>({
			usage: seconds("usage_usec"),
			user: seconds("user_usec"),
			system: seconds("system_usec"),
			periods: stat.nr_periods,
			throttledPeriods: stat.nr_throttled,
			throttled: seconds("throttled_usec"),
			limit: limit(quota === "max" ? Infinity : Number(quota) / Number(period)),
			weight: number(readIn(group, "cpu", "cpu.weight")),
		});
	}
	const stat = keyed(readIn(group, "cpu", "cpu.stat"));
	const nanoseconds = (file: string) => {
		const value = number(readIn(group, "cpuacct", file));
		return value === undefined ? undefined : value / 1e9;
	};
	const quota = Number(readIn(group, "cpu", "cpu.cfs_quota_us") ?? -1);
	return defined<CpuUsage>({
		usage: nanoseconds("cpuacct.usage"),
		user: nanoseconds("cpuacct.usage_user"),
		system: nanoseconds("cpuacct.usage_sys"),
		periods: stat.nr_periods,
		throttledPeriods: stat.nr_throttled,
		throttled: stat.throttled_time === undefined ? undefined : stat.throttled_time / 1e9,
		limit: limit(quota < 0 ? Infinity : quota / Number(readIn(group, "cpu", "cpu.cfs_period_us"))),
		shares: number(readIn(group, "cpu", "cpu.shares")),
	});
}

/** The kinds of v1's memory.stat by v2's names; its `total_` lines count the cgroups below as well, as v2's do. */
const V1_KINDS =
	"anon=total_rss file=total_cache shmem=total_shmem file_mapped=total_mapped_file file_dirty=total_dirty file_writeback=total_writeback anon_thp=total_rss_huge";
const V2_KINDS = "anon file kernel kernel_stack pagetables percpu sock shmem file_mapped file_dirty file_writeback slab anon_thp";

export function memoryUsage(group: Group): MemoryUsage {
	const read = (file: string) => readIn(group, "memory", file);
	const stat = keyed(read("memory.stat"));
	const kinds: Record<string, number> = {};
	if (hierarchyOf(group.layout, "memory")?.version !== 1) {
		for (const name of V2_KINDS.split(" ")) if (stat[name] !== undefined) kinds[name] = stat[name];
		const swap = number(read("memory.swap.current"));
		const swapPeak = number(read("memory.swap.peak"));
		const current = number(read("memory.current"));
		return defined<MemoryUsage>({
			current,
			used: without(current, stat.inactive_file),
			cache: stat.file,
			peak: number(read("memory.peak")),
			limit: limit(v2Limit(read("memory.max"))),
			high: limit(v2Limit(read("memory.high"))),
			kinds,
			swap:
				swap === undefined
					? undefined
					: { current: swap, ...(swapPeak !== undefined && { peak: swapPeak }), limit: limit(v2Limit(read("memory.swap.max"))) },
			events: keyed(read("memory.events")),
		});
	}
	for (const pair of V1_KINDS.split(" ")) {
		const [name = "", old = ""] = pair.split("=");
		if (stat[old] !== undefined) kinds[name] = stat[old];
	}
	const kernel = number(read("memory.kmem.usage_in_bytes"));
	if (kernel !== undefined) kinds.kernel = kernel;
	const sock = number(read("memory.kmem.tcp.usage_in_bytes"));
	if (sock !== undefined) kinds.sock = sock;
	const total = v1Limit(read("memory.memsw.limit_in_bytes"));
	const ram = v1Limit(read("memory.limit_in_bytes"));
	const events: Record<string, number> = {};
	const failures = number(read("memory.failcnt"));
	if (failures !== undefined) events.max = failures;
	if (keyed(read("memory.oom_control")).oom_kill !== undefined) events.oom_kill = oomKillCount(group);
	const current = number(read("memory.usage_in_bytes"));
	return defined<MemoryUsage>({
		current,
		used: without(current, stat.total_inactive_file),
		cache: stat.total_cache,
		peak: number(read("memory.max_usage_in_bytes")),
		limit: limit(ram),
		high: undefined,
		kinds,
		/* Where swap is not accounted, memory.stat has no such line. */
		swap: stat.total_swap === undefined ? undefined : { current: stat.total_swap, limit: limit(total === Infinity ? total : total - ram) },
		events,
	});
}

function without(current: number | undefined, inactive = 0): number | undefined {
	return current === undefined ? undefined : Math.max(0, current - inactive);
}

/** Bytes and operations of each disk, of the cgroup and those below it. */
export function ioUsage(group: Group): IoUsage[] {
	const devices = new Map<string, IoUsage>();
	const of = (device: string): IoUsage => {
		const name = diskName(device);
		const usage = devices.get(device) ?? { device, ...(name !== undefined && { name }), rbytes: 0, wbytes: 0, rios: 0, wios: 0 };
		devices.set(device, usage);
		return usage;
	};
	if (hierarchyOf(group.layout, "io")?.version !== 1) {
		/* 8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 */
		for (const line of (readIn(group, "io", "io.stat") ?? "").split("\n")) {
			const [device = "", ...pairs] = line.split(" ");
			for (const pair of pairs) {
				const [key, value] = pair.split("=");
				if (key === "rbytes" || key === "wbytes" || key === "rios" || key === "wios") of(device)[key] = Number(value);
			}
		}
	} else {
		/* 8:0 Read 1 */
		const files = { bytes: "io_service_bytes", ios: "io_serviced" };
		for (const kind of ["bytes", "ios"] as const)
			for (const line of (
				readIn(group, "io", `blkio.throttle.${files[kind]}_recursive`) ??
				readIn(group, "io", `blkio.throttle.${files[kind]}`) ??
				""
			).split("\n")) {
				const [device = "", operation, value] = line.split(" ");
				if (operation === "Read") of(device)[`r${kind}`] = Number(value);
				if (operation === "Write") of(device)[`w${kind}`] = Number(value);
			}
	}
	return [...devices.values()].filter((d) => d.rbytes + d.wbytes + d.rios + d.wios > 0);
}

export function pidsUsage(group: Group): Usage["pids"] {
	return defined<Usage["pids"]>({
		current: number(readIn(group, "pids", "pids.current")),
		peak: number(readIn(group, "pids", "pids.peak")),
		limit: limit(v2Limit(readIn(group, "pids", "pids.max"))),
	});
}

function hugetlbUsage(group: Group): Usage["hugetlb"] {
	const hierarchy = hierarchyOf(group.layout, "hugetlb");
	if (!hierarchy) return undefined;
	const folder = folderIn(group, hierarchy);
	const found: NonNullable<Usage["hugetlb"]> = {};
	for (const size of ["64KB", "2MB", "32MB", "512MB", "1GB"]) {
		const v2 = number(readTrimmed(`${folder}/hugetlb.${size}.current`));
		const v1 = v2 === undefined ? number(readTrimmed(`${folder}/hugetlb.${size}.usage_in_bytes`)) : undefined;
		if (v2 !== undefined) found[size] = { current: v2, limit: limit(v2Limit(readTrimmed(`${folder}/hugetlb.${size}.max`))) };
		if (v1 !== undefined) found[size] = { current: v1, limit: limit(v1Limit(readTrimmed(`${folder}/hugetlb.${size}.limit_in_bytes`))) };
	}
	return Object.keys(found).length > 0 ? found : undefined;
}

/** PSI, which v2 has on every cgroup, on a hybrid layout too. */
function readPressure(group: Group): Usage["pressure"] {
	const hierarchy = unified(group.layout);
	if (!hierarchy) return undefined;
	const all: NonNullable<Usage["pressure"]> = {};
	for (const resource of ["cpu", "memory", "io"]) {
		const text = readTrimmed(`${folderIn(group, hierarchy)}/${resource}.pressure`);
		if (text === undefined || text === "") continue;
		const kinds: Pressure = {};
		for (const line of text.split("\n")) {
			const [kind = "", ...pairs] = line.split(" ");
			const values = Object.fromEntries(pairs.map((pair) => pair.split("=")).map(([key, value]) => [key, Number(value)]));
			kinds[kind] = { avg10: values.avg10, avg60: values.avg60, avg300: values.avg300, total: values.total / 1e6 };
		}
		all[resource] = kinds;
	}
	return Object.keys(all).length > 0 ? all : undefined;
}

/** True where its processes are stopped, by itself or by a cgroup above. */
export function isFrozen(group: Group): boolean | undefined {
	const v1 = hierarchyOf(group.layout, "freezer")?.version === 1;
	if (v1) {
		const state = readIn(group, "freezer", "freezer.state");
		return state === undefined ? undefined : state === "FROZEN";
	}
	const events = keyed(readIn(group, "freezer", "cgroup.events"));
	return events.frozen === undefined ? undefined : events.frozen === 1;
}

/** True where a process is in the cgroup or below it. */
export function isPopulated(group: Group): boolean {
	return placesOf(group).some(({ hierarchy, folder }) =>
		hierarchy.version === 2 ? keyed(readTrimmed(`${folder}/cgroup.events`)).populated === 1 : false,
	);
}
