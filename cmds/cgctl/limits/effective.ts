/** What holds for a cgroup: the tightest limit among it and those above, and which of them sets it. */
import { type Group, lineage } from "../group/path.ts";
import { readIn } from "../group/read.ts";
import { sourceOf } from "./apply.ts";
import { limitsFrom } from "./current.ts";
import type { Limits, Rate } from "./table.ts";

export interface Effective {
	/** The option's name. */
	limit: string;
	value: string;
	/** The cgroup that sets it; undefined where none does. */
	from?: Group;
}

/** Limits of which the least of all cgroups above holds. */
const LEAST: [string, (limits: Limits) => number | undefined][] = [
	["cpus", (l) => l.cpus ?? (l.cpuQuota === undefined ? undefined : l.cpuQuota / (l.cpuPeriod ?? 100000))],
	["memory", (l) => l.memory],
	["memory-swap", (l) => l.memorySwap],
	["memory-high", (l) => l.memoryHigh],
	["pids", (l) => l.pids],
];

export function effectiveLimits(group: Group): Effective[] {
	const names = lineage(group);
	const above = names.map((each, i) => ({ each, limits: limitsFrom(sourceOf(each), sourceOf(names[i - 1] ?? { ...group, name: "" })) }));
	const rows: Effective[] = [];
	const least = (limit: string, value: (limits: Limits) => number | undefined, always: boolean) => {
		let found: Effective | undefined;
		let smallest = Infinity;
		for (const { each, limits } of above) {
			const own = value(limits) ?? Infinity;
			/* Of equal ones the outermost counts: without it the inner one would still hold, but it came first. */
			if (own < smallest) [smallest, found] = [own, { limit, value: String(own), from: each }];
		}
		if (found || always) rows.push(found ?? { limit, value: "max" });
	};
	for (const [limit, value] of LEAST) least(limit, value, limit !== "memory-high" && limit !== "memory-swap");
	const inside = [...above].reverse();
	for (const [limit, key, files] of [
		["cpuset-cpus", "cpusetCpus", ["cpuset.cpus.effective", "cpuset.effective_cpus"]],
		["cpuset-mems", "cpusetMems", ["cpuset.mems.effective", "cpuset.effective_mems"]],
	] as const) {
		/* The kernel knows these itself. A v2 cgroup without the controller has those of the nearest one that has it. */
		const known = inside.flatMap(({ each }) => files.map((file) => readIn(each, "cpuset", file)));
		const value = known.find((text) => text !== undefined && text !== "");
		const setter = inside.find(({ limits }) => limits[key] !== undefined);
		if (value !== undefined) rows.push({ limit, value, ...(setter && { from: setter.each }) });
	}
	const sizes = new Set(above.flatMap(({ limits }) => (limits.hugetlb ?? []).map(([size]) => size)));
	for (const size of sizes) least(`hugetlb ${size}`, (l) => l.hugetlb?.find(([each]) => each === size)?.[1], false);
	const disks = new Set(above.flatMap(({ limits }) => (limits.ioMax ?? []).map((disk) => disk.device)));
	for (const device of disks)
		for (const rate of ["rbps", "wbps", "riops", "wiops"] as Rate[])
			least(`io-max ${device} ${rate}`, (l) => l.ioMax?.find((disk) => disk.device === device)?.rates[rate], false);
	return rows;
}
