/** `pool rm`, and the undoing of a creation that failed or was killed. All may be called again. */

import { readdir } from "../../../native/linux/fd.ts";
import { mountinfo } from "../../../native/linux/mount.ts";
import { lstatIfAny, rmdir, unlinkIfAny } from "../../../native/linux/stat.ts";
import { dryRun, isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { readState, removeStateFolder } from "../../common/state.ts";
import { dmData, dmMetadata, dmPool, dmVolume, type PoolRecord, poolFolder, readPool, withStore } from "../store/pool.ts";
import { listVolumes } from "../store/volume.ts";
import { removeQuietly } from "../udev/device.ts";
import { activeVolumes, deactivatePool } from "./activate.ts";
import { wipeSignature } from "./signature.ts";

/** The record of a pool that is being made, or removed. */
export const creatingPath = (name: string) => `${poolFolder(name)}/creating`;

/** `pool rm`: with `force` also where there are volumes. */
export function removePools(operands: string[], options: { force?: true }) {
	if (operands.length === 0) throw new UsageError("no POOL given");
	for (const operand of operands)
		withStore(() => {
			const pool = readPool(operand);
			const volumes = listVolumes(pool.name);
			if (volumes.length > 0 && !options.force)
				fail(
					`${pool.name}: has volumes: ${volumes
						.slice(0, 5)
						.map(({ name }) => name)
						.join(", ")}${volumes.length > 5 ? ` and ${volumes.length - 5} more` : ""}`,
					"--force removes them and what is in them",
				);
			deactivatePool(pool, options.force === true);
			for (const device of pool.devices ?? []) wipeSignature(device);
			unlinkPool(pool);
		});
}

/** Removes the files of a pool, its record last, so that a removal that is killed can be made again. */
function unlinkPool(pool: PoolRecord) {
	const folder = poolFolder(pool.name);
	if (dryRun(`remove ${folder}`)) return;
	for (const path of Object.values(pool.loop ?? {})) unlinkIfAny(path);
	removeMountPoints(`${folder}/mnt`);
	removeStateFolder(`${folder}/metadata`);
	removeStateFolder(folder);
}

/** Removes the empty folders that volumes were mounted on. */
function removeMountPoints(path: string) {
	if (!lstatIfAny(path)) return;
	const mounted = mountinfo().map(({ target }) => target);
	for (const name of readdir(path)) {
		const place = `${path}/${name}`;
		if (mounted.includes(place)) fail(`${place}: is mounted`, "unmount it");
		rmdir(place);
	}
	rmdir(path);
}

/** Takes back what was made of a pool, as far as it goes. */
export function undoCreation(pool: PoolRecord) {
	if (isDryRun()) return;
	try {
		for (const volume of activeVolumes(pool.name)) removeQuietly(dmVolume(pool.name, volume));
		for (const name of [dmPool(pool.name), dmData(pool.name), dmMetadata(pool.name)]) removeQuietly(name);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
	for (const device of pool.devices ?? []) {
		try {
			wipeSignature(device);
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
		}
	}
	unlinkPool(pool);
}

/** Clears a creation that was killed; to be called under the store's lock. True if there was one. */
export function clearCreation(name: string): boolean {
	const pool = readState<PoolRecord>(creatingPath(name));
	if (pool) undoCreation(pool);
	else if (lstatIfAny(poolFolder(name)) && !lstatIfAny(`${poolFolder(name)}/pool`)) {
		/* Killed before it had a record, or when all but the folders was removed. */
		removeMountPoints(`${poolFolder(name)}/mnt`);
		removeStateFolder(`${poolFolder(name)}/metadata`);
		removeStateFolder(poolFolder(name));
		return true;
	}
	return pool !== undefined;
}
