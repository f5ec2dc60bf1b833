/** The device rules of a cgroup, on either version. */

import { exists } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { hierarchyOf } from "../group/layout.ts";
import { folderIn, type Group, shownName } from "../group/path.ts";
import type { Undo } from "../limits/put-back.ts";
import { addRule, type DeviceRule, everything, normalise, parseRule } from "./rules.ts";
import { clearRulesV1, readRulesV1, setRulesV1 } from "./v1.ts";
import { clearRulesV2, readRulesV2, setRulesV2 } from "./v2.ts";

/** The rules of `--device`, in their order, as one list. Throws UsageError, SysError for a device's path. */
function deviceRules(rules: string[]): DeviceRule[] {
	/* Docker's list is in normal form; what comes after it is added. */
	const [first, ...others] = rules;
	if (first !== "standard") return normalise(rules.flatMap((rule) => parseRule(rule)));
	return others.flatMap((rule) => parseRule(rule)).reduce(addRule, [everything(false), ...parseRule(first)]);
}

/** Throws for a rule that is none: to be called before anything is changed. */
export function checkDevices(rules: string[]) {
	deviceRules(rules);
}

/**
 * Gives a cgroup these device rules, in place of all that it has; none takes its own away. A list that begins with an allow rule allows what it
 * names, nothing else; one that begins with a deny rule forbids what it names, nothing else.
 */
export function applyDevices(group: Group, rules: string[], undo: Undo | undefined) {
	const { version, folder } = place(group);
	if (undo && !isDryRun()) {
		const before = version === 1 ? readRulesV1(folder) : readRulesV2(folder);
		/* v1 does not show what is denied where all else is allowed, and a hidden program cannot be read: those stay as they are. */
		if (Array.isArray(before)) undo.push(() => setRulesV1(folder, before));
		else if (before.rules) undo.push(() => setRulesV2(folder, before.rules as DeviceRule[]));
		else if (before.own.length === 0) undo.push(() => clearRulesV2(folder));
	}
	if (rules.length === 0) (version === 1 ? clearRulesV1 : clearRulesV2)(folder);
	else if (version === 1) setRulesV1(folder, deviceRules(rules));
	else setRulesV2(folder, deviceRules(rules));
}

/** Where the cgroup's device rules are. */
export function place(group: Group): { version: 1 | 2; folder: string } {
	const hierarchy = hierarchyOf(group.layout, "devices");
	if (!hierarchy)
		return fail(
			`${shownName(group)}: device rules: v1's devices controller is not mounted`,
			"mount it: mkdir /sys/fs/cgroup/devices && mount -t cgroup -o devices devices /sys/fs/cgroup/devices",
		);
	const folder = folderIn(group, hierarchy);
	if (!isDryRun() && !exists(folder)) fail(`${shownName(group)}: not in the devices hierarchy`, `it has no folder ${show(folder)}`);
	return { version: hierarchy.version, folder };
}
