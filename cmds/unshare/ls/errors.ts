import { SysError } from "../../../native/linux/syscall.ts";

/** What was asked for; undefined where a process or file has gone, or may not be looked at. */
export function ignoreErrors<T>(ask: () => T): T | undefined {
	try {
		return ask();
	} catch (error) {
		if (error instanceof SysError) return undefined;
		throw error;
	}
}
