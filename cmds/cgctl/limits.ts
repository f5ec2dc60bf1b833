/** The limits that options ask for: read from their text, checked, in the kernel's units. What becomes of them on v1 and v2 is plan.ts. */

import { notA } from "../common/command-line/options.ts";
import { show, UsageError } from "../common/errors.ts";
import { parseDuration, parseSize } from "../common/units.ts";
import { checkDevices } from "./devices.ts";
import { parseFormula, type WeightFormula } from "./weights.ts";

/** Numbers are bytes, microseconds or counts; Infinity stands for "max". */
export interface Limits {
	/** cpu time per wall time. */
	cpus?: number;
	cpuQuota?: number;
	cpuPeriod?: number;
	cpuBurst?: number;
	cpuIdle?: boolean;
	cpuWeight?: number;
	cpuShares?: number;
	weightFormula?: WeightFormula;
	cpusetCpus?: string;
	cpusetMems?: string;
	memory?: number;
	/** Of memory and swap together. */
	memorySwap?: number;
	memoryHigh?: number;
	memoryReservation?: number;
	memoryMin?: number;
	memorySwappiness?: number;
	oomGroup?: boolean;
	/** The page size as the kernel's files have it (2MB), and the bytes. */
	hugetlb?: [size: string, limit: number][];
	pids?: number;
	ioWeight?: number;
	blkioWeight?: number;
	ioMax?: IoMax[];
	devices?: string[];
	/** Kernel files by their names. */
	set?: [key: string, value: string][];
}

export interface IoMax {
	/** As written: 8:0, a node or a mount point. */
	device: string;
	rates: Partial<Record<Rate, number>>;
}

export type Rate = "rbps" | "wbps" | "riops" | "wiops";

/** The values of limitOptions, as text. */
export interface LimitOptions {
	cpus?: string;
	cpuWeight?: string;
	cpuShares?: string;
	weightFormula?: string;
	cpuBurst?: string;
	cpuPeriod?: string;
	cpuQuota?: string;
	cpuIdle?: true;
	cpusetCpus?: string;
	cpusetMems?: string;
	memory?: string;
	memorySwap?: string;
	memoryHigh?: string;
	memoryReservation?: string;
	memoryMin?: string;
	memorySwappiness?: string;
	oomGroup?: true;
	hugetlb?: string[];
	pids?: string;
	ioWeight?: string;
	blkioWeight?: string;
	ioMax?: string[];
	device?: string[];
	set?: string[];
}

/** max, -1 (runc, docker), unlimited and infinity (systemd) all take a limit away. */
export function isMax(text: string): boolean {
	return text === "max" || text === "-1" || text === "unlimited" || text === "infinity";
}

function sizeOrMax(option: string, text: string): number {
	return isMax(text) ? Infinity : (parseSize(text) ?? notA(option, text, "a size (512k, 1.5g, 1GiB) or max"));
}

function whole(option: string, text: string, least: number, most: number): number {
	const value = /^\d+$/.test(text) ? Number(text) : NaN;
	return value >= least && value <= most ? value : notA(option, text, `a whole number (${least}-${most})`);
}

function microseconds(option: string, text: string, least: number, most: number): number {
	const seconds = parseDuration(text) ?? notA(option, text, "a time (20ms, 0.1s)");
	const value = Math.round(seconds * 1e6);
	return value >= least && value <= most ? value : notA(option, text, `a time from ${least} to ${most} us`);
}

/** A list of numbers as cpusets have it: `0-2,4`. */
function list(option: string, text: string): string {
	const good = /^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text);
	return good ? text : notA(option, text, "a list of numbers (0-2,4)");
}

/** A page size as the kernel's files have it: 2m, 2MB and 2048k are all 2MB. */
export function pageSizeName(text: string): string | undefined {
	const bytes = parseSize(text);
	if (bytes === undefined || bytes < 1024) return undefined;
	if (bytes >= 1 << 30) return `${bytes / (1 << 30)}GB`;
	return bytes >= 1 << 20 ? `${bytes / (1 << 20)}MB` : `${bytes / 1024}KB`;
}

function hugetlb(text: string): [string, number] {
	const equals = text.indexOf("=");
	const size = equals < 0 ? undefined : pageSizeName(text.slice(0, equals));
	if (size === undefined) return notA("--hugetlb", text, "a page size and a limit (2MB=64m)");
	return [size, sizeOrMax("--hugetlb", text.slice(equals + 1))];
}

/** `8:0:rbps=1m,wiops=100`: the device may have colons too. */
export function parseIoMax(text: string): IoMax {
	const noun = "DEV:rbps=N,wbps=N,riops=N,wiops=N (one of these at least)";
	const match = /^(.+):([rw](?:bps|iops)=[^:]+)$/.exec(text);
	if (!match) return notA("--io-max", text, noun);
	const rates: IoMax["rates"] = {};
	for (const part of (match[2] as string).split(",")) {
		const pair = /^([rw](?:bps|iops))=(.+)$/.exec(part);
		if (!pair) return notA("--io-max", text, noun);
		const value = pair[2] as string;
		const rate = sizeOrMax("--io-max", value);
		/* v1 takes 0 for "no limit", v2 refuses it. */
		if (rate === 0) return notA("--io-max", value, "a rate above 0, or max");
		rates[pair[1] as Rate] = rate;
	}
	return { device: match[1] as string, rates };
}

