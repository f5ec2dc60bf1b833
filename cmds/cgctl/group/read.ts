/** Reading a cgroup's files. */
import { ENODEV, EOPNOTSUPP } from "../../../native/linux/errno.ts";
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { statusField } from "../../../native/linux/proc.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { folderOf, type Group } from "./path.ts";

/** A file's text without the last newline; undefined where there is none (the cgroup may be gone: ENODEV) or it cannot be read here. */
export function readTrimmed(path: string): string | undefined {
	try {
		return readFileIfAny(path)?.trimEnd();
	} catch (error) {
		if (error instanceof SysError && (error.errno === ENODEV || error.errno === EOPNOTSUPP)) return undefined;
		throw error;
	}
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
	let text: string | undefined;
	try {
		text = readFileIfAny(`${folder}/cgroup.procs`);
	} catch (error) {
		if (error instanceof SysError && error.errno === EOPNOTSUPP) return processesOfThreads(folder);
		if (!(error instanceof SysError && error.errno === ENODEV)) throw error;
	}
	return numbers(text ?? "");
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
