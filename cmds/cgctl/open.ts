/** What create, join, run, set and delegate begin with: the cgroup that is named, made if need be, and its limits. */

import { isDryRun } from "../../native/linux/syscall.ts";
import { giveUp, openLock, releaseLock, shareLock, takeAlone, takeShared } from "./group/lock.ts";
import { look, makeGroup, readControllers, unmake } from "./group/make.ts";
import { checkOurs, type Group } from "./group/path.ts";
import { applyLimits, checkLimits } from "./limits/apply.ts";
import { putBack, type Undo } from "./limits/put-back.ts";
import { neededControllers } from "./limits/read.ts";
import type { Limits } from "./limits/table.ts";
import { hasLimits, type OpenOptions } from "./line.ts";

interface OpenSettings {
	/** Say which formula translated a weight. */
	verbose?: boolean;
	/** Give the limits only to a cgroup that is new. */
	onlyNew?: boolean;
	/** See MakeOptions. */
	grow?: boolean;
	everywhere?: boolean;
	/** Done at the end with no lock held: what may block. When it fails, what was made is removed as well. */
	last?: () => void;
	/** The caller's list of what puts changes back, which it runs itself on failure. */
	undo?: Undo;
}

/**
 * Makes the cgroup where it is not, gives it the limits, and does `work` while nobody can remove it. When something fails,
 * what was made is removed, and what was changed put back. Returns what `work` does; its arguments are whether the cgroup
 * is new, and the list for what puts its own changes back.
 */
export function whileOpen<T>(
	group: Group,
	options: OpenOptions,
	limits: Limits,
	{ verbose = false, onlyNew = false, grow = true, everywhere = false, last, undo: callers }: OpenSettings,
	work: (isNew: boolean, undo: Undo) => T,
): T {
	checkOurs(group, options);
	const limited = hasLimits(limits);
	if (limited) checkLimits(group, limits);
	const make = {
		controllers: readControllers(options.controllers, group),
		needed: limited ? neededControllers(limits) : [],
		leaf: options.leaf === true,
		grow,
		everywhere,
	};
	const made: string[] = [];
	const undo = callers ?? [];
	const lock = openLock();
	try {
		takeShared(lock);
		let wanted = look(group, make);
		if (!wanted.isMade) {
			giveUp(lock);
			takeAlone(lock);
			/* Those that it was on decide where else it is to be; they may have changed meanwhile. */
			if (wanted.isSomewhere) wanted = look(group, make);
			makeGroup(group, make, wanted, made);
			shareLock(lock);
		}
		if (limited && (made.length > 0 || !onlyNew))
			applyLimits(group, limits, {
				force: options.force === true,
				verbose: verbose || options.weightFormula !== undefined,
				undo: made.length > 0 && !callers ? undefined : undo,
			});
		const result = work(made.length > 0, undo);
		if (last) {
			giveUp(lock);
			last();
		}
		return result;
	} catch (error) {
		if (!callers) putBack(undo);
		if (made.length > 0 && !isDryRun()) {
			giveUp(lock);
			takeAlone(lock);
			unmake(made);
		}
		throw error;
	} finally {
		releaseLock(lock);
	}
}
