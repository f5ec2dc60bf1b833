/**
 * Stopping and continuing all processes of a cgroup: v1's freezer controller (freezer.state), v2's cgroup.freeze. Both
 * hold for the cgroups below too, and for processes that are forked or join meanwhile.
 */

import { getpid } from "../../../native/linux/process.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { nameProcesses, processesOf, subtree } from "../group/files.ts";
import { canFreeze, setFrozen, thawAll, waitFrozen } from "../group/frozen.ts";
import { checkOurs, existingGroup, type Group, lineage, type PathOptions, shownName } from "../group/path.ts";
import { isFrozen } from "../usage/usage.ts";

const PATIENCE = 10;

interface Line {
	options: PathOptions;
	operands: string[];
}

/** Freezes cgroups; returns when all their processes are stopped. */
export function freeze({ options, operands }: Line) {
	for (const group of named(options, operands)) {
		if (subtree(group).some((each) => processesOf(each).includes(getpid())))
			fail(`${shownName(group)}: this process is in it, and would never wake up again`, "run it from outside of the cgroup");
		setFrozen(group, true);
		if (isDryRun() || waitFrozen(group, true, PATIENCE)) continue;
		const pids = subtree(group).flatMap(processesOf);
		fail(
			`${shownName(group)}: not all processes stopped within ${PATIENCE} s: ${nameProcesses(pids)}`,
			"one that waits for a disk or a debugger cannot; `tscgctl thaw` takes it back",
		);
	}
}

/** Lets the processes of cgroups go on, and of those below that were frozen by themselves. */
export function thaw({ options, operands }: Line) {
	for (const group of named(options, operands)) {
		if (isDryRun()) setFrozen(group, false);
		else thawAll(group);
		if (isDryRun() || subtree(group).every((each) => !canFreeze(each) || waitFrozen(each, false, PATIENCE))) continue;
		const above = lineage(group).find((each) => each.name !== group.name && isFrozen(each));
		fail(
			`${shownName(group)}: still frozen${above ? `: ${shownName(above)} above it is` : ""}`,
			above && `tscgctl thaw ${shownName(above).slice(1)}`,
		);
	}
}

function named(options: PathOptions, operands: string[]): Group[] {
	if (operands.length === 0) throw new UsageError("no PATH given");
	return operands.map((path) => {
		const group = existingGroup(path, options);
		if (group.name === "") fail("/: the hierarchies' root, with all processes of the machine, cannot be frozen");
		checkOurs(group, options);
		return group;
	});
}
