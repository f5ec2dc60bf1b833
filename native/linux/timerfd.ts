/** Timers to wait on with other descriptors: man 2 timerfd_create. */

import { CLOCK_MONOTONIC } from "./clock.ts";
import { EAGAIN } from "./errno.ts";
import * as nr from "./nr.ts";
import { getU64, struct } from "./struct.ts";
import { call, SysError, tryCall } from "./syscall.ts";

const TFD_NONBLOCK = 0o4000;
const TFD_CLOEXEC = 0o2000000;

export const itimerspec = /* @__PURE__ */ struct([
	["it_interval.tv_sec", "s64"],
	["it_interval.tv_nsec", "s64"],
	["it_value.tv_sec", "s64"],
	["it_value.tv_nsec", "s64"],
]);

/** A timer that is not set; nonblocking, on a clock that nobody sets. */
export function timerfd(clock = CLOCK_MONOTONIC): number {
	return call("timerfd_create", nr.SYS_timerfd_create, clock, TFD_NONBLOCK | TFD_CLOEXEC);
}

/** Fires in so many seconds (0: never), and then every `interval` seconds (0: once). */
export function setTimer(fd: number, seconds: number, interval = 0) {
	const nanoseconds = (time: number) => Math.round((time % 1) * 1e9);
	const value = itimerspec.pack({
		"it_interval.tv_sec": Math.floor(interval),
		"it_interval.tv_nsec": nanoseconds(interval),
		"it_value.tv_sec": Math.floor(seconds),
		"it_value.tv_nsec": nanoseconds(seconds),
	});
	call("timerfd_settime", nr.SYS_timerfd_settime, fd, 0, value, null);
}

/** How often the timer fired since it was last read. */
export function readTimer(fd: number): number {
	const bytes = new Uint8Array(8);
	const result = tryCall("read", nr.SYS_read, fd, bytes, bytes.length);
	if (result === -EAGAIN) return 0;
	if (result < 0) throw new SysError("read", -result, "timerfd");
	return getU64(new DataView(bytes.buffer), 0);
}
