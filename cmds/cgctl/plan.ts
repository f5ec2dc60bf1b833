/**
 * What limits become on a layout: an ordered list of files to write. Pure but for the questions it asks of `facts`, so
 * that a test can play any layout.
 *
 * Sources: Documentation/admin-guide/cgroup-v1/*.rst, cgroup-v2.rst, Documentation/scheduler/sched-bwc.rst.
 */

import { camel } from "../common/command-line/options.ts";
import { fail } from "../common/errors.ts";
import { formatSize } from "../common/units.ts";
import { DOUBLE, type LimitRow, type Limits, limitOptions, type Rate } from "./limit-table.ts";
import { blkioToIoWeight, ioToBfqWeight, ioToBlkioWeight, sharesToWeight, weightToShares } from "./weights.ts";

export interface Write {
	/** By v2's name. */
	controller: string;
	file: string;
	value: string;
	/** What asked for it, for an error: `--memory 1 GiB`. */
	because: string;
}

export interface Facts {
	/** The version of the hierarchy that has a controller; undefined where none has it. */
	version(controller: string): 1 | 2 | undefined;
	/** A file of the cgroup as it is now; undefined where there is none. */
	read(controller: string, file: string): string | undefined;
	/** The number (8:0) of a disk that a person names. */
	device(text: string): string;
}

export interface Plan {
	writes: Write[];
	/** What was translated, and how, for people. */
	notes: string[];
}

type Step = (limits: Limits, facts: Facts, steps: Plan) => void;

/** The steps that a row of the table may name; what goes together is planned together. */
const STEPS: Record<NonNullable<LimitRow["plan"]>, Step> = {
	cpuTime,
	cpuWeight,
	memory,
	reservation,
	hugetlb,
	ioWeight,
	ioDeviceWeight,
	ioMax,
	/* Device rules and kernel files by their names are no part of a plan: apply.ts. */
	elsewhere() {},
};

/** Turns limits into writes. Fails where the layout cannot express one, naming what would. */
export function plan(limits: Limits, facts: Facts): Plan {
	const steps: Plan = { writes: [], notes: [] };
	const done = new Set<Step>();
	for (const row of limitOptions as readonly LimitRow[]) {
		const value = limits[camel(row.long) as keyof Limits];
		if (value === undefined) continue;
		if (!row.plan) {
			oneFile(row, value as number | boolean | string, facts, steps);
			continue;
		}
		const step = STEPS[row.plan];
		if (!done.has(step)) step(limits, facts, steps);
		done.add(step);
	}
	return steps;
}

/** Why a version has no file for a limit, and what would do. */
const CANNOT: Record<string, [why: string, instead: string]> = {
	"memory-high": ["it has no limit that slows down", "--memory is a hard limit; --memory-reservation one that holds when memory is short"],
	"memory-min": ["it protects no memory for certain", "--memory-reservation protects it as far as can be"],
	"memory-swappiness": ["swappiness is the whole system's (/proc/sys/vm/swappiness)", "--memory-swap limits the swap of a cgroup"],
	"oom-group": ["its kernel ends one process at a time", "`tscgctl kill` ends the others; cgroup v2 has memory.oom.group"],
};

/** A limit that is one file's value. */
function oneFile(row: LimitRow, value: number | boolean | string, facts: Facts, steps: Plan) {
	const option = `--${row.long}`;
	const shown = typeof value === "boolean" ? (value ? "" : "=off") : ` ${row.type === "size" ? size(value as number) : formatValue(value)}`;
	const v = version(facts, row.controller as string, option);
	const file = v === 1 ? row.v1 : row.v2;
	if (file === undefined) {
		/* To leave out what is not there anyway is no wish that cannot be met. */
		if (value === row.none) return;
		const [why, instead] = CANNOT[row.long] as [string, string];
		cannot(option, v, why, instead);
	}
	add(steps, row.controller as string, file, formatValue(value), option + shown);
}

function formatValue(value: number | boolean | string): string {
	return typeof value === "number" ? max(value) : typeof value === "boolean" ? (value ? "1" : "0") : value;
}

function add(steps: Plan, controller: string, file: string, value: string, because: string) {
	steps.writes.push({ controller, file, value, because });
}

function max(value: number): string {
	return value === Infinity ? "max" : String(value);
}

/** v1's files say -1 for "no limit". */
function minusOne(value: number): string {
	return value === Infinity ? "-1" : String(value);
}

function size(value: number): string {
	return value === Infinity ? "max" : formatSize(value);
}

