/** Copying between files and pipes inside the kernel: man 2 sendfile, copy_file_range, splice. */
import { EINVAL } from "./errno.ts";
import * as nr from "./nr.ts";
import { SPLICE_F_MOVE, trySplice } from "./splice.ts";
import { call, SysError, tryCall } from "./syscall.ts";

const offset = new Uint32Array(2);

/* Linux takes at most 0x7ffff000 bytes at a call. */
const mostAtOnce = 0x40000000;

/** Copies by read(2) and write(2), for what the kernel cannot splice: terminals, sockets, files opened to append. */
function copyThrough(from: number, to: number, length: number, position: number | undefined): number {
	const bytes = new Uint8Array(Math.min(length, 65536));
	const got =
		position === undefined
			? call("read", nr.SYS_read, from, bytes, bytes.length)
			: call("pread64", nr.SYS_pread64, from, bytes, bytes.length, position);
	for (let done = 0; done < got; ) done += call("write", nr.SYS_write, to, bytes.subarray(done, got), got - done);
	return got;
}

/**
 * Copies `length` bytes to `to`: of a file from `position` on, or of a pipe (no position) what comes next. Returns how many
 * there were: fewer than `length` at the end of the input.
 */
export function copyBytes(from: number, to: number, length: number, position?: number): number {
	let done = 0;
	while (done < length) {
		const part = Math.min(length - done, mostAtOnce);
		let moved: number;
		if (position === undefined) moved = trySplice(from, to, part, SPLICE_F_MOVE);
		else {
			offset[0] = (position + done) % 0x100000000;
			offset[1] = (position + done) / 0x100000000;
			moved = tryCall("sendfile", nr.SYS_sendfile, to, from, offset, part);
		}
		if (moved === -EINVAL) moved = copyThrough(from, to, part, position === undefined ? undefined : position + done);
		if (moved < 0) throw new SysError("write", -moved);
		if (moved === 0) break;
		done += moved;
	}
	return done;
}

/** Copies a whole file to another, sharing its blocks where the file system can (copy_file_range, Linux 4.5; 5.3 across file systems). */
export function copyFile(from: number, to: number, length: number) {
	let done = 0;
	while (done < length) {
		const moved = tryCall("copy_file_range", nr.SYS_copy_file_range, from, null, to, null, Math.min(length - done, mostAtOnce), 0);
		if (moved <= 0) break;
		done += moved;
	}
	if (done < length) copyBytes(from, to, length - done, done);
}
