/** Why the kernel refuses a table or a message: EINVAL is all that the ioctl says, its log has a line. */
import { CLOCK_MONOTONIC, clockGettime } from "../../../native/linux/clock.ts";
import { kernelLog } from "../../../native/linux/klog.ts";
import { escapeControls } from "../../common/errors.ts";

/** Seconds that a line may be old: another process's would mislead. */
const RECENT = 2;

/** A hint with what the log says of device-mapper just now; `otherwise` where it says nothing, or may not be read. */
export function kernelSays(otherwise: string): string {
	const since = clockGettime(CLOCK_MONOTONIC) - RECENT;
	const lines = kernelLog().filter(({ time, text }) => time >= since && text.startsWith("device-mapper: "));
	/* The line about the target comes before the one that only says that there was an error. */
	const line = lines.find(({ text }) => !text.startsWith("device-mapper: ioctl: "));
	return line ? `the kernel says: ${escapeControls(line.text.slice("device-mapper: ".length))}` : otherwise;
}
