/** What goes from the container's process to its parent, and from the supervisor to the tool, over a pipe. */
import { EPERM } from "../../../native/linux/errno.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { hintFor } from "../../common/command-line/hints.ts";
import { ToolError, UsageError } from "../../common/errors.ts";
import type { Failure } from "../../common/sandbox-state.ts";
import { unshareHint } from "../hints.ts";

/** All is set up: the namespaces that were made, and the descriptor of the terminal's master. */
export interface Ready {
	ns: Record<string, number>;
	master?: number;
}

export interface Report {
	ready?: Ready;
	error?: Failure;
}

/** The exit status of a tool that runs a program and failed before that. */
export const EXIT_FAILED = 125;
const EXIT_USAGE = 2;

/** Makes a failure of what was thrown; rethrows what is no error for people. */
export function describe(error: unknown): Failure {
	if (error instanceof UsageError) return { message: error.message, hint: error.hint ?? "try 'tsunshare --help'", status: EXIT_USAGE };
	if (error instanceof ToolError) return failure(error.message, error.hint, error.status);
	if (error instanceof SysError) return failure(error.message, mountHint(error) ?? unshareHint(error) ?? hintFor(error));
	/* A bug: it is shown where it happened. */
	throw error;
}

function failure(message: string, hint: string | undefined, status = EXIT_FAILED): Failure {
	return { message, ...(hint !== undefined && { hint }), status };
}

/** The failure as an error again, on the other side of the pipe. */
export function thrown({ message, hint, status }: Failure): ToolError {
	return new ToolError(message, hint, status);
}

/** Why a user namespace is refused a file system of its own. */
function mountHint({ call, errno, object }: SysError): string | undefined {
	if (call !== "mount" || errno !== EPERM) return undefined;
	if (object === "sysfs") return "in a user namespace, sysfs needs a network namespace of its own: --net";
	if (object === "proc")
		return "in a user namespace, proc needs a PID namespace of its own (--pid), and a /proc of which nothing is hidden";
	return undefined;
}
