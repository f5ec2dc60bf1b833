/**
 * What limits become on a layout: an ordered list of files to write. Pure but for the questions it asks of `facts`, so
 * that a test can play any layout.
 *
 * Sources: Documentation/admin-guide/cgroup-v1/*.rst, cgroup-v2.rst, Documentation/scheduler/sched-bwc.rst.
 */
import { fail } from "../common/errors.ts";
import { formatSize } from "../common/units.ts";
import type { Limits, Rate } from "./limits.ts";
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

/** Turns limits into writes. Fails where the layout cannot express one, naming what would. */
export function plan(limits: Limits, facts: Facts): Plan {
	const steps: Plan = { writes: [], notes: [] };
	cpuTime(limits, facts, steps);
	cpuWeight(limits, facts, steps);
	cpuset(limits, facts, steps);
	memory(limits, facts, steps);
	memoryExtras(limits, facts, steps);
	if (limits.pids !== undefined) {
		version(facts, "pids", "--pids");
		add(steps, "pids", "pids.max", max(limits.pids), `--pids ${max(limits.pids)}`);
	}
	ioWeight(limits, facts, steps);
	ioMax(limits, facts, steps);
	return steps;
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
	if (cpus === undefined && cpuQuota === undefined && cpuPeriod === undefined && cpuBurst === undefined) return;
	const v = version(facts, "cpu", cpus !== undefined ? "--cpus" : "--cpu-quota");
	const present = v === 2 ? (facts.read("cpu", "cpu.max") ?? "max 100000").split(" ") : [];
	const periodNow = Number(v === 2 ? present[1] : (facts.read("cpu", "cpu.cfs_period_us") ?? 100000));
	const period = cpuPeriod ?? periodNow;
	const because =
		cpus !== undefined ? `--cpus ${max(cpus)}` : cpuQuota !== undefined ? `--cpu-quota ${max(cpuQuota)}` : `--cpu-period ${period}`;
	let quota = cpuQuota ?? (cpus === undefined ? undefined : Math.round(cpus * period));
	if (quota !== undefined && quota < 1000)
		fail(
			`${because}: less than 1 ms in a period of ${period / 1000} ms, the least that the kernel takes`,
			"a longer --cpu-period allows less",
		);
	/* The kernel wants the burst within the quota at each step: it is taken back before, and set after. */
	const burstFile = v === 2 ? "cpu.max.burst" : "cpu.cfs_burst_us";
	if (cpuBurst !== undefined && quota !== undefined && Number(facts.read("cpu", burstFile) ?? 0) > 0)
		add(steps, "cpu", burstFile, "0", because);
	if (v === 2) {
		quota ??= present[0] === "max" ? Infinity : Number(present[0]);
		if (cpus !== undefined || cpuQuota !== undefined || cpuPeriod !== undefined)
			add(steps, "cpu", "cpu.max", `${max(quota)} ${period}`, because);
	} else {
		if (period !== periodNow) {
			/* Quota and period are two writes; the ratio between them may exceed the parent's, which is refused. No quota never does. */
			quota ??= Number(facts.read("cpu", "cpu.cfs_quota_us") ?? -1);
			add(steps, "cpu", "cpu.cfs_quota_us", "-1", because);
			add(steps, "cpu", "cpu.cfs_period_us", String(period), because);
		}
		if (quota !== undefined) add(steps, "cpu", "cpu.cfs_quota_us", minusOne(quota), because);
	}
	if (cpuBurst !== undefined) add(steps, "cpu", burstFile, String(cpuBurst), `--cpu-burst ${cpuBurst} us`);
}

