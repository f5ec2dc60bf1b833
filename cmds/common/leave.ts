/** `TOOL leave ID`: a part in a sandbox is undone by the tool that made it, whoever finds that it is to be undone. */
import { dup2, O_RDWR, open } from "../../native/linux/fd.ts";
import { environ, execve, exit, fork, wait } from "../../native/linux/process.ts";
import { SIG_SETMASK, sigprocmask, sigset } from "../../native/linux/signal.ts";
import { readlinkIfAny } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { warn } from "./command-line/tool.ts";
import type { PlanRecord } from "./record.ts";
import { leavers } from "./sandbox-state.ts";

/** Has each of the tools, which are in the folder `bin`, undo its part, last first. What one cannot do, it says; the others go on. */
export function leaveBy(tools: string[], bin: string, id: string) {
	for (const tool of [...tools].reverse()) run(`${bin}/${tool}`, tool, id);
}

/** Undoes what stands in a plan that this tool cannot go on with. */
export function undoPlan({ id, leave }: PlanRecord) {
	const own = readlinkIfAny("/proc/self/exe") ?? "";
	leaveBy(leavers(leave), own.slice(0, own.lastIndexOf("/")), id);
}

function run(path: string, tool: string, id: string) {
	const pid = fork();
	if (pid !== 0) {
		wait(pid);
		return;
	}
	try {
		sigprocmask(SIG_SETMASK, sigset([]));
		const none = open("/dev/null", O_RDWR);
		dup2(none, 0);
		dup2(none, 1);
		execve(path, [tool, "leave", id], environ());
	} catch (error) {
		if (error instanceof SysError) warn(error.message);
		exit(1);
	}
}
