/** Counters to wait on: man 2 eventfd. */
import { EAGAIN } from "./errno.ts";
import { O_CLOEXEC, O_NONBLOCK } from "./fd.ts";
import * as nr from "./nr.ts";
import { getU64 } from "./struct.ts";
import { call, SysError, tryCall } from "./syscall.ts";

/** A counter that starts at 0; nonblocking. */
export function eventfd(): number {
	return call("eventfd2", nr.SYS_eventfd2, 0, O_CLOEXEC | O_NONBLOCK);
}

/** What was added to the counter since it was last read. */
export function readEventfd(fd: number): number {
	const bytes = new Uint8Array(8);
	const result = tryCall("read", nr.SYS_read, fd, bytes, bytes.length);
	if (result === -EAGAIN) return 0;
	if (result < 0) throw new SysError("read", -result, "eventfd");
	return getU64(new DataView(bytes.buffer), 0);
}
