import { camel } from "../../common/command-line/options.ts";
import { warn } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { subtree } from "../group/files.ts";
import { existingGroup, type Group, isThere, placesOf, shownName } from "../group/path.ts";
import { readIn } from "../group/read.ts";
import { setKey } from "../limits/apply.ts";
import { differences } from "../limits/current.ts";
import { currentLimits } from "../limits/own.ts";
import { putBack, type Undo } from "../limits/put-back.ts";
import { parseKeyValue } from "../limits/read.ts";
import { readResources } from "../limits/resources.ts";
import { type LimitRow, type Limits, limitOptions } from "../limits/table.ts";
import { hasLimits, type OpenOptions, readGroup } from "../line.ts";
import { whileOpen } from "../open.ts";

interface SetOptions extends OpenOptions {
	copyFrom?: string;
	resources?: string;
	recursive?: true;
}

/** Changes a cgroup's limits, and its kernel files by their names. */
export function set(line: { options: SetOptions; operands: string[] }) {
	const { options, operands } = line;
	const [path, ...pairs] = operands;
	if (path === undefined) throw new UsageError("set: no PATH given");
	const keys = pairs.map(parseKeyValue);
	const { group, limits: given } = readGroup(path, options);
	existingGroup(path, options, group.layout);
	const copied = options.copyFrom === undefined ? undefined : currentLimits(existingGroup(options.copyFrom, options, group.layout));
	const resources = options.resources === undefined ? undefined : readResources(options.resources);
	const asked: Limits = { ...resources?.limits, ...given };
	const extra = resources?.extra ?? [];
	if (!hasLimits(asked) && keys.length === 0 && extra.length === 0 && !copied)
		throw new UsageError("set: no limit given", "0 means `not given` to many limits; max takes one away");
	const groups = options.recursive ? subtree(group).reverse() : [group];
	/* All of them or none: what was set before one that is refused is put back. */
	const undo: Undo = [];
	try {
		for (const { limits, groups: ordered } of phases(asked, copied, groups))
			for (const each of ordered) {
				const wanted = copied ? limits(currentLimits(each)) : limits({});
				if (hasLimits(wanted)) whileOpen(each, options, wanted, { verbose: true, grow: false, undo }, () => {});
			}
		for (const each of groups) {
			if (keys.length > 0)
				whileOpen(each, options, {}, { undo }, () => {
					for (const [key, value] of keys) setKey(each, key, value, undo);
				});
			for (const { key, value, member } of extra) setExtra(each, key, value, member, undo);
		}
	} catch (error) {
		putBack(undo);
		throw error;
	}
	for (const what of resources?.lost ?? []) warn(what);
}

/** A member of OCI's resources that is a kernel file's where there is one: on the other version it is only named. */
function setExtra(group: Group, key: string, value: string, member: string, undo: Undo) {
	if (placesOf(group).some(({ folder }) => isThere(`${folder}/${key}`))) setKey(group, key, value, undo);
	else warn(`${member}: not applied: ${shownName(group)} has no ${key}`);
}

interface Phase {
	/** What a cgroup with some limits is to be given. */
	limits: (now: Limits) => Limits;
	groups: Group[];
}

/**
 * v1 lets no cgroup have more cpu time, cpus or memory nodes than the one above it at any moment: what is raised is raised
 * from the outside in, what is lowered from the inside out. `groups` are the outermost first.
 */
function phases(asked: Limits, copied: Limits | undefined, groups: Group[]): Phase[] {
	const top = groups[0] as Group;
	const all = (now: Limits): Limits => ({ ...(copied && differences(now, copied)), ...asked });
	const first = all(copied ? currentLimits(top) : {});
	const lowered = groups.length > 1 ? ["cpu", "cpuset"].filter((controller) => lowers(controller, first, top)) : [];
	const isLowered = (key: string) => {
		const controller = (limitOptions as readonly LimitRow[]).find((row) => camel(row.long) === key)?.controller;
		return controller !== undefined && lowered.includes(controller);
	};
	const part = (wanted: boolean) => (now: Limits) =>
		Object.fromEntries(Object.entries(all(now)).filter(([key]) => isLowered(key) === wanted)) as Limits;
	if (lowered.length === 0) return [{ limits: all, groups }];
	return [
		{ limits: part(false), groups },
		{ limits: part(true), groups: [...groups].reverse() },
	];
}

/** Whether the limits take something of a controller's away from the cgroup. */
function lowers(controller: string, limits: Limits, group: Group): boolean {
	if (controller === "cpuset")
		return (["cpus", "mems"] as const).some((kind) => {
			const wanted = limits[kind === "cpus" ? "cpusetCpus" : "cpusetMems"];
			const now = numbersIn(readIn(group, "cpuset", `cpuset.${kind}`) ?? "");
			return wanted !== undefined && !now.every((each) => numbersIn(wanted).includes(each));
		});
	const now = currentLimits(group);
	const share = ({ cpus, cpuQuota, cpuPeriod }: Limits) => cpus ?? (cpuQuota ?? Infinity) / (cpuPeriod ?? now.cpuPeriod ?? 100000);
	return share({ ...(limits.cpus === undefined && limits.cpuQuota === undefined ? now : {}), ...limits }) < share(now);
}

/** The numbers of a list as cpusets have it: `0-2,4`. */
function numbersIn(list: string): number[] {
	return list
		.split(",")
		.filter((part) => part !== "")
		.flatMap((part) => {
			const [from = 0, to = from] = part.split("-").map(Number);
			return Array.from({ length: to - from + 1 }, (_, i) => from + i);
		});
}
