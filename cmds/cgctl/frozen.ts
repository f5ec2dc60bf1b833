/** Whether a cgroup is frozen, by itself or by one above it. */
import { fail } from "../common/errors.ts";
import { setFrozen, waitFrozen } from "./freeze.ts";
import { hierarchyOf } from "./layout.ts";
import { type Group, lineage, shownName } from "./path.ts";
import { readIn } from "./read.ts";

/** How long a thaw may take. */
const PATIENCE = 10;

/** True where the cgroup itself was told to freeze, whatever those above it are. */
export function isFreezing(group: Group): boolean {
	const v1 = hierarchyOf(group.layout, "freezer")?.version === 1;
	return readIn(group, "freezer", v1 ? "freezer.self_freezing" : "cgroup.freeze") === "1";
}

/** True where processes in the cgroup are, or are about to be, frozen. */
export function mayBeFrozen(group: Group): boolean {
	const hierarchy = hierarchyOf(group.layout, "freezer");
	if (hierarchy?.version === 1) return (readIn(group, "freezer", "freezer.state") ?? "THAWED") !== "THAWED";
	return lineage(group).some(isFreezing);
}

/** Thaws it, if `thaw` says so and none above it is frozen; else says what would. */
export function explainFrozen(group: Group, thaw: boolean) {
	const name = shownName(group);
	const above = lineage(group).find((each) => each.name !== group.name && isFreezing(each));
	if (above)
		fail(
			`${name}: ${shownName(above)} above it is frozen, and so would be who enters it`,
			`\`tscgctl thaw ${shownName(above).slice(1)}\` lets it go on`,
		);
	if (!thaw)
		fail(`${name}: is frozen, and so would be who enters it`, `--thaw lets it go on first; so does \`tscgctl thaw ${name.slice(1)}\``);
	setFrozen(group, false);
	if (!waitFrozen(group, false, PATIENCE)) fail(`${name}: still frozen`);
}
