/** The processes that are left beside or after the program, and signals to them. */

import { close } from "../../native/linux/fd.ts";
import { type ProcessStat, processes, processStat } from "../../native/linux/proc.ts";
import { hasChildren, kill, pidfdOpen, pidfdSendSignal } from "../../native/linux/process.ts";
import { SIGKILL, signalName } from "../../native/linux/signal.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { after, INFO, type Init, say } from "./init.ts";

/** All processes that descend from `ancestor`, as /proc shows them. */
export function descendants(ancestor: number): ProcessStat[] {
	const all = processes()
		.map((pid) => processStat(pid))
		.filter((stat): stat is ProcessStat => stat !== undefined);
	const found: ProcessStat[] = [];
	for (let parents = [ancestor]; parents.length > 0; ) {
		const children = all.filter((stat) => parents.includes(stat.ppid));
		found.push(...children);
		parents = children.map((stat) => stat.pid);
	}
	return found;
}

/** Signals all processes that are left. PID 1 has them all in its namespace; another has its descendants. */
export function signalRest(init: Init, signal: number) {
	say(init, INFO, `${signalName(signal)} to what is left`);
	try {
		if (init.pid === 1) kill(-1, signal);
		else for (const process of descendants(init.pid)) signalIfSame(process, signal);
	} catch (error) {
		/* ESRCH: none. EPERM: all of another user. ENOENT: no /proc here; the program's own children remain out of reach. */
		if (!(error instanceof SysError)) throw error;
		say(init, INFO, error.message);
		if (init.pid !== 1 && init.child !== 0) kill(init.child, signal);
	}
}

/** The PID may be another's since it was read: a pidfd, then the start time, tell. */
function signalIfSame(process: ProcessStat, signal: number) {
	let pidfd = -1;
	try {
		pidfd = pidfdOpen(process.pid);
		if (processStat(process.pid)?.start === process.start) pidfdSendSignal(pidfd, signal);
	} catch (error) {
		/* It is gone, or not ours to signal. */
		if (!(error instanceof SysError)) throw error;
	} finally {
		if (pidfd >= 0) close(pidfd);
	}
}

/** Between two rounds of SIGKILL, in seconds: who forks while /proc is read may be missed by one. */
const ROUND = 0.05;

/** SIGKILL to all that are left, until there are none. */
export function killRest(init: Init) {
	signalRest(init, SIGKILL);
	after(init, ROUND, () => {
		if (hasChildren()) killRest(init);
	});
}
