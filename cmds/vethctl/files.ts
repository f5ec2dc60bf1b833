/** Files of the run-time state that are worth nothing after a crash of the machine: written without waiting for the disk. */

import { close, O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, open, write } from "../../native/linux/fd.ts";
import { getpid } from "../../native/linux/process.ts";
import { rename, unlinkIfAny } from "../../native/linux/stat.ts";

/** Writes a file whole or not at all. */
export function writeQuickly(path: string, text: string, mode = 0o600) {
	const temporary = `${path}.${getpid()}.new`;
	unlinkIfAny(temporary);
	const fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
	try {
		write(fd, text);
		rename(temporary, path);
	} catch (error) {
		unlinkIfAny(temporary);
		throw error;
	} finally {
		close(fd);
	}
}
