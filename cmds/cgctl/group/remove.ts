/** Removing a cgroup from all its hierarchies. */

import type { Hierarchy } from "../../../native/linux/cgroup.ts";
import { CLOCK_MONOTONIC, clockGettime, sleep } from "../../../native/linux/clock.ts";
import { EBUSY, ENOENT } from "../../../native/linux/errno.ts";
import { folderLinks, tryRmdir } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { explain, explainBusy } from "./explain.ts";
import { subtree } from "./files.ts";
import { everyHierarchy } from "./layout.ts";
import { whileAlone } from "./lock.ts";
import { folderIn, type Group, noSuchGroup, placesOf } from "./path.ts";
import { pidsIn } from "./read.ts";

/** How long the last process may take to give its memory back, in seconds; and what hierarchies may differ by, when one has let it go. */
const ENDING = 10;
const MOMENT = 0.25;

/**
 * Removes the cgroup on all its hierarchies, or on none where processes or, without `recursive`, cgroups are in the way.
 * A process that is about to end is waited for without the lock.
 */
export function removeGroup(group: Group, recursive: boolean) {
	const deadline = clockGettime(CLOCK_MONOTONIC) + ENDING;
	for (let pause = 0.001; !whileAlone(() => tryRemove(group, recursive)); pause = Math.min(2 * pause, 0.1)) {
		if (clockGettime(CLOCK_MONOTONIC) > deadline) throw explainBusy(group, []);
		sleep(pause);
	}
}

/** The short way for a cgroup that most likely is empty. False where it is not, or not yet. */
export function removeIfEmpty(group: Group): boolean {
	const places = placesOf(group);
	const isEmpty = places.every(({ folder }) => pidsIn(folder).length === 0 && folderLinks(folder) <= 2);
	return isEmpty && places.length > 0 && whileAlone(() => tryRemove(group, false));
}

/** Removes the folders of a cgroup as far as they are empty; true where none is left, nor was in its way. */
export function removeAtOnce(group: Group): boolean {
	return whileAlone(() => everyHierarchy(group.layout).every((hierarchy) => [0, -ENOENT].includes(tryRmdir(folderIn(group, hierarchy)))));
}

/** False where the kernel still counts a process that has ended; then nothing has been removed. */
function tryRemove(group: Group, recursive: boolean): boolean {
	const groups = recursive ? subtree(group) : [group];
	/* Asked first, since a cgroup that is gone from one hierarchy only would be half a cgroup. */
	const found = groups.map((each) => {
		const places = everyHierarchy(group.layout).filter((hierarchy) => isEmpty(each, hierarchy, recursive));
		return { each, places };
	});
	if (found.every(({ places }) => places.length === 0)) noSuchGroup(group);
	return found.every(({ each, places }) => places.every((hierarchy, i) => removeFolder(each, hierarchy, i === 0 ? 0 : MOMENT)));
}

/** True where the cgroup is there, without processes and cgroups below it; false where it is not. Fails where it has some. */
function isEmpty(group: Group, hierarchy: Hierarchy, recursive: boolean): boolean {
	const folder = folderIn(group, hierarchy);
	const links = folderLinks(folder);
	if (links === 0) return false;
	/* A folder has a link more for each folder in it. */
	if (pidsIn(folder).length > 0 || (!recursive && links > 2)) throw explainBusy(group, [folder]);
	return true;
}

/** False where it was busy for `patience` seconds with a process that is on its way out. */
function removeFolder(group: Group, hierarchy: Hierarchy, patience: number): boolean {
	const folder = folderIn(group, hierarchy);
	for (let pause = 0.001; ; pause *= 2) {
		const result = tryRmdir(folder);
		if (result >= 0 || result === -ENOENT) return true;
		if (result !== -EBUSY) throw explain(new SysError("rmdir", -result, folder), group, hierarchy);
		/* The last process has ended, but is not reaped yet or still on its way out. */
		if (patience === 0) return false;
		if (pause > patience || pidsIn(folder).length > 0 || folderLinks(folder) > 2) throw explainBusy(group, [folder]);
		sleep(pause);
	}
}
