/** What is in a cgroup: the cgroups below it, and processes. */

import { EACCES } from "../../../native/linux/errno.ts";
import { AT_FDCWD, DT_DIR, readdir } from "../../../native/linux/fd.ts";
import { processStat } from "../../../native/linux/proc.ts";
import { folderLinks } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { show } from "../../common/errors.ts";
import { type Group, placesOf } from "./path.ts";
import { pidsIn } from "./read.ts";

/** The cgroups right below a folder. It has a link for each, beside its own two. */
export function childNames(folder: string): string[] {
	if (folderLinks(folder) === 2) return [];
	try {
		return readdir(folder, AT_FDCWD, DT_DIR).sort();
	} catch (error) {
		if (error instanceof SysError && error.errno !== EACCES) return [];
		throw error;
	}
}

/** The names right below a cgroup, on any hierarchy. */
export function childrenOf(group: Group): string[] {
	const names = new Set<string>();
	for (const { folder } of placesOf(group)) for (const name of childNames(folder)) names.add(name);
	return [...names].sort();
}

/** The processes in a cgroup itself, on any hierarchy. */
export function processesOf(group: Group): number[] {
	const pids = new Set<number>();
	for (const { folder } of placesOf(group)) for (const pid of pidsIn(folder)) pids.add(pid);
	return [...pids].sort((a, b) => a - b);
}

/** The cgroup and all below it, the innermost first. */
export function subtree(group: Group): Group[] {
	const below = childrenOf(group).flatMap((name) => subtree({ ...group, name: `${group.name}/${name}` }));
	return [...below, group];
}

/** `sh (pid 4242), sleep (pid 4243) and 3 more`, for an error. */
export function nameProcesses(pids: number[]): string {
	const shown = pids
		.slice(0, 4)
		.map((pid) =>
			pid === 0 ? "one of another PID namespace" : `${show(processStat(pid)?.comm ?? "a process that has ended")} (pid ${pid})`,
		);
	return pids.length > 4 ? `${shown.join(", ")} and ${pids.length - 4} more` : shown.join(", ");
}
