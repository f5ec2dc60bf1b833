/** Being told of changes to files: man 7 inotify. Kernel files (cgroup.events ...) tell of theirs too, as IN_MODIFY. */
import * as host from "#host";
import { EAGAIN } from "./errno.ts";
import { O_CLOEXEC, O_NONBLOCK } from "./fd.ts";
import * as nr from "./nr.ts";
import { struct } from "./struct.ts";
import { call, SysError, tryCall } from "./syscall.ts";

export const IN_MODIFY = 0x2;
export const IN_CLOSE_WRITE = 0x8;
export const IN_MOVED_TO = 0x80;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_DELETE_SELF = 0x400;
export const IN_IGNORED = 0x8000;
export const IN_Q_OVERFLOW = 0x4000;

/** struct inotify_event, without the name that follows. */
export const inotifyEvent = struct([
	["wd", "s32"],
	["mask", "u32"],
	["cookie", "u32"],
	["len", "u32"],
]);

/** A queue of events; nonblocking. */
export function inotifyInit(): number {
	return call("inotify_init1", nr.SYS_inotify_init1, O_CLOEXEC | O_NONBLOCK);
}

/** Watches a file or folder for the IN_* of `mask`; returns the watch's number. Throws ENOSPC at max_user_watches. */
export function inotifyAddWatch(fd: number, path: string, mask: number): number {
	return call("inotify_add_watch", nr.SYS_inotify_add_watch, fd, path, mask);
}

/** All events in the queue; none if it is empty. `name` is the entry of a watched folder that the event is about. */
export function inotifyRead(fd: number): { wd: number; mask: number; name: string }[] {
	const events: { wd: number; mask: number; name: string }[] = [];
	const bytes = new Uint8Array(4096);
	for (;;) {
		const length = tryCall("read", nr.SYS_read, fd, bytes, bytes.length);
		if (length === -EAGAIN) return events;
		if (length < 0) throw new SysError("read", -length, "inotify");
		for (let at = 0; at < length; ) {
			const { wd, mask, len } = inotifyEvent.unpack(bytes, at);
			const from = at + inotifyEvent.size;
			const end = bytes.indexOf(0, from);
			events.push({ wd, mask, name: len === 0 ? "" : host.decode(bytes, from, Math.min(end, from + len)) });
			at = from + len;
		}
	}
}
