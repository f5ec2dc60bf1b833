import { ownDevices } from "../device/own.ts";
import { type Group, lineage } from "../group/path.ts";
import { sourceOf } from "./apply.ts";
import { limitsFrom } from "./current.ts";
import type { Limits } from "./table.ts";

/** The limits that a cgroup has of its own. */
export function currentLimits(group: Group): Limits {
	const above = lineage(group);
	const parent: Group = above[above.length - 2] ?? { ...group, name: "" };
	const devices = ownDevices(group, parent);
	return { ...limitsFrom(sourceOf(group), sourceOf(parent)), ...(devices.length > 0 && { device: devices }) };
}