function version(facts: Facts, controller: string, option: string): 1 | 2 {
	return (
		facts.version(controller) ??
		fail(
			`${option}: no hierarchy here has the ${controller} controller`,
			"`tscgctl info` shows those that there are; the kernel may lack it, or cgroup_disable= on its command line turned it off",
		)
	);
}

/** The option means nothing on this version. */
function cannot(option: string, version: 1 | 2, why: string, instead: string): never {
	return fail(`${option}: cgroup v${version} cannot express it: ${why}`, instead);
}

/** CFS bandwidth: sched-bwc.rst. */
function cpuTime(limits: Limits, facts: Facts, steps: Plan) {
	const { cpus, cpuQuota, cpuPeriod, cpuBurst } = limits;
	const v = version(facts, "cpu", cpus !== undefined ? "--cpus" : "--cpu-quota");
	const present = v === 2 ? (facts.read("cpu", "cpu.max") ?? "max 100000").split(" ") : [];
	const periodNow = Number(v === 2 ? present[1] : (facts.read("cpu", "cpu.cfs_period_us") ?? 100000));
	const period = cpuPeriod ?? periodNow;
	const because =
		cpus !== undefined ? `--cpus ${max(cpus)}` : cpuQuota !== undefined ? `--cpu-quota ${max(cpuQuota)}` : `--cpu-period ${period}`;
	const asked = cpuQuota ?? (cpus === undefined ? undefined : Math.round(cpus * period));
	if (asked !== undefined && asked < 1000)
		fail(
			`${because}: less than 1 ms in a period of ${period / 1000} ms, the least that the kernel takes`,
			"a longer --cpu-period allows less",
		);
	const quotaNow = v === 2 ? v2Limit(present[0]) : v1Limit(facts.read("cpu", "cpu.cfs_quota_us") ?? "-1");
	const quota = asked ?? quotaNow;
	/* The kernel wants the burst within the quota at each step: it is taken back before, and set after. */
	const burstFile = v === 2 ? "cpu.max.burst" : "cpu.cfs_burst_us";
	const burstNow = Number(facts.read("cpu", burstFile) ?? 0);
	if (cpuBurst !== undefined && cpuBurst > quota)
		fail(`--cpu-burst ${cpuBurst} us: more than the quota, ${quota} us in a period of ${period} us`, "it is cpu time that was saved of it");
	const changes = asked !== undefined || cpuPeriod !== undefined;
	if (changes && burstNow > 0 && (cpuBurst !== undefined || burstNow > quota)) {
		const kept = cpuBurst === undefined ? quota : 0;
		add(steps, "cpu", burstFile, String(kept), because);
		if (kept > 0) steps.notes.push(`${burstFile} ${kept}: the burst cannot be more than the quota`);
	}
	if (v === 2) {
		if (changes) add(steps, "cpu", "cpu.max", `${max(quota)} ${period}`, because);
	} else {
		if (period !== periodNow) {
			/* Quota and period are two writes; the ratio between them may exceed the parent's, which is refused. No quota never does. */
			if (quotaNow !== Infinity || facts.read("cpu", "cpu.cfs_quota_us") === undefined)
				add(steps, "cpu", "cpu.cfs_quota_us", "-1", because);
			add(steps, "cpu", "cpu.cfs_period_us", String(period), because);
			if (asked === undefined && quotaNow !== Infinity) add(steps, "cpu", "cpu.cfs_quota_us", minusOne(quota), because);
		}
		if (asked !== undefined) add(steps, "cpu", "cpu.cfs_quota_us", minusOne(quota), because);
	}
	if (cpuBurst !== undefined) add(steps, "cpu", burstFile, String(cpuBurst), `--cpu-burst ${cpuBurst} us`);
}

/** An idle cgroup's weight is the kernel's, and cannot be written: idle goes first when it is turned off, last when on. */
function cpuWeight(limits: Limits, facts: Facts, steps: Plan) {
	const { cpuWeight: weight, cpuShares: shares, cpuIdle, weightFormula = "kernel" } = limits;
	const idle = (on: boolean) => {
		version(facts, "cpu", "--cpu-idle");
		add(steps, "cpu", "cpu.idle", on ? "1" : "0", `--cpu-idle${on ? "" : "=off"}`);
	};
	const given = weight !== undefined || shares !== undefined;
	const isIdle = given && facts.read("cpu", "cpu.idle") === "1";
	if (cpuIdle === false || (cpuIdle && isIdle)) idle(false);
	if (given) {
		const option = weight !== undefined ? `--cpu-weight ${weight}` : `--cpu-shares ${shares}`;
		const v = version(facts, "cpu", option);
		if (isIdle && cpuIdle === undefined)
			fail(`${option}: the cgroup is idle, which is a weight of its own`, "--cpu-idle=off beside it takes that back");
		if (v === 2) {
			const value = weight ?? sharesToWeight(shares as number, weightFormula);
			add(steps, "cpu", "cpu.weight", String(value), option);
			if (weight === undefined) steps.notes.push(`cpu.weight ${value}: ${option} by the ${weightFormula} formula`);
		} else {
			const value = shares ?? weightToShares(weight as number, weightFormula);
			add(steps, "cpu", "cpu.shares", String(value), option);
			if (shares === undefined) steps.notes.push(`cpu.shares ${value}: ${option} by the ${weightFormula} formula`);
		}
	}
	if (cpuIdle) idle(true);
}

