/** `pool activate`, `pool deactivate`, `gc`. */

import { dmInfo, dmResume } from "../../../native/linux/devmapper.ts";
import { readdir } from "../../../native/linux/fd.ts";
import { exit } from "../../../native/linux/process.ts";
import { lstatIfAny } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { fail, ToolError, UsageError } from "../../common/errors.ts";
import { isName } from "../../common/state.ts";
import { leaveLost } from "../layer/attach.ts";
import { clearImports } from "../layer/image.ts";
import {
	checkName,
	dmPool,
	dmVolume,
	listPools,
	makePoolFolder,
	type PoolRecord,
	readPool,
	readPoolIfAny,
	removeHalfWritten,
	storeFolder,
	withPool,
	withStore,
	writePool,
} from "../store/pool.ts";
import { beginTransactions, recover } from "../store/transaction.ts";
import { forgetVolume, listVolumes, type Volume, writeVolume } from "../store/volume.ts";
import { devicePath, makeNode } from "../udev/device.ts";
import { clearDeleted } from "../volume/manage.ts";
import { activatePool, activeVolumes, deactivatePool } from "./activate.ts";
import { withMappings } from "./mappings.ts";
import { clearCreation } from "./remove.ts";
import { signatureOf, writeSignatures } from "./signature.ts";
import { poolStatus } from "./status.ts";

/** `pool activate [POOL...]`: all pools where none is named. After a crash this is what makes store and kernel agree. */
export function activatePools(operands: string[], options: { device?: string }) {
	if (options.device !== undefined) findByDevice(operands[0], options.device);
	const names = operands.length > 0 ? operands : listPools();
	for (const operand of names) {
		const pool = readPool(operand);
		withPool(pool.name, () => {
			const paths = JSON.stringify(pool.devices);
			activatePool(pool);
			/* A device may have another name since the machine was started. */
			if (JSON.stringify(pool.devices) !== paths) writePool(pool);
			clearKilled(pool);
			const { mended } = recover(pool);
			if (mended) print(`${pool.name}: ${mended}\n`);
		});
		print(`${devicePath(dmPool(pool.name))}\n`);
	}
}

/** What a process that was killed has left: a device suspended or without its node, a file half written. */
function clearKilled(pool: PoolRecord) {
	if (isDryRun()) return;
	removeHalfWritten(pool.name);
	for (const name of [dmPool(pool.name), ...activeVolumes(pool.name).map((volume) => dmVolume(pool.name, volume))]) {
		const info = dmInfo(name);
		if (info?.suspended && (info.hasActive || info.hasInactive)) dmResume(name);
		if (info?.hasActive) makeNode(info);
	}
}

/** Makes the store of a pool anew from the signature on its device: the volumes get names of their numbers. */
function findByDevice(operand: string | undefined, path: string) {
	const name = checkName(operand, "POOL");
	withStore(() => {
		const found = signatureOf(path) ?? fail(`${path}: has no pool's signature`);
		if (found.pool.name !== name) fail(`${path}: has the pool ${found.pool.name}, not ${name}`);
		if (readPoolIfAny(name)) return;
		const pool = found.pool;
		for (const device of pool.devices ?? []) if (device.uuid === found.device) device.path = path;
		makePoolFolder(name);
		activatePool(pool);
		const { transactionId } = poolStatus(pool);
		const details = withMappings(pool, (reader) => [...reader.details]);
		for (const [id, { transactionId: made }] of details) {
			const volume: Volume = { name: `volume-${id}`, device_id: id, size: 0, transaction_id: made, initialized: true, deleted: false };
			volume.size = sizeOf(pool, id);
			writeVolume(pool.name, volume);
		}
		beginTransactions(pool, transactionId, Math.max(0, ...details.map(([id]) => id)) + 1);
		writePool(pool);
		writeSignatures(pool);
		print(`${name}: found on ${path}; ${details.length} volumes, by their numbers: the store knows no names and sizes of them\n`);
	});
}

/** The kernel keeps no size of a volume: the end of its last block is the least that it was. */
function sizeOf(pool: PoolRecord, id: number): number {
	return withMappings(pool, (reader) => {
		const root = reader.roots.get(id);
		let end = 1;
		const walk = (block: number) => {
			const node = reader.node(block);
			const last = node.keys.length - 1;
			if (last < 0) return;
			if (node.isInternal) walk(node.view.getUint32(node.values + 8 * last, true));
			else end = (node.keys[last] as number) + 1;
		};
		if (root !== undefined) walk(root);
		return end * pool.block_size * 512;
	});
}

export function deactivatePools(operands: string[], options: { volumes?: true }) {
	if (operands.length === 0) throw new UsageError("no POOL given");
	for (const operand of operands) {
		const pool = readPool(operand);
		withPool(pool.name, () => deactivatePool(pool, options.volumes === true));
	}
}

/** `gc`: clears what killed processes have left, and volumes whose removal was put off. Prints what it cleared. */
export function gc() {
	if (!lstatIfAny(storeFolder())) return;
	withStore(() => {
		for (const name of readdir(storeFolder()).filter(isName)) if (!readPoolIfAny(name) && clearCreation(name)) print(`${name}\n`);
		for (const name of clearImports()) print(`${name}\n`);
	});
	let failed = false;
	for (const name of listPools()) {
		try {
			for (const volume of gcPool(readPool(name))) print(`${name}/${volume}\n`);
		} catch (error) {
			/* One pool that is out of service does not keep the others from being cleared. */
			if (!(error instanceof ToolError || error instanceof SysError)) throw error;
			warn(error.message);
			failed = true;
		}
	}
	if (failed) exit(1);
}

function gcPool(pool: PoolRecord): string[] {
	if (!dmInfo(dmPool(pool.name))?.hasActive) return [];
	const forgotten = withPool(pool.name, () => {
		clearKilled(pool);
		recover(pool);
		const known = withMappings(pool, (reader) => new Set(reader.details.keys()));
		const unknown = listVolumes(pool.name).filter((volume) => !known.has(volume.device_id));
		for (const volume of unknown) forgetVolume(pool.name, volume.name);
		return unknown.map(({ name }) => name);
	});
	return [...forgotten, ...leaveLost(pool), ...clearDeleted(pool)];
}
