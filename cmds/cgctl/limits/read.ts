/** The limits that options ask for: read from their text, checked, in the kernel's units. What becomes of them on v1 and v2 is plan.ts. */

import { camel, notA, type Values } from "../../common/command-line/options.ts";
import { show, UsageError } from "../../common/errors.ts";
import { parseDuration, parseSize } from "../../common/units.ts";
import { checkDevices } from "../device/apply.ts";
import { DOUBLE, type IoMax, type LimitRow, type Limits, limitOptions, type Rate } from "./table.ts";
import { parseFormula } from "./weights.ts";

/** The values of limitOptions, as text. */
export type LimitOptions = Values<typeof limitOptions>;

/** max, -1 (runc, docker), unlimited and infinity (systemd) all take a limit away. */
function isMax(text: string): boolean {
	return text === "max" || text === "-1" || text === "unlimited" || text === "infinity";
}

function sizeOrMax(option: string, text: string): number {
	return isMax(text) ? Infinity : (parseSize(text) ?? notA(option, text, "a size (512k, 1.5g, 1GiB) or max"));
}

function inRange(option: string, text: string, [least, most]: readonly [number, number]): number {
	const value = /^\d+$/.test(text) ? Number(text) : NaN;
	return value >= least && value <= most ? value : notA(option, text, `a whole number (${least}-${most})`);
}

/** A time in microseconds, which a number without a unit is, as for runc and docker. */
function microseconds(option: string, text: string, [least, most]: readonly [number, number]): number {
	const seconds = /^[\d.]+$/.test(text) ? undefined : parseDuration(text);
	const value = /^\d+$/.test(text)
		? Number(text)
		: Math.round((seconds ?? notA(option, text, "a time (20ms, 0.1s; 20000 is 20 ms)")) * 1e6);
	return value >= least && value <= most ? value : notA(option, text, `a time from ${least} to ${most} us`);
}

/** `0.5` cpus, or systemd's `50%`. */
function cpus(option: string, text: string): number {
	if (isMax(text)) return Infinity;
	const match = /^(\d+(?:\.\d+)?|\.\d+)(%?)$/.exec(text) ?? notA(option, text, "a number of cpus above 0 (0.5, 50%, 2, max)");
	return match[2] ? Number(match[1]) / 100 : Number(match[1]);
}

/** A list of numbers as cpusets have it: `0-2,4`. */
function list(option: string, text: string): string {
	const good = /^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text);
	return good ? text : notA(option, text, "a list of numbers (0-2,4)");
}

function flag(option: string, text: string | true): boolean {
	if (text === true || /^(on|yes|true|1)$/.test(text)) return true;
	return /^(off|no|false|0)$/.test(text) ? false : notA(option, text, "on or off");
}

/** A page size as the kernel's files have it: 2m, 2MB and 2048k are all 2MB. */
export function pageSizeName(text: string): string | undefined {
	const bytes = parseSize(text);
	if (bytes === undefined || bytes < 1024) return undefined;
	if (bytes >= 1 << 30) return `${bytes / (1 << 30)}GB`;
	return bytes >= 1 << 20 ? `${bytes / (1 << 20)}MB` : `${bytes / 1024}KB`;
}

