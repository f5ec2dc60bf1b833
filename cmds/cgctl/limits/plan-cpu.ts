/** cpu time and weight. Sources: Documentation/scheduler/sched-bwc.rst, cgroup-v2.rst. */

import { fail } from "../../common/errors.ts";
import { add, type Facts, max, minusOne, type Plan, v1Limit, v2Limit, version } from "./step.ts";
import type { Limits } from "./table.ts";
import { sharesToWeight, weightToShares } from "./weights.ts";

/** CFS bandwidth: sched-bwc.rst. */
export function cpuTime(limits: Limits, facts: Facts, steps: Plan) {
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
export function cpuWeight(limits: Limits, facts: Facts, steps: Plan) {
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
