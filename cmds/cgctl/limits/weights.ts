/**
 * v1's shares and v2's weights.
 *
 *            least  default   most
 *   cpu.shares    2     1024  262144     v1
 *   cpu.weight    1      100   10000     v2
 *   blkio.weight 10      500    1000     v1 with the CFQ scheduler (before Linux 5.0)
 *   bfq.weight    1      100    1000     v1 and v2 with the BFQ scheduler
 *   io.weight     1      100   10000     v2 with the cost model (CONFIG_BLK_CGROUP_IOCOST)
 *
 * For the cpu there are three formulas in use, which give different weights for the same shares:
 *
 *   kernel  1024:100, what the scheduler itself makes of a weight (kernel/sched/sched.h, sched_weight_from_cgroup), and so do
 *           systemd and libcgroup. 1024 shares are 100. It keeps the ratios between groups. Above 102400 shares it is cut off.
 *   log     opencontainers/cgroups' of 2025 (runc 1.3.2 and later): a curve through both ends and the default.
 *   linear  runc's and Kubernetes' before: a line through both ends; 1024 shares are 39, less than the default.
 */
import { UsageError } from "../../common/errors.ts";

export type WeightFormula = "kernel" | "log" | "linear";

function clamp(value: number, least: number, most: number): number {
	return Math.min(most, Math.max(least, value));
}

export function parseFormula(text: string | undefined): WeightFormula {
	if (text === undefined) return "kernel";
	if (text === "kernel" || text === "log" || text === "linear") return text;
	throw new UsageError(`--weight-formula: ${JSON.stringify(text)} is not kernel, log or linear`);
}

/** cpu.weight for cpu.shares. */
export function sharesToWeight(shares: number, formula: WeightFormula): number {
	if (formula === "kernel") return clamp(Math.round((shares * 100) / 1024), 1, 10000);
	if (formula === "linear") return 1 + Math.floor(((clamp(shares, 2, 262144) - 2) * 9999) / 262142);
	if (shares <= 2) return 1;
	if (shares >= 262144) return 10000;
	const l = Math.log2(shares);
	return Math.ceil(10 ** ((l * l + 125 * l) / 612 - 7 / 34));
}

/** cpu.shares for cpu.weight; each formula's inverse. */
export function weightToShares(weight: number, formula: WeightFormula): number {
	if (formula === "kernel") return clamp(Math.round((weight * 1024) / 100), 2, 262144);
	if (formula === "linear") return clamp(Math.ceil(((weight - 1) * 262142) / 9999) + 2, 2, 262144);
	/* log is l*l + 125*l = 612 * (log10(weight) + 7/34), solved for l; rounded to the shares that give the weight back. */
	const l = (-125 + Math.sqrt(125 * 125 + 4 * 612 * (Math.log10(weight) + 7 / 34))) / 2;
	return clamp(Math.floor(2 ** l), 2, 262144);
}

/** io.weight for blkio.weight, by runc's formula: a line through both ends. */
export function blkioToIoWeight(weight: number): number {
	return 1 + Math.floor(((clamp(weight, 10, 1000) - 10) * 9999) / 990);
}

/** blkio.weight for io.weight, by systemd's: both defaults meet. */
export function ioToBlkioWeight(weight: number): number {
	return clamp(Math.floor((weight * 500) / 100), 10, 1000);
}

/** bfq.weight for io.weight, by systemd's: the lower half as it is, the upper half pressed into 100-1000. */
export function ioToBfqWeight(weight: number): number {
	return weight <= 100 ? weight : 100 + Math.floor(((weight - 100) * 900) / 9900);
}

/** io.weight for bfq.weight: the least of those that give it. */
export function bfqToIoWeight(weight: number): number {
	return weight <= 100 ? weight : 100 + 11 * (weight - 100);
}
