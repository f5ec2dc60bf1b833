/** mount, umount, trim. */

import { dmInfo } from "../../../native/linux/devmapper.ts";
import { EBUSY } from "../../../native/linux/errno.ts";
import { mountinfo, umount } from "../../../native/linux/mount.ts";
import { mkdirAll, rmdir, statIfAny } from "../../../native/linux/stat.ts";
import { dryRun, isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { formatSize } from "../../common/units.ts";
import { deactivate } from "../pool/activate.ts";
import { checkName, dmVolume, type PoolRecord, poolFolder, readPool, withPool } from "../store/pool.ts";
import { recover } from "../store/transaction.ts";
import { readVolume, readVolumeIfAny, type Volume } from "../store/volume.ts";
import { mountFileSystem, probe, trimDevice } from "./filesystem.ts";
import { holdersOf } from "./holders.ts";
import { activated } from "./manage.ts";

export const mountPoint = (pool: string, volume: string) => `${poolFolder(pool)}/mnt/${volume}`;

/** Where a volume is mounted, in this process's mount namespace. */
export function mountsOf(pool: string, volume: string): string[] {
	const info = isDryRun() ? undefined : dmInfo(dmVolume(pool, volume));
	if (!info) return [];
	return mountinfo()
		.filter(({ device }) => device === `${info.major}:${info.minor}`)
		.map(({ target }) => target);
}

export interface MountOptions {
	options?: string;
	fs?: string;
}

/** Mounts a volume, activated if need be, and returns where. Mounted there already is done. */
export function mountVolume(pool: PoolRecord, volume: Volume, target: string | undefined, { options, fs }: MountOptions): string {
	const place = target ?? mountPoint(pool.name, volume.name);
	if (!place.startsWith("/")) throw new UsageError(`${show(place)}: not a path from /`);
	if (mountsOf(pool.name, volume.name).includes(place)) return place;
	withPool(pool.name, () => recover(pool));
	const device = activated(pool, volume.name);
	const type = fs ?? volume.fs ?? (isDryRun() ? "ext4" : probe(device)?.type);
	try {
		if (type === undefined) fail(`${volume.name}: has no file system`, `make one: mkfs.ext4 ${device}`);
		if (target === undefined) mkdirAll(place, 0o700);
		else if (!statIfAny(place) && !isDryRun()) fail(`${show(place)}: no such folder`);
		mountFileSystem(device, place, type, options);
	} catch (error) {
		if (target === undefined) rmdirQuietly(place);
		deactivateIfFree(pool, volume.name);
		throw error;
	}
	return place;
}

function rmdirQuietly(path: string) {
	try {
		rmdir(path);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
}

export function deactivateIfFree(pool: PoolRecord, volume: string) {
	withPool(pool.name, () => {
		if (dmInfo(dmVolume(pool.name, volume))?.openCount === 0) deactivate(dmVolume(pool.name, volume), volume);
	});
}

/** `mount POOL VOLUME [TARGET]`. */
export function mountVerb(operands: string[], options: MountOptions) {
	const [poolName, volumeName, target] = operands;
	if (operands.length > 3) throw new UsageError("more than POOL VOLUME TARGET");
	const pool = readPool(poolName);
	const volume = readVolume(pool, volumeName);
	if (!volume.initialized) fail(`${volume.name}: has no file system yet: it is being made, or that was broken off`);
	print(`${mountVolume(pool, volume, target, options)}\n`);
}

/** `umount POOL VOLUME [TARGET]`: from all places in this namespace, or from one; then the device goes, unless it is in use. */
export function umountVerb(operands: string[], options: { keepActive?: true }) {
	const [poolName, volumeName, target] = operands;
	const pool = readPool(poolName);
	const name = checkName(volumeName, "VOLUME");
	if (!readVolumeIfAny(pool.name, name)) readVolume(pool, name);
	umountVolume(pool, name, target, options.keepActive === true);
}

/** Not mounted is done. */
export function umountVolume(pool: PoolRecord, name: string, target: string | undefined, keepActive: boolean) {
	const places = target === undefined ? mountsOf(pool.name, name).reverse() : [target];
	for (const place of places) {
		if (target !== undefined && !mountsOf(pool.name, name).includes(place)) fail(`${name}: is not mounted on ${show(place)}`);
		try {
			umount(place);
		} catch (error) {
			if (!(error instanceof SysError && error.errno === EBUSY)) throw error;
			const info = dmInfo(dmVolume(pool.name, name));
			const holders = info ? holdersOf(info.major, info.minor).filter((line) => line.startsWith("used by")) : [];
			fail(`${name}: ${show(place)} is in use${holders.length > 0 ? `: ${holders.join("; ")}` : ""}`);
		}
	}
	const own = mountPoint(pool.name, name);
	if (statIfAny(own) && mountsOf(pool.name, name).length === 0 && !dryRun(`rmdir ${own}`)) rmdirQuietly(own);
	if (!keepActive && mountsOf(pool.name, name).length === 0) deactivateIfFree(pool, name);
}

/** `trim POOL [VOLUME...]`: gives back what the file systems have free. */
export function trim(operands: string[]) {
	const [poolName, ...names] = operands;
	const pool = readPool(poolName);
	if (names.length === 0) throw new UsageError("no VOLUME given");
	for (const name of names) {
		const volume = readVolume(pool, name);
		const wasActive = dmInfo(dmVolume(pool.name, volume.name)) !== undefined;
		const device = activated(pool, volume.name);
		try {
			const bytes = trimDevice(device);
			if (bytes === undefined) fail(`${volume.name}: has no file system that can be trimmed`);
			print(`${volume.name}: ${formatSize(bytes)} given back\n`);
		} finally {
			if (!wasActive) deactivateIfFree(pool, volume.name);
		}
	}
}
