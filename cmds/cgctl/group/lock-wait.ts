/** Waiting for a lock that somebody else has: says who, and not for ever. */

import { CLOCK_MONOTONIC, clockGettime, sleep } from "../../../native/linux/clock.ts";
import { readdir, readFileIfAny } from "../../../native/linux/fd.ts";
import { F_WRLCK, setOfdLock, tryOfdLock } from "../../../native/linux/lock.ts";
import { processes } from "../../../native/linux/proc.ts";
import { readlinkIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { nameProcesses } from "./files.ts";

/** How long the same process may have the lock while this one waits for it, in seconds; and when it has waited at the gate already. */
const PATIENCE = 10;
const AFTER_THE_GATE = 2;

/** The longest pause between two tries: there is one at a time who tries. */
const PAUSE = 0.005;

/**
 * Gets through the gate, byte 0, in the kernel's order, and then waits for the lock behind it, for which the kernel's own
 * waiting would know no end: when the same process has it all the time, this one gives up, and the next at the gate does.
 */
export function waitThrough(fd: number, gate: number, type: number, byte: number) {
	const start = clockGettime(CLOCK_MONOTONIC);
	setOfdLock(fd, F_WRLCK, gate, 1);
	if (!tryOfdLock(fd, type, byte, 1))
		waitForLock(fd, type, byte, clockGettime(CLOCK_MONOTONIC) - start >= PATIENCE ? AFTER_THE_GATE : PATIENCE);
}

/** Waits for a lock on a byte of the open file. */
export function waitForLock(fd: number, type: number, byte: number, patience = PATIENCE) {
	/* Those who had it have gone on: there are many, each in its turn. */
	for (;;) {
		if (tryFor(fd, type, byte, patience / 2)) return;
		const before = holders(fd);
		if (tryFor(fd, type, byte, patience / 2)) return;
		const still = holders(fd).filter((pid) => before.includes(pid));
		if (still.length > 0 || before.length === 0) giveUp(still);
	}
}

function tryFor(fd: number, type: number, byte: number, seconds: number): boolean {
	const deadline = clockGettime(CLOCK_MONOTONIC) + seconds;
	for (let pause = 0.0005; clockGettime(CLOCK_MONOTONIC) < deadline; pause = Math.min(2 * pause, PAUSE)) {
		sleep(pause);
		if (tryOfdLock(fd, type, byte, 1)) return true;
	}
	return false;
}

function giveUp(who: number[]): never {
	return fail(
		`other changes of cgroups keep this one waiting${who.length > 0 ? `: ${nameProcesses(who)}` : ""}`,
		`it has held the lock for ${PATIENCE} s: end it if it is stuck`,
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
