/** Moving processes into a cgroup. */

import { folderOnMount, type Hierarchy, hierarchyFor, parseMemberships } from "../../../native/linux/cgroup.ts";
import { ENODEV, ENOENT } from "../../../native/linux/errno.ts";
import { close, O_WRONLY, open, readFileIfAny, write, writeKernelFile } from "../../../native/linux/fd.ts";
import { dryRun, isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { ToolError } from "../../common/errors.ts";
import { explainFrozen, mayBeFrozen } from "./frozen.ts";
import { everyHierarchy, hierarchyOf } from "./layout.ts";
import { folderIn, type Group, isFolder, isThere } from "./path.ts";
import { makeEnterable } from "./recover.ts";

/**
 * Moves this process into the cgroup on every hierarchy that it is on, but for the one where it could be frozen in that
 * moment: that is to be entered by `enterLast`, with no lock held. False where it is on none.
 *
 * On v1, "0" written to `tasks` moves the thread that writes. This process has one, and the kernel spares it the lock that
 * stops all forks and exits of the machine (since Linux 5.12): some 20 us in place of 6 to 14 ms each.
 */
export function enterFirst(group: Group, leaf = false): boolean {
	const last = hierarchyOf(group.layout, "freezer");
	let entered = false;
	for (const hierarchy of everyHierarchy(group.layout))
		if (hierarchy === last ? isFolder(folderIn(group, hierarchy)) : attachOn(group, hierarchy, 0, leaf)) entered = true;
	return entered;
}

/** The rest of it. False where the cgroup has been removed meanwhile, which only v2 alone allows: there is one hierarchy. */
export function enterLast(group: Group, leaf = false): boolean {
	const last = hierarchyOf(group.layout, "freezer");
	return last === undefined || attachOn(group, last, 0, leaf) || group.layout.hierarchies.length > 1;
}

/** Moves this process into the cgroup on every hierarchy that it is on. False where it is on none. */
export function enter(group: Group, leaf = false): boolean {
	return enterFirst(group, leaf) && enterLast(group, leaf);
}

/** Gets this process out of the cgroup, into the hierarchies' root. False where it may not. */
export function leave(group: Group): boolean {
	try {
		return enter({ ...group, name: "" });
	} catch (error) {
		if (error instanceof SysError || error instanceof ToolError) return false;
		throw error;
	}
}

/**
 * Fails where the cgroup is frozen: who enters it would be too, and could not even be killed on v1. With `thaw` it is
 * thawed first, if it is not one above that is frozen.
 */
export function checkThawed(group: Group, thaw: boolean) {
	if (isDryRun() || !mayBeFrozen(group)) return;
	explainFrozen(group, thaw);
}

/**
 * Moves a process, with all its threads, into the cgroup on every hierarchy that it is on. When one refuses, it is moved
 * back where it came from on the others.
 */
export function attach(group: Group, pid: number, leaf = false) {
	const before = isDryRun() ? "" : (readFileIfAny(`/proc/${pid}/cgroup`) ?? "");
	const done: Hierarchy[] = [];
	try {
		for (const hierarchy of everyHierarchy(group.layout)) if (attachOn(group, hierarchy, pid, leaf)) done.push(hierarchy);
	} catch (error) {
		for (const hierarchy of done) moveBack(hierarchy, pid, before);
		throw error;
	}
}

/** `before` is what /proc/PID/cgroup said. */
function moveBack(hierarchy: Hierarchy, pid: number, before: string) {
	const line = parseMemberships(before).find((each) => hierarchyFor(each, [hierarchy]));
	const folder = line && folderOnMount(hierarchy, line.path);
	if (folder === undefined) return;
	try {
		writeKernelFile(`${folder}/cgroup.procs`, String(pid));
	} catch (error) {
		/* It has ended, or its old cgroup is gone: there is nothing to go back to, and the first error is the one to tell. */
		if (!(error instanceof SysError)) throw error;
	}
}

/** On one hierarchy; false where the cgroup is not on it. */
function attachOn(group: Group, hierarchy: Hierarchy, pid: number, leaf: boolean): boolean {
	let folder = folderIn(group, hierarchy);
	const file = hierarchy.version === 1 && pid === 0 ? "tasks" : "cgroup.procs";
	for (let tries = 0; ; tries++) {
		const error = tryWrite(`${folder}/${file}`, String(pid));
		if (error === undefined) return true;
		if (error.errno === ENOENT || error.errno === ENODEV) return false;
		folder = makeEnterable(error, group, hierarchy, pid, leaf, tries);
	}
}

/** Writes a kernel file; returns the error rather than throw it, as a missing one is no surprise. */
function tryWrite(path: string, text: string): SysError | undefined {
	if (isDryRun() && !isThere(path.slice(0, path.lastIndexOf("/")))) return new SysError("open", ENOENT, path);
	if (dryRun(`write ${path} ${JSON.stringify(text)}`)) return undefined;
	let fd: number;
	try {
		fd = open(path, O_WRONLY);
	} catch (error) {
		if (error instanceof SysError) return error;
		throw error;
	}
	try {
		write(fd, text);
		return undefined;
	} catch (error) {
		return error instanceof SysError ? new SysError(error.call, error.errno, path) : undefined;
	} finally {
		close(fd);
	}
}
