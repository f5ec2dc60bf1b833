/**
 * Changes of a pool's volumes, of which a crash leaves all or nothing.
 *
 * The kernel keeps a number with the pool's metadata, the transaction id, and commits with each message. A change from N to N+1:
 *
 *     1. `transaction` says what is to be done, and that it is N+1
 *     2. the message: create_thin, create_snap, delete
 *     3. metadata/NAME is written, or removed
 *     4. the message set_transaction_id N N+1
 *
 * The file stays as it is until the next change. So where the kernel is at N the change was broken off: a new volume is taken back, a
 * removal is finished. Where it is at N+1 the change is done; the files are made to say so, as a power cut may have taken 3.
 */

import { dmInfo, dmMessage, dmResume, dmSuspend } from "../../../native/linux/devmapper.ts";
import { EEXIST, ENODATA } from "../../../native/linux/errno.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail, ToolError } from "../../common/errors.ts";
import { readState } from "../../common/state.ts";
import { type PoolStatus, poolStatus } from "../pool/status.ts";
import { dmPool, dmVolume, type PoolRecord, poolFolder, save } from "./pool.ts";
import { forgetVolume, readVolumeIfAny, type Volume, type VolumeRecord, writeVolume } from "./volume.ts";

export interface Transaction {
	/** The kernel's number once the change is done. */
	open_transaction_id: number;
	action: "create" | "snapshot" | "delete" | "none";
	name?: string;
	device_id?: number;
	/** The volume that is suspended meanwhile. */
	origin?: string;
	/** What metadata/NAME is to hold. */
	volume?: VolumeRecord;
	/** The next one to try for a new volume. */
	next_device_id: number;
}

/** Device ids have 24 bits. 0 is left to what others may make in the pool. */
const LAST_ID = 0xffffff;

const transactionPath = (pool: PoolRecord) => `${poolFolder(pool.name)}/transaction`;

export function readTransaction(pool: PoolRecord): Transaction {
	return (
		readState<Transaction>(transactionPath(pool)) ?? {
			open_transaction_id: 0,
			action: "none",
			next_device_id: 1,
		}
	);
}

/** A message to the pool; -errno of what the kernel says against it. */
function tryMessage(pool: PoolRecord, message: string): number {
	try {
		dmMessage(dmPool(pool.name), 0, message);
		return 0;
	} catch (error) {
		if (error instanceof SysError) return error.errno;
		throw error;
	}
}

function message(pool: PoolRecord, text: string) {
	const errno = tryMessage(pool, text);
	if (errno !== 0) throw new SysError(`${pool.name}: ${text}`, errno);
}

/**
 * Makes the store and the kernel agree after a crash. To be called under the pool's lock, and before each change. Returns the
 * pool's status, and what the last change was.
 */
export function recover(pool: PoolRecord): { status: PoolStatus; last: Transaction; mended: string | undefined } {
	const status = poolStatus(pool);
	const last = readTransaction(pool);
	const kernel = status.transactionId;
	if (isDryRun()) return { status, last, mended: undefined };
	if (kernel !== last.open_transaction_id && kernel !== last.open_transaction_id - 1)
		fail(
			`${pool.name}: the kernel's transaction id is ${kernel}, the store's is ${last.open_transaction_id}`,
			`${poolFolder(pool.name)} is not of the same time as the pool; \`tsdmthin pool repair --store ${pool.name}\` makes it follow the pool`,
		);
	if (last.origin !== undefined) resumeIfSuspended(pool, last.origin);
	const isDone = kernel === last.open_transaction_id;
	const { action, name, device_id: id } = last;
	if (action === "none" || name === undefined || id === undefined) {
		if (!isDone) message(pool, `set_transaction_id ${kernel} ${last.open_transaction_id}`);
		return { status, last, mended: undefined };
	}
	const found = readVolumeIfAny(pool.name, name);
	const isThere = found?.device_id === id && found.transaction_id === last.volume?.transaction_id;
	if (isDone) {
		if (action === "delete" && isThere) forgetVolume(pool.name, name);
		/* It may have been changed since (initialized, size): what is there stands. */
		if (action !== "delete" && !found && last.volume) writeVolume(pool.name, { ...last.volume, name });
		return { status, last, mended: undefined };
	}
	const errno = tryMessage(pool, `delete ${id}`);
	if (errno !== 0 && errno !== ENODATA) throw new SysError(`${pool.name}: delete ${id}`, errno);
	if (isThere) forgetVolume(pool.name, name);
	message(pool, `set_transaction_id ${kernel} ${last.open_transaction_id}`);
	const settled: Transaction = { open_transaction_id: last.open_transaction_id, action: "none", next_device_id: last.next_device_id };
	save(transactionPath(pool), settled);
	const mended = action === "delete" ? `${name}: its removal is finished` : `${name}: was not made, and is taken back`;
	return { status: { ...status, transactionId: last.open_transaction_id }, last: settled, mended };
}

