/**
 * What limits become on a layout: an ordered list of files to write. Pure but for the questions it asks of `facts`, so
 * that a test can play any layout.
 *
 * Sources: Documentation/admin-guide/cgroup-v1/*.rst, cgroup-v2.rst, Documentation/scheduler/sched-bwc.rst.
 */

import { camel } from "../../common/command-line/options.ts";
import { cpuTime, cpuWeight } from "./plan-cpu.ts";
import { ioDeviceWeight, ioMax, ioWeight } from "./plan-io.ts";
import { hugetlb, memory, reservation } from "./plan-memory.ts";
import { add, cannot, type Facts, max, type Plan, size, version } from "./step.ts";
import { type LimitRow, type Limits, limitOptions } from "./table.ts";

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
