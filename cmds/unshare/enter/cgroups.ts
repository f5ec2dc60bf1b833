/** Joining the cgroups that another process is in: man 7 cgroups. */
import { type CgroupEntry, folderOnMount, hierarchies, hierarchyFor, openCgroups, parseMemberships } from "../../../native/linux/cgroup.ts";
import { readFile, readFileIfAny } from "../../../native/linux/fd.ts";
import { fail } from "../../common/errors.ts";
import { type Entered, readOf } from "./target.ts";

/** Opens the cgroups that the target is in and we are not, of all hierarchies: as the mounts are now. */
export function cgroupsOf(target: Entered): CgroupEntry {
	const own = readFile("/proc/self/cgroup").split("\n");
	const wanted = readOf(target, "cgroup")
		.split("\n")
		.filter((line) => !own.includes(line));
	const memberships = parseMemberships(wanted.join("\n"));
	if (memberships.length === 0) return { tasks: [] };
	const mounted = hierarchies();
	const folders = memberships.map((membership) => {
		const hierarchy = hierarchyFor(membership, mounted);
		const folder = hierarchy && folderOnMount(hierarchy, membership.path);
		if (folder === undefined)
			fail(`cgroup ${membership.path}: its hierarchy (${membership.controllers || "version 2"}) is not mounted here`);
		if (isFrozen(folder)) fail(`cgroup ${membership.path}: it is frozen, and so would be who enters it`, "`tscgctl thaw` lets it go on");
		return folder;
	});
	return openCgroups(folders);
}

/** Frozen by itself or with one above it: v1's freezer.state says FROZEN or FREEZING, v2's cgroup.events "frozen 1". */
function isFrozen(folder: string): boolean {
	const state = readFileIfAny(`${folder}/freezer.state`);
	return state === undefined ? (readFileIfAny(`${folder}/cgroup.events`) ?? "").includes("frozen 1") : !state.startsWith("THAWED");
}
