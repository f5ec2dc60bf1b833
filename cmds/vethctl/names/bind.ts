/**
 * Binds files of ours over those in a sandbox's /etc. What is in the sandbox is hostile: our files are opened before we are in its mount
 * namespace, its places once, as its root shows them, and nothing of it is executed or read.
 */
import { ENOENT } from "../../../native/linux/errno.ts";
import {
	AT_FDCWD,
	close,
	fchdir,
	O_CREAT,
	O_DIRECTORY,
	O_PATH,
	O_RDONLY,
	O_WRONLY,
	open,
	openat2,
	RESOLVE_IN_ROOT,
	RESOLVE_NO_MAGICLINKS,
} from "../../../native/linux/fd.ts";
import { moveMount, OPEN_TREE_CLONE, openTree } from "../../../native/linux/mount.ts";
import { CLONE_NEWNS, setns } from "../../../native/linux/namespace.ts";
import { S_IFMT, S_IFREG, stat } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { warn } from "../../common/command-line/tool.ts";

/** `files`: the folder of ours; `names`: what is bound of it over /etc/NAME of the process's root. One that has no place there is left out. */
export function bindInside(pid: number, files: string, names: string[]) {
	const own = open("/proc/self/ns/mnt", O_RDONLY);
	const cwd = open(".", O_PATH | O_DIRECTORY);
	const theirs = open(`/proc/${pid}/ns/mnt`, O_RDONLY);
	const root = open(`/proc/${pid}/root`, O_PATH | O_DIRECTORY);
	const trees = names.map((name) => ({ name, tree: openTree(AT_FDCWD, `${files}/${name}`, OPEN_TREE_CLONE) }));
	try {
		setns(theirs, CLONE_NEWNS);
		for (const { name, tree } of trees) bindOne(root, name, tree);
	} finally {
		setns(own, CLONE_NEWNS);
		fchdir(cwd);
		for (const fd of [own, cwd, theirs, root, ...trees.map(({ tree }) => tree)]) close(fd);
	}
}

function bindOne(root: number, name: string, tree: number) {
	try {
		const place = openPlace(root, `etc/${name}`);
		try {
			if ((stat("", place).mode & S_IFMT) !== S_IFREG) return warn(`/etc/${name} of the sandbox is no file: left as it is`);
			moveMount(tree, place, `/etc/${name}`);
		} finally {
			close(place);
		}
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		/* A root without /etc, or that cannot be written to: its program will do without. */
		if (error.errno !== ENOENT) warn(`/etc/${name} of the sandbox: ${error.message}`);
	}
}

/** A file in the root, made if it is not there. */
function openPlace(root: number, path: string): number {
	const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
	try {
		return openat2(root, path, O_PATH, resolve);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === ENOENT)) throw error;
		close(openat2(root, path, O_CREAT | O_WRONLY, resolve, 0o644));
		return openat2(root, path, O_PATH, resolve);
	}
}
