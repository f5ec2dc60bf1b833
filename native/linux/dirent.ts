/** Folders with the kinds of what is in them: man 2 getdents64. */
import * as host from "#host";
import * as nr from "./nr.ts";
import { call } from "./syscall.ts";

/** d_type where the file system does not tell: then it takes a stat(2). */
export const DT_UNKNOWN = 0;

/** Names and DT_* of an open folder, from its read position on, `.` and `..` too. */
export function readdirTypes(fd: number): { name: string; type: number }[] {
	const entries: { name: string; type: number }[] = [];
	const bytes = new Uint8Array(16384);
	const view = new DataView(bytes.buffer);
	for (;;) {
		const length = call("getdents64", nr.SYS_getdents64, fd, bytes, bytes.length);
		if (length === 0) return entries;
		/* linux_dirent64: u64 d_ino, s64 d_off, u16 d_reclen, u8 d_type, char d_name[] */
		for (let at = 0; at < length; at += view.getUint16(at + 16, true))
			entries.push({ name: host.decode(bytes, at + 19, bytes.indexOf(0, at + 19)), type: bytes[at + 18] as number });
	}
}