function resumeIfSuspended(pool: PoolRecord, origin: string) {
	const info = dmInfo(dmVolume(pool.name, origin));
	if (info?.suspended) dmResume(info.name);
}

/** How a new volume is to be made. */
export interface NewVolume {
	name: string;
	record: Omit<VolumeRecord, "device_id" | "transaction_id" | "deleted">;
	/** A snapshot of this one. */
	origin?: Volume;
}

/** Does a change; what a failure has left half done is taken back, or finished, at once. */
function settled<T>(pool: PoolRecord, change: () => T): T {
	try {
		return change();
	} catch (error) {
		try {
			recover(pool);
		} catch (second) {
			/* The next change or `pool activate` tries again; the first error is the one to tell. */
			if (!(second instanceof SysError || second instanceof ToolError)) throw second;
		}
		throw error;
	}
}

/** Makes a volume, under the pool's lock. Returns it. Throws what the kernel says, with nothing left. */
export function createVolume(pool: PoolRecord, wanted: NewVolume): Volume {
	return settled(pool, () => createSteps(pool, wanted));
}

function createSteps(pool: PoolRecord, wanted: NewVolume): Volume {
	const { last } = recover(pool);
	if (readVolumeIfAny(pool.name, wanted.name)) fail(`${wanted.name}: exists in ${pool.name}`);
	const next = last.open_transaction_id + 1;
	for (let id = last.next_device_id, tried = 0; ; id = id >= LAST_ID ? 1 : id + 1, tried++) {
		const volume: Volume = { device_id: id, transaction_id: next, deleted: false, ...wanted.record, name: wanted.name };
		const { name, ...record } = volume;
		save(transactionPath(pool), {
			open_transaction_id: next,
			action: wanted.origin ? "snapshot" : "create",
			name,
			device_id: id,
			...(wanted.origin && { origin: wanted.origin.name }),
			volume: record,
			next_device_id: id >= LAST_ID ? 1 : id + 1,
		} satisfies Transaction);
		const errno = wanted.origin ? snapshotMessage(pool, id, wanted.origin) : tryMessage(pool, `create_thin ${id}`);
		/* Somebody else has made a volume of this number in our pool: it is not ours to reuse, nor to take back. */
		if (errno === EEXIST && tried < LAST_ID) continue;
		if (errno !== 0) {
			settle(pool, next, id);
			throw new SysError(`${pool.name}: create ${wanted.name}`, errno);
		}
		writeVolume(pool.name, volume);
		message(pool, `set_transaction_id ${next - 1} ${next}`);
		return volume;
	}
}

/** Closes a change that the kernel refused: nothing is to be taken back. */
function settle(pool: PoolRecord, next: number, nextId: number) {
	save(transactionPath(pool), { open_transaction_id: next - 1, action: "none", next_device_id: nextId } satisfies Transaction);
}

/** The origin's I/O is held back meanwhile, with its file system frozen: the kernel asks for it, and does not check. */
function snapshotMessage(pool: PoolRecord, id: number, origin: Volume): number {
	const device = dmVolume(pool.name, origin.name);
	const info = dmInfo(device);
	const isOurs = info?.hasActive === true && !info.suspended;
	if (isOurs) dmSuspend(device);
	try {
		return tryMessage(pool, `create_snap ${id} ${origin.device_id}`);
	} finally {
		if (isOurs) dmResume(device);
	}
}

/** Removes a volume that is not active, under the pool's lock. */
export function deleteVolume(pool: PoolRecord, volume: Volume) {
	settled(pool, () => deleteSteps(pool, volume));
}

function deleteSteps(pool: PoolRecord, volume: Volume) {
	const { last } = recover(pool);
	const next = last.open_transaction_id + 1;
	const { name, ...record } = volume;
	save(transactionPath(pool), {
		open_transaction_id: next,
		action: "delete",
		name,
		device_id: volume.device_id,
		volume: record,
		next_device_id: last.next_device_id,
	} satisfies Transaction);
	const errno = tryMessage(pool, `delete ${volume.device_id}`);
	if (errno !== 0 && errno !== ENODATA) {
		settle(pool, next, last.next_device_id);
		throw new SysError(`${pool.name}: delete ${name}`, errno);
	}
	forgetVolume(pool.name, name);
	message(pool, `set_transaction_id ${next - 1} ${next}`);
}

/** Writes the first transaction file of a new pool. */
export function beginTransactions(pool: PoolRecord, transactionId = 0, nextId = 1) {
	save(transactionPath(pool), { open_transaction_id: transactionId, action: "none", next_device_id: nextId } satisfies Transaction);
}
