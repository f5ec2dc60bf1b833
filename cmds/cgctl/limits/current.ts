/**
 * The limits that a cgroup has, read back from the kernel's files of either version: plan.ts the other way round. Only
 * what differs from the kernel's defaults is a limit.
 */

import { camel } from "../../common/command-line/options.ts";
import { type Facts, v1Limit, v2Limit } from "./step.ts";
import { type IoMax, type LimitRow, type Limits, limitOptions, type Rate } from "./table.ts";
import { bfqToIoWeight } from "./weights.ts";

/** Where the files come from: a cgroup, or a configuration that is to be converted. */
export type Source = Pick<Facts, "version" | "read">;

/** Reads the limits. `parent` is the cgroup above: on v1 its cpuset and swappiness are the defaults. */
export function limitsFrom(source: Source, parent?: Source): Limits {
	const limits: Limits = {};
	cpuLimits(source, limits);
	memoryLimits(source, limits);
	for (const row of limitOptions as readonly LimitRow[]) {
		const value = row.controller === undefined ? undefined : oneFile(row, source, parent);
		if (value !== undefined) (limits as Record<string, unknown>)[camel(row.long)] = value;
	}
	hugetlbLimits(source, limits);
	ioLimits(source, limits);
	return limits;
}

/** A limit that is one file's value; undefined where it is none. */
function oneFile(row: LimitRow, { version, read }: Source, parent: Source | undefined): number | boolean | string | undefined {
	const controller = row.controller as string;
	const v1 = version(controller) === 1;
	const file = v1 ? row.v1 : row.v2;
	const text = file === undefined ? undefined : read(controller, file);
	if (file === undefined || text === undefined || text === "") return undefined;
	/* v1 fills these in from the cgroup above. */
	if (v1 && row.inherited && text === parent?.read(controller, file)) return undefined;
	const value = row.type === "flag" ? text === "1" : row.type === "list" ? text : v2Limit(text);
	return value === row.none ? undefined : value;
}

function cpuLimits({ version, read }: Source, limits: Limits) {
	const get = (file: string) => read("cpu", file);
	let quota: number;
	let period: number;
	/* An idle cgroup's weight is the kernel's: 3 shares, or 0. */
	const isIdle = get("cpu.idle") === "1";
	if (version("cpu") === 1) {
		quota = Number(get("cpu.cfs_quota_us") ?? -1);
		period = Number(get("cpu.cfs_period_us") ?? 100000);
		const shares = Number(get("cpu.shares") ?? 1024);
		if (shares !== 1024 && !isIdle) limits.cpuShares = shares;
	} else {
		const [text = "max", length = "100000"] = (get("cpu.max") ?? "").split(" ");
		quota = text === "max" || text === "" ? -1 : Number(text);
		period = Number(length);
		const weight = Number(get("cpu.weight") ?? 100);
		if (weight !== 100 && !isIdle) limits.cpuWeight = weight;
	}
	if (period !== 100000) limits.cpuPeriod = period;
	if (quota > 0 && period === 100000) limits.cpus = quota / period;
	else if (quota > 0) limits.cpuQuota = quota;
	const burst = Number(get("cpu.cfs_burst_us") ?? get("cpu.max.burst") ?? 0);
	if (burst > 0) limits.cpuBurst = burst;
	if (isIdle) limits.cpuIdle = true;
}

function memoryLimits({ version, read }: Source, limits: Limits) {
	const get = (file: string) => read("memory", file);
	if (version("memory") === 1) {
		const ram = v1Limit(get("memory.limit_in_bytes"));
		const total = v1Limit(get("memory.memsw.limit_in_bytes"));
		const reservation = v1Limit(get("memory.soft_limit_in_bytes"));
		if (ram !== Infinity) limits.memory = ram;
		if (total !== Infinity) limits.memorySwap = total;
		if (reservation !== Infinity) limits.memoryReservation = reservation;
		return;
	}
	const ram = v2Limit(get("memory.max"));
	const swap = v2Limit(get("memory.swap.max"));
	const low = v2Limit(get("memory.low") ?? "0");
	if (ram !== Infinity) limits.memory = ram;
	if (swap !== Infinity && ram !== Infinity) limits.memorySwap = ram + swap;
	else if (swap !== Infinity) limits.memorySwapMax = swap;
	if (low !== 0) limits.memoryReservation = low;
}

