/** Changes of a device that its node in /dev/mapper has to follow: by udevd where it runs, else made here. */

import { encodeDev } from "../../../native/linux/blockdev.ts";
import { sleep } from "../../../native/linux/clock.ts";
import { type DmInfo, dmCreate, dmInfo, dmLoad, dmRemove, dmRename, dmResume, type Target } from "../../../native/linux/devmapper.ts";
import { EBUSY, EEXIST, ENXIO } from "../../../native/linux/errno.ts";
import { readdir } from "../../../native/linux/fd.ts";
import { lstatIfAny, mkdirAll, mknod, rename, S_IFBLK, S_IFLNK, S_IFMT, statIfAny, unlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { withUdev } from "./cookie.ts";

export const MAPPER = "/dev/mapper";

export function devicePath(name: string): string {
	return `${MAPPER}/${name}`;
}

/** Refuses a name that would be no node in /dev/mapper, or be the control node. */
export function checkDeviceName(name: string) {
	if (name === "" || name === "." || name === ".." || name === "control" || name.includes("/"))
		fail(`${show(name)}: not a name for a device`);
}

/** Makes the node of a device where there is none, or another device's. */
export function makeNode({ name, major, minor }: DmInfo) {
	if (isDryRun() || name === "" || name === "control") return;
	const path = devicePath(name);
	const found = statIfAny(path);
	if (found && (found.mode & S_IFMT) === S_IFBLK && found.rdev === `${major}:${minor}`) return;
	mkdirAll(MAPPER);
	const fresh = devicePath(`.${name}.new`);
	unlinkIfAny(fresh);
	mknod(fresh, S_IFBLK | 0o600, encodeDev(major, minor));
	rename(fresh, path);
}

/** Removes a node that udevd has not: one that we made. A link is udevd's. */
function removeNode(name: string, { major, minor }: DmInfo) {
	if (isDryRun()) return;
	const path = devicePath(name);
	const found = lstatIfAny(path);
	if (!found || name === "control") return;
	const isLink = (found.mode & S_IFMT) === S_IFLNK;
	if ((isLink && !statIfAny(path)) || (!isLink && found.rdev === `${major}:${minor}`)) unlinkIfAny(path);
}

/** Makes a device with a table in force, and its node. Undone if the table is refused. Throws EEXIST where the name is taken. */
export function addDevice(name: string, uuid: string, targets: Target[], readOnly = 0): DmInfo {
	try {
		dmCreate(name, uuid);
	} catch (error) {
		if (error instanceof SysError && error.errno === EBUSY) throw new SysError("DM_DEV_CREATE", EEXIST, name);
		throw error;
	}
	try {
		dmLoad(name, targets, readOnly);
		return resumeDevice(name);
	} catch (error) {
		removeQuietly(name);
		throw error;
	}
}

/** Puts a loaded table in force; the node is there afterwards. */
export function resumeDevice(name: string, flags = 0): DmInfo {
	const info = withUdev((cookie) => dmResume(name, flags, cookie));
	makeNode({ ...info, name });
	return info;
}

/** Seconds over which a busy device is tried again: udevd and blkid open each new device for a moment. */
const BUSY_PATIENCE = 1;

/** Removes a device and its node. Throws EBUSY where it is in use for longer than a moment; with `flags` see dmRemove. */
export function removeDevice(name: string, flags = 0, patience = BUSY_PATIENCE) {
	const before = dmInfo(name);
	if (!before && !isDryRun()) throw new SysError("DM_DEV_REMOVE", ENXIO, name);
	for (let waited = 0; ; waited += 0.02) {
		try {
			withUdev((cookie) => dmRemove(name, flags, cookie));
			break;
		} catch (error) {
			if (!(error instanceof SysError && error.errno === EBUSY) || waited >= patience) throw error;
			sleep(0.02);
		}
	}
	/* A deferred removal happens when the last user closes it. */
	if (before && !dmInfo(name)) removeNode(name, before);
}

/** Removes the node of a device that has gone by itself: whose removal had been put off. */
export function removeStaleNode(name: string) {
	if (isDryRun() || dmInfo(name)) return;
	const found = lstatIfAny(devicePath(name));
	const type = (found?.mode ?? 0) & S_IFMT;
	if (type === S_IFBLK || (type === S_IFLNK && !statIfAny(devicePath(name)))) unlinkIfAny(devicePath(name));
}

/** As an undo step: what is gone is fine, and what stays is for gc. */
export function removeQuietly(name: string) {
	try {
		if (dmInfo(name)) removeDevice(name);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
}

export function renameDevice(name: string, to: string) {
	checkDeviceName(to);
	const before = dmInfo(name);
	const info = withUdev((cookie) => dmRename(name, to, 0, cookie));
	if (before) removeNode(name, before);
	makeNode({ ...info, name: to });
}

/** Makes the nodes that are missing, and removes those of devices that are gone: `dmsetup mknodes`. */
export function makeNodes(devices: DmInfo[]) {
	for (const info of devices) makeNode(info);
	const known = new Set(devices.map(({ name }) => name));
	for (const name of readdir(MAPPER)) {
		const found = lstatIfAny(devicePath(name));
		if (!found || name === "control" || known.has(name)) continue;
		const major = devices[0]?.major ?? 253;
		if ((found.mode & S_IFMT) === S_IFBLK && found.rdev.startsWith(`${major}:`)) unlinkIfAny(devicePath(name));
	}
}
