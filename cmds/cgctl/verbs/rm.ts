import { fail, UsageError } from "../../common/errors.ts";
import { killGroup } from "../group/kill.ts";
import { checkOurs, groupAt, type PathOptions } from "../group/path.ts";
import { removeGroup } from "../group/remove.ts";

const KILL_PATIENCE = 10;

/** Removes cgroups on all hierarchies; with --recursive those below them first, with --kill their processes before. */
export function rm(line: { options: PathOptions & { recursive?: true; kill?: true }; operands: string[] }) {
	const { options, operands } = line;
	if (operands.length === 0) throw new UsageError("rm: no PATH given");
	for (const group of operands.map((path) => groupAt(path, options))) {
		if (group.name === "") fail("/: the hierarchies' root cannot be removed");
		checkOurs(group, options);
		if (options.kill) killGroup(group, KILL_PATIENCE);
		removeGroup(group, options.recursive === true);
	}
}
