import { EBUSY, EINVAL } from "../../../native/linux/errno.ts";
import { readdir } from "../../../native/linux/fd.ts";
import { MNT_DETACH, MNT_FORCE, UMOUNT_NOFOLLOW, umount } from "../../../native/linux/mount.ts";
import { processes, processStat } from "../../../native/linux/proc.ts";
import { statIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { unionAt, unions } from "./unions.ts";

export interface UmountOptions {
	lazy?: true;
	force?: true;
}

/** Unmounts unions. What is mounted otherwise is left alone. */
export function umountVerb({ options, operands }: { options: UmountOptions; operands: string[] }) {
	if (operands.length === 0) throw new UsageError("umount: no TARGET given");
	if (operands.includes("")) throw new UsageError("umount: a TARGET is empty");
	for (const target of operands) {
		const union = unionAt(unions(), target);
		if (!union)
			fail(`${show(target)}: no union is mounted there`, "`tsunionmount ls` shows those that are; umount(8) unmounts other file systems");
		try {
			umount(union.target, (options.lazy ? MNT_DETACH : 0) | (options.force ? MNT_FORCE : 0) | UMOUNT_NOFOLLOW);
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
			if (error.errno === EINVAL) fail(`umount ${show(target)}: it belongs to another, less privileged mount namespace`);
			if (error.errno !== EBUSY) throw error;
			const users = usersOf(union.id);
			fail(
				`umount ${show(target)}: in use${users.length > 0 ? ` by ${users.join(", ")}` : ""}`,
				"--lazy takes it from the tree at once, and lets it go with its last user",
			);
		}
	}
}

const MOST_NAMES = 5;

/** The processes that have something of a mount open, or run in it: `1234 (sleep)`. */
function usersOf(mountId: number): string[] {
	const found: string[] = [];
	for (const pid of processes()) {
		const links = ["cwd", "root", "exe", ...descriptors(pid)];
		if (!links.some((link) => statIfAny(`/proc/${pid}/${link}`)?.mountId === mountId)) continue;
		if (found.length === MOST_NAMES) return [...found, "and others"];
		found.push(`${pid} (${processStat(pid)?.comm})`);
	}
	return found;
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
