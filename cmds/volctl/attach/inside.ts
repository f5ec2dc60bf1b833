/** Mounting and unmounting in the mount namespace of a running process. */
import { close, fchdir, O_DIRECTORY, O_PATH, open, pipe, readAll, write } from "../../../native/linux/fd.ts";
import { umount } from "../../../native/linux/mount.ts";
import { CLONE_NEWNS, namespaceInode, setns } from "../../../native/linux/namespace.ts";
import { exit, fork, pidfdSendSignal, wait } from "../../../native/linux/process.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { decode } from "../../../native/linux/text.ts";
import { fail, ToolError } from "../../common/errors.ts";
import type { Target } from "../../common/record.ts";

/** The root of a process, as an open folder. Fails for one that shares our mount namespace: what is mounted there is mounted here. */
export function openRoot({ pid, pidfd }: Target): number {
	const own = namespaceInode("self", "mnt");
	const root = open(`/proc/${pid}/root`, O_PATH | O_DIRECTORY);
	/* While the pidfd's process lives, its PID names no other. */
	const inode = namespaceInode(pid, "mnt");
	if (!pidfdSendSignal(pidfd, 0)) fail(`${pid}: has ended`);
	if (inode === own)
		fail(`${pid}: has no mount namespace of its own`, "what is mounted for it would be mounted for the whole machine: use mount(8)");
	return root;
}

/**
 * Runs `work` in a process that has joined the target's mount namespace, where nothing is looked up by a path of theirs:
 * `here` is /proc/self/fd of that process, opened before, by which an open file has a name.
 */
export function inMountNamespace({ pid, pidfd }: Target, work: (here: number) => void) {
	const { reader, writer } = pipe();
	const child = fork();
	if (child === 0) {
		try {
			close(reader);
			const here = open("/proc/self/fd", O_PATH | O_DIRECTORY);
			setns(pidfd, CLONE_NEWNS, String(pid));
			work(here);
			exit(0);
		} catch (error) {
			const said =
				error instanceof ToolError
					? { message: error.message, hint: error.hint }
					: { message: error instanceof SysError ? error.message : String(error) };
			write(writer, JSON.stringify(said));
			exit(1);
		}
	}
	close(writer);
	const text = decode(readAll(reader));
	close(reader);
	const ended = wait(child);
	if (text !== "") {
		const { message, hint } = JSON.parse(text) as { message: string; hint?: string };
		fail(message, hint);
	}
	if (ended?.code !== 0 || ended.signal) fail(`${pid}: the process that mounts was killed`);
}

/** Unmounts the mount that an open place is the root of. */
export function umountOpen(here: number, fd: number, flags: number) {
	fchdir(here);
	umount(String(fd), flags);
}