function hugetlbLimits({ version, read }: Source, limits: Limits) {
	const v1 = version("hugetlb") === 1;
	const found: [string, number][] = [];
	for (const size of ["64KB", "2MB", "32MB", "512MB", "1GB", "16GB"]) {
		const limit = v1 ? v1HugeLimit(read("hugetlb", `hugetlb.${size}.limit_in_bytes`)) : v2Limit(read("hugetlb", `hugetlb.${size}.max`));
		if (limit !== Infinity) found.push([size, limit]);
	}
	if (found.length > 0) limits.hugetlb = found;
}

/** v1 rounds "no limit" down to whole huge pages. */
function v1HugeLimit(text: string | undefined): number {
	return text === undefined ? Infinity : v1Limit(text);
}

function ioLimits({ version, read }: Source, limits: Limits) {
	const get = (file: string) => read("io", file);
	const disks = new Map<string, IoMax>();
	const rate = (device: string, name: Rate, value: number) => {
		const disk = disks.get(device) ?? { device, rates: {} };
		disk.rates[name] = value;
		disks.set(device, disk);
	};
	if (version("io") === 1) {
		/* blkio.weight is CFQ's, with a default of 500; BFQ's has 100. */
		const cfq = get("blkio.weight");
		const bfq = get("blkio.bfq.weight");
		if (cfq !== undefined && Number(cfq) !== 500) limits.blkioWeight = Number(cfq);
		else if (bfq !== undefined && Number(bfq) !== 100) limits.ioWeight = bfqToIoWeight(Number(bfq));
		const own = deviceWeights(get("blkio.weight_device"), (weight) => weight);
		if (own) limits.blkioWeightDevice = own;
		const ownBfq = deviceWeights(get("blkio.bfq.weight_device"), bfqToIoWeight);
		if (ownBfq) limits.ioWeightDevice = ownBfq;
		const files: [Rate, string][] = [
			["rbps", "read_bps"],
			["wbps", "write_bps"],
			["riops", "read_iops"],
			["wiops", "write_iops"],
		];
		for (const [name, file] of files)
			for (const line of lines(get(`blkio.throttle.${file}_device`))) {
				const [device = "", value] = line.split(" ");
				if (Number(value) > 0) rate(device, name, Number(value));
			}
	} else {
		/* io.weight: "default 100", then lines for single devices; io.bfq.weight is the same or a bare number. */
		const bfq = get("io.bfq.weight");
		const text = bfq ?? get("io.weight");
		const toIo = bfq === undefined ? (weight: number) => weight : bfqToIoWeight;
		const weight = /^(?:default )?(\d+)$/m.exec(text ?? "");
		if (weight && weight[1] !== "100") limits.ioWeight = toIo(Number(weight[1]));
		const own = deviceWeights(text, toIo);
		if (own) limits.ioWeightDevice = own;
		for (const line of lines(get("io.max"))) {
			const [device = "", ...pairs] = line.split(" ");
			for (const pair of pairs) {
				const [name, value] = pair.split("=");
				if (value !== "max") rate(device, name as Rate, Number(value));
			}
		}
	}
	if (disks.size > 0) limits.ioMax = [...disks.values()];
}

function lines(text: string | undefined): string[] {
	return (text ?? "").split("\n").filter((line) => line !== "");
}

