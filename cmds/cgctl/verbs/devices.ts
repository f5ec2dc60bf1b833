/** `tscgctl devices`: which devices the processes of a cgroup may read, write and make nodes of. */

import { print, warn } from "../../common/command-line/tool.ts";
import { show, UsageError } from "../../common/errors.ts";
import { json } from "../../common/table.ts";
import { place } from "../device/apply.ts";
import { type DeviceRule, everything, formatDevice, formatRule, normalise, parseRule } from "../device/rules.ts";
import { addRulesV1, clearRulesV1, readRulesV1, setRulesV1 } from "../device/v1.ts";
import { addRulesV2, clearRulesV2, readRulesV2, setRulesV2 } from "../device/v2.ts";
import { checkOurs, existingGroup, type Group, type PathOptions, shownName } from "../group/path.ts";

const VERBS = "list, allow, deny, set or clear";

/** `devices list|allow|deny|set|clear PATH [RULE...]` */
export function devices(line: { options: PathOptions & { json?: true }; operands: string[] }) {
	const [verb, path, ...texts] = line.operands;
	if (verb === undefined || !VERBS.split(/\W+/).includes(verb) || verb === "or")
		throw new UsageError(verb === undefined ? `say what to do: ${VERBS}` : `${show(verb)}: not ${VERBS}`);
	if (path === undefined) throw new UsageError(`devices ${verb}: needs a cgroup's path`);
	const takesRules = verb !== "list" && verb !== "clear";
	if (takesRules && texts.length === 0) throw new UsageError(`devices ${verb}: needs a rule, like 'c 1:3 rwm'`);
	if (!takesRules && texts.length > 0) throw new UsageError(`devices ${verb}: takes no rules`);

	const group = existingGroup(path, line.options);
	if (verb === "list") return list(group, line.options.json === true);
	const rules = texts.flatMap((text) => parseRule(text, verb !== "deny"));
	const contrary = rules.find((rule) => (verb === "allow" && !rule.allow) || (verb === "deny" && rule.allow));
	if (contrary) throw new UsageError(`devices ${verb}: ${formatRule(contrary)}: says the contrary`);
	checkOurs(group, line.options);
	const { version, folder } = place(group);
	if (verb === "clear") (version === 1 ? clearRulesV1 : clearRulesV2)(folder);
	else if (verb === "set") (version === 1 ? setRulesV1 : setRulesV2)(folder, normalise(rules));
	else (version === 1 ? addRulesV1 : addRulesV2)(folder, rules);
}

/** The rules as `devices set` takes them, one a line; what else decides goes to standard error. */
function list(group: Group, asJson: boolean) {
	const { version, folder } = place(group);
	const attached = version === 1 ? { rules: readRulesV1(folder), own: [], foreign: [] } : readRulesV2(folder);
	const isHidden = attached.own.length > 0 && !attached.rules;
	const rules = isHidden ? undefined : (attached.rules ?? [everything(true)]);
	if (asJson) {
		const others = attached.foreign.map(({ id, name, tag, uid }) => ({ id, name, tag, uid }));
		return print(json({ cgroup: group.name, version, rules: rules?.map(ociRule) ?? null, others }));
	}
	print((rules ?? []).map((rule) => `${formatRule(rule)}\n`).join(""));
	if (isHidden) warn(`${shownName(group)}: has a device program of tsbox's whose rules the kernel hides`);
	for (const { id, name, tag } of attached.foreign)
		warn(`${shownName(group)}: another device program must allow an access too: id ${id}, name ${show(name)}, tag ${tag}`);
	if (version === 1 && rules?.[0]?.allow) warn(`${shownName(group)}: v1 does not show what is denied while all else is allowed`);
}

/** As in the OCI runtime specification: linux.resources.devices. */
function ociRule(rule: DeviceRule) {
	const { allow, type, major, minor } = rule;
	return { allow, type, major, minor, access: formatDevice(rule).split(" ")[2] };
}
