/** Giving a cgroup its limits. */

import { EBUSY, ENOENT } from "../../../native/linux/errno.ts";
import { writeKernelFile } from "../../../native/linux/fd.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { warn } from "../../common/command-line/tool.ts";
import { fail } from "../../common/errors.ts";
import { formatSize } from "../../common/units.ts";
import { applyDevices } from "../device/apply.ts";
import { explain } from "../group/explain.ts";
import { hierarchyOf } from "../group/layout.ts";
import { folderOf, type Group, isThere, placesOf, shownName } from "../group/path.ts";
import { readIn, readTrimmed } from "../group/read.ts";
import { diskNumber } from "../usage/disk.ts";
import { plan } from "./plan.ts";
import { keep, type Undo } from "./put-back.ts";
import type { Facts, Write } from "./step.ts";
import type { Limits } from "./table.ts";

/** What a plan asks of a real cgroup. Of one that is not there yet it can be told which file for a weight it will have. */
function factsOf(group: Group): Facts {
	/* The cgroup may be about to be made. */
	const isNew = () => isDryRun() || placesOf(group).length === 0;
	return {
		version: (controller) => hierarchyOf(group.layout, controller)?.version,
		read: (controller, file) =>
			readIn(group, controller, file) ?? (hasWeight(file) && isNew() && hasNewWeight(group, file) ? "" : undefined),
		device: diskNumber,
	};
}

function hasWeight(file: string): boolean {
	return /^(blkio|io)\.(bfq\.)?weight/.test(file);
}

/** The hierarchy's root has no weight, but other files of what gives the cgroups below it one. */
function hasNewWeight(group: Group, file: string): boolean {
	const folder = folderOf({ ...group, name: "" }, "io");
	const isByBfq = isThere(`${folder}/blkio.bfq.io_service_bytes`);
	const isByCost = isThere(`${folder}/io.cost.qos`);
	if (file === "blkio.weight" || file === "blkio.weight_device") return !isByBfq;
	if (file === "blkio.bfq.weight" || file === "blkio.bfq.weight_device") return isByBfq;
	if (file === "io.weight") return isByCost;
	return file === "io.bfq.weight" && !isByCost;
}

/** A cgroup's files, for reading its limits back. */
export function sourceOf(group: Group): Pick<Facts, "version" | "read"> {
	return {
		version: (controller) => hierarchyOf(group.layout, controller)?.version,
		read: (controller, file) => readIn(group, controller, file),
	};
}

export interface ApplyOptions {
	/** Set a limit below the present usage although v2's kernel would end processes for it. */
	force?: boolean;
	/** Say on standard error which formula was used. */
	verbose: boolean;
	/** Gets what puts each change back; not for a cgroup that is removed anyway when one fails. */
	undo: Undo | undefined;
}

/** Writes the limits. Fails at the first that the kernel refuses, with its reason. */
export function applyLimits(group: Group, limits: Limits, options: ApplyOptions) {
	const { writes, notes } = plan(limits, factsOf(group));
	for (const write of writes) {
		if (write.file === "memory.max") makeRoom(group, write, options);
		apply(group, write, options.undo);
	}
	if (limits.device) applyDevices(group, limits.device, options.undo);
	for (const [key, value] of limits.set ?? []) setKey(group, key, value, options.undo);
	if (options.verbose) for (const note of notes) warn(note);
}

function change(path: string, value: string, undo: Undo | undefined) {
	const back = undo && !isDryRun() ? keep(path, value) : undefined;
	writeKernelFile(path, value);
	if (back) undo?.push(back);
}

function apply(group: Group, { controller, file, value, because }: Write, undo: Undo | undefined) {
	const folder = folderOf(group, controller) as string;
	try {
		change(`${folder}/${file}`, value, undo);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		if (error.errno === EBUSY && file === "memory.limit_in_bytes") belowUse(group, because, folder);
		if (error.errno === ENOENT) missing(group, folder, controller, file, because);
		throw explain(error, group, hierarchyOf(group.layout, controller), because, value);
	}
}

