import { fail } from "../../common/errors.ts";
import { formatSize } from "../../common/units.ts";

/** What the steps of a plan have in common: what they make, what they ask, what they say. */
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

export function add(steps: Plan, controller: string, file: string, value: string, because: string) {
	steps.writes.push({ controller, file, value, because });
}

export function max(value: number): string {
	return value === Infinity ? "max" : String(value);
}

/** v1's files say -1 for "no limit". */
export function minusOne(value: number): string {
	return value === Infinity ? "-1" : String(value);
}

export function size(value: number): string {
	return value === Infinity ? "max" : formatSize(value);
}

export function version(facts: Facts, controller: string, option: string): 1 | 2 {
	return (
		facts.version(controller) ??
		fail(
			`${option}: no hierarchy here has the ${controller} controller`,
			"`tscgctl info` shows those that there are; the kernel may lack it, or cgroup_disable= on its command line turned it off",
		)
	);
}

/** The option means nothing on this version. */
export function cannot(option: string, version: 1 | 2, why: string, instead: string): never {
	return fail(`${option}: cgroup v${version} cannot express it: ${why}`, instead);
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
