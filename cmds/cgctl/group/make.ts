/**
 * Making cgroups, and what a new one needs before it can hold processes:
 *
 *   v1 cpuset   cpus and mems are empty: a join fails with ENOSPC. cgroup.clone_children on our root lets the kernel fill
 *               those of all cgroups below it.
 *   v1 memory   before Linux 5.11 limits hold for children only with memory.use_hierarchy
 *   v2          a controller is there where the parent's cgroup.subtree_control has it, which in turn must not hold
 *               processes itself ("no internal processes", EBUSY); the hierarchy's root is free of that
 */

import { type Hierarchy, hierarchyName } from "../../../native/linux/cgroup.ts";
import { EBUSY, EEXIST, ENOENT, EOPNOTSUPP, ESRCH } from "../../../native/linux/errno.ts";
import { writeKernelFile } from "../../../native/linux/fd.ts";
import { tryMkdir, tryRmdir } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { notA } from "../../common/command-line/options.ts";
import { fail } from "../../common/errors.ts";
import { explain } from "./explain.ts";
import { nameProcesses } from "./files.ts";
import { everyHierarchy, hierarchyOf } from "./layout.ts";
import { checkName, folderIn, type Group, isFolder, isOurs, lineage, markOurs, pretend, shownName } from "./path.ts";
import { pidsIn, readTrimmed } from "./read.ts";

export interface MakeOptions {
	/** The controllers to make it for, by any name; `v2` is a hybrid layout's v2. Default: all, but for v2 on a hybrid layout. */
	controllers?: string[] | undefined;
	/** Controllers without which the caller fails: those of the limits that it will write. */
	needed?: string[];
	/** False: a cgroup that is there is not made on further hierarchies for the needed controllers. */
	grow?: boolean;
	/** On every hierarchy that is mounted, if no controllers are named: a sandbox's cgroup. */
	everywhere?: boolean;
	/** Move processes of the cgroups above, that stand in v2's way, to their child `leaf`. */
	leaf?: boolean;
}

/** --controllers LIST as names. Fails on one that no hierarchy has. */
export function readControllers(text: string | undefined, group: Group): string[] | undefined {
	if (text === undefined || text === "*" || text === "all") return undefined;
	const { layout } = group;
	return text.split(",").map((name) => {
		if (name === "") notA("--controllers", text, "a list of controllers (cpu,memory)");
		const known = name === "v2" ? layout.hierarchies.some((h) => h.version === 2) : hierarchyOf(layout, name === "blkio" ? "io" : name);
		return known ? name : fail(`--controllers: no hierarchy here has a ${name} controller`, "`tscgctl info` shows those that there are");
	});
}

/** Where a cgroup is to be, and where it is: looked at once. */
export interface Wanted {
	hierarchies: Hierarchy[];
	isMade: boolean;
	isSomewhere: boolean;
}

/**
 * The hierarchies to make a cgroup on: those asked for; else those that it is on already; else all of v1, or v2. It is
 * made where it is on all of them, with the controllers that are needed.
 */
export function look(group: Group, { controllers, needed = [], grow = true, everywhere = false }: MakeOptions): Wanted {
	const { hierarchies, kind } = group.layout;
	const named = (names: string[]) =>
		names.map((name) =>
			name === "v2" ? hierarchies.find((h) => h.version === 2) : hierarchyOf(group.layout, name === "blkio" ? "io" : name),
		);
	const isOn = everyHierarchy(group.layout).filter((h) => isFolder(folderIn(group, h)));
	const asked = named(controllers ?? []);
	const own = asked.length > 0 ? asked : hierarchies.filter((h) => isOn.includes(h));
	const base = own.length > 0 ? own : hierarchies.filter((h) => h.version === 1 || kind === "v2");
	const more = grow ? named(needed) : [];
	const wanted =
		everywhere && !controllers ? everyHierarchy(group.layout) : hierarchies.filter((h) => base.includes(h) || more.includes(h));
	const isMade = wanted.every((h) => isOn.includes(h) && hasControllers(group, h, needed));
	return { hierarchies: wanted, isMade, isSomewhere: isOn.length > 0 };
}

function hasControllers(group: Group, hierarchy: Hierarchy, needed: string[]): boolean {
	if (hierarchy.version === 1 || needed.length === 0) return true;
	const has = readTrimmed(`${folderIn(group, hierarchy)}/cgroup.controllers`)?.split(" ");
	return has !== undefined && needed.every((name) => has.includes(name) || !hierarchy.controllers.includes(name));
}

/** Makes the cgroup, and those above it, where they are not. Adds the folders that were not there to `made`. */
export function makeGroup(group: Group, options: MakeOptions, { hierarchies }: Wanted, made: string[]) {
	for (const each of lineage(group)) checkName(each, () => hierarchies.every((hierarchy) => isFolder(folderIn(each, hierarchy))));
	for (const hierarchy of hierarchies) {
		makeOn(group, hierarchy, made);
		if (hierarchy.version === 2) enableControllers(group, hierarchy, options);
	}
}

/** Makes the folder on one hierarchy. */
function makeOn(group: Group, hierarchy: Hierarchy, made: string[]) {
	const folder = folderIn(group, hierarchy);
	const makeParent = () => {
		const parents = lineage(group);
		const parent = parents[parents.length - 2];
		if (parent) makeOn(parent, hierarchy, made);
		return parent !== undefined;
	};
	if (isDryRun()) {
		if (isFolder(folder)) return;
		makeParent();
	}
	const result = tryMkdir(folder);
	if (result === -EEXIST) return;
	if (result === -ENOENT) {
		if (!makeParent()) fail(`${hierarchy.mount}: the ${hierarchyName(hierarchy)} hierarchy is no longer mounted there`);
		return makeOn(group, hierarchy, made);
	}
	if (result < 0) throw explain(new SysError("mkdir", -result, folder), group, hierarchy);
	made.push(folder);
	if (isDryRun()) return pretend(folder);
	markOurs(group, folder);
	if (hierarchy.version === 1 && isOutermost(group)) prepareOutermost(group, hierarchy, folder);
}

