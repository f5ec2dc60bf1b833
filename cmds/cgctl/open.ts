/** What create, join, run, set and delegate begin with: the cgroup that is named, made if need be, and its limits. */

import type { Hierarchy } from "../../native/linux/cgroup.ts";
import { isDryRun } from "../../native/linux/syscall.ts";
import { fail } from "../common/errors.ts";
import { giveUp, openLock, releaseLock, shareLock, takeAlone, takeShared } from "./group/lock.ts";
import { look, makeGroup, readControllers, unmake } from "./group/make.ts";
import { checkOurs, type Group, shownName } from "./group/path.ts";
import { applyLimits } from "./limits/apply.ts";
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
	/** Called before anything is made or changed; `isThere`: the cgroup is there, at least on one hierarchy. */
	first?: (isThere: boolean) => void;
	/** The caller's list of what puts changes back, which it runs itself on failure. */
	undo?: Undo;
}

/** What is open, for the work that is done meanwhile. */
export interface Opened {
	isNew: boolean;
	/** Takes what puts changes of the work's own back. */
	undo: Undo;
	hierarchies: Hierarchy[];
}

/**
 * Makes the cgroup where it is not, gives it the limits, and does `work` while nobody can remove it. When something fails,
 * what was made is removed, and what was changed put back. Returns what `work` does.
 *
 * A new cgroup gets its limits under the lock, so that nobody enters it before; one that is there may have much to give
 * back to meet them, and nobody is to wait for that.
 */
export function whileOpen<T>(
	group: Group,
	options: OpenOptions,
	limits: Limits,
	{ verbose = false, onlyNew = false, grow = true, everywhere = false, first, last, undo: callers }: OpenSettings,
	work: (opened: Opened) => T,
): T {
	checkOurs(group, options);
	const limited = hasLimits(limits);
	const make = {
		controllers: readControllers(options.controllers, group),
		needed: limited ? neededControllers(limits) : [],
		leaf: options.leaf === true,
		grow,
		everywhere,
	};
	const made: string[] = [];
	const undo = callers ?? [];
	const apply = (back: Undo | undefined) =>
		applyLimits(group, limits, {
			force: options.force === true,
			verbose: verbose || options.weightFormula !== undefined,
			undo: back,
		});
	const lock = openLock();
	try {
		/* A sandbox's is most likely to be made. */
		if (everywhere) takeAlone(lock);
		else takeShared(lock);
		let wanted = look(group, make);
		first?.(wanted.isSomewhere);
		if (!wanted.isMade) {
			if (!everywhere) {
				giveUp(lock);
				takeAlone(lock);
				/* Those that it was on decide where else it is to be; they may have changed meanwhile. */
				if (wanted.isSomewhere) wanted = look(group, make);
			}
			makeGroup(group, make, wanted, made);
			if (limited) apply(callers ? undo : undefined);
			shareLock(lock);
		} else if (limited && !onlyNew) {
			giveUp(lock);
			apply(undo);
			takeShared(lock);
			if (!isDryRun() && !look(group, make).isSomewhere) fail(`${shownName(group)}: removed meanwhile`);
		} else if (everywhere) shareLock(lock);
		const result = work({ isNew: made.length > 0, undo, hierarchies: wanted.hierarchies });
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
