/** Waiting for several descriptors: man 2 ppoll. */
import * as host from "#host";
import { packTimespec } from "./clock.ts";
import { EINTR } from "./errno.ts";
import * as nr from "./nr.ts";
import { SysError } from "./syscall.ts";

export const POLLIN = 1;
export const POLLPRI = 2;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 0x10;
export const POLLNVAL = 0x20;

/**
 * Sleeps until one of the descriptors is ready, or `timeout` seconds have passed. Returns what each is ready for, in the
 * order given; all 0 on the time-out or when something else woke it. A negative descriptor is left out.
 */
export function poll(wanted: { fd: number; events: number }[], timeout?: number): number[] {
	/* struct pollfd: s32 fd, s16 events, s16 revents */
	const bytes = new Uint8Array(8 * wanted.length);
	const view = new DataView(bytes.buffer);
	wanted.forEach(({ fd, events }, i) => {
		view.setInt32(8 * i, fd, true);
		view.setInt16(8 * i + 4, events, true);
	});
	const time = timeout === undefined ? null : packTimespec(Math.max(0, timeout));
	const result = host.syscall(nr.SYS_ppoll, bytes, wanted.length, time, null, 8);
	if (result < 0 && result !== -EINTR) throw new SysError("ppoll", -result);
	return wanted.map((_, i) => (result <= 0 ? 0 : view.getInt16(8 * i + 6, true)));
}
