/** What keeps a process out of a cgroup, and can be helped. */

import type { Hierarchy } from "../../../native/linux/cgroup.ts";
import { EBUSY, ENOSPC } from "../../../native/linux/errno.ts";
import { writeKernelFile } from "../../../native/linux/fd.ts";
import type { SysError } from "../../../native/linux/syscall.ts";
import { explainJoin } from "./explain.ts";
import { childNames } from "./files.ts";
import { fillCpuset, moveToLeaf } from "./make.ts";
import { folderIn, type Group } from "./path.ts";
import { readTrimmed } from "./read.ts";

/** Removes the cause of the `tries`-th error, and returns the folder to enter now; or throws what a person is to read. */
export function makeEnterable(error: SysError, group: Group, hierarchy: Hierarchy, pid: number, leaf: boolean, tries: number): string {
	const folder = folderIn(group, hierarchy);
	if (tries === 0 && error.errno === ENOSPC && hierarchy.controllers.includes("cpuset")) {
		fillCpuset(group, hierarchy);
		return folder;
	}
	if (tries < 2 && error.errno === EBUSY && hierarchy.version === 2) {
		if (childNames(folder).length === 0 && dropControllers(folder)) return folder;
		if (leaf) {
			moveToLeaf(folder);
			return `${folder}/leaf`;
		}
	}
	throw explainJoin(error, group, hierarchy, pid);
}

/** v2: a cgroup without children needs nothing in cgroup.subtree_control, which keeps processes out. False if it was empty. */
function dropControllers(folder: string): boolean {
	const enabled = readTrimmed(`${folder}/cgroup.subtree_control`) ?? "";
	if (enabled === "") return false;
	const names = enabled.split(" ").map((name) => `-${name}`);
	writeKernelFile(`${folder}/cgroup.subtree_control`, names.join(" "));
	return true;
}
