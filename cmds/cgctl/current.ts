/**
 * The limits that a cgroup has, read back from the kernel's files of either version: plan.ts the other way round. Only
 * what differs from the kernel's defaults is a limit.
 */
import type { IoMax, Limits, Rate } from "./limits.ts";
import { type Facts, v1Limit, v2Limit } from "./plan.ts";

/** Where the files come from: a cgroup, or a configuration that is to be converted. */
export type Source = Pick<Facts, "version" | "read">;

/** Reads the limits. `parent` is the cgroup above: on v1 its cpuset and swappiness are the defaults. */
export function limitsFrom(source: Source, parent?: Source): Limits {
	const limits: Limits = {};
	cpuLimits(source, limits);
	cpusetLimits(source, limits, parent);
	memoryLimits(source, limits, parent);
	hugetlbLimits(source, limits);
	const pids = source.read("pids", "pids.max");
	if (pids !== undefined && pids !== "max") limits.pids = Number(pids);
	ioLimits(source, limits);
	return limits;
}

function cpuLimits({ version, read }: Source, limits: Limits) {
	const get = (file: string) => read("cpu", file);
	let quota: number;
	let period: number;
	if (version("cpu") === 1) {
		quota = Number(get("cpu.cfs_quota_us") ?? -1);
		period = Number(get("cpu.cfs_period_us") ?? 100000);
		const shares = Number(get("cpu.shares") ?? 1024);
		if (shares !== 1024) limits.cpuShares = shares;
	} else {
		const [text = "max", length = "100000"] = (get("cpu.max") ?? "").split(" ");
		quota = text === "max" || text === "" ? -1 : Number(text);
		period = Number(length);
		const weight = Number(get("cpu.weight") ?? 100);
		/* cpu.idle shows as weight 0. */
		if (weight !== 100 && weight !== 0) limits.cpuWeight = weight;
	}
	if (period !== 100000) limits.cpuPeriod = period;
	if (quota > 0 && period === 100000) limits.cpus = quota / period;
	else if (quota > 0) limits.cpuQuota = quota;
	const burst = Number(get("cpu.cfs_burst_us") ?? get("cpu.max.burst") ?? 0);
	if (burst > 0) limits.cpuBurst = burst;
	if (get("cpu.idle") === "1") limits.cpuIdle = true;
}

function cpusetLimits({ read }: Source, limits: Limits, parent: Source | undefined) {
	const own = (file: string) => {
		const text = read("cpuset", file);
		return text === "" || text === parent?.read("cpuset", file) ? undefined : text;
	};
	const cpus = own("cpuset.cpus");
	const mems = own("cpuset.mems");
	if (cpus !== undefined) limits.cpusetCpus = cpus;
	if (mems !== undefined) limits.cpusetMems = mems;
}

function memoryLimits({ version, read }: Source, limits: Limits, parent: Source | undefined) {
	const get = (file: string) => read("memory", file);
	if (version("memory") === 1) {
		const ram = v1Limit(get("memory.limit_in_bytes"));
		const total = v1Limit(get("memory.memsw.limit_in_bytes"));
		const reservation = v1Limit(get("memory.soft_limit_in_bytes"));
		const swappiness = get("memory.swappiness");
		if (ram !== Infinity) limits.memory = ram;
		if (total !== Infinity) limits.memorySwap = total;
		if (reservation !== Infinity) limits.memoryReservation = reservation;
		if (swappiness !== undefined && swappiness !== (parent?.read("memory", "memory.swappiness") ?? "60"))
			limits.memorySwappiness = Number(swappiness);
		return;
	}
	const ram = v2Limit(get("memory.max"));
	const swap = v2Limit(get("memory.swap.max"));
	const high = v2Limit(get("memory.high"));
	const low = v2Limit(get("memory.low") ?? "0");
	const min = v2Limit(get("memory.min") ?? "0");
	if (ram !== Infinity) limits.memory = ram;
	if (ram !== Infinity && swap !== Infinity) limits.memorySwap = ram + swap;
	if (high !== Infinity) limits.memoryHigh = high;
	if (low !== 0) limits.memoryReservation = low;
	if (min !== 0) limits.memoryMin = min;
	if (get("memory.oom.group") === "1") limits.oomGroup = true;
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
		else if (bfq !== undefined && Number(bfq) !== 100) limits.ioWeight = Number(bfq);
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
		const weight = /^(?:default )?(\d+)/.exec(get("io.bfq.weight") ?? get("io.weight") ?? "");
		if (weight && weight[1] !== "100") limits.ioWeight = Number(weight[1]);
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

/** Limits as options of this tool: `["--cpus", "0.5"]`. */
export function optionsFor(limits: Limits): [option: string, value?: string][] {
	const out: [string, string?][] = [];
	const number = (option: string, value: number | undefined, unit = "") => {
		if (value !== undefined) out.push([option, value === Infinity ? "max" : `${value}${unit}`]);
	};
	number("--cpus", limits.cpus);
	number("--cpu-period", limits.cpuPeriod, "us");
	number("--cpu-quota", limits.cpuQuota, limits.cpuQuota === Infinity ? "" : "us");
	number("--cpu-burst", limits.cpuBurst, "us");
	number("--cpu-weight", limits.cpuWeight);
	number("--cpu-shares", limits.cpuShares);
	if (limits.cpuIdle) out.push(["--cpu-idle"]);
	if (limits.cpusetCpus !== undefined) out.push(["--cpuset-cpus", limits.cpusetCpus]);
	if (limits.cpusetMems !== undefined) out.push(["--cpuset-mems", limits.cpusetMems]);
	number("--memory", limits.memory);
	number("--memory-swap", limits.memorySwap);
	number("--memory-high", limits.memoryHigh);
	number("--memory-reservation", limits.memoryReservation);
	number("--memory-min", limits.memoryMin);
	number("--memory-swappiness", limits.memorySwappiness);
	if (limits.oomGroup) out.push(["--oom-group"]);
	for (const [size, limit] of limits.hugetlb ?? []) out.push(["--hugetlb", `${size}=${limit === Infinity ? "max" : limit}`]);
	number("--pids", limits.pids);
	number("--io-weight", limits.ioWeight);
	number("--blkio-weight", limits.blkioWeight);
	for (const { device, rates } of limits.ioMax ?? [])
		out.push([
			"--io-max",
			`${device}:${(Object.keys(rates) as Rate[]).map((name) => `${name}=${rates[name] === Infinity ? "max" : rates[name]}`).join(",")}`,
		]);
	for (const rule of limits.devices ?? []) out.push(["--device", rule]);
	return out;
}
