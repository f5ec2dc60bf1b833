/**
 * Cgroups by name. A path on the command line is relative to the tool's own root, `/tsbox` or `--root`, and cannot leave
 * it. A cgroup has the same name in each hierarchy that it is in.
 *
 * Which cgroups are ours to change? All below /tsbox. Below another root, those that carry our mark: an extended
 * attribute (user.tsbox; cgroup file systems have them since Linux 5.7) on the cgroup or on one above it, set when it is
 * made. All others are only read unless --force.
 */

import type { Hierarchy } from "../../../native/linux/cgroup.ts";
import { folderLinks, statIfAny } from "../../../native/linux/stat.ts";
import { getxattrIfAny, setxattr } from "../../../native/linux/xattr.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { getenv } from "../../common/state.ts";
import { everyHierarchy, findLayout, hierarchyOf, type Layout } from "./layout.ts";

export interface Group {
	/** The full name, as in /proc/PID/cgroup: `/tsbox/web`. */
	name: string;
	/** The tool's root: `/tsbox`, or "" for the hierarchies' own. */
	root: string;
	layout: Layout;
}

/** The options of every verb that decide which cgroup a path names. */
export interface PathOptions {
	root?: string;
	force?: true;
}

export const DEFAULT_ROOT = "/tsbox";

/** A path's parts. Fails on what is no name of a cgroup, `..` first of all. */
function parts(path: string): string[] {
	const names = path.split("/").filter((name) => name !== "" && name !== ".");
	/* An unset variable of a script must not come to mean all cgroups. */
	if (names.length === 0 && !path.startsWith("/")) throw new UsageError(`${show(path)}: not a cgroup's path`, "/ is the tool's root");
	for (const name of names) {
		if (name === "..") throw new UsageError(`${show(path)}: a cgroup's path may not have ".." in it`);
		/* The kernel refuses a newline too: /proc/PID/cgroup has one cgroup a line. */
		if (/[\n\0]/.test(name) || name.length > 255) throw new UsageError(`${show(path)}: not a name for a cgroup`);
	}
	return names;
}

/**
 * Fails on a name that is not fit for a cgroup that is to be made: the kernel's files have such names, and other
 * programs could not tell which is which (systemd's cgroups never have them either).
 */
export function checkName(group: Group, isThere: () => boolean) {
	const reserved =
		/^(tasks|notify_on_release|release_agent|(cgroup|cpu|cpuset|cpuacct|memory|io|blkio|pids|devices|freezer|hugetlb|rdma|misc|dmem|irq|net_cls|net_prio|perf_event|debug)\..*)$/;
	const name = group.name.slice(group.name.lastIndexOf("/") + 1);
	if (reserved.test(name) && !isThere())
		throw new UsageError(`${show(name)}: not a name for a cgroup`, "the kernel's files in a cgroup have names like this one");
}

/** The tool's own root: --root, $TSBOX_CGROUP_ROOT or /tsbox. */
export function rootOf(options: PathOptions): string {
	const names = parts(options.root ?? getenv("TSBOX_CGROUP_ROOT") ?? DEFAULT_ROOT);
	return names.map((name) => `/${name}`).join("");
}

/**
 * The cgroup that a path names, whether it is there or not. A full name, as a sandbox record has it (`/tsbox/web`),
 * means the same as the path below the root (`web`).
 */
export function groupAt(path: string, options: PathOptions, layout = findLayout()): Group {
	const root = rootOf(options);
	const name = parts(path)
		.map((part) => `/${part}`)
		.join("");
	const full = root !== "" && path.startsWith("/") && (name === root || name.startsWith(`${root}/`));
	return { name: full ? name : root + name, root, layout };
}

/** How people write a cgroup's name: below the root, `/web`; the root itself is `/`. One above the root has its full name. */
export function shownName(group: Pick<Group, "name" | "root">): string {
	return show(plainName(group));
}

/** The same for a table, which escapes by itself. */
export function plainName(group: Pick<Group, "name" | "root">): string {
	const inside = `${group.name}/`.startsWith(`${group.root}/`);
	return (inside ? group.name.slice(group.root.length) : group.name) || "/";
}

/** The cgroup's folder on a hierarchy. */
export function folderIn(group: Group, hierarchy: Hierarchy): string {
	return `${hierarchy.mount === "/" ? "" : hierarchy.mount}${group.name}`;
}

/** The cgroup's folder on the hierarchy that has a controller (v2's name for it), or undefined where none has it. */
export function folderOf(group: Group, controller: string): string | undefined {
	const hierarchy = hierarchyOf(group.layout, controller);
	return hierarchy && folderIn(group, hierarchy);
}

/** The folders that a dry run would have made. */
const pretended: string[] = [];

export function pretend(folder: string) {
	pretended.push(folder);
}

/** True of a folder, or of a file in one. */
export function isThere(path: string): boolean {
	return pretended.includes(path) || statIfAny(path) !== undefined;
}

/** True of a cgroup's folder: not of a kernel file that has the same name. */
export function isFolder(path: string): boolean {
	return pretended.includes(path) || folderLinks(path) > 0;
}

/** The hierarchies that the cgroup exists on, with its folder on each. */
export function placesOf(group: Group): { hierarchy: Hierarchy; folder: string }[] {
	return everyHierarchy(group.layout)
		.map((hierarchy) => ({ hierarchy, folder: folderIn(group, hierarchy) }))
		.filter(({ folder }) => isFolder(folder));
}

/** The cgroup that a path names, which must exist. */
export function existingGroup(path: string, options: PathOptions, layout?: Layout): Group {
	const group = groupAt(path, options, layout);
	if (placesOf(group).length === 0) noSuchGroup(group);
	return group;
}

export function noSuchGroup(group: Group): never {
	return fail(`${shownName(group)}: no such cgroup`, "`tscgctl ls` shows those that there are");
}

/** The cgroup as a child of it is named. */
export function childOf(group: Group, name: string): Group {
	return { ...group, name: `${group.name}/${name}` };
}

/** The cgroups from the outermost one down to this one, the hierarchies' root left out. */
export function lineage(group: Group): Group[] {
	const names = group.name.split("/").slice(1);
	return names.map((_, i) => ({ ...group, name: `/${names.slice(0, i + 1).join("/")}` }));
}

const MARK = "user.tsbox";

function isBelowDefault(group: Group): boolean {
	return `${group.name}/`.startsWith(`${DEFAULT_ROOT}/`);
}

/** True where tsbox made the cgroup, or it is not there yet. */
export function isOurs(group: Group): boolean {
	if (isBelowDefault(group)) return true;
	return placesOf(group).every(({ hierarchy }) =>
		lineage(group).some((each) => getxattrIfAny(folderIn(each, hierarchy), MARK) !== undefined),
	);
}

/** Marks a cgroup that was just made as ours, where its name does not tell. */
export function markOurs(group: Group, folder: string) {
	if (!isBelowDefault(group)) setxattr(folder, MARK, "1");
}

/** Fails before a change of a cgroup that tsbox did not make, unless --force. */
export function checkOurs(group: Group, options: PathOptions) {
	if (options.force || isOurs(group)) return;
	fail(`${shownName(group)}: tsbox did not make this cgroup, so it is only read`, "--force changes it all the same");
}
