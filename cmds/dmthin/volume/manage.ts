/** create, snapshot, activate, deactivate, rm, resize: the volumes of a pool. */

import { blockSize as deviceSize } from "../../../native/linux/blockdev.ts";
import { dmInfo, dmLoad, dmSuspend, dmTableStatus } from "../../../native/linux/devmapper.ts";
import { DM_STATUS_TABLE_FLAG } from "../../../native/linux/dm-ioctl.ts";
import { close, O_RDONLY, open } from "../../../native/linux/fd.ts";
import { startTime } from "../../../native/linux/proc.ts";
import { getpid } from "../../../native/linux/process.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { notA } from "../../common/command-line/options.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, ToolError, UsageError } from "../../common/errors.ts";
import { isAlive } from "../../common/state.ts";
import { activateVolume, deactivate } from "../pool/activate.ts";
import { newSize } from "../pool/sizes.ts";
import { checkRoom } from "../pool/status.ts";
import { checkName, dmVolume, type PoolRecord, readPool, withPool } from "../store/pool.ts";
import { createVolume, deleteVolume, recover } from "../store/transaction.ts";
import { listVolumes, readVolume, readVolumeIfAny, type Volume, type VolumeRecord, writeVolume } from "../store/volume.ts";
import { devicePath, resumeDevice } from "../udev/device.ts";
import { type FileSystem, growFileSystem, makeFileSystem } from "./filesystem.ts";

export interface CreateOptions {
	size?: string;
	fs?: FileSystem;
	mkfsOption?: string[];
	noActivate?: true;
}

/** The operands POOL and one or more names. */
export function takeOperands(operands: string[], ...nouns: string[]): string[] {
	if (operands.length < nouns.length) throw new UsageError(`no ${nouns[operands.length]} given`);
	if (operands.length > nouns.length)
		throw new UsageError(`${show(operands[nouns.length] as string)}: ${nouns.join(" ")} is all that is taken`);
	return operands;
}

/** A volume's size in whole sectors, from what --size says: `10g`, or `+1g` more than now. */
export function checkSize(text: string, now = 0): number {
	const bytes = newSize(text, "--size", now);
	if (bytes < 512 || bytes > 2 ** 53) notA("--size", text, "a size of a sector at least");
	return Math.ceil(bytes / 512) * 512;
}

/** This process, as the maker of what is not finished yet. */
export function self() {
	return { pid: getpid(), start: startTime(getpid()) ?? 0 };
}

const now = () => new Date().toISOString();

/** Makes a new volume in the pool, with what it needs; an error leaves none. */
export function newVolume(pool: PoolRecord, name: string, record: Partial<VolumeRecord> & { size: number }, origin?: Volume): Volume {
	return withPool(pool.name, () => {
		const { status } = recover(pool);
		checkRoom(pool, status);
		return createVolume(pool, { name, record: { initialized: true, created: now(), ...record }, ...(origin && { origin }) });
	});
}

/** Activates a volume under the pool's lock, and returns the path of its device. */
export function activated(pool: PoolRecord, name: string): string {
	return withPool(pool.name, () => devicePath(activateVolume(pool, name)));
}

/** Removes a volume that a step after its creation could not finish. */
export function takeBack(pool: PoolRecord, volume: Volume) {
	withPool(pool.name, () => {
		deactivate(dmVolume(pool.name, volume.name), volume.name);
		deleteVolume(pool, volume);
	});
}

/** `create POOL VOLUME --size SIZE [--fs TYPE]`. */
export function create(operands: string[], options: CreateOptions & { size: string }) {
	const [poolName, volumeName] = takeOperands(operands, "POOL", "VOLUME");
	const pool = readPool(poolName);
	const name = checkName(volumeName, "VOLUME");
	const size = checkSize(options.size);
	makeVolume(pool, name, size, options);
	print(`${options.noActivate ? name : devicePath(dmVolume(pool.name, name))}\n`);
}

export function makeVolume(
	pool: PoolRecord,
	name: string,
	size: number,
	options: CreateOptions,
	record: Partial<VolumeRecord> = {},
	/** What is to be done in the new file system before it is taken for made. */
	prepare?: (device: string) => void,
): Volume {
	const { fs } = options;
	const volume = newVolume(pool, name, { size, initialized: fs === undefined, ...(fs && { fs, maker: self() }), ...record });
	try {
		if (fs !== undefined || !options.noActivate) {
			const device = activated(pool, name);
			if (fs !== undefined) {
				makeFileSystem(device, fs, options.mkfsOption);
				prepare?.(device);
				const { maker: _, ...made } = volume;
				withPool(pool.name, () => writeVolume(pool.name, { ...made, initialized: true }));
			}
		}
		if (options.noActivate && fs !== undefined) withPool(pool.name, () => deactivate(dmVolume(pool.name, name), name));
	} catch (error) {
		takeBack(pool, volume);
		throw error;
	}
	return { ...volume, initialized: true };
}

