/** Which namespaces a command line asks for, and what is set as soon as they are there. */

import { CLOCK_BOOTTIME, CLOCK_MONOTONIC } from "../../native/linux/clock.ts";
import { writeKernelFile } from "../../native/linux/fd.ts";
import { CLONE_NEWNS, CLONE_NEWTIME, CLONE_NEWUSER, NAMESPACES } from "../../native/linux/namespace.ts";
import { notA } from "../common/command-line/options.ts";
import { UsageError } from "../common/errors.ts";
import type { UnshareOptions } from "./options.ts";

/** The CLONE_NEW* flags of the namespaces that are named, and of those that other options imply. */
export function namespaceFlags(options: UnshareOptions): number {
	let flags = 0;
	for (const { name, flag } of NAMESPACES) if (options[name === "mnt" ? "mount" : (name as "net")] !== undefined) flags |= flag;
	const { mountProc, mountBinfmt, loadInterp } = options;
	const binfmt = mountBinfmt !== undefined || loadInterp !== undefined;
	if (mountProc !== undefined || binfmt) flags |= CLONE_NEWNS;
	if (binfmt || options.mapRootUser || options.mapCurrentUser || options.mapAuto || options.mapSubids) flags |= CLONE_NEWUSER;
	const { mapUser, mapGroup, mapUsers, mapGroups, owner } = options;
	for (const map of [mapUser, mapGroup, mapUsers, mapGroups, owner]) if (map !== undefined) flags |= CLONE_NEWUSER;
	return flags;
}

/** Whether one of them is to be kept by a file. */
export function keepsNamespaces(options: UnshareOptions): boolean {
	return NAMESPACES.some(({ name }) => typeof options[name === "mnt" ? "mount" : (name as "net")] === "string");
}

/** What the clocks of a new time namespace are to be ahead, in seconds. */
export interface TimeOffsets {
	monotonic?: number;
	boottime?: number;
}

export function timeOffsets(options: UnshareOptions, flags: number): TimeOffsets {
	const offsets: TimeOffsets = {};
	for (const name of ["monotonic", "boottime"] as const) {
		const text = options[name];
		if (text === undefined) continue;
		if ((flags & CLONE_NEWTIME) === 0) throw new UsageError(`--${name}: needs a time namespace (-T)`);
		offsets[name] = /^[+-]?\d{1,15}$/.test(text) ? Number(text) : notA(`--${name}`, text, "a number of seconds");
	}
	return offsets;
}

/** Sets the clocks of the time namespace that children will be in: possible as long as none is (man 7 time_namespaces). */
export function writeTimeOffsets({ monotonic, boottime }: TimeOffsets) {
	if (boottime !== undefined) writeKernelFile("/proc/self/timens_offsets", `${CLOCK_BOOTTIME} ${boottime} 0`);
	if (monotonic !== undefined) writeKernelFile("/proc/self/timens_offsets", `${CLOCK_MONOTONIC} ${monotonic} 0`);
}
