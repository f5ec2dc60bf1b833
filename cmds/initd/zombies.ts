/** Zombies that are not ours to reap, explained: for -v. */
import { readdir } from "../../native/linux/fd.ts";
import { type ProcessStat, processes, processStat } from "../../native/linux/proc.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { show } from "../common/errors.ts";
import { after, INFO, type Init, say } from "./init.ts";
import { descendants } from "./rest.ts";

/** One look in so many seconds; a zombie that two looks find is one that its parent forgets. */
const INTERVAL = 5;

/**
 * Looks now and then for zombies whose parent is alive and does not wait for them. The kernel tells nobody of these but
 * that parent, so it takes a clock; without -v there is none.
 */
export function watchZombies(init: Init) {
	/* How often each was seen, by PID and start time. */
	let seen: Record<string, number> = {};
	const look = () => {
		const now: Record<string, number> = {};
		for (const zombie of neglected(init)) {
			const key = `${zombie.pid} ${zombie.start}`;
			now[key] = (seen[key] ?? 0) + 1;
			if (now[key] === 2) say(init, INFO, explain(zombie));
		}
		seen = now;
		after(init, INTERVAL, look);
	};
	after(init, INTERVAL, look);
}

/** The zombies among those that would come to us as orphans. */
function neglected(init: Init): ProcessStat[] {
	try {
		return (init.pid === 1 ? everyone() : descendants(init.pid)).filter(
			(stat) => stat.state === "Z" && stat.ppid !== init.pid && isWhole(stat.pid),
		);
	} catch (error) {
		if (!(error instanceof SysError)) throw error; /* no /proc here */
		return [];
	}
}

function everyone(): ProcessStat[] {
	return processes()
		.map((pid) => processStat(pid))
		.filter((stat): stat is ProcessStat => stat !== undefined);
}

/** A main thread that has ended before the others looks like a zombie, but is none that could be reaped. */
function isWhole(pid: number): boolean {
	return readdir(`/proc/${pid}/task`).length <= 1;
}

function explain(zombie: ProcessStat): string {
	const parent = show(processStat(zombie.ppid)?.comm ?? "?");
	return `process ${zombie.pid} (${show(zombie.comm)}) is a zombie that tsinit cannot reap: its parent ${zombie.ppid} (${parent}) is alive and does not wait for it`;
}
