/**
 * The cgroups that were made for sandboxes: a file each, cgroups/ID below the run-time state, there from before the
 * cgroup is made until after it is removed, so that nothing is left that `leave` and `gc` would not find.
 *
 *     {"cgroup":"/tsbox/web","root":"/tsbox","made":true}
 *
 * `made`: the cgroup was made for this sandbox, and goes with it; else it was there, and the sandbox only joined it.
 */

import { CLOCK_REALTIME, clockGettime } from "../../../native/linux/clock.ts";
import { ENOENT } from "../../../native/linux/errno.ts";
import { statIfAny, unlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { removeHalfWritten } from "../../common/sandbox-state.ts";
import { listState, makeStateFolder, readState, runFolder, withLock, writeState } from "../../common/state.ts";
import type { Group } from "./path.ts";

export interface Owned {
	cgroup: string;
	root: string;
	made: boolean;
}

function folder(): string {
	return `${runFolder()}/cgroups`;
}

/** Notes that a sandbox has, or is about to have, the cgroup. Returns what takes the note back. */
export function own(id: string, group: Group, made: boolean): () => void {
	if (isDryRun()) return () => {};
	const note = () =>
		withLock(folder(), () => {
			/* A second time, of the same sandbox: it has made the cgroup already. */
			const before = ownedBy(id);
			const isAgain = before?.cgroup === group.name && before.made;
			writeState(`${folder()}/${id}`, JSON.stringify({ cgroup: group.name, root: group.root, made: made || isAgain }));
		});
	try {
		note();
	} catch (error) {
		if (!(error instanceof SysError && error.errno === ENOENT)) throw error;
		makeStateFolder(runFolder());
		makeStateFolder(folder());
		note();
	}
	return () => disown(id);
}

export function disown(id: string) {
	unlinkIfAny(`${folder()}/${id}`);
}

export function ownedBy(id: string): Owned | undefined {
	return readState<Owned>(`${folder()}/${id}`);
}

/** The sandboxes that have a note, with the seconds since it was made. */
export function owners(): { id: string; age: number }[] {
	return listState(folder()).map((id) => ({
		id,
		age: clockGettime(CLOCK_REALTIME) - (statIfAny(`${folder()}/${id}`)?.mtime ?? 0),
	}));
}

/** Removes files that a killed tscgctl left half written. */
export function tidy() {
	removeHalfWritten(folder());
}

/** Gives the cgroup on to another sandbox that is in it. False where there is none: then the cgroup can go. */
export function passOn(id: string, { cgroup, root, made }: Owned): boolean {
	return withLock(folder(), () => {
		const heir = listState(folder()).find((each) => each !== id && ownedBy(each)?.cgroup === cgroup);
		if (heir === undefined) return !made;
		if (made) writeState(`${folder()}/${heir}`, JSON.stringify({ cgroup, root, made }));
		return true;
	});
}
