import type { Hierarchy } from "../../native/linux/cgroup.ts";
import { EBUSY, ENOENT } from "../../native/linux/errno.ts";
import { AT_FDCWD, AT_REMOVEDIR, stat } from "../../native/linux/fs.ts";
import { SYS_unlinkat } from "../../native/linux/nr.ts";
import { sleep } from "../../native/linux/process.ts";
import { SysError, tryChange } from "../../native/linux/syscall.ts";
import { fail, UsageError } from "../common/errors.ts";
import { explain, explainBusy } from "./explain.ts";
import { subtree } from "./files.ts";
import { killGroup } from "./kill.ts";
import { whileAlone } from "./lock.ts";
import { checkOurs, folderIn, type Group, groupAt, noSuchGroup, type PathOptions } from "./path.ts";
import { readTrimmed } from "./read.ts";

const KILL_PATIENCE = 10;

/** Removes cgroups on all hierarchies; with --recursive those below them first, with --kill their processes before. */
export function rm(line: { options: PathOptions & { recursive?: true; kill?: true }; operands: string[] }) {
	const { options, operands } = line;
	if (operands.length === 0) throw new UsageError("rm: no PATH given");
	for (const group of operands.map((path) => groupAt(path, options))) {
		if (group.name === "") fail("/: the hierarchies' root cannot be removed");
		checkOurs(group, options);
		if (options.kill) killGroup(group, KILL_PATIENCE);
		whileAlone(() => removeGroup(group, options.recursive === true));
	}
}

/** Removes the cgroup on all its hierarchies, or on none where processes or, without `recursive`, cgroups are in the way. */
export function removeGroup(group: Group, recursive: boolean) {
	const groups = recursive ? subtree(group) : [group];
	/* Asked first, since a cgroup that is gone from one hierarchy only would be half a cgroup. */
	const found = groups.map((each) => {
		const places = group.layout.hierarchies.filter((hierarchy) => isEmpty(each, hierarchy, recursive));
		return { each, places };
	});
	if (found.every(({ places }) => places.length === 0)) noSuchGroup(group);
	for (const { each, places } of found) for (const hierarchy of places) removeFolder(each, hierarchy);
}

/** True where the cgroup is there, without processes and cgroups below it; false where it is not. Fails where it has some. */
function isEmpty(group: Group, hierarchy: Hierarchy, recursive: boolean): boolean {
	const folder = folderIn(group, hierarchy);
	const processes = readTrimmed(`${folder}/cgroup.procs`);
	if (processes === undefined) return false;
	/* A folder has a link more for each folder in it. */
	if (processes !== "" || (!recursive && stat(folder).nlink > 2)) throw explainBusy(group, [folder]);
	return true;
}

function removeFolder(group: Group, hierarchy: Hierarchy) {
	const folder = folderIn(group, hierarchy);
	for (let pause = 0.001; ; pause *= 2) {
		const result = tryChange("rmdir", SYS_unlinkat, AT_FDCWD, folder, AT_REMOVEDIR);
		if (result >= 0 || result === -ENOENT) return;
		if (result !== -EBUSY) throw explain(new SysError("rmdir", -result, folder), group, hierarchy);
		/* The last process has ended, but is not reaped yet or still on its way out. */
		if (pause > 1 || (readTrimmed(`${folder}/cgroup.procs`) ?? "") !== "" || stat(folder).nlink > 2) throw explainBusy(group, [folder]);
		sleep(pause);
	}
}
