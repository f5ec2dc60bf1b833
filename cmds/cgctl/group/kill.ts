/** Ending all processes of a cgroup and of those below it. */

import { CLOCK_MONOTONIC, clockGettime, sleep } from "../../../native/linux/clock.ts";
import { EOPNOTSUPP } from "../../../native/linux/errno.ts";
import { writeKernelFile } from "../../../native/linux/fd.ts";
import { getpid, killIfAny } from "../../../native/linux/process.ts";
import { SIGKILL, signalName } from "../../../native/linux/signal.ts";
import { dryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { isFrozen } from "../usage/usage.ts";
import { leave } from "./attach.ts";
import { nameProcesses, processesOf, subtree } from "./files.ts";
import { canFreeze, setFrozen, thawAll, waitFrozen } from "./frozen.ts";
import { type Group, isThere, lineage, placesOf, shownName } from "./path.ts";

/** The processes of the cgroup and of those below it, but for this one. */
function remaining(group: Group): number[] {
	const own = getpid();
	return [...new Set(subtree(group).flatMap(processesOf))].filter((pid) => pid !== own);
}

/** Signals all processes; SIGKILL again and again until the cgroup is empty. Fails if it is not within `timeout` seconds. */
export function killGroup(group: Group, timeout: number, signal = SIGKILL) {
	if (group.name === "") fail("/: the hierarchies' root, with all processes of the machine, cannot be killed");
	if (dryRun(`kill all processes of ${group.name} with ${signalName(signal)}`)) return;
	if (signal !== SIGKILL) return signalFrozen(group, signal);
	/* Linux 5.14: all at once, those that are being forked too. On a hybrid layout it reaches those that are in v2's cgroup. */
	for (const { folder, hierarchy } of placesOf(group)) if (hierarchy.version === 2 && isThere(`${folder}/cgroup.kill`)) killAtOnce(folder);
	const deadline = clockGettime(CLOCK_MONOTONIC) + timeout;
	for (let pause = 0.0005; ; pause = Math.min(2 * pause, 0.02)) {
		const pids = remaining(group);
		if (pids.length === 0) break;
		if (clockGettime(CLOCK_MONOTONIC) >= deadline) {
			const frozen = lineage(group).find((each) => each.name !== group.name && isFrozen(each));
			fail(
				`${shownName(group)}: after ${timeout} s there still are ${nameProcesses(pids)}`,
				frozen
					? `${shownName(frozen)} above it is frozen: thaw it`
					: "a process that waits for a disk cannot end before it gets its answer",
			);
		}
		/* What cgroup.kill reached needs a moment to end; it gets one before it is helped along. */
		if (pause > 0.001 || !hasKillFile(group)) signalFrozen(group, SIGKILL);
		sleep(pause);
	}
	/* Who enters next would be frozen too, with nobody left to thaw it for. */
	thawAll(group);
}

/** A threaded cgroup has only threads, which the kernel does not kill alone: their processes are signalled one by one. */
function killAtOnce(folder: string) {
	try {
		writeKernelFile(`${folder}/cgroup.kill`, "1");
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EOPNOTSUPP)) throw error;
	}
}

function hasKillFile(group: Group): boolean {
	return group.layout.kind === "v2" && placesOf(group).some(({ folder }) => isThere(`${folder}/cgroup.kill`));
}

/**
 * Signals all while none of them runs: a process that forks cannot get away. They are thawed afterwards, and for SIGKILL
 * those below that had been frozen by themselves as well: v1's get no signal before, not even that.
 */
function signalFrozen(group: Group, signal: number) {
	const wasFrozen = isFrozen(group) === true;
	const freezes = canFreeze(group) && isOutside(group);
	if (freezes) {
		setFrozen(group, true);
		/* One that cannot be frozen now cannot fork either: it waits in the kernel. */
		waitFrozen(group, true, 0.25);
	}
	try {
		/* 0 stands for a process of another PID namespace, but to kill(2) for all of our process group. */
		for (const pid of remaining(group)) if (pid > 0) killIfAny(pid, signal);
	} finally {
		if (signal === SIGKILL) thawAll(group);
		else if (freezes && !wasFrozen) setFrozen(group, false);
	}
}

/** True when this process, which is about to freeze the cgroup, is not in it. */
function isOutside(group: Group): boolean {
	return !subtree(group).some((each) => processesOf(each).includes(getpid())) || leave(group);
}
