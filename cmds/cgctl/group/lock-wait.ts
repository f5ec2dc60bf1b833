/** Waiting for a lock that somebody else has: says who, and not for ever. */

import { CLOCK_MONOTONIC, clockGettime, sleep } from "../../../native/linux/clock.ts";
import { readdir, readFileIfAny } from "../../../native/linux/fd.ts";
import { tryOfdLock } from "../../../native/linux/lock.ts";
import { processes } from "../../../native/linux/proc.ts";
import { readlinkIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { warn } from "../../common/command-line/tool.ts";
import { fail } from "../../common/errors.ts";
import { nameProcesses } from "./files.ts";

/** After so many seconds one is told who is waited for; and when the same process still has the lock after PATIENCE, it is given up. */
const TELL = 4;
const PATIENCE = 10;

/** Waits for a lock on a byte of the open file. The bytes before it are gates: who has one waits for the next. */
export function waitForLock(fd: number, type: number, byte: number) {
	const start = clockGettime(CLOCK_MONOTONIC);
	let told: number[] | undefined;
	let deadline = start + PATIENCE;
	for (let pause = 0.0005; ; pause = Math.min(2 * pause, 0.01)) {
		sleep(pause);
		if (tryOfdLock(fd, type, byte, 1)) return;
		const now = clockGettime(CLOCK_MONOTONIC);
		if (!told && now >= start + TELL) {
			told = holders(fd);
			warn("tscgctl", `waits for another tscgctl${told.length > 0 ? `: ${nameProcesses(told)}` : ""}`);
		}
		if (now < deadline) continue;
		const still = holders(fd).filter((pid) => told?.includes(pid));
		/* Those who had it have gone on: there are many, each in its turn. */
		if (still.length === 0 && told && told.length > 0) {
			told = holders(fd);
			deadline = now + PATIENCE;
			continue;
		}
		fail(
			`other changes of cgroups keep this one waiting${still.length > 0 ? `: ${nameProcesses(still)}` : ""}`,
			`it has held the lock for ${PATIENCE} s: end it if it is stuck`,
		);
	}
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
