import { EBUSY, EINVAL } from "../../../native/linux/errno.ts";
import { readdir } from "../../../native/linux/fd.ts";
import { MNT_DETACH, MNT_FORCE, mountinfo, UMOUNT_NOFOLLOW, umount } from "../../../native/linux/mount.ts";
import { processes, processStat } from "../../../native/linux/proc.ts";
import { statIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { realPath } from "./unions.ts";

export interface UmountOptions {
	lazy?: true;
	force?: true;
}

/** Unmounts what was mounted last on each of the targets. */
export function umountVerb({ options, operands }: { options: UmountOptions; operands: string[] }) {
	if (operands.length === 0) throw new UsageError("umount: no TARGET given");
	if (operands.includes("")) throw new UsageError("umount: a TARGET is empty");
	const flags = (options.lazy ? MNT_DETACH : 0) | (options.force ? MNT_FORCE : 0) | UMOUNT_NOFOLLOW;
	for (const target of operands) {
		const path = realPath(target);
		const there = mountinfo().filter((entry) => entry.target === path);
		const top = there[there.length - 1] ?? fail(`${show(target)}: nothing is mounted there`, "`tsunionmount ls` shows what is");
		try {
			umount(path, flags);
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
			if (error.errno === EINVAL) fail(`umount ${show(target)}: it came from a mount namespace with more rights, and is locked here`);
			if (error.errno !== EBUSY) throw new SysError("umount", error.errno, target);
			fail(`umount ${show(target)}: in use${usersOf(top.id)}`, "--lazy takes it from the tree at once, and lets it go with its last user");
		}
	}
}

const MOST_NAMES = 5;

/** What keeps a mount busy: mounts on it, and the processes that have something of it open or run in it: ` by 1234 (sleep)`. */
function usersOf(mountId: number): string {
	const found = mountinfo()
		.filter((entry) => entry.parent === mountId)
		.map((entry) => `the mount on ${show(entry.target)}`);
	for (const pid of found.length < MOST_NAMES ? processes() : []) {
		if (isUser(pid, mountId)) found.push(`${pid} (${processStat(pid)?.comm})`);
		if (found.length === MOST_NAMES) break;
	}
	return found.length > 0 ? ` by ${found.join(", ")}${found.length >= MOST_NAMES ? ", perhaps others" : ""}` : "";
}

function isUser(pid: number, mountId: number): boolean {
	return ["cwd", "root", "exe", ...descriptors(pid)].some((link) => statIfAny(`/proc/${pid}/${link}`)?.mountId === mountId);
}

function descriptors(pid: number): string[] {
	try {
		return readdir(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`);
	} catch (error) {
		/* It has ended, or we may not look at it. */
		if (error instanceof SysError) return [];
		throw error;
	}
}
