/** Joining the cgroups that another process is in: man 7 cgroups. */
import { folderOnMount, hierarchies, hierarchyFor, parseMemberships } from "../../../native/linux/cgroup.ts";
import { close, O_WRONLY, open, readFile, write } from "../../../native/linux/fd.ts";
import { dryRun } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { type Entered, readOf } from "../enter/target.ts";

/** An open cgroup.procs. */
export interface Cgroup {
	fd: number;
	path: string;
}

/** Opens the cgroups that the target is in and we are not, of all hierarchies: as the mounts are now. */
export function cgroupsOf(target: Entered): Cgroup[] {
	const own = readFile("/proc/self/cgroup").split("\n");
	const wanted = readOf(target, "cgroup")
		.split("\n")
		.filter((line) => !own.includes(line));
	const memberships = parseMemberships(wanted.join("\n"));
	if (memberships.length === 0) return [];
	const mounted = hierarchies();
	return memberships.map((membership) => {
		const hierarchy = hierarchyFor(membership, mounted);
		const folder = hierarchy && folderOnMount(hierarchy, membership.path);
		if (folder === undefined)
			fail(`cgroup ${membership.path}: its hierarchy (${membership.controllers || "version 2"}) is not mounted here`);
		const path = `${folder}/cgroup.procs`;
		return { fd: dryRun(`open ${path}`) ? -1 : open(path, O_WRONLY), path };
	});
}

/** Moves this process into them. */
export function joinCgroups(cgroups: Cgroup[]) {
	for (const { fd, path } of cgroups) {
		if (dryRun(`write ${path} "0"`)) continue;
		write(fd, "0");
		close(fd);
	}
}