/** Lines of `8:0 200`. */
function deviceWeights(text: string | undefined, toIo: (weight: number) => number): { device: string; weight: number }[] | undefined {
	const found = lines(text).flatMap((line) => {
		const match = /^(\d+:\d+) (\d+)$/.exec(line);
		return match ? [{ device: match[1] as string, weight: toIo(Number(match[2])) }] : [];
	});
	return found.length > 0 ? found : undefined;
}

/**
 * What must be asked for so that a cgroup with the limits `now` has those of another: what that one has, and for the rest
 * what a new cgroup has.
 */
export function differences(now: Limits, wanted: Limits): Limits {
	const limits: Record<string, unknown> = { ...wanted };
	/* Two names of one limit: the one that is asked for says all. */
	const same: Record<string, keyof Limits> = {
		cpus: "cpuQuota",
		cpuQuota: "cpus",
		cpuWeight: "cpuShares",
		cpuShares: "cpuWeight",
		ioWeight: "blkioWeight",
		blkioWeight: "ioWeight",
		memorySwap: "memorySwapMax",
		memorySwapMax: "memorySwap",
	};
	for (const { long, none } of limitOptions as readonly LimitRow[]) {
		const key = camel(long) as keyof Limits;
		const other = same[key];
		if (now[key] === undefined || wanted[key] !== undefined || (other && wanted[other] !== undefined)) continue;
		if (none !== undefined) limits[key] = none;
	}
	const kept = wanted.hugetlb ?? [];
	const gone = (now.hugetlb ?? []).filter(([size]) => !kept.some(([each]) => each === size));
	if (gone.length > 0) limits.hugetlb = [...kept, ...gone.map(([size]) => [size, Infinity])];
	if (now.device && !wanted.device) limits.device = [];
	if (now.ioMax) limits.ioMax = ioDifferences(now.ioMax, wanted.ioMax ?? []);
	return limits as Limits;
}

function ioDifferences(now: IoMax[], wanted: IoMax[]): IoMax[] {
	const disks = new Map(wanted.map((disk) => [disk.device, { device: disk.device, rates: { ...disk.rates } }]));
	for (const { device, rates } of now) {
		const disk = disks.get(device) ?? { device, rates: {} };
		for (const rate of Object.keys(rates) as Rate[]) disk.rates[rate] ??= Infinity;
		disks.set(device, disk);
	}
	return [...disks.values()];
}

/** Limits as options of this tool: `["--cpus", "0.5"]`. */
export function optionsFor(limits: Limits): [option: string, value?: string][] {
	const out: [string, string?][] = [];
	for (const row of limitOptions as readonly LimitRow[]) {
		const value = limits[camel(row.long) as keyof Limits] as unknown;
		if (value === undefined || row.type === "formula") continue;
		const option = `--${row.long}`;
		if (row.type === "flag") out.push(value ? [option] : [`${option}=off`]);
		else for (const each of row.repeat ? (value as unknown[]) : [value]) out.push([option, valueText(row, each)]);
	}
	return out;
}

/** The same as a shell reads them. */
export function optionWords(limits: Limits): string[] {
	return optionsFor(limits).map(([option, value]) => (value === undefined ? option : `${option} ${quote(value)}`));
}

/** A word for sh. */
export function quote(text: string): string {
	return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`;
}

function valueText({ type }: LimitRow, value: unknown): string {
	const number = (n: number | undefined) => (n === Infinity ? "max" : String(n));
	if (type === "pages") return `${(value as [string, number])[0]}=${number((value as [string, number])[1])}`;
	if (type === "file") return (value as [string, string]).join("=");
	if (type === "deviceWeight") return `${(value as { device: string }).device}:${(value as { weight: number }).weight}`;
	if (type === "rates") {
		const { device, rates } = value as IoMax;
		return `${device}:${(Object.keys(rates) as Rate[]).map((name) => `${name}=${number(rates[name])}`).join(",")}`;
	}
	if (typeof value !== "number") return String(value);
	return type === "time" && value !== Infinity ? `${value}us` : number(value);
}
