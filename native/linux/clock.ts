/** Clocks, times, and sleeping: man 7 time. */
import * as nr from "./nr.ts";
import { struct } from "./struct.ts";
import { call } from "./syscall.ts";

export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const CLOCK_BOOTTIME = 7;

/** man 3 timespec, as the kernel has it. */
export const timespec = /* @__PURE__ */ struct([
	["tv_sec", "s64"],
	["tv_nsec", "s64"],
]);

/** man 3 timeval: seconds and microseconds. */
export const timeval = /* @__PURE__ */ struct([
	["tv_sec", "s64"],
	["tv_usec", "s64"],
]);

/** A timespec of so many seconds, with their fraction. */
export function packTimespec(seconds: number): Uint8Array {
	const whole = Math.floor(seconds);
	return timespec.pack({ tv_sec: whole, tv_nsec: Math.min(999_999_999, Math.round((seconds - whole) * 1e9)) });
}

/** Seconds, with their fraction, of a clock (CLOCK_MONOTONIC and so on). */
export function clockGettime(clock: number): number {
	const time = new Uint8Array(timespec.size);
	call("clock_gettime", nr.SYS_clock_gettime, clock, time);
	const { tv_sec, tv_nsec } = timespec.unpack(time);
	return tv_sec + tv_nsec / 1e9;
}

/** Sleeps for so many seconds. */
export function sleep(seconds: number) {
	const time = packTimespec(seconds);
	/* The rest of an interrupted sleep is written where the request was. */
	call("nanosleep", nr.SYS_nanosleep, time, time);
}
