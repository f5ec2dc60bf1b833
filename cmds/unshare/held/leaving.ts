/** The end of a sandbox: the tools that have a part in it undo that, last first. */
import { dup2, O_RDWR, open, readFileIfAny } from "../../../native/linux/fd.ts";
import { environ, execve, exit, fork, wait } from "../../../native/linux/process.ts";
import { SIG_SETMASK, sigprocmask, sigset } from "../../../native/linux/signal.ts";
import { unlinkIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { warn } from "../../common/command-line/tool.ts";
import { clear, killLeft, leavers, sandboxFolder, takeOver, withSandboxes } from "../../common/sandbox-state.ts";
import { writeState } from "../../common/state.ts";

/** Notes which tools have a part in a sandbox that is made from a plan, and where they are. */
export function noteLeavers(folder: string, tools: string[], bin: string) {
	writeState(`${folder}/bin`, `${bin}\n`);
	if (tools.length > 0) writeState(`${folder}/leave`, tools.map((tool) => `${tool}\n`).join(""));
}

/** Has each tool undo its part, as it stands in the state `folder` of sandbox `id`. What one cannot do, it says; the others go on. */
export function leaveAll(id: string, folder: string) {
	const bin = readFileIfAny(`${folder}/bin`)?.trim();
	const tools = leavers((readFileIfAny(`${folder}/leave`) ?? "").split("\n"));
	if (bin === undefined) return;
	for (const tool of tools.reverse()) run(`${bin}/${tool}`, tool, id);
	unlinkIfAny(`${folder}/leave`);
}

/** Clears what a sandbox has left that has ended or lost its supervisor. False where there is nothing that may be cleared. */
export function clearLeft(id: string): boolean {
	if (!takeOver(id)) return false;
	killLeft(id);
	leaveAll(id, sandboxFolder(id));
	withSandboxes(() => clear(id));
	return true;
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
