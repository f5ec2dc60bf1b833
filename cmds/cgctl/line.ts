/** What a command line says of a cgroup: its path, and its limits. */
import { camel } from "../common/command-line/options.ts";
import { type Group, groupAt, type PathOptions } from "./group/path.ts";
import { type LimitOptions, readLimits } from "./limits/read.ts";
import { type Limits, limitOptions } from "./limits/table.ts";

export interface OpenOptions extends PathOptions, LimitOptions {
	controllers?: string;
	leaf?: true;
}

/** The cgroup of a command line and the limits of its options. */
export function readGroup(path: string, options: OpenOptions): { group: Group; limits: Limits } {
	const given = limitOptions.some(({ long }) => camel(long) in options);
	return { group: groupAt(path, options), limits: given ? readLimits(options) : {} };
}

export function hasLimits(limits: Limits): boolean {
	return Object.keys(limits).some((key) => key !== "weightFormula");
}
