import { EBUSY } from "../../../native/linux/errno.ts";
import { close, fchdir } from "../../../native/linux/fd.ts";
import { MNT_DETACH, UMOUNT_NOFOLLOW, umount } from "../../../native/linux/mount.ts";
import { startTime } from "../../../native/linux/proc.ts";
import { readlink, stat, statIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { openInside } from "../../common/inside-root.ts";
import { filterRecords, type PlannedMount, type PlanRecord, type Target } from "../../common/record.ts";
import { processId, type UsedMount, userOf, writeUser } from "../store/users.ts";
import { withVolumes } from "../store/volume.ts";
import { inMountNamespace, openRoot } from "./inside.ts";
import { releaseIdle } from "./leave.ts";
import { releaseSource } from "./sources.ts";
import { cleanTarget } from "./spec.ts";

/** Takes what was attached away again: named by the path in the container, or by the volume's name. */
export function detach({ options, operands }: { options: { lazy?: true }; operands: string[] }) {
	const [what, ...targets] = operands;
	if (what === undefined) throw new UsageError("detach: needs a TARGET or a volume's NAME");
	if (operands.includes("")) throw new UsageError("detach: a name is empty");
	const named = what.startsWith("/") ? cleanTarget(what, "detach") : what;
	filterRecords(
		targets,
		(target) => detachLive(target, named, options.lazy === true),
		(plan) => detachPlan(plan, named),
	);
}

const isNamed = (mount: { target: string; name?: string }, what: string) => mount.target === what || mount.name === what;

function forgetMounts(id: string, what: string) {
	const user = withVolumes(() => {
		const now = userOf(id);
		if (now) writeUser({ ...now, mounts: now.mounts.filter((mount) => !isNamed(mount, what)) });
		return now;
	});
	const gone = user?.mounts.filter((mount) => isNamed(mount, what)) ?? [];
	for (const { source } of gone) releaseSource(id, source);
	releaseIdle(gone);
}

function detachPlan(plan: PlanRecord, what: string) {
	const mounts = plan.mounts ?? [];
	if (!mounts.some((mount) => isNamed(mount, what))) fail(`${plan.id}: ${show(what)}: nothing of the kind is attached`);
	forgetMounts(plan.id, what);
	return { mounts: mounts.filter((mount) => !isNamed(mount, what)) };
}

function detachLive(target: Target, what: string, lazy: boolean) {
	const { pid, record, isSandbox } = target;
	const id = record && isSandbox ? record.id : processId({ pid, start: startTime(pid) ?? fail(`${pid}: has ended`) });
	const mounts = (userOf(id)?.mounts ?? []).filter((mount) => isNamed(mount, what));
	if (mounts.length === 0) fail(`${id}: ${show(what)}: nothing of the kind is attached`);
	const root = openRoot(target);
	try {
		inMountNamespace(target, (here) => {
			for (const mount of [...mounts].reverse()) takeAway(here, root, mount, lazy);
		});
	} finally {
		close(root);
	}
	forgetMounts(id, what);
	const left = (record?.mounts as PlannedMount[] | undefined)?.filter((mount) => !isNamed(mount, what));
	return left && { mounts: left };
}

/** What the container itself has mounted there since is not ours to take away. */
function takeAway(here: number, root: number, mount: UsedMount, lazy: boolean) {
	const place = openInside(root, mount.target) ?? fail(`${show(mount.target)}: is not there any more`);
	const { dev, ino } = stat("", place);
	const source = mount.source === undefined ? undefined : statIfAny(mount.source);
	if (source && (source.dev !== dev || source.ino !== ino)) fail(`${show(mount.target)}: something else is mounted there now`);
	/* As long as it is open it is in use. Its place, without links, is named by the folder above. */
	const path = readlink(String(place), here);
	close(place);
	const slash = path.lastIndexOf("/");
	const above = openInside(root, path.slice(0, slash) || "/") ?? fail(`${show(mount.target)}: is not there any more`);
	try {
		fchdir(above);
		umount(path.slice(slash + 1), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0));
	} catch (error) {
		if (error instanceof SysError && error.errno === EBUSY)
			fail(`${show(mount.target)}: in use`, "--lazy takes it from the tree at once, and lets it go with its last user");
		throw error;
	} finally {
		close(above);
	}
}