function hugetlb(option: string, text: string): [string, number] {
	const equals = text.indexOf("=");
	const size = equals < 0 ? undefined : pageSizeName(text.slice(0, equals));
	if (size === undefined) return notA(option, text, "a page size and a limit (2MB=64m)");
	return [size, sizeOrMax(option, text.slice(equals + 1))];
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

function deviceWeight(option: string, text: string, range: readonly [number, number]): { device: string; weight: number } {
	const match = /^(.+):(\d+)$/.exec(text) ?? notA(option, text, "a disk and its weight (8:0:200, /dev/sda:200)");
	return { device: match[1] as string, weight: inRange(option, match[2] as string, range) };
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

/** The value of one option; undefined where it counts as not given. */
function read(row: LimitRow, text: string | true): unknown {
	const option = `--${row.long}`;
	if (row.zero === "absent" && typeof text === "string" && /^0+(\.0*)?%?[a-z]*$/i.test(text)) return undefined;
	if (row.type === "flag") return flag(option, text);
	const word = text as string;
	const range = row.range ?? [0, Number.MAX_SAFE_INTEGER];
	switch (row.type) {
		case "cpus":
			return cpus(option, word);
		case "time":
			return row.none === Infinity && isMax(word) ? Infinity : microseconds(option, word, range);
		case "count":
			return row.none === Infinity && (isMax(word) || word === "0") ? Infinity : inRange(option, word, range);
		case "size":
			return row.long === "memory-swap" && word === "double" ? DOUBLE : sizeOrMax(option, word);
		case "list":
			return list(option, word);
		case "formula":
			return parseFormula(word);
		case "pages":
			return hugetlb(option, word);
		case "rates":
			return parseIoMax(word);
		case "deviceWeight":
			return deviceWeight(option, word, range);
		case "file":
			return parseKeyValue(word);
		case "rule":
			return word;
	}
}

/** Reads the options. Throws UsageError for a value that is none. */
export function readLimits(options: LimitOptions): Limits {
	const limits: Record<string, unknown> = {};
	for (const row of limitOptions as readonly LimitRow[]) {
		const key = camel(row.long);
		let given = (options as Record<string, string | true | string[] | undefined>)[key];
		if (given === undefined) continue;
		/* systemd's CPUQuota=50% is of a cpu, whatever the period. */
		if (row.long === "cpu-quota" && typeof given === "string" && given.endsWith("%")) {
			if (options.cpus === undefined) limits.cpus = cpus("--cpu-quota", given);
			given = "0";
		}
		const value = Array.isArray(given) ? given.map((text) => read(row, text)) : read(row, given);
		if (value !== undefined) limits[key] = value;
	}
	const whole = limits as Limits;
	if (whole.device) checkDevices(whole.device);
	check(whole, options);
	return whole;
}

/** What contradicts itself, whatever the layout. */
function check(limits: Limits, options: LimitOptions) {
	const { memory, memorySwap } = limits;
	const both = (one: string, other: string) => {
		throw new UsageError(`${one} and ${other} are the same limit; give one`);
	};
	if (limits.cpus !== undefined && (limits.cpuQuota !== undefined || (options.cpus !== undefined && options.cpuQuota?.endsWith("%"))))
		both("--cpus", "--cpu-quota");
	if (limits.cpuWeight !== undefined && limits.cpuShares !== undefined) both("--cpu-weight", "--cpu-shares");
	if (limits.ioWeight !== undefined && limits.blkioWeight !== undefined) both("--io-weight", "--blkio-weight");
	if (memorySwap !== undefined && limits.memorySwapMax !== undefined) both("--memory-swap", "--memory-swap-max");
	if (memorySwap === DOUBLE && memory === undefined && options.memory === undefined)
		throw new UsageError("--memory-swap double: is twice --memory, which is not given");
	if (memorySwap === DOUBLE && (memory === undefined || memory === Infinity)) delete limits.memorySwap;
	else if (memory !== undefined && memorySwap !== undefined && memorySwap !== DOUBLE && memorySwap < memory)
		throw new UsageError("--memory-swap is the limit of memory and swap together, so it cannot be less than --memory");
}

/** The controllers that limits need, by v2's names. */
export function neededControllers(limits: Limits): string[] {
	const names = new Set<string>();
	for (const { long, controller } of limitOptions as readonly LimitRow[])
		if (controller !== undefined && camel(long) in limits) names.add(controller);
	for (const [key] of limits.set ?? []) {
		const prefix = key.slice(0, key.indexOf("."));
		if (prefix !== "cgroup" && prefix !== "") names.add(prefix === "blkio" ? "io" : prefix);
	}
	return [...names];
}
