/** What a program used between its start and its end: the difference of its cgroup's counters. Seconds and bytes. */

import { O_RDONLY, O_RDWR, open, pread, write } from "../../../native/linux/fd.ts";
import { getrusage, RUSAGE_CHILDREN } from "../../../native/linux/rlimit.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { decode } from "../../../native/linux/text.ts";
import { folderOf, type Group } from "../group/path.ts";
import { readIn } from "../group/read.ts";
import { cpuUsage, type IoUsage, ioUsage, memoryUsage, pidsUsage } from "./usage.ts";

export interface Stats {
	/** The facts at the end, for JSON. */
	end(): Record<string, unknown>;
}

/** Remembers the counters as they are now. `isNew`: the cgroup was just made, so its peaks are the program's own. */
export function beginStats(group: Group, isNew: boolean): Stats {
	const before = { cpu: cpuUsage(group), memory: memoryUsage(group), io: ioUsage(group) };
	const peak = openPeak(group);
	return {
		end() {
			const cpu = cpuUsage(group);
			const memory = memoryUsage(group);
			const pids = pidsUsage(group);
			const less = (now: number | undefined, then: number | undefined) => (now === undefined ? undefined : round(now - (then ?? 0)));
			return {
				cgroup: group.name,
				cpu: {
					usage: less(cpu.usage, before.cpu.usage),
					user: less(cpu.user, before.cpu.user),
					system: less(cpu.system, before.cpu.system),
					throttled: less(cpu.throttled, before.cpu.throttled),
					limit: cpu.limit,
				},
				memory: {
					peak: peak === undefined ? memory.peak : readPeak(peak.fd),
					/* Since when the peak counts: where the kernel cannot set it back for one reader, since the cgroup was made. */
					peakSince: isNew || peak?.isOwn ? "start" : "creation",
					largestProcess: largestChild(),
					limit: memory.limit,
					...(memory.swap?.peak !== undefined && { swapPeak: memory.swap.peak }),
					events: difference(memory.events, before.memory.events),
				},
				io: ioDifference(ioUsage(group), before.io),
				pids: { ...(pids.peak !== undefined && { peak: pids.peak }), limit: pids.limit, limitReached: pidsEvents(group) },
			};
		},
	};
}

/** Microseconds are as exact as the counters are. */
function round(seconds: number): number {
	return Math.round(seconds * 1e6) / 1e6;
}

function pidsEvents(group: Group): number | undefined {
	const text = readIn(group, "pids", "pids.events");
	return text === undefined ? undefined : Number(/^max (\d+)/.exec(text)?.[1] ?? 0);
}

function difference(now: Record<string, number>, before: Record<string, number>): Record<string, number> {
	return Object.fromEntries(Object.entries(now).map(([key, value]) => [key, value - (before[key] ?? 0)]));
}

function ioDifference(now: IoUsage[], before: IoUsage[]): IoUsage[] {
	return now.map((disk) => {
		const old = before.find((each) => each.device === disk.device);
		if (!old) return disk;
		return {
			...disk,
			rbytes: disk.rbytes - old.rbytes,
			wbytes: disk.wbytes - old.wbytes,
			rios: disk.rios - old.rios,
			wios: disk.wios - old.wios,
		};
	});
}

/**
 * v2's memory.peak. Since Linux 6.12 a write to it sets the peak back for reads through the same descriptor alone, so
 * each reader has a peak of its own; before (since 5.19) it counts since the cgroup was made.
 */
function openPeak(group: Group): { fd: number; isOwn: boolean } | undefined {
	const path = `${folderOf(group, "memory")}/memory.peak`;
	for (const flags of [O_RDWR, O_RDONLY]) {
		try {
			const fd = open(path, flags);
			return { fd, isOwn: flags === O_RDWR && resets(fd) };
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
		}
	}
	return undefined;
}

function resets(fd: number): boolean {
	try {
		write(fd, "reset");
		return true;
	} catch (error) {
		if (error instanceof SysError) return false;
		throw error;
	}
}

function readPeak(fd: number): number {
	const bytes = new Uint8Array(32);
	return Number(decode(bytes, 0, pread(fd, bytes, 0)).trim());
}

/** The resident size of the largest process that was waited for, in bytes. */
function largestChild(): number {
	return getrusage(RUSAGE_CHILDREN).ru_maxrss * 1024;
}
