import { SysError } from "../../../native/linux/syscall.ts";
import { warn } from "../../common/command-line/tool.ts";
import { ToolError, UsageError } from "../../common/errors.ts";
import { isName } from "../../common/state.ts";
import { hasImage } from "../store/image.ts";
import { isMounted, needsMount, unmountVolume } from "../store/mount.ts";
import { allUsers, forgetUser, isActive, isContainer, isUsing, type UsedMount, type User, userOf } from "../store/users.ts";
import { volumeIfAny, withVolumes } from "../store/volume.ts";
import { removeUnused } from "../volume/rm.ts";
import { releaseSources } from "./sources.ts";

/**
 * Undoes what `attach` has done for sandboxes that have ended. A container keeps its volumes until it is removed (--volumes:
 * it is being removed, and its anonymous volumes with it). What is not there is fine.
 */
export function leave({ options, operands }: { options: { volumes?: true }; operands: string[] }) {
	if (operands.length === 0) throw new UsageError("leave: no ID given");
	for (const id of operands) if (!isName(id)) throw new UsageError(`leave: ${JSON.stringify(id)} is not an ID`);
	for (const id of operands) {
		const user = userOf(id);
		if (user) release(user, options.volumes === true, isContainer(id) && !options.volumes);
	}
}

/** Takes away what was mounted for a user; with `keep` it is remembered all the same. */
export function release(user: User, removeAnonymous: boolean, keep: boolean) {
	releaseSources(user.id);
	if (!keep) withVolumes(() => forgetUser(user.id));
	releaseIdle(user.mounts, user.id);
	if (keep || !(removeAnonymous || user.remove)) return;
	for (const { anonymous, name } of user.mounts) {
		const volume = anonymous && name !== undefined ? volumeIfAny(name) : undefined;
		try {
			if (volume) removeUnused(volume);
		} catch (error) {
			/* Another container has it by --volumes-from: it stays for that one. */
			if (error instanceof SysError) warn(`${name}: ${error.message}`);
			else if (!(error instanceof ToolError)) throw error;
		}
	}
}

/** Unmounts the volumes that are mounted while they are in use only, as Docker does; what a tmpfs held is gone then. */
export function releaseIdle(mounts: UsedMount[], leaving?: string) {
	for (const { name } of mounts) {
		const volume = name === undefined ? undefined : volumeIfAny(name);
		if (!volume || !needsMount(volume) || hasImage(volume.folder) || !isMounted(volume)) continue;
		withVolumes(() => {
			const isUsed = allUsers().some((user) => user.id !== leaving && isActive(user) && user.mounts.some((mount) => mount.name === name));
			if (!isUsed) unmountVolume(volume);
		});
	}
}

/** Forgets users that have lapsed. Returns how many. */
export function releaseLapsed(): number {
	const lapsed = allUsers().filter((user) => !isUsing(user));
	for (const user of lapsed) release(user, false, false);
	return lapsed.length;
}
