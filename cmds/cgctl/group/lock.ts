/**
 * One lock for all cgroups of a user's tsbox. A cgroup of v1 is a folder on each of several hierarchies: who makes or
 * removes one holds the lock alone, who enters or limits one holds it shared, so that nobody sees half a cgroup.
 *
 * Byte 1 of the file is the lock. Byte 0 is a gate that everyone passes one at a time to get it: who waits for the lock
 * alone stops those that come later, and so is not passed by for ever. man 2 fcntl, "Open file description locks": the
 * lock goes with the descriptor, and is turned from exclusive to shared with no moment between.
 *
 * Nothing is done under it that may take as long as somebody else likes: a program of ours that is frozen or stopped with
 * the lock would stop all others. Byte 2 is the lock of who edits v2's device rules.
 */
import { close, O_CREAT, O_NOFOLLOW, O_RDWR, open } from "../../../native/linux/fd.ts";
import { F_RDLCK, F_UNLCK, F_WRLCK, setOfdLock, tryOfdLock } from "../../../native/linux/lock.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { ToolError } from "../../common/errors.ts";
import { makeStateFolder, runFolder } from "../../common/state.ts";
import { waitForLock, waitThrough } from "./lock-wait.ts";

const GATE = 0;
const LOCK = 1;
const DEVICES = 2;

/** The lock's descriptor. Undefined where there is no folder for state: then the errors of the kernel must do. */
export type Lock = number | undefined;

/** Opens the lock, without taking it. To be closed with `releaseLock`. */
export function openLock(): Lock {
	if (isDryRun()) return undefined;
	try {
		const folder = runFolder();
		const path = `${folder}/cgctl.lock`;
		try {
			return open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
			makeStateFolder(folder);
			return open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
		}
	} catch (error) {
		if (error instanceof SysError || error instanceof ToolError) return undefined;
		throw error;
	}
}

function take(lock: Lock, type: number) {
	if (lock === undefined) return;
	try {
		if (!tryOfdLock(lock, F_WRLCK, GATE, 1)) waitThrough(lock, GATE, type, LOCK);
		else if (!tryOfdLock(lock, type, LOCK, 1)) waitForLock(lock, type, LOCK);
	} finally {
		setOfdLock(lock, F_UNLCK, GATE, 1);
	}
}

/** From here on no cgroup is made or removed. */
export function takeShared(lock: Lock) {
	take(lock, F_RDLCK);
}

/** From here on nobody makes, enters, limits or removes a cgroup. A shared lock must be given up before. */
export function takeAlone(lock: Lock) {
	take(lock, F_WRLCK);
}

/** Lets others have it shared too, with no moment between in which a cgroup could be removed. */
export function shareLock(lock: Lock) {
	if (lock !== undefined) setOfdLock(lock, F_RDLCK, LOCK, 1);
}

export function giveUp(lock: Lock) {
	if (lock !== undefined) setOfdLock(lock, F_UNLCK, LOCK, 1);
}

export function releaseLock(lock: Lock) {
	if (lock !== undefined) close(lock);
}

/** Works while no cgroup is made or removed. */
export function whileKept<T>(work: () => T): T {
	const lock = openLock();
	try {
		takeShared(lock);
		return work();
	} finally {
		releaseLock(lock);
	}
}

/** Works while nobody else edits device rules of v2. */
export function whileDevices<T>(work: () => T): T {
	const lock = openLock();
	try {
		if (lock !== undefined && !tryOfdLock(lock, F_WRLCK, DEVICES, 1)) waitForLock(lock, F_WRLCK, DEVICES);
		return work();
	} finally {
		releaseLock(lock);
	}
}

/** Works while nobody makes, enters, limits or removes a cgroup. */
export function whileAlone<T>(work: () => T): T {
	const lock = openLock();
	try {
		takeAlone(lock);
		return work();
	} finally {
		releaseLock(lock);
	}
}
