/**
 * Which process the kernel's OOM killer ended. The counter of the cgroup says that it was at work; the kernel's log, whom it
 * ended and for whose limit (mm/oom_kill.c):
 *
 *     oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=web,mems_allowed=0,oom_memcg=/tsbox/web,task_memcg=/tsbox/web,task=memhog,pid=4242,uid=0
 *     Memory cgroup out of memory: Killed process 4242 (memhog) total-vm:...
 *
 * The first line (Linux 5.0) is rate-limited, the second is not, but names no cgroup.
 */

import { EPIPE } from "../../../native/linux/errno.ts";
import { lseek, O_NONBLOCK, O_RDONLY, open, read, SEEK_END } from "../../../native/linux/fd.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { decode } from "../../../native/linux/text.ts";
import { childNames } from "../group/files.ts";
import { hierarchyOf } from "../group/layout.ts";
import { folderOf, type Group } from "../group/path.ts";
import { keyed, readIn, readTrimmed } from "../group/read.ts";

export interface OomKill {
	pid: number;
	/** The process's name. */
	task: string;
	/** The cgroup whose limit was reached, if the log says it; "/" when the machine was out of memory. */
	limitOf?: string;
}

/** The kernel's log from now on, or undefined where we may not read it. */
export function openKernelLog(): number | undefined {
	try {
		const fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
		lseek(fd, 0, SEEK_END);
		return fd;
	} catch (error) {
		if (error instanceof SysError) return undefined;
		throw error;
	}
}

/** The lines that came since. One read(2) gives one record: `6,1234,5678,-;text`. */
function newLines(fd: number): string[] {
	const lines: string[] = [];
	const bytes = new Uint8Array(8192);
	for (;;) {
		let length: number;
		try {
			length = read(fd, bytes);
		} catch (error) {
			/* Records were overwritten before they were read: the next read goes on behind them. */
			if (error instanceof SysError && error.errno === EPIPE) continue;
			/* EAGAIN: there are no more. */
			if (error instanceof SysError) return lines;
			throw error;
		}
		if (length === 0) return lines;
		const record = decode(bytes, 0, length);
		lines.push(record.slice(record.indexOf(";") + 1).split("\n")[0] as string);
	}
}

/** The processes that were ended in a cgroup or below it. `own` are PIDs that count even if the log names no cgroup. */
export function oomKills(log: number, group: Group, own: number[]): OomKill[] {
	const kills: OomKill[] = [];
	for (const line of newLines(log)) {
		const full = /^oom-kill:constraint=(\w+),.*?,task_memcg=(.*),task=(.*),pid=(\d+),uid=\d+/.exec(line);
		if (full) {
			const [, constraint, cgroup = "", task = "", pid] = full;
			const limitOf = constraint === "CONSTRAINT_MEMCG" ? /,oom_memcg=(.*),task_memcg=/.exec(line)?.[1] : "/";
			if (`${cgroup}/`.startsWith(`${group.name}/`)) kills.push({ pid: Number(pid), task, ...(limitOf && { limitOf }) });
			continue;
		}
		const short = /^(?:Memory cgroup out|Out) of memory: Killed process (\d+) \((.*)\) total-vm/.exec(line);
		if (short && own.includes(Number(short[1])) && !kills.some((kill) => kill.pid === Number(short[1])))
			kills.push({ pid: Number(short[1]), task: short[2] as string });
	}
	return kills;
}

/** How many processes of the cgroup and of those below it the OOM killer has ended so far, whosever limit it was. */
export function oomKillCount(group: Group): number {
	const folder = folderOf(group, "memory");
	if (folder === undefined) return 0;
	return hierarchyOf(group.layout, "memory")?.version === 1
		? v1OomKills(folder)
		: (keyed(readIn(group, "memory", "memory.events")).oom_kill ?? 0);
}

/** v1 counts a kill in the process's own cgroup only, v2 in all above it as well. */
export function v1OomKills(folder: string): number {
	const own = keyed(readTrimmed(`${folder}/memory.oom_control`)).oom_kill ?? 0;
	return childNames(folder).reduce((sum, name) => sum + v1OomKills(`${folder}/${name}`), own);
}
