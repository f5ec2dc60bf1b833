/**
 * Which cgroup hierarchies there are, and which controller is where: man 7 cgroups, Documentation/admin-guide/cgroup-v1
 * and cgroup-v2.rst.
 *
 *   v1      every controller is on a hierarchy of its own or of a few (cpu,cpuacct), each mounted
 *   v2      one hierarchy, all controllers on it
 *   hybrid  v1 hierarchies with a v2 one beside them, which has the controllers that no v1 hierarchy has taken
 *
 * Controllers go by v2's names here (`io`, which v1 calls blkio). What v1 has controllers for and v2 does without one,
 * freezer, devices and cpuacct, is found on v2 under the same names.
 */
import { type Hierarchy, hierarchies } from "../../../native/linux/cgroup.ts";
import { fail } from "../../common/errors.ts";

export interface Layout {
	kind: "v1" | "v2" | "hybrid";
	/** Those that cgroups are made on: v1's with controllers, and after them v2's. */
	hierarchies: Hierarchy[];
	/** v1 hierarchies without controllers: some other program's bookkeeping, left alone. */
	named: Hierarchy[];
	/** What `hierarchyOf` has found. */
	known?: Map<string, Hierarchy | undefined>;
}

/** What v2 offers on every cgroup, without a controller. */
const V2_BUILT_IN = " freezer devices cpuacct ";

/** Reads the layout. Fails where no cgroup hierarchy is mounted. */
export function findLayout(): Layout {
	const found = hierarchies();
	const v1 = found.filter((h) => h.version === 1 && h.controllers.length > 0);
	const v2 = found.filter((h) => h.version === 2);
	if (v1.length + v2.length === 0) fail("no cgroup hierarchy is mounted", "mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup");
	return {
		kind: v1.length === 0 ? "v2" : v2.length === 0 ? "v1" : "hybrid",
		hierarchies: [...v1, ...v2],
		named: found.filter((h) => h.version === 1 && h.controllers.length === 0),
	};
}

/** The hierarchy that has a controller, or undefined where none has. */
export function hierarchyOf(layout: Layout, controller: string): Hierarchy | undefined {
	layout.known ??= new Map();
	if (!layout.known.has(controller)) layout.known.set(controller, findHierarchy(layout, controller));
	return layout.known.get(controller);
}

function findHierarchy(layout: Layout, controller: string): Hierarchy | undefined {
	const v1Name = controller === "io" ? "blkio" : controller;
	return (
		layout.hierarchies.find((h) => h.version === 1 && h.controllers.includes(v1Name)) ??
		layout.hierarchies.find((h) => h.version === 2 && (h.controllers.includes(controller) || V2_BUILT_IN.includes(` ${controller} `)))
	);
}

/** All hierarchies: those with controllers, v2's, and those of other programs' bookkeeping. */
export function everyHierarchy(layout: Layout): Hierarchy[] {
	return layout.named.length > 0 ? [...layout.hierarchies, ...layout.named] : layout.hierarchies;
}

/** The v2 hierarchy, if there is one. */
export function unified(layout: Layout): Hierarchy | undefined {
	return layout.hierarchies.find((h) => h.version === 2);
}
