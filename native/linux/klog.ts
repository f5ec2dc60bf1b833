/** The kernel's log: man 2 syslog. */
import * as host from "#host";
import * as nr from "./nr.ts";
import { tryCall } from "./syscall.ts";

/** SYSLOG_ACTION_READ_ALL, which stands in no header. */
const readAll = 3;

/** A line of the log: seconds since boot, and the text without its level. */
export interface LogLine {
	time: number;
	text: string;
}

/** The last lines of the log, some 16 KiB; none where we may not read it, or where it has no times (printk.time=0). */
export function kernelLog(): LogLine[] {
	const bytes = new Uint8Array(16384);
	const length = tryCall("syslog", nr.SYS_syslog, readAll, bytes, bytes.length);
	if (length <= 0) return [];
	const lines: LogLine[] = [];
	for (const line of host.decode(bytes, 0, length).split("\n")) {
		const match = /^(?:<\d+>)?\[ *(\d+\.\d+)\] (.*)$/.exec(line);
		if (match) lines.push({ time: Number(match[1]), text: match[2] as string });
	}
	return lines;
}
