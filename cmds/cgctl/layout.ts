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
import { readFile, readFileIfAny } from "../../native/linux/fs.ts";
import { parseMountinfo } from "../../native/linux/mount.ts";
import { fail } from "../common/errors.ts";

export interface Hierarchy {
	version: 1 | 2;
	/** Where it is mounted. */
	mount: string;
	/** The cgroup that is the mount's root: "/", but below a container's cgroup for a bind mount of it. */
	root: string;
	/** The controllers on it, by the kernel's names (blkio). */
	controllers: string[];
	/** Of a v1 hierarchy without controllers: `systemd` of `name=systemd`. */
	name?: string;
}

export interface Layout {
	kind: "v1" | "v2" | "hybrid";
	/** Those that cgroups are made on: v1's with controllers, and after them v2's. */
	hierarchies: Hierarchy[];
	/** v1 hierarchies without controllers: some other program's bookkeeping, left alone. */
	named: Hierarchy[];
}

/** All that a v1 hierarchy may have among its mount's options. */
const V1_CONTROLLERS = " cpuset cpu cpuacct blkio memory devices freezer net_cls perf_event net_prio hugetlb pids rdma misc dmem debug ";

/** What v2 offers on every cgroup, without a controller. */
const V2_BUILT_IN = " freezer devices cpuacct ";

/** Reads the layout. Fails where no cgroup hierarchy is mounted. */
export function findLayout(): Layout {
	const found: Hierarchy[] = [];
	const lines = readFile("/proc/self/mountinfo").split("\n");
	for (const mounted of parseMountinfo(lines.filter((line) => line.includes(" - cgroup")).join("\n"))) {
		const { target: mount, root } = mounted;
		const hierarchy = mounted.type === "cgroup2" ? v2At(mount, root) : v1At(mount, root, mounted.superOptions.split(","));
		const same = found.findIndex(
			(h) => h.version === hierarchy.version && (h.version === 2 || hierarchyName(h) === hierarchyName(hierarchy)),
		);
		/* One hierarchy may be mounted more than once: the mount that shows most of it is taken. */
		if (same < 0) found.push(hierarchy);
		else if (root.length < (found[same] as Hierarchy).root.length) found[same] = hierarchy;
	}
	const v1 = found.filter((h) => h.version === 1 && h.controllers.length > 0);
	const v2 = found.filter((h) => h.version === 2);
	if (v1.length + v2.length === 0) fail("no cgroup hierarchy is mounted", "mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup");
	return {
		kind: v1.length === 0 ? "v2" : v2.length === 0 ? "v1" : "hybrid",
		hierarchies: [...v1, ...v2],
		named: found.filter((h) => h.version === 1 && h.controllers.length === 0),
	};
}

function v1At(mount: string, root: string, options: string[]): Hierarchy {
	const controllers = options.filter((option) => V1_CONTROLLERS.includes(` ${option} `));
	const name = options.find((option) => option.startsWith("name="))?.slice(5);
	return { version: 1, mount, root, controllers, ...(name !== undefined && { name }) };
}

/** v2's controllers are in a file, which many verbs need not read. */
function v2At(mount: string, root: string): Hierarchy {
	let known: string[] | undefined;
	return {
		version: 2,
		mount,
		root,
		get controllers() {
			known ??= (readFileIfAny(`${mount}/cgroup.controllers`) ?? "").split(/\s+/).filter((name) => name !== "");
			return known;
		},
	};
}

/** The hierarchy that has a controller, or undefined where none has. */
export function hierarchyOf(layout: Layout, controller: string): Hierarchy | undefined {
	const v1Name = controller === "io" ? "blkio" : controller;
	return (
		layout.hierarchies.find((h) => h.version === 1 && h.controllers.includes(v1Name)) ??
		layout.hierarchies.find((h) => h.version === 2 && (h.controllers.includes(controller) || V2_BUILT_IN.includes(` ${controller} `)))
	);
}

/** The v2 hierarchy, if there is one. */
export function unified(layout: Layout): Hierarchy | undefined {
	return layout.hierarchies.find((h) => h.version === 2);
}

/** The mount option or file that names a hierarchy for people: `cpu,cpuacct`, `v2`. */
export function hierarchyName(hierarchy: Hierarchy): string {
	return hierarchy.version === 2 ? "v2" : hierarchy.controllers.join(",") || `name=${hierarchy.name}`;
}