/** `memory.high=1g` for a kernel file; the name must be one. */
export function parseKeyValue(text: string): [string, string] {
	const equals = text.indexOf("=");
	if (equals < 1) throw new UsageError(`${show(text)}: not KEY=VALUE`);
	return [checkKey(text.slice(0, equals)), text.slice(equals + 1)];
}

/** The name of a kernel file, which may not be a path. */
export function checkKey(key: string): string {
	if (!/^[a-zA-Z0-9_.-]+$/.test(key) || key === "." || key === "..") throw new UsageError(`${show(key)}: not the name of a cgroup's file`);
	return key;
}

/** Reads the options. Throws UsageError for a value that is none. */
export function readLimits(options: LimitOptions): Limits {
	const limits: Limits = {};
	const o = options;
	if (o.cpus !== undefined) {
		const cpus = isMax(o.cpus) ? Infinity : /^(\d+(\.\d+)?|\.\d+)$/.test(o.cpus) ? Number(o.cpus) : NaN;
		limits.cpus = cpus > 0 ? cpus : notA("--cpus", o.cpus, "a number of cpus above 0 (0.5, 2, max)");
	}
	if (o.cpuPeriod !== undefined) limits.cpuPeriod = microseconds("--cpu-period", o.cpuPeriod, 1000, 1000000);
	if (o.cpuQuota !== undefined) limits.cpuQuota = isMax(o.cpuQuota) ? Infinity : microseconds("--cpu-quota", o.cpuQuota, 1000, 1e12);
	if (o.cpuBurst !== undefined) limits.cpuBurst = microseconds("--cpu-burst", o.cpuBurst, 0, 1e12);
	if (o.cpuIdle) limits.cpuIdle = true;
	if (o.cpuWeight !== undefined) limits.cpuWeight = whole("--cpu-weight", o.cpuWeight, 1, 10000);
	if (o.cpuShares !== undefined) limits.cpuShares = whole("--cpu-shares", o.cpuShares, 2, 262144);
	if (o.weightFormula !== undefined) limits.weightFormula = parseFormula(o.weightFormula);
	if (o.cpusetCpus !== undefined) limits.cpusetCpus = list("--cpuset-cpus", o.cpusetCpus);
	if (o.cpusetMems !== undefined) limits.cpusetMems = list("--cpuset-mems", o.cpusetMems);
	if (o.memory !== undefined) limits.memory = sizeOrMax("--memory", o.memory);
	if (o.memorySwap !== undefined) limits.memorySwap = sizeOrMax("--memory-swap", o.memorySwap);
	if (o.memoryHigh !== undefined) limits.memoryHigh = sizeOrMax("--memory-high", o.memoryHigh);
	if (o.memoryReservation !== undefined) limits.memoryReservation = sizeOrMax("--memory-reservation", o.memoryReservation);
	if (o.memoryMin !== undefined) limits.memoryMin = sizeOrMax("--memory-min", o.memoryMin);
	if (o.memorySwappiness !== undefined) limits.memorySwappiness = whole("--memory-swappiness", o.memorySwappiness, 0, 100);
	if (o.oomGroup) limits.oomGroup = true;
	if (o.hugetlb) limits.hugetlb = o.hugetlb.map(hugetlb);
	if (o.pids !== undefined) limits.pids = isMax(o.pids) ? Infinity : whole("--pids", o.pids, 0, 4194304);
	if (o.ioWeight !== undefined) limits.ioWeight = whole("--io-weight", o.ioWeight, 1, 10000);
	if (o.blkioWeight !== undefined) limits.blkioWeight = whole("--blkio-weight", o.blkioWeight, 10, 1000);
	if (o.ioMax) limits.ioMax = o.ioMax.map(parseIoMax);
	if (o.device) {
		checkDevices(o.device);
		limits.devices = o.device;
	}
	if (o.set) limits.set = o.set.map(parseKeyValue);
	check(limits);
	return limits;
}

/** What contradicts itself, whatever the layout. */
function check(limits: Limits) {
	if (limits.cpus !== undefined && limits.cpuQuota !== undefined)
		throw new UsageError("--cpus and --cpu-quota are the same limit; give one");
	if (limits.cpuWeight !== undefined && limits.cpuShares !== undefined)
		throw new UsageError("--cpu-weight and --cpu-shares are the same limit; give one");
	if (limits.ioWeight !== undefined && limits.blkioWeight !== undefined)
		throw new UsageError("--io-weight and --blkio-weight are the same limit; give one");
	if (limits.memory !== undefined && limits.memorySwap !== undefined && limits.memorySwap < limits.memory)
		throw new UsageError("--memory-swap is the limit of memory and swap together, so it cannot be less than --memory");
}
