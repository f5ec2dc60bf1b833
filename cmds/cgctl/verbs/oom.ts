import { exit } from "../../../native/linux/process.ts";
import { exists } from "../../../native/linux/stat.ts";
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { sandboxFolder } from "../../common/sandbox-state.ts";
import { isName, readState } from "../../common/state.ts";
import { json } from "../../common/table.ts";
import { groupAt, noSuchGroup, type PathOptions, placesOf, shownName } from "../group/path.ts";
import { oomKillCount } from "../usage/oom.ts";

/** Whether the OOM killer has struck in a cgroup, or in one of several: status 0 if it has, 1 if not. */
export function oom({ options, operands }: { options: PathOptions & { quiet?: true; json?: true }; operands: string[] }) {
	if (operands.length === 0) throw new UsageError("oom: no PATH given");
	let struck = false;
	for (const { group, path } of operands.map((each) => ({ group: groupAt(each, options), path: each }))) {
		const kills = placesOf(group).length > 0 ? oomKillCount(group) : (ofEnded(path) ?? noSuchGroup(group));
		if (kills > 0) struck = true;
		if (options.json) print(json({ cgroup: group.name, oom: kills > 0, oomKills: kills }));
		else if (!options.quiet) print(`${shownName(group)}: ${kills} ${kills === 1 ? "process" : "processes"} killed for want of memory\n`);
	}
	exit(struck ? 0 : 1);
}

/** What `leave` has noted of a sandbox whose cgroup is gone. */
function ofEnded(id: string): number | undefined {
	if (!isName(id) || !exists(sandboxFolder(id))) return undefined;
	return readState<{ oomKills: number }>(`${sandboxFolder(id)}/oom`)?.oomKills ?? 0;
}