function missing(group: Group, folder: string, controller: string, file: string, because: string): never {
	if (!isThere(folder))
		fail(
			`${because}: ${shownName(group)} is not on the ${controller} controller's hierarchy`,
			`\`tscgctl create -g ${controller} ${shownName(group).slice(1)}\` puts it there`,
		);
	if (readTrimmed(`${folder}/cgroup.controllers`)?.split(" ").includes(controller) === false)
		fail(`${because}: ${shownName(group)} has no ${controller} controller: the cgroup above does not enable it`);
	if (file.startsWith("memory.memsw") || file === "memory.swap.max")
		fail(`${because}: this kernel does not limit swap`, "boot it with swapaccount=1, or it was built without swap");
	if (file.startsWith("hugetlb.")) fail(`${because}: no huge pages of this size here`, "ls /sys/kernel/mm/hugepages shows the sizes");
	fail(`${because}: this kernel's ${controller} controller has no ${file}`);
}

/** v1's kernel says only EBUSY. */
function belowUse(group: Group, because: string, folder: string): never {
	const read = (file: string) => formatSize(Number(readTrimmed(`${folder}/${file}`) ?? 0));
	return tooLow(group, because, read("memory.usage_in_bytes"), read("memory.max_usage_in_bytes"));
}

function tooLow(group: Group, because: string, now: string, peak: string | undefined): never {
	return fail(
		`${shownName(group)}: ${because}: it uses ${now} now${peak === undefined ? "" : `, ${peak} at its peak`}, and the kernel could not reclaim enough`,
		"end or shrink its processes first, or set a higher limit",
	);
}

/**
 * v2's kernel takes any memory.max, and then ends processes until it holds; v1's refuses one that it cannot reach by
 * reclaim. The same is done here for v2: reclaim first, by memory.reclaim (Linux 5.19) or for a moment by memory.high, and
 * fail if that was not enough.
 */
function makeRoom(group: Group, { value, because }: Write, { force }: ApplyOptions) {
	const limit = Number(value);
	const folder = folderOf(group, "memory") as string;
	const current = () => Number(readTrimmed(`${folder}/memory.current`) ?? 0);
	if (value === "max" || force || isDryRun() || current() <= limit) return;
	if (isThere(`${folder}/memory.reclaim`)) {
		try {
			writeKernelFile(`${folder}/memory.reclaim`, String(current() - limit));
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
		}
	} else {
		const before = readTrimmed(`${folder}/memory.high`) ?? "max";
		writeKernelFile(`${folder}/memory.high`, value);
		writeKernelFile(`${folder}/memory.high`, before);
	}
	if (current() <= limit) return;
	const peak = readTrimmed(`${folder}/memory.peak`);
	tooLow(group, because, formatSize(current()), peak === undefined ? undefined : formatSize(Number(peak)));
}

/** Writes a kernel file by its name, on each hierarchy where the cgroup has one: most names are on one only. */
export function setKey(group: Group, key: string, value: string, undo: Undo | undefined) {
	const places = placesOf(group).filter(({ folder }) => isDryRun() || isThere(`${folder}/${key}`));
	if (places.length === 0) noSuchKey(group, key);
	for (const { folder, hierarchy } of places) {
		try {
			change(`${folder}/${key}`, value, undo);
		} catch (error) {
			throw error instanceof SysError ? explain(error, group, hierarchy, `${key}=${value}`, value) : error;
		}
	}
}

export function noSuchKey(group: Group, key: string): never {
	const controller = key.slice(0, key.indexOf("."));
	return fail(
		`${shownName(group)}: has no file ${key}`,
		controller === "" ? undefined : `\`tscgctl get --all ${shownName(group).slice(1)}\` shows those that it has`,
	);
}
