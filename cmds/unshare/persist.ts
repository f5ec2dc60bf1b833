/** Namespaces that outlive their processes: bind mounts of their files in /proc (man 7 namespaces). */
import { EINVAL, ENOENT } from "../../native/linux/errno.ts";
import { MNT_DETACH, MS_BIND, MS_PRIVATE, mount, umount } from "../../native/linux/mount.ts";
import { CLONE_NEWNS, CLONE_NEWUSER, NAMESPACES } from "../../native/linux/namespace.ts";
import { getpid } from "../../native/linux/process.ts";
import { exists } from "../../native/linux/stat.ts";
import { strerror } from "../../native/linux/strerror.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { fail } from "../common/errors.ts";
import { helper } from "./helper.ts";
import type { UnshareOptions } from "./options.ts";

/** A namespace's file below /proc/PID, and where it is to be kept. */
export interface Kept {
	flag: number;
	source: string;
	file: string;
}

/** What `--net=FILE` and its like ask for. */
export function keptNamespaces(options: UnshareOptions): Kept[] {
	const kept: Kept[] = [];
	for (const { name, flag } of NAMESPACES) {
		const file = options[name === "mnt" ? "mount" : (name as "net")];
		/* Our own PID namespace stays what it is: only children are born into the new one. */
		const source = name === "pid" || name === "time" ? `${name}_for_children` : name;
		if (typeof file === "string") kept.push({ flag, source, file });
	}
	return kept;
}

/** Binds the namespaces of a process on their files: all of them or none. */
export function keepNamespaces(kept: Kept[], pid: number) {
	const done: string[] = [];
	try {
		for (const { flag, source, file } of kept) {
			bind(`/proc/${pid}/ns/${source}`, file, flag, done);
			done.push(file);
		}
	} catch (error) {
		for (const file of done.reverse()) umount(file, MNT_DETACH);
		throw error;
	}
}

function bind(source: string, file: string, flag: number, done: string[]) {
	try {
		mount(source, file, null, MS_BIND);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		if (error.errno === ENOENT) explainMissing(error, source, file);
		if (flag !== CLONE_NEWNS || error.errno !== EINVAL) throw error;
		/* A mount namespace may not spread into its own copies, as it would from a shared mount (man 1 unshare). So the file
		   is made a mount of its own, that is not shared. */
		mount(file, file, null, MS_BIND);
		done.push(file);
		mount(null, file, null, MS_PRIVATE);
		mount(source, file, null, MS_BIND);
	}
}

/** mount(2) has two paths that may not be there. */
function explainMissing(error: SysError, source: string, file: string): never {
	if (!exists(file)) fail(error.message, "a namespace is kept by a file that is there: make it with touch");
	if (source.endsWith("_for_children"))
		fail(`mount ${source}: ${strerror(ENOENT)}`, "a PID namespace begins with its first process: it is kept with --fork only");
	throw error;
}

/**
 * Gets ready to keep namespaces, before they are made; what is returned does it, once they are there. A new mount or user
 * namespace has no rights to the mounts of the old one, so there a child that stays behind does it.
 */
export function prepareToKeep(kept: Kept[], flags: number): () => void {
	const pid = getpid();
	const keep = () => keepNamespaces(kept, pid);
	return (flags & (CLONE_NEWNS | CLONE_NEWUSER)) === 0 ? keep : helper(keep);
}
