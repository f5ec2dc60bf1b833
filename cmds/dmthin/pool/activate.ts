/** A pool's devices: made from its record, and removed. */

import { dmInfo, dmList, dmResume } from "../../../native/linux/devmapper.ts";
import { DM_DEFERRED_REMOVE } from "../../../native/linux/dm-ioctl.ts";
import { EBUSY, EINVAL, ENODATA } from "../../../native/linux/errno.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { dmData, dmMetadata, dmPool, dmVolume, type PoolRecord } from "../store/pool.ts";
import { readVolumeIfAny } from "../store/volume.ts";
import { kernelSays } from "../table/kernel-says.ts";
import { addDevice, makeNode, removeDevice, removeQuietly, removeStaleNode } from "../udev/device.ts";
import { holdersOf } from "../volume/holders.ts";
import { closeBacking, openBacking, poolDevice, poolTable } from "./backing.ts";

/** Makes a pool's devices, where they are not there. True if they were made. To be called under the pool's lock. */
export function activatePool(pool: PoolRecord, prepare?: (metadataPath: string) => void): boolean {
	if (!isDryRun()) {
		const info = poolDevice(pool);
		if (info) {
			makeNode(info);
			return false;
		}
		/* What an attempt that was killed has left, without a table in force. */
		for (const name of [dmPool(pool.name), dmData(pool.name), dmMetadata(pool.name)]) removeQuietly(name);
	}
	const backing = openBacking(pool);
	try {
		prepare?.(backing.metadata.path);
		const table = poolTable(pool, backing.metadata.device, backing.data.device, backing.data.sectors);
		addDevice(dmPool(pool.name), `TSBOX-${pool.uuid}-pool`, table);
	} catch (error) {
		backing.release();
		closeBacking(pool);
		if (error instanceof SysError && error.call === "DM_TABLE_LOAD" && error.errno === EINVAL)
			fail(
				`${pool.name}: the kernel refuses the pool's table: ${error.message}`,
				kernelSays("is dm-thin-pool there (`tsdmthin targets`), the metadata whole (`tsdmthin pool check`)? dmesg says more"),
			);
		throw error;
	}
	backing.release();
	return true;
}

/** The names of the active volumes of a pool. */
export function activeVolumes(pool: string): string[] {
	const prefix = dmVolume(pool, "");
	return dmList()
		.map(({ name }) => name)
		.filter((name) => name.startsWith(prefix))
		.map((name) => name.slice(prefix.length));
}

/** Removes a pool's devices: those of volumes first. What is gone is fine; fails where something is in use. */
export function deactivatePool(pool: PoolRecord, volumes: boolean) {
	const active = isDryRun() ? [] : activeVolumes(pool.name);
	if (active.length > 0 && !volumes) fail(`${pool.name}: volumes are active: ${active.join(", ")}`, "--volumes deactivates them first");
	for (const volume of active) deactivate(dmVolume(pool.name, volume), `${pool.name}/${volume}`);
	deactivate(dmPool(pool.name), pool.name);
	if (!pool.loop) for (const name of [dmData(pool.name), dmMetadata(pool.name)]) deactivate(name, name);
}

/** Removes a device; one that is gone is fine. Fails where it is in use, saying by whom; `deferred` leaves that to the kernel. */
export function deactivate(device: string, what: string, deferred = false) {
	const info = dmInfo(device);
	if (!info && !isDryRun()) return removeStaleNode(device);
	try {
		removeDevice(device, deferred ? DM_DEFERRED_REMOVE : 0);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EBUSY && info)) throw error;
		const holders = holdersOf(info.major, info.minor);
		const who =
			holders.length > 0
				? holders.join("; ")
				: "by what no process here shows: a mount in a namespace that is kept by a file, or the kernel";
		fail(`${what}: is in use: ${who}`, "unmount it there, or --deferred removes it when its last user is gone");
	}
}

/** Makes a volume's device, where it is not there. The pool must be active. */
export function activateVolume(pool: PoolRecord, name: string): string {
	const volume = readVolumeIfAny(pool.name, name);
	if (!volume) return fail(`${name}: no such volume in ${pool.name}`);
	const device = dmVolume(pool.name, name);
	const uuid = `TSBOX-${pool.uuid}-${volume.device_id}`;
	if (!isDryRun()) {
		const info = dmInfo(device);
		if (info && info.uuid !== uuid)
			fail(`${device}: is there, and is not this volume's: its uuid is ${show(info.uuid)}`, `\`tsdmthin remove ${device}\``);
		if (info?.hasActive && !info.deferredRemove) {
			/* Whoever suspended it was killed: all of ours hold the lock meanwhile. */
			if (info.suspended) dmResume(device);
			/* Who made it may have been killed before its node was there. */
			makeNode(info);
			return device;
		}
		if (info?.deferredRemove) fail(`${name}: its device is about to be removed`, "its last user has yet to close it");
		if (info) removeQuietly(device);
	}
	const poolInfo = dmInfo(dmPool(pool.name));
	if (!poolInfo?.hasActive && !isDryRun()) fail(`${pool.name}: the pool is not active`, `\`tsdmthin pool activate ${pool.name}\``);
	const origin = volume.external_origin === undefined ? "" : ` ${volume.external_origin}`;
	const params = `${poolInfo?.major ?? 0}:${poolInfo?.minor ?? 0} ${volume.device_id}${origin}`;
	try {
		addDevice(device, uuid, [{ start: 0, length: Math.floor(volume.size / 512), type: "thin", params }]);
	} catch (error) {
		if (error instanceof SysError && error.errno === ENODATA)
			fail(`${name}: the pool has no device ${volume.device_id}`, `\`tsdmthin pool check ${pool.name}\``);
		throw error;
	}
	return device;
}
