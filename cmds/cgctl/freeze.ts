/**
 * Stopping and continuing all processes of a cgroup: v1's freezer controller (freezer.state), v2's cgroup.freeze. Both
 * hold for the cgroups below too, and for processes that are forked or join meanwhile.
 */

import { CLOCK_MONOTONIC, clockGettime, sleep } from "../../native/linux/clock.ts";
import { writeKernelFile } from "../../native/linux/fd.ts";
import { getpid } from "../../native/linux/process.ts";
import { isDryRun, SysError } from "../../native/linux/syscall.ts";
import { fail, UsageError } from "../common/errors.ts";
import { explain } from "./explain.ts";
import { nameProcesses, processesOf, subtree } from "./files.ts";
import { isFreezing } from "./frozen.ts";
import { hierarchyOf } from "./layout.ts";
import { checkOurs, existingGroup, folderOf, type Group, isThere, lineage, type PathOptions, shownName } from "./path.ts";
import { readIn } from "./read.ts";
import { isFrozen } from "./usage.ts";

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

/** True where the cgroup can be frozen. */
export function canFreeze(group: Group): boolean {
	const folder = folderOf(group, "freezer");
	return folder !== undefined && (isThere(`${folder}/freezer.state`) || isThere(`${folder}/cgroup.freeze`));
}

/** Asks the kernel to freeze or thaw; see waitFrozen. */
export function setFrozen(group: Group, frozen: boolean) {
	const hierarchy = hierarchyOf(group.layout, "freezer");
	if (!hierarchy || !(isDryRun() || canFreeze(group)))
		fail(
			`${shownName(group)}: cannot be frozen: ${hierarchy ? "it is not on the freezer's hierarchy" : "v1's freezer controller is not mounted"}`,
			"cgroup v2 freezes without a controller",
		);
	const [file, value] = hierarchy.version === 1 ? ["freezer.state", frozen ? "FROZEN" : "THAWED"] : ["cgroup.freeze", frozen ? "1" : "0"];
	try {
		writeKernelFile(`${folderOf(group, "freezer")}/${file}`, value);
	} catch (error) {
		throw error instanceof SysError ? explain(error, group, hierarchy) : error;
	}
}

/** Thaws the cgroup, and those below that were told to freeze by themselves. */
export function thawAll(group: Group) {
	for (const each of subtree(group)) if (canFreeze(each) && isFreezing(each)) setFrozen(each, false);
}

/** Waits until the cgroup is as asked for. False after `seconds`. */
export function waitFrozen(group: Group, frozen: boolean, seconds: number): boolean {
	const deadline = clockGettime(CLOCK_MONOTONIC) + seconds;
	for (let pause = 0.0005; ; pause = Math.min(2 * pause, 0.02)) {
		if (isFrozen(group) === frozen) return true;
		if (clockGettime(CLOCK_MONOTONIC) >= deadline) return false;
		sleep(pause);
		/* v1 tries anew when it is told again: a process may have been stopped, or in the middle of a fork. */
		if (frozen && readIn(group, "freezer", "freezer.state") === "FREEZING") setFrozen(group, true);
	}
}
