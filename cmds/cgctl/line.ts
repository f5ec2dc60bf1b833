/** What a command line says of a cgroup: its path, and its limits. */
import { type LimitOptions, type Limits, readLimits } from "./limits.ts";
import { type Group, groupAt, type PathOptions } from "./path.ts";

export interface OpenOptions extends PathOptions, LimitOptions {
	controllers?: string;
	leaf?: true;
}

/** The options of a verb with limits that are none themselves. */
const PLAIN =
	" root force controllers leaf wait stats rm admin tasks dperm fperm tperm user copyFrom resources recursive thaw dryRun trace ";

/** The cgroup of a command line and the limits of its options. */
export function readGroup(path: string, options: OpenOptions): { group: Group; limits: Limits } {
	const limits = Object.keys(options).every((name) => PLAIN.includes(` ${name} `)) ? {} : readLimits(options);
	return { group: groupAt(path, options), limits };
}

export function hasLimits(limits: Limits): boolean {
	return Object.keys(limits).some((key) => key !== "weightFormula");
}
