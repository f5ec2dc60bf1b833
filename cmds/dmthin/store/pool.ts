/**
 * The store: what is known of pools, in files that can be read with cat, as Docker's devicemapper driver keeps them.
 *
 *     DATA/devicemapper/POOL/pool            what the pool is made of (PoolRecord)
 *                            transaction     the last change: transaction.ts
 *                            metadata/NAME   a volume (volume.ts)
 *                            mnt/NAME        where a volume is mounted, if no other place was given
 */

import { close, fsync, O_DIRECTORY, O_RDONLY, open, readdir } from "../../../native/linux/fd.ts";
import { unlinkIfAny } from "../../../native/linux/stat.ts";
import { dryRun, isDryRun } from "../../../native/linux/syscall.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { dataFolder, isName, listState, makeStateFolder, readState, withLock, writeState } from "../../common/state.ts";
/** Sectors of 512 bytes on one of the pool's devices. */
export interface Segment {
	/** Index of `devices`. */
	device: number;
	start: number;
	length: number;
}

export interface PoolDevice {
	/** Where it was last seen; it is found again by the signature at its start. */
	path: string;
	/** What its signature says: signature.ts. */
	uuid: string;
	/** Its size in sectors. */
	sectors: number;
}

export interface PoolRecord {
	format: 1;
	name: string;
	uuid: string;
	/** In sectors: 128 (64 KiB) and multiples of it, up to 1 GiB. */
	block_size: number;
	/** In blocks of free data: below it the kernel tells of it. */
	low_water: number;
	on_full: "queue" | "error";
	/** In percent. A threshold of 100 is never. */
	autoextend: { threshold: number; percent: number };
	/** In percent of data and of metadata: with less free no volume is made. */
	min_free: number;
	skip_block_zeroing: boolean;
	/** A pool on two sparse files. */
	loop?: { data: string; metadata: string };
	/** A pool on devices, with what is cut from them for data and for metadata, in order. */
	devices?: PoolDevice[];
	data?: Segment[];
	metadata?: Segment[];
}

/** The folder of all pools. */
export function storeFolder(): string {
	return `${dataFolder()}/devicemapper`;
}

export function poolFolder(pool: string): string {
	return `${storeFolder()}/${pool}`;
}

/** An operand that is a pool's or a volume's name. */
export function checkName(text: string | undefined, noun: "POOL" | "VOLUME" | "NAME"): string {
	if (text === undefined) throw new UsageError(`no ${noun} given`);
	if (!isName(text) || text.length > 55)
		throw new UsageError(`${show(text)}: not a name (letters, digits, _ . - ; 55 at most; the first a letter or digit)`);
	return text;
}

/** The names of the pool's devices. `:` and `=` are in no name of ours, so that no volume can have a pool's. */
export const dmPool = (pool: string) => `tsbox-${pool}`;
export const dmData = (pool: string) => `tsbox-${pool}=data`;
export const dmMetadata = (pool: string) => `tsbox-${pool}=meta`;
export const dmVolume = (pool: string, volume: string) => `tsbox-${pool}:${volume}`;

export function listPools(): string[] {
	return listState(storeFolder()).filter((name) => readPoolIfAny(name) !== undefined);
}

export function readPoolIfAny(name: string): PoolRecord | undefined {
	const pool = readState<PoolRecord>(`${poolFolder(name)}/pool`);
	if (pool && pool.format !== 1) fail(`${poolFolder(name)}/pool: format ${show(String(pool.format))}`, "this version reads format 1");
	return pool;
}

/** A pool by the name that was given on the command line. */
export function readPool(operand: string | undefined): PoolRecord {
	const name = checkName(operand, "POOL");
	return readPoolIfAny(name) ?? fail(`${name}: no such pool`, "`tsdmthin pool ls` shows those that there are");
}

export function writePool(pool: PoolRecord) {
	save(`${poolFolder(pool.name)}/pool`, pool);
}

/** Writes a file of the store, to be there after a power cut. */
export function save(path: string, value: unknown) {
	const text = `${JSON.stringify(value)}\n`;
	if (dryRun(`write ${path} ${text.trim()}`)) return;
	writeState(path, text);
	syncFolder(path.replace(/\/[^/]*$/, ""));
}

/** Removes a file of the store, to be gone after a power cut. */
export function discard(path: string) {
	unlinkIfAny(path);
	if (!isDryRun()) syncFolder(path.replace(/\/[^/]*$/, ""));
}

/** Makes what was renamed or removed in a folder last. */
export function syncFolder(path: string) {
	const fd = open(path, O_RDONLY | O_DIRECTORY);
	try {
		fsync(fd);
	} finally {
		close(fd);
	}
}

/** Removes what a killed process had half written. To be called under the pool's lock, under which all is written. */
export function removeHalfWritten(pool: string) {
	for (const folder of [poolFolder(pool), `${poolFolder(pool)}/metadata`])
		for (const name of readdir(folder)) if (/\.\d+\.new$/.test(name)) unlinkIfAny(`${folder}/${name}`);
}

/** Makes the folders of a pool. */
export function makePoolFolder(name: string) {
	if (dryRun(`mkdir ${poolFolder(name)}`)) return;
	makeStateFolder(storeFolder());
	makeStateFolder(poolFolder(name));
	for (const folder of ["metadata", "mnt"]) makeStateFolder(`${poolFolder(name)}/${folder}`);
}

/** Works on a pool while nobody else changes it. */
export function withPool<T>(name: string, change: () => T): T {
	return isDryRun() ? change() : withLock(poolFolder(name), change);
}

/** Works while no pool is made or removed. */
export function withStore<T>(change: () => T): T {
	if (isDryRun()) return change();
	makeStateFolder(storeFolder());
	return withLock(storeFolder(), change);
}
