/** Waiting for a lock that somebody else has: says who, and not for ever. */
import { close, readdir, readFileIfAny } from "../../../native/linux/fd.ts";
import { setOfdLock } from "../../../native/linux/lock.ts";
import { POLLIN, poll } from "../../../native/linux/poll.ts";
import { processes } from "../../../native/linux/proc.ts";
import { exit, fork, killIfAny, PR_SET_PDEATHSIG, pidfdOpen, prctl, wait } from "../../../native/linux/process.ts";
import { SIGKILL } from "../../../native/linux/signal.ts";
import { readlinkIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { nameProcesses } from "./files.ts";

/** How long the same process may have the lock while this one waits for it, in seconds; and while it waits at the gate before. */
const PATIENCE = 10;
const AT_THE_GATE = 20;

/**
 * Waits for a lock on a byte of the open file; byte 0 is the gate, and who has it waits for the next one.
 *
 * The kernel wakes waiters in their order, but its fcntl(2) knows no end of waiting. So a child waits: its lock is the open
 * file's, and thereby ours.
 */
export function waitForLock(fd: number, type: number, byte: number) {
	const patience = byte === 0 ? AT_THE_GATE : PATIENCE;
	const child = fork();
	if (child === 0) {
		prctl("PR_SET_PDEATHSIG", PR_SET_PDEATHSIG, SIGKILL);
		setOfdLock(fd, type, byte, 1);
		exit(0);
	}
	const pidfd = pidfdOpen(child);
	const hasIt = (seconds: number) => poll([{ fd: pidfd, events: POLLIN }], seconds)[0] !== 0;
	try {
		/* Those who had it have gone on: there are many, each in its turn. */
		for (;;) {
			if (hasIt(patience / 2)) break;
			const before = holders(fd);
			if (hasIt(patience / 2)) break;
			const still = holders(fd).filter((pid) => before.includes(pid));
			if (still.length > 0 || before.length === 0) giveUp(patience, still);
		}
	} catch (error) {
		killIfAny(child, SIGKILL);
		wait(child);
		throw error;
	} finally {
		close(pidfd);
	}
	/* Somebody has killed it: then without an end. */
	if (wait(child)?.code !== 0) setOfdLock(fd, type, byte, 1);
}

function giveUp(patience: number, who: number[]): never {
	return fail(
		`other changes of cgroups keep this one waiting${who.length > 0 ? `: ${nameProcesses(who)}` : ""}`,
		`it has held the lock for ${patience} s: end it if it is stuck`,
	);
}

/** The processes with a lock on the file beyond its gate, as far as we may see them: /proc/PID/fdinfo, man 5 proc. */
function holders(fd: number): number[] {
	const path = readlinkIfAny(`/proc/self/fd/${fd}`);
	return processes().filter((pid) => {
		try {
			return readdir(`/proc/${pid}/fd`).some(
				(name) =>
					readlinkIfAny(`/proc/${pid}/fd/${name}`) === path &&
					/^lock:.*OFDLCK.* [1-9]\d* \d+$/m.test(readFileIfAny(`/proc/${pid}/fdinfo/${name}`) ?? ""),
			);
		} catch (error) {
			if (error instanceof SysError) return false;
			throw error;
		}
	});
}
