/**
 * The namespaces that are bind-mounted: of each mount namespace, its mounts of the type nsfs.
 *
 * Most mount namespaces have a process, and its /proc/PID/mountinfo. Into the others we look by entering them, and the
 * kernel lists even those that nothing in /proc leads to (Linux 6.12).
 */

import { close, O_DIRECTORY, O_RDONLY, open, pipe, readAll, readFile, write } from "../../../native/linux/fd.ts";
import { type MountInfo, parseMountinfo } from "../../../native/linux/mount.ts";
import { CLONE_NEWNS, openAdjacentMountNamespace, setns } from "../../../native/linux/namespace.ts";
import { exit, fork, wait } from "../../../native/linux/process.ts";
import { stat } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { decode } from "../../../native/linux/text.ts";
import { ignoreErrors } from "./errors.ts";

function nsfsLines(mountinfo: string): string {
	return mountinfo
		.split("\n")
		.filter((line) => line.includes(" - nsfs "))
		.join("\n");
}

/** The mounts of nsfs that a process sees; undefined if it has ended or may not be looked at. */
export function nsfsMounts(pid: number | "self"): MountInfo[] | undefined {
	const text = ignoreErrors(() => readFile(`/proc/${pid}/mountinfo`));
	/* An empty file is that of a process which is ending. */
	return text ? parseMountinfo(nsfsLines(text)) : undefined;
}

/**
 * The mounts of nsfs in the mount namespace that is open at `fd`. A child enters it, since that takes one's root and
 * working folder along; it has our /proc open, because there may be none inside.
 */
export function nsfsMountsInside(fd: number): MountInfo[] {
	const { reader, writer } = pipe();
	const pid = fork();
	if (pid === 0) {
		try {
			const proc = open("/proc", O_RDONLY | O_DIRECTORY);
			setns(fd, CLONE_NEWNS);
			write(writer, nsfsLines(readFile("self/mountinfo", proc)));
		} catch (error) {
			if (!(error instanceof SysError)) throw error; /* EPERM: then we see none */
		}
		exit(0);
	}
	close(writer);
	const text = decode(readAll(reader));
	close(reader);
	wait(pid);
	return parseMountinfo(text);
}

/** Calls `visit` with the inode and an open file of each mount namespace of the machine but our own; with none where we may not. */
export function visitMountNamespaces(visit: (inode: number, fd: number) => void) {
	for (const direction of ["next", "previous"] as const) {
		let at: number | undefined = ignoreErrors(() => open("/proc/self/ns/mnt", O_RDONLY));
		while (at !== undefined) {
			const from: number = at;
			at = ignoreErrors(() => openAdjacentMountNamespace(from, direction));
			close(from);
			if (at !== undefined) visit(stat("", at).ino, at);
		}
	}
}
