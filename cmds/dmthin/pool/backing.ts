/** What a pool stands on: two sparse files on loop devices, or pieces of devices put together by dm-linear. */

import { type DmInfo, dmInfo, dmLoad, dmSuspend, dmTableStatus, type Target } from "../../../native/linux/devmapper.ts";
import { DM_STATUS_TABLE_FLAG } from "../../../native/linux/dm-ioctl.ts";
import { close, O_NOFOLLOW, O_RDWR, open, readFileIfAny } from "../../../native/linux/fd.ts";
import { attachLoop, LOOP_MAJOR, loopFile, updateLoopCapacity } from "../../../native/linux/loop.ts";
import { S_IFBLK, S_IFMT, S_IFREG, stat } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { dmData, dmMetadata, dmPool, type PoolRecord, type Segment } from "../store/pool.ts";
import { addDevice, devicePath, removeQuietly, resumeDevice } from "../udev/device.ts";
import { findDevice } from "./signature.ts";

/** A device that the pool's table can name. `keep` are descriptors that hold it until the table does. */
interface Part {
	/** `MAJOR:MINOR`. */
	device: string;
	/** Its node. */
	path: string;
	sectors: number;
	keep: number[];
}

/** Both parts of a pool, ready for its table. */
export interface Backing {
	data: Part;
	metadata: Part;
	release(): void;
}

/** Makes the devices of a pool's data and metadata. What it made is undone when it fails. */
export function openBacking(pool: PoolRecord): Backing {
	const parts: Part[] = [];
	try {
		for (const what of ["metadata", "data"] as const) parts.push(pool.loop ? loopPart(pool.loop[what]) : linearPart(pool, what));
	} catch (error) {
		closeBacking(pool, parts);
		throw error;
	}
	const [metadata, data] = parts as [Part, Part];
	return { data, metadata, release: () => closeParts(parts) };
}

function closeParts(parts: Part[]) {
	for (const { keep } of parts) for (const fd of keep) if (fd >= 0) close(fd);
}

/** Undoes openBacking. */
export function closeBacking(pool: PoolRecord, parts: Part[] = []) {
	closeParts(parts);
	if (!pool.loop) for (const name of [dmData(pool.name), dmMetadata(pool.name)]) removeQuietly(name);
}

function loopPart(path: string): Part {
	if (isDryRun()) return { device: "7:0", path: "/dev/loop0", sectors: 0, keep: [attachLoop(-1, path).fd] };
	const file = open(path, O_RDWR | O_NOFOLLOW);
	try {
		const { mode, size, uid } = stat("", file);
		if ((mode & S_IFMT) !== S_IFREG) fail(`${show(path)}: not a regular file`);
		if (uid !== 0) fail(`${show(path)}: is not root's`, "its owner could change what is in the pool");
		const { number, fd } = attachLoop(file, path);
		return { device: `${LOOP_MAJOR}:${number}`, path: `/dev/loop${number}`, sectors: Math.floor(size / 512), keep: [fd] };
	} finally {
		close(file);
	}
}

function linearPart(pool: PoolRecord, what: "data" | "metadata"): Part {
	const name = what === "data" ? dmData(pool.name) : dmMetadata(pool.name);
	const info = addDevice(name, `TSBOX-${pool.uuid}-${what}`, linearTable(pool, what));
	return { device: `${info.major}:${info.minor}`, path: devicePath(name), sectors: sectorsOf(pool[what] ?? []), keep: [] };
}

const sectorsOf = (segments: Segment[]) => segments.reduce((sum, { length }) => sum + length, 0);

/** Where each of a pool's devices is, as `MAJOR:MINOR`. */
function deviceNumbers(pool: PoolRecord): string[] {
	return (pool.devices ?? []).map((device) => {
		const path = findDevice(device);
		if (path === undefined)
			return fail(
				`${pool.name}: the device with the signature ${device.uuid} is not there`,
				`it was ${show(device.path)} when it was last used`,
			);
		device.path = path;
		const found = stat(path);
		if ((found.mode & S_IFMT) !== S_IFBLK) fail(`${show(path)}: not a block device`);
		return found.rdev;
	});
}

export function linearTable(pool: PoolRecord, what: "data" | "metadata"): Target[] {
	const numbers = deviceNumbers(pool);
	let start = 0;
	return (pool[what] ?? []).map((segment) => {
		const target = { start, length: segment.length, type: "linear", params: `${numbers[segment.device]} ${segment.start}` };
		start += segment.length;
		return target;
	});
}

/** The line of a pool's table: Documentation/admin-guide/device-mapper/thin-provisioning.rst, "thin-pool". */
export function poolTable(pool: PoolRecord, metadata: string, data: string, dataSectors: number): Target[] {
	const features = [...(pool.skip_block_zeroing ? ["skip_block_zeroing"] : []), ...(pool.on_full === "error" ? ["error_if_no_space"] : [])];
	const words = [metadata, data, pool.block_size, pool.low_water, features.length, ...features];
	return [{ start: 0, length: dataSectors - (dataSectors % pool.block_size), type: "thin-pool", params: words.join(" ") }];
}

/** The devices of an active pool: what its table names. */
export function activeParts(pool: PoolRecord): { metadata: string; data: string; sectors: number } {
	const [target] = dmTableStatus(dmPool(pool.name), DM_STATUS_TABLE_FLAG).targets;
	const [metadata = "", data = ""] = target?.params.split(" ") ?? [];
	return { metadata, data, sectors: target?.length ?? 0 };
}

/** Makes an active pool's device as large as its files or segments have become. Returns the sectors of its data. */
export function growBacking(pool: PoolRecord): number {
	if (isDryRun()) return 0;
	const parts = activeParts(pool);
	for (const what of ["metadata", "data"] as const) {
		if (pool.loop) updateLoopCapacity(Number(parts[what].split(":")[1]));
		else {
			const name = what === "data" ? dmData(pool.name) : dmMetadata(pool.name);
			dmLoad(name, linearTable(pool, what));
			dmSuspend(name);
			resumeDevice(name);
		}
	}
	return pool.loop ? Math.floor(stat(pool.loop.data).size / 512) : sectorsOf(pool.data ?? []);
}

/** The file or device behind a part, for people. */
export function describePart(device: string): string {
	const [major, minor] = device.split(":").map(Number);
	if (major === LOOP_MAJOR) return `/dev/loop${minor}`;
	const name = readFileIfAny(`/sys/dev/block/${device}/dm/name`)?.trim();
	return name === undefined ? device : devicePath(name);
}

export function loopFileOf(device: string): string | undefined {
	const [major, minor] = device.split(":").map(Number);
	return major === LOOP_MAJOR ? loopFile(minor as number) : undefined;
}

/** True where the pool's device is there with its table. */
export function poolDevice(pool: PoolRecord): DmInfo | undefined {
	const info = dmInfo(dmPool(pool.name));
	if (info && !info.uuid.includes(pool.uuid))
		fail(`${info.name}: is another pool's device`, `its uuid is ${show(info.uuid)}; remove it, or make the pool under another name`);
	return info?.hasActive ? info : undefined;
}