/** A limit as v1's files show it: an absent one is -1, or the greatest number of pages that fits. */
export function v1Limit(text: string | undefined): number {
	const value = Number(text ?? Infinity);
	return value < 0 || value >= 2 ** 62 ? Infinity : value;
}

export function v2Limit(text: string | undefined): number {
	/* hugetlb.1GB.max of a new cgroup shows a number: the greatest that fits. */
	return text === undefined || text === "max" ? Infinity : v1Limit(text);
}

function memory(limits: Limits, facts: Facts, steps: Plan) {
	const { memory: ram, memorySwapMax: swap } = limits;
	let { memorySwap: total } = limits;
	const ramOption = `--memory ${size(ram ?? 0)}`;
	const totalOption = total === DOUBLE ? "--memory-swap double" : `--memory-swap ${size(total ?? 0)}`;
	const swapOption = `--memory-swap-max ${size(swap ?? 0)}`;
	const v = version(facts, "memory", ram !== undefined ? ramOption : total !== undefined ? totalOption : swapOption);
	if (total === DOUBLE) {
		total = 2 * (ram as number);
		/* docker says so and goes on, where the kernel does not count swap. */
		if (facts.read("memory", v === 2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes") === undefined) {
			total = undefined;
			steps.notes.push("memory is limited without swap: this kernel does not limit swap");
		}
	}
	if (v === 2) {
		if (ram !== undefined) add(steps, "memory", "memory.max", max(ram), ramOption);
		if (swap !== undefined) add(steps, "memory", "memory.swap.max", max(swap), swapOption);
		if (total === undefined) return;
		const beside = ram ?? v2Limit(facts.read("memory", "memory.max"));
		if (total !== Infinity && beside === Infinity)
			fail(
				`${totalOption}: cgroup v2 limits swap by itself, so this needs a limit of memory too`,
				"give --memory as well, or --memory-swap-max",
			);
		if (total < beside && beside !== Infinity)
			fail(`${totalOption}: less than the limit of memory, ${size(beside)}`, "it is the limit of both together; lower --memory too");
		/* runc's rule: the total in v1's words, less the memory, is swap's part. */
		add(steps, "memory", "memory.swap.max", total === Infinity ? "max" : String(total - beside), totalOption);
		return;
	}
	if (swap !== undefined) {
		const beside = ram ?? v1Limit(facts.read("memory", "memory.limit_in_bytes"));
		if (beside === Infinity && swap !== Infinity)
			fail(`${swapOption}: cgroup v1 limits memory and swap together, so this needs a limit of memory too`, "give --memory as well");
		total = beside + swap;
	}
	const now = {
		ram: v1Limit(facts.read("memory", "memory.limit_in_bytes")),
		total: v1Limit(facts.read("memory", "memory.memsw.limit_in_bytes")),
	};
	if (ram !== undefined && total === undefined && ram > now.total)
		fail(`${ramOption}: more than the limit of memory and swap together, ${size(now.total)}`, "give --memory-swap as well");
	if (total !== undefined && ram === undefined && total < now.ram)
		fail(`${totalOption}: less than the limit of memory, ${size(now.ram)}`, "it is the limit of both together; lower --memory too");
	const writeRam = () => ram !== undefined && add(steps, "memory", "memory.limit_in_bytes", minusOne(ram), ramOption);
	const writeTotal = () => total !== undefined && add(steps, "memory", "memory.memsw.limit_in_bytes", minusOne(total), totalOption);
	/* v1 wants memory <= memory and swap at each step: what is raised goes first at the top, what is lowered at the bottom. */
	if (total !== undefined && total > now.total) {
		writeTotal();
		writeRam();
	} else {
		writeRam();
		writeTotal();
	}
}

/** Protection of memory. "None" is -1 in v1, where it is a limit, and 0 in v2. */
function reservation(limits: Limits, facts: Facts, steps: Plan) {
	const value = limits.memoryReservation as number;
	const option = `--memory-reservation ${size(value)}`;
	if (version(facts, "memory", option) === 1)
		add(steps, "memory", "memory.soft_limit_in_bytes", value === 0 ? "-1" : minusOne(value), option);
	else add(steps, "memory", "memory.low", max(value), option);
}

function hugetlb(limits: Limits, facts: Facts, steps: Plan) {
	for (const [page, limit] of limits.hugetlb ?? []) {
		const option = `--hugetlb ${page}=${size(limit)}`;
		if (version(facts, "hugetlb", option) === 1) add(steps, "hugetlb", `hugetlb.${page}.limit_in_bytes`, minusOne(limit), option);
		else add(steps, "hugetlb", `hugetlb.${page}.max`, max(limit), option);
		/* What is reserved by mmap(2) and not used yet; Linux 5.7. */
		const reserved = `hugetlb.${page}.rsvd.${facts.version("hugetlb") === 1 ? "limit_in_bytes" : "max"}`;
		if (facts.read("hugetlb", reserved) !== undefined)
			add(steps, "hugetlb", reserved, facts.version("hugetlb") === 1 ? minusOne(limit) : max(limit), option);
	}
}

/** The file of weights that there is, which depends on the kernel and the scheduler: CFQ or BFQ on v1, BFQ or the cost model on v2. */
function weightFile(v: 1 | 2, facts: Facts, option: string, files: [string, string, string, string]): string {
	const there = (v === 1 ? files.slice(0, 2) : files.slice(2)).find((file) => facts.read("io", file) !== undefined);
	return (
		there ??
		fail(
			`${option}: this kernel shares disks by no weight`,
			v === 1
				? "the BFQ scheduler would (CONFIG_BFQ_GROUP_IOSCHED; modprobe bfq); --io-max limits the rate instead"
				: "the cost model (CONFIG_BLK_CGROUP_IOCOST) or the BFQ scheduler (modprobe bfq) would; --io-max limits the rate instead",
		)
	);
}

/** A weight in io's or in blkio's words as the file takes it. */
function weightIn(file: string, io: number | undefined, blkio: number | undefined): number {
	if (file === "io.weight") return io ?? blkioToIoWeight(blkio as number);
	if (file.includes("bfq")) return blkio ?? ioToBfqWeight(io as number);
	return blkio ?? ioToBlkioWeight(io as number);
}

function ioWeight(limits: Limits, facts: Facts, steps: Plan) {
	const { ioWeight: io, blkioWeight: blkio } = limits;
	const option = io !== undefined ? `--io-weight ${io}` : `--blkio-weight ${blkio}`;
	const v = version(facts, "io", option);
	const file = weightFile(v, facts, option, ["blkio.weight", "blkio.bfq.weight", "io.bfq.weight", "io.weight"]);
	const value = weightIn(file, io, blkio);
	add(steps, "io", file, String(value), option);
	if (value !== (io ?? blkio)) steps.notes.push(`${file} ${value}: ${option}`);
}

/** The weight of one disk; without one of its own ("default") it has the cgroup's. */
function ioDeviceWeight(limits: Limits, facts: Facts, steps: Plan) {
	for (const name of ["io-weight-device", "blkio-weight-device"] as const)
		for (const { device, weight } of limits[camel(name) as "ioWeightDevice" | "blkioWeightDevice"] ?? []) {
			const option = `--${name} ${device}:${weight}`;
			const v = version(facts, "io", option);
			const file = weightFile(v, facts, option, ["blkio.weight_device", "blkio.bfq.weight_device", "io.bfq.weight", "io.weight"]);
			const value = name === "io-weight-device" ? weightIn(file, weight, undefined) : weightIn(file, undefined, weight);
			add(steps, "io", file, `${facts.device(device)} ${value}`, option);
			if (value !== weight) steps.notes.push(`${file} ${facts.device(device)} ${value}: ${option}`);
		}
}

function ioMax(limits: Limits, facts: Facts, steps: Plan) {
	for (const { device, rates } of limits.ioMax ?? []) {
		const option = `--io-max ${device}`;
		const v = version(facts, "io", option);
		const number = facts.device(device);
		const names = Object.keys(rates) as Rate[];
		if (v === 2) {
			add(steps, "io", "io.max", [number, ...names.map((name) => `${name}=${max(rates[name] as number)}`)].join(" "), option);
			continue;
		}
		const files: Record<Rate, string> = { rbps: "read_bps", wbps: "write_bps", riops: "read_iops", wiops: "write_iops" };
		/* v1 takes 0 for "no limit". */
		for (const name of names)
			add(steps, "io", `blkio.throttle.${files[name]}_device`, `${number} ${rates[name] === Infinity ? 0 : rates[name]}`, option);
	}
}
