/** `tscgctl leave` and `tscgctl gc`: the end of cgroups that were made for sandboxes. */
import { exists } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { fail, show, ToolError, UsageError } from "../../common/errors.ts";
import { sandboxFolder } from "../../common/sandbox-state.ts";
import { isName, writeState } from "../../common/state.ts";
import { killGroup } from "../group/kill.ts";
import { findLayout } from "../group/layout.ts";
import { disown, ownedBy, owners, passOn, tidy } from "../group/owner.ts";
import { type Group, placesOf } from "../group/path.ts";
import { removeAtOnce, removeGroup } from "../group/remove.ts";
import { oomKillCount } from "../usage/oom.ts";

const PATIENCE = 10;

/**
 * The inverse of `join` for sandboxes that are over: what is left in the cgroup that was made for each is ended, and the
 * cgroup removed. Nothing to do is no error.
 */
export function leave({ operands }: { operands: string[] }) {
	if (operands.length === 0) throw new UsageError("leave: no ID given");
	for (const id of operands) if (!isName(id)) throw new UsageError(`${show(id)}: not a sandbox's id`);
	for (const id of operands) leaveOne(id);
}

/** The name of the cgroup that has been removed, if one was. */
export function leaveOne(id: string): string | undefined {
	const owned = ownedBy(id);
	if (!owned) return undefined;
	const group: Group = { name: owned.cgroup, root: owned.root, layout: findLayout() };
	const stays = passOn(id, owned);
	if (!stays) {
		if (group.name === "" || group.name === group.root) fail(`${id}: its cgroup is the tool's root, which is not removed`);
		noteOom(id, group);
		/* Most likely it is empty. Where it is not, some of its folders may be gone then, and all of them are to go. */
		if (!removeAtOnce(group) && placesOf(group).length > 0) {
			killGroup(group, PATIENCE);
			removeGroup(group, true);
		}
	}
	if (!isDryRun()) disown(id);
	return stays ? undefined : group.name;
}

/** Whether the OOM killer struck is told now, and kept for who asks when the cgroup is gone: `tscgctl oom ID`. */
function noteOom(id: string, group: Group) {
	const kills = oomKillCount(group);
	if (kills === 0 || isDryRun()) return;
	warn(`${id}: out of memory: the kernel killed ${kills} of its processes`);
	const folder = sandboxFolder(id);
	if (exists(folder)) writeState(`${folder}/oom`, JSON.stringify({ oomKills: kills }));
}

/**
 * Does the same for each sandbox that is gone without it: killed with its supervisor, or planned and never made. What a
 * pipe is about to use is not yet `age` seconds old.
 */
export function gc({ options, operands }: { options: { age?: number; quiet?: true }; operands: string[] }) {
	if (operands.length > 0) throw new UsageError("gc: takes no operands");
	const least = options.age ?? 60;
	let failed: unknown;
	for (const { id, age } of owners()) {
		if (exists(sandboxFolder(id)) || age < least) continue;
		try {
			const removed = leaveOne(id);
			if (removed !== undefined && !options.quiet) print(`${removed}\n`);
		} catch (error) {
			if (!(error instanceof ToolError)) throw error;
			warn(`${id}: ${error.message}`);
			failed = error;
		}
	}
	if (!isDryRun()) tidy();
	if (failed) fail("not all could be removed");
}