/** `snapshot POOL ORIGIN NAME`: of a volume, or of a device outside (a path), which must then not be written any more. */
export function snapshot(operands: string[], options: { noActivate?: true; size?: string }) {
	const [poolName, originName = "", snapshotName] = takeOperands(operands, "POOL", "ORIGIN", "NAME");
	const pool = readPool(poolName);
	const name = checkName(snapshotName, "NAME");
	const volume = originName.startsWith("/")
		? snapshotOfDevice(pool, originName, name)
		: snapshotOf(pool, readVolume(pool, originName), name, options.size);
	if (options.noActivate) return print(`${name}\n`);
	try {
		print(`${activated(pool, name)}\n`);
	} catch (error) {
		takeBack(pool, volume);
		throw error;
	}
}

export function snapshotOf(pool: PoolRecord, origin: Volume, name: string, sizeText?: string, record: Partial<VolumeRecord> = {}): Volume {
	if (!origin.initialized)
		fail(`${origin.name}: has no file system yet: it is being made, or that was broken off`, "remove it, and make it again");
	const size = sizeText === undefined ? origin.size : checkSize(sizeText, origin.size);
	if (size < origin.size) fail(`--size: ${show(sizeText ?? "")}: less than the origin's ${origin.size} bytes`);
	const { fs, layer, external_origin } = origin;
	return newVolume(
		pool,
		name,
		{ size, parent: origin.name, ...(fs && { fs }), ...(layer && { layer }), ...(external_origin && { external_origin }), ...record },
		origin,
	);
}

function snapshotOfDevice(pool: PoolRecord, path: string, name: string): Volume {
	let size = 0;
	if (!isDryRun()) {
		const fd = open(path, O_RDONLY);
		try {
			size = deviceSize(fd);
		} finally {
			close(fd);
		}
	}
	return newVolume(pool, name, { size, external_origin: path });
}

export function activate(operands: string[]) {
	const [poolName, ...names] = operands;
	const pool = readPool(poolName);
	if (names.length === 0) throw new UsageError("no VOLUME given");
	for (const name of names) {
		withPool(pool.name, () => recover(pool));
		print(`${activated(pool, readVolume(pool, name).name)}\n`);
	}
}

export function deactivateVolumes(operands: string[], options: { deferred?: true }) {
	const [poolName, ...names] = operands;
	const pool = readPool(poolName);
	if (names.length === 0) throw new UsageError("no VOLUME given");
	for (const name of names) {
		const volume = readVolumeIfAny(pool.name, checkName(name, "VOLUME")) ?? readVolume(pool, name);
		withPool(pool.name, () => deactivate(dmVolume(pool.name, volume.name), volume.name, options.deferred === true));
	}
}

/** `rm`: with `deferred` a volume in use goes when its last user has closed it. */
export function remove(operands: string[], options: { deferred?: true }) {
	const [poolName, ...names] = operands;
	const pool = readPool(poolName);
	if (names.length === 0) throw new UsageError("no VOLUME given");
	for (const name of names) {
		const volume = readVolume(pool, name);
		withPool(pool.name, () => removeVolume(pool, volume, options.deferred === true));
	}
}

/** Removes a volume under the pool's lock. False where that is put off. */
export function removeVolume(pool: PoolRecord, volume: Volume, deferred: boolean): boolean {
	const device = dmVolume(pool.name, volume.name);
	deactivate(device, volume.name, deferred);
	if (!isDryRun() && dmInfo(device)) {
		writeVolume(pool.name, { ...volume, deleted: true });
		return false;
	}
	deleteVolume(pool, volume);
	return true;
}

/** Removes the volumes of a pool whose removal was put off and is possible now, and those that mkfs did not finish. Their names. */
export function clearDeleted(pool: PoolRecord): string[] {
	const cleared: string[] = [];
	const isLeft = ({ deleted, initialized, maker }: Volume) => deleted || (!initialized && maker !== undefined && !isAlive(maker));
	for (const volume of listVolumes(pool.name).filter(isLeft)) {
		try {
			if (withPool(pool.name, () => removeVolume(pool, volume, true))) cleared.push(volume.name);
		} catch (error) {
			if (!(error instanceof ToolError)) throw error;
		}
	}
	return cleared;
}

/** `resize POOL VOLUME --size SIZE`: the device, and the file system on it. */
export function resize(operands: string[], options: { size?: string }) {
	const [poolName, volumeName] = takeOperands(operands, "POOL", "VOLUME");
	const pool = readPool(poolName);
	if (options.size === undefined) throw new UsageError("--size is needed");
	const sizeText = options.size;
	const volume = readVolume(pool, volumeName);
	const wasActive = !isDryRun() && dmInfo(dmVolume(pool.name, volume.name)) !== undefined;
	withPool(pool.name, () => {
		const current = readVolume(pool, volume.name);
		const size = checkSize(sizeText, current.size);
		if (size < current.size) fail(`${current.name}: has ${current.size} bytes; a volume cannot be made smaller`);
		recover(pool);
		writeVolume(pool.name, { ...current, size });
		const device = dmVolume(pool.name, current.name);
		if (!wasActive) return;
		const [target] = dmTableStatus(device, DM_STATUS_TABLE_FLAG).targets;
		if (!target) fail(`${current.name}: has no table`);
		dmLoad(device, [{ ...target, length: Math.floor(size / 512) }]);
		dmSuspend(device);
		resumeDevice(device);
	});
	const device = activated(pool, volume.name);
	try {
		if (volume.fs !== undefined) growFileSystem(device);
	} finally {
		if (!wasActive) withPool(pool.name, () => deactivate(dmVolume(pool.name, volume.name), volume.name));
	}
}