/** Removes the folders that were just made, as far as nobody uses them yet. */
export function unmake(made: string[]) {
	for (const folder of made.reverse()) tryRmdir(folder);
}

/** True of the tool's root, or of a cgroup in the hierarchy's root. */
function isOutermost(group: Group): boolean {
	return group.name === group.root || group.name.indexOf("/", 1) < 0;
}

function prepareOutermost(group: Group, hierarchy: Hierarchy, folder: string) {
	if (hierarchy.controllers.includes("cpuset")) {
		fillCpuset(group, hierarchy);
		writeKernelFile(`${folder}/cgroup.clone_children`, "1");
	}
	if (hierarchy.controllers.includes("memory") && readTrimmed(`${folder}/memory.use_hierarchy`) === "0")
		writeKernelFile(`${folder}/memory.use_hierarchy`, "1");
}

/** v1: gives a cpuset of ours that has no cpus or no memory nodes those of its parent, from the outermost one down. */
export function fillCpuset(group: Group, hierarchy: Hierarchy) {
	let from = hierarchy.mount;
	for (const each of lineage(group)) {
		const folder = folderIn(each, hierarchy);
		for (const file of isOurs(each) ? ["cpuset.cpus", "cpuset.mems"] : [])
			if (readTrimmed(`${folder}/${file}`) === "") writeKernelFile(`${folder}/${file}`, readTrimmed(`${from}/${file}`) ?? "");
		from = folder;
	}
}

/** v2: turns controllers on in cgroup.subtree_control, from the root down to the cgroup's parent. */
function enableControllers(group: Group, hierarchy: Hierarchy, options: MakeOptions) {
	const { controllers, needed = [] } = options;
	/* Those of a hybrid layout are v1's but for the few that nobody took; asked for by name only. */
	const all = group.layout.kind === "v2" && !controllers ? hierarchy.controllers : (controllers ?? []);
	const own = needed.filter((name) => hierarchyOf(group.layout, name) === hierarchy);
	if (all.length + own.length === 0) return;
	const wanted = hierarchy.controllers.filter((name) => all.includes(name) || own.includes(name));
	const folder = folderIn(group, hierarchy);
	const has = (readTrimmed(`${folder}/cgroup.controllers`) ?? "").split(" ");
	if (wanted.every((name) => has.includes(name))) return;
	let above: Group = { ...group, name: "" };
	for (const each of lineage(group)) {
		const enabled = (readTrimmed(`${folderIn(above, hierarchy)}/cgroup.subtree_control`) ?? "").split(" ");
		const missing = wanted.filter((name) => !enabled.includes(name));
		if (missing.length > 0) enable(above, hierarchy, missing, options);
		above = each;
	}
}

function enable(group: Group, hierarchy: Hierarchy, names: string[], { needed = [], leaf }: MakeOptions) {
	const folder = folderIn(group, hierarchy);
	const write = (list: string[]) => writeKernelFile(`${folder}/cgroup.subtree_control`, list.map((name) => `+${name}`).join(" "));
	try {
		write(names);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		if (error.errno === EBUSY) {
			if (!leaf) explainInner(group, folder, names);
			moveToLeaf(folder);
		}
		/* One by one: cpu may be refused for real-time processes, or a controller may be held back by the cgroup above. */
		/* Those that a limit needs come first: it is of them that a refusal has to speak. */
		const inOrder = [...names.filter((name) => needed.includes(name)), ...names.filter((name) => !needed.includes(name))];
		for (const name of inOrder) {
			try {
				write([name]);
			} catch (single) {
				if (!(single instanceof SysError)) throw single;
				if (single.errno === EBUSY) explainInner(group, folder, names);
				if (needed.includes(name) || single.errno === EOPNOTSUPP) throw explain(single, group, hierarchy, `the ${name} controller`);
			}
		}
	}
}

/** v2's rule of no internal processes, with those in the way. */
function explainInner(group: Group, folder: string, names: string[]): never {
	const pids = pidsIn(folder);
	const path = shownName(group);
	return fail(
		`${path}: cgroup v2 gives ${names.join(", ")} to the cgroups below it only while it has no processes of its own: ${nameProcesses(pids)}`,
		`--leaf moves ${pids.length === 1 ? "it" : "them"} to ${path === "/" ? "" : path}/leaf first`,
	);
}

/** Moves all processes of a v2 cgroup to its child `leaf`, until none is left. */
export function moveToLeaf(folder: string) {
	const result = tryMkdir(`${folder}/leaf`);
	if (result < 0 && result !== -EEXIST) throw new SysError("mkdir", -result, `${folder}/leaf`);
	/* A process may fork between the list and the move; its child is on the next list. */
	for (let pids = pidsIn(folder), rounds = 0; pids.length > 0 && rounds < 100; pids = pidsIn(folder), rounds++)
		for (const pid of pids) {
			/* Of another PID namespace; and to the kernel, 0 is who writes. */
			if (pid === 0) continue;
			try {
				writeKernelFile(`${folder}/leaf/cgroup.procs`, String(pid));
			} catch (error) {
				if (!(error instanceof SysError && error.errno === ESRCH) /* it has ended */) throw error;
			}
		}
}
