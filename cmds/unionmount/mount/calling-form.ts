/**
 * The tool in another's place:
 *
 *     tsunionmount -o lowerdir=a:b,upperdir=u,workdir=w TARGET     fuse-overlayfs, containers-storage's mount_program
 *     tsunionmount SOURCE TARGET [-sfnv] [-o OPTIONS] [-t TYPE]    mount.TYPE of mount(8), man 8 mount
 */

import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show, ToolError, UsageError } from "../../common/errors.ts";
import { addOptions, emptyRequest, mountRequest } from "./request.ts";

export interface CallingOptions {
	option?: string[];
	type?: string;
	fake?: true;
}

/** EX_FAIL of mount(8). */
const MOUNT_FAILED = 32;

export function callingForm({ options, operands }: { options: CallingOptions; operands: string[] }) {
	const [first, second, ...more] = operands;
	if (first === undefined) throw new UsageError("no TARGET given");
	if (options.option === undefined) throw new UsageError(`${show(first)}: unknown command`);
	if (more.length > 0) throw new UsageError("too many operands: a SOURCE and a TARGET, or a TARGET alone");
	const request = emptyRequest();
	const subtype = options.type?.replace(/^.*\./, "");
	if (subtype === "aufs") request.type = "aufs";
	for (const text of options.option ?? []) addOptions(request, text);
	if (second === undefined) return mountRequest(request, first);
	request.source = first;
	/* To fuse-overlayfs, which takes no SOURCE, -f is "stay in the foreground": there is nothing to stay. */
	if (options.fake) return;
	try {
		mountRequest(request, second);
	} catch (error) {
		if (error instanceof ToolError) throw new ToolError(error.message, error.hint, MOUNT_FAILED);
		if (error instanceof SysError) fail(error.message, undefined, MOUNT_FAILED);
		throw error;
	}
}
