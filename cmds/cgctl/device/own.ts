/** The device rules that a cgroup has of its own, for reading its limits back. */

import { SysError } from "../../../native/linux/syscall.ts";
import { ToolError } from "../../common/errors.ts";
import { hierarchyOf } from "../group/layout.ts";
import { folderIn, type Group, isThere } from "../group/path.ts";
import { formatRule } from "./rules.ts";
import { readRulesV1 } from "./v1.ts";
import { readRulesV2 } from "./v2.ts";

/** As --device takes them; none where all is allowed, where v1 has just what the cgroup above has, or where we may not see. */
export function ownDevices(group: Group, parent: Group): string[] {
	const hierarchy = hierarchyOf(group.layout, "devices");
	if (!hierarchy || !isThere(folderIn(group, hierarchy))) return [];
	try {
		const read = (each: Group) => {
			const folder = folderIn(each, hierarchy);
			return ((hierarchy.version === 1 ? readRulesV1(folder) : readRulesV2(folder).rules) ?? []).map(formatRule);
		};
		const rules = read(group);
		const inherited = hierarchy.version === 1 ? read(parent) : [];
		if (rules.join() === inherited.join()) return [];
		/* A list that begins with an allow rule forbids all else, and one that begins with a deny rule allows it. */
		return (rules.length > 1 ? rules.slice(1) : rules.filter((rule) => rule !== "allow a *:* rwm")).map((rule) =>
			rule.replace(/^allow /, ""),
		);
	} catch (error) {
		if (error instanceof SysError || error instanceof ToolError) return [];
		throw error;
	}
}
