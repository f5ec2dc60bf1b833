/** Reading a cgroup's files. */

import { ENODEV, ENOENT, ENOTDIR, EOPNOTSUPP } from "../../../native/linux/errno.ts";
import { tryReadFile } from "../../../native/linux/fd.ts";
import { statusField } from "../../../native/linux/proc.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { folderOf, type Group } from "./path.ts";

/** What an absent file gives: the cgroup may be gone (ENODEV), or the file mean nothing in its state. */
const ABSENT = [ENOENT, ENOTDIR, ENODEV, EOPNOTSUPP];

/** A file's text without the last newline; undefined where there is none or it cannot be read here. */
export function readTrimmed(path: string): string | undefined {
	const text = tryReadFile(path);
	if (typeof text === "string") return text.trimEnd();
	if (ABSENT.includes(-text)) return undefined;
	throw new SysError("openat", -text, path);
}

/** A cgroup's file on the hierarchy that has a controller. */
export function readIn(group: Group, controller: string, file: string): string | undefined {
	const folder = folderOf(group, controller);
	return folder === undefined ? undefined : readTrimmed(`${folder}/${file}`);
}

/** `key value` lines, as in cpu.stat. */
export function keyed(text: string | undefined): Record<string, number> {
	const values: Record<string, number> = {};
	for (const line of (text ?? "").split("\n")) {
		const space = line.indexOf(" ");
		if (space > 0) values[line.slice(0, space)] = Number(line.slice(space + 1));
	}
	return values;
}

/**
 * The PIDs in a cgroup.procs file; none where there is none. A process that our PID namespace does not have is 0. A
 * threaded cgroup of v2 has no such list: there it is the processes whose threads are in it.
 */
export function pidsIn(folder: string): number[] {
	const text = tryReadFile(`${folder}/cgroup.procs`);
	if (text === -EOPNOTSUPP) return processesOfThreads(folder);
	if (typeof text === "number" && !ABSENT.includes(-text)) throw new SysError("openat", -text, `${folder}/cgroup.procs`);
	return typeof text === "string" && text !== "" ? numbers(text) : [];
}

function numbers(text: string): number[] {
	return text
		.split("\n")
		.filter((line) => line !== "")
		.map(Number);
}

function processesOfThreads(folder: string): number[] {
	const processes = numbers(readTrimmed(`${folder}/cgroup.threads`) ?? "").map((thread) => Number(statusField(thread, "Tgid") ?? thread));
	return [...new Set(processes)];
}
