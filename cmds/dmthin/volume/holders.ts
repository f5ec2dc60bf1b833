/** Who keeps a device busy: mounts in any mount namespace, open files, devices above it. */

import { blockName } from "../../../native/linux/blockdev.ts";
import { readdir, readFileIfAny } from "../../../native/linux/fd.ts";
import { parseMountinfo } from "../../../native/linux/mount.ts";
import { readlinkIfAny, statIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { show } from "../../common/errors.ts";

function entries(path: string): string[] {
	try {
		return readdir(path);
	} catch (error) {
		if (error instanceof SysError) return [];
		throw error;
	}
}

/** Whether a file of a process is on the file system of the device, without asking another file system than that. */
function isOn(device: string, pid: string, what: string, target: string): boolean {
	const mounts = parseMountinfo(readFileIfAny(`/proc/${pid}/mountinfo`) ?? "").filter((mount) => mount.device === device);
	const isBelow = mounts.some((mount) => target === mount.target || target.startsWith(`${mount.target.replace(/\/$/, "")}/`));
	return isBelow && statIfAny(`/proc/${pid}/${what}`)?.dev === device;
}

/** A line for each: `mounted on /mnt in mnt:[4026532201], of 4242 (httpd)`. Needs root to see all processes. */
export function holdersOf(major: number, minor: number): string[] {
	const device = `${major}:${minor}`;
	const found: string[] = [];
	const name = blockName(major, minor);
	for (const holder of name === undefined ? [] : entries(`/sys/class/block/${name}/holders`)) {
		const dm = readFileIfAny(`/sys/class/block/${holder}/dm/name`)?.trim();
		found.push(`the device ${show(dm ?? holder)} stands on it`);
	}
	const seen = new Set<string>();
	for (const pid of entries("/proc").filter((entry) => /^\d+$/.test(entry))) {
		const who = () => `${pid} (${show(readFileIfAny(`/proc/${pid}/comm`)?.trim() ?? "")})`;
		const namespace = readlinkIfAny(`/proc/${pid}/ns/mnt`);
		if (namespace !== undefined && !seen.has(namespace)) {
			seen.add(namespace);
			for (const mount of parseMountinfo(readFileIfAny(`/proc/${pid}/mountinfo`) ?? ""))
				if (mount.device === device) found.push(`mounted on ${show(mount.target)} in ${namespace}, of ${who()}`);
		}
		for (const fd of entries(`/proc/${pid}/fd`)) {
			const path = `/proc/${pid}/fd/${fd}`;
			const target = readlinkIfAny(path);
			/* Pipes and sockets have no slash; to ask a FUSE file system could block. */
			if (!target?.startsWith("/")) continue;
			const stat = target.startsWith("/dev/") ? statIfAny(path) : undefined;
			if (stat?.rdev === device) found.push(`open in ${who()}`);
			else if (!stat && isOn(device, pid, `fd/${fd}`, target)) found.push(`used by ${who()}: ${show(target)}`);
		}
		for (const what of ["cwd", "root", "exe"]) {
			const target = readlinkIfAny(`/proc/${pid}/${what}`);
			if (target !== undefined && isOn(device, pid, what, target)) found.push(`used by ${who()}: ${what} ${show(target)}`);
		}
	}
	const swaps = readFileIfAny("/proc/swaps") ?? "";
	if (name !== undefined && swaps.includes(`/dev/${name} `)) found.push("swapped to");
	return [...new Set(found)];
}
