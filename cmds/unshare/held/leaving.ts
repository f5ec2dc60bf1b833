/** The end of a sandbox: the tools that have a part in it undo that, last first. */
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { unlinkIfAny } from "../../../native/linux/stat.ts";
import { leaveBy } from "../../common/leave.ts";
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
	leaveBy(tools, bin, id);
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
