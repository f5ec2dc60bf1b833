/** Whether a cgroup is frozen, by itself or by one above it; freezing and thawing (v1 freezer.state, v2 cgroup.freeze). */

import { CLOCK_MONOTONIC, clockGettime, sleep } from "../../../native/linux/clock.ts";
import { writeKernelFile } from "../../../native/linux/fd.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { isFrozen } from "../usage/usage.ts";
import { explain } from "./explain.ts";
import { subtree } from "./files.ts";
import { hierarchyOf } from "./layout.ts";
import { folderOf, type Group, isThere, lineage, shownName } from "./path.ts";
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

/** True where the cgroup can be frozen. */
export function canFreeze(group: Group): boolean {
	const folder = folderOf(group, "freezer");
	return folder !== undefined && (isThere(`${folder}/freezer.state`) || isThere(`${folder}/cgroup.freeze`));
}

/** Asks the kernel to freeze or thaw; see waitFrozen. */
export function setFrozen(group: Group, frozen: boolean) {
	const hierarchy = hierarchyOf(group.layout, "freezer");
	if (!hierarchy || !(isDryRun() || canFreeze(group)))
		fail(
			`${shownName(group)}: cannot be frozen: ${hierarchy ? "it is not on the freezer's hierarchy" : "v1's freezer controller is not mounted"}`,
			"cgroup v2 freezes without a controller",
		);
	const [file, value] = hierarchy.version === 1 ? ["freezer.state", frozen ? "FROZEN" : "THAWED"] : ["cgroup.freeze", frozen ? "1" : "0"];
	try {
		writeKernelFile(`${folderOf(group, "freezer")}/${file}`, value);
	} catch (error) {
		throw error instanceof SysError ? explain(error, group, hierarchy) : error;
	}
}

/** Thaws the cgroup, and those below that were told to freeze by themselves. */
export function thawAll(group: Group) {
	for (const each of subtree(group)) if (canFreeze(each) && isFreezing(each)) setFrozen(each, false);
}

/** Waits until the cgroup is as asked for. False after `seconds`. */
export function waitFrozen(group: Group, frozen: boolean, seconds: number): boolean {
	const deadline = clockGettime(CLOCK_MONOTONIC) + seconds;
	for (let pause = 0.0005; ; pause = Math.min(2 * pause, 0.02)) {
		if (isFrozen(group) === frozen) return true;
		if (clockGettime(CLOCK_MONOTONIC) >= deadline) return false;
		sleep(pause);
		/* v1 tries anew when it is told again: a process may have been stopped, or in the middle of a fork. */
		if (frozen && readIn(group, "freezer", "freezer.state") === "FREEZING") setFrozen(group, true);
	}
}
