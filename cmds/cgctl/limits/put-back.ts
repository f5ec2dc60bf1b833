/** What a change puts back when a later one is refused: the contents of kernel files, as those files take them. */

import { writeKernelFile } from "../../../native/linux/fd.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { warn } from "../../common/command-line/tool.ts";
import { readTrimmed } from "../group/read.ts";

/** Steps that take a change back, in the order in which it was made. */
export type Undo = (() => void)[];

/** Takes back all, the last first. What cannot be put back is said. */
export function putBack(undo: Undo) {
	for (let step = undo.pop(); step; step = undo.pop()) {
		try {
			step();
		} catch (error) {
			if (!(error instanceof Error)) throw error;
			warn(`not put back: ${error.message}`);
		}
	}
}

/** Files with a line a disk: what a disk without a line has. */
const NO_LINE: [RegExp, string][] = [
	[/^io\.max$/, "rbps=max wbps=max riops=max wiops=max"],
	[/^io\.(bfq\.)?weight$/, "default"],
	[/^blkio\..*_device$/, "0"],
];

/** Files that do something rather than keep a value. */
const NO_VALUE = /^(tasks|cgroup\.(procs|threads|subtree_control|type|event_control)|memory\.(reclaim|force_empty))$/;

/**
 * The text that makes `text`, about to be written to the file, as if it had not been. Undefined where there is none:
 * the file keeps no value, or one that cannot be written.
 */
export function contrary(file: string, before: string | undefined, text: string): string | undefined {
	if (before === undefined || NO_VALUE.test(file)) return undefined;
	const disk = /^\d+:\d+ /.exec(text)?.[0];
	const none = NO_LINE.find(([pattern]) => pattern.test(file))?.[1];
	if (none !== undefined && disk !== undefined) return before.split("\n").find((line) => line.startsWith(disk)) ?? disk + none;
	const [first = "", ...more] = before.split("\n");
	/* "default 100", and lines of single disks that are left alone. */
	if (more.length > 0 && none === undefined) return undefined;
	/* An idle cgroup's, which the kernel keeps itself. */
	if (file === "cpu.weight" && first === "0") return undefined;
	/* An empty cpuset; a write of nothing is none. */
	return first === "" ? "\n" : first;
}

/** What puts the file back as it is now, once `text` has been written to it; undefined where nothing does. */
export function keep(path: string, text: string): (() => void) | undefined {
	const file = path.slice(path.lastIndexOf("/") + 1);
	let before: string | undefined;
	try {
		before = readTrimmed(path);
	} catch (error) {
		/* It can be written to, but not be read. */
		if (!(error instanceof SysError)) throw error;
	}
	const old = contrary(file, before, text);
	return old === undefined ? undefined : () => writeKernelFile(path, old);
}