function cpuWeight(limits: Limits, facts: Facts, steps: Plan) {
	const { cpuWeight: weight, cpuShares: shares, cpuIdle, weightFormula = "kernel" } = limits;
	if (weight !== undefined || shares !== undefined) {
		const option = weight !== undefined ? `--cpu-weight ${weight}` : `--cpu-shares ${shares}`;
		const v = version(facts, "cpu", option);
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
	if (cpuIdle !== undefined) {
		version(facts, "cpu", "--cpu-idle");
		add(steps, "cpu", "cpu.idle", cpuIdle ? "1" : "0", "--cpu-idle");
	}
}

function cpuset(limits: Limits, facts: Facts, steps: Plan) {
	const { cpusetCpus: cpus, cpusetMems: mems } = limits;
	if (cpus !== undefined) {
		version(facts, "cpuset", "--cpuset-cpus");
		add(steps, "cpuset", "cpuset.cpus", cpus, `--cpuset-cpus ${cpus}`);
	}
	if (mems !== undefined) {
		version(facts, "cpuset", "--cpuset-mems");
		add(steps, "cpuset", "cpuset.mems", mems, `--cpuset-mems ${mems}`);
	}
}

/** A limit as v1's memory files show it: an absent one is the greatest number of pages that fits. */
export function v1Limit(text: string | undefined): number {
	const value = Number(text ?? Infinity);
	return value >= 2 ** 62 ? Infinity : value;
}

export function v2Limit(text: string | undefined): number {
	/* hugetlb.1GB.max of a new cgroup shows a number: the greatest that fits. */
	return text === undefined || text === "max" ? Infinity : v1Limit(text);
}

function memory(limits: Limits, facts: Facts, steps: Plan) {
	const { memory: ram, memorySwap: total } = limits;
	if (ram === undefined && total === undefined) return;
	const ramOption = `--memory ${size(ram ?? 0)}`;
	const totalOption = `--memory-swap ${size(total ?? 0)}`;
	const v = version(facts, "memory", ram !== undefined ? ramOption : totalOption);
	if (v === 2) {
		if (ram !== undefined) add(steps, "memory", "memory.max", max(ram), ramOption);
		if (total === undefined) return;
		const beside = ram ?? v2Limit(facts.read("memory", "memory.max"));
		if (total !== Infinity && beside === Infinity)
			fail(`${totalOption}: cgroup v2 limits swap by itself, so this needs a limit of memory too`, "give --memory as well");
		if (total < beside)
			fail(`${totalOption}: less than the limit of memory, ${size(beside)}`, "it is the limit of both together; lower --memory too");
		/* runc's rule: the total in v1's words, less the memory, is swap's part. */
		add(steps, "memory", "memory.swap.max", total === Infinity ? "max" : String(total - beside), totalOption);
		return;
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

function memoryExtras(limits: Limits, facts: Facts, steps: Plan) {
	const { memoryHigh: high, memoryReservation: reservation, memoryMin: min, memorySwappiness: swappiness, oomGroup } = limits;
	if (high !== undefined) {
		if (version(facts, "memory", "--memory-high") === 1)
			cannot(
				"--memory-high",
				1,
				"it has no limit that slows down",
				"--memory is a hard limit; --memory-reservation one that holds when memory is short",
			);
		add(steps, "memory", "memory.high", max(high), `--memory-high ${size(high)}`);
	}
	if (reservation !== undefined) {
		const option = `--memory-reservation ${size(reservation)}`;
		if (version(facts, "memory", option) === 1) add(steps, "memory", "memory.soft_limit_in_bytes", minusOne(reservation), option);
		else add(steps, "memory", "memory.low", max(reservation), option);
	}
	if (min !== undefined) {
		if (version(facts, "memory", "--memory-min") === 1)
			cannot("--memory-min", 1, "it protects no memory for certain", "--memory-reservation protects it as far as can be");
		add(steps, "memory", "memory.min", max(min), `--memory-min ${size(min)}`);
	}
	if (swappiness !== undefined) {
		if (version(facts, "memory", "--memory-swappiness") === 2)
			cannot(
				"--memory-swappiness",
				2,
				"swappiness is the whole system's (/proc/sys/vm/swappiness)",
				"--memory-swap limits the swap of a cgroup",
			);
		add(steps, "memory", "memory.swappiness", String(swappiness), `--memory-swappiness ${swappiness}`);
	}
	if (oomGroup !== undefined) {
		if (version(facts, "memory", "--oom-group") === 1)
			cannot("--oom-group", 1, "its kernel ends one process at a time", "`tscgctl kill` ends the others; cgroup v2 has memory.oom.group");
		add(steps, "memory", "memory.oom.group", oomGroup ? "1" : "0", "--oom-group");
	}
	for (const [page, limit] of limits.hugetlb ?? []) {
		const option = `--hugetlb ${page}=${size(limit)}`;
		if (version(facts, "hugetlb", option) === 1) add(steps, "hugetlb", `hugetlb.${page}.limit_in_bytes`, minusOne(limit), option);
		else add(steps, "hugetlb", `hugetlb.${page}.max`, max(limit), option);
	}
}

function ioWeight(limits: Limits, facts: Facts, steps: Plan) {
	const { ioWeight: io, blkioWeight: blkio } = limits;
	if (io === undefined && blkio === undefined) return;
	const option = io !== undefined ? `--io-weight ${io}` : `--blkio-weight ${blkio}`;
	const v = version(facts, "io", option);
	const has = (file: string) => facts.read("io", file) !== undefined;
	/* Which file there is depends on the kernel and the scheduler: CFQ or BFQ on v1, BFQ or the cost model on v2. */
	const translate = (file: string, value: number) => {
		add(steps, "io", file, String(value), option);
		if (value !== (io ?? blkio)) steps.notes.push(`${file} ${value}: ${option}`);
	};
	if (v === 1 && has("blkio.weight")) translate("blkio.weight", blkio ?? ioToBlkioWeight(io as number));
	else if (v === 1 && has("blkio.bfq.weight")) translate("blkio.bfq.weight", blkio ?? ioToBfqWeight(io as number));
	else if (v === 2 && has("io.bfq.weight")) translate("io.bfq.weight", blkio ?? ioToBfqWeight(io as number));
	else if (v === 2 && has("io.weight")) translate("io.weight", io ?? blkioToIoWeight(blkio as number));
	else
		fail(
			`${option}: this kernel shares disks by no weight`,
			v === 1
				? "the BFQ scheduler would (CONFIG_BFQ_GROUP_IOSCHED; modprobe bfq); --io-max limits the rate instead"
				: "the cost model (CONFIG_BLK_CGROUP_IOCOST) or the BFQ scheduler (modprobe bfq) would; --io-max limits the rate instead",
		);
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
