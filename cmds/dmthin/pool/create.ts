/** `pool create`: the devices or files are checked and prepared, then the pool is put together; all is undone if a step fails. */

import { readAt, truncateFile, writeAt } from "../../../native/linux/blockdev.ts";
import { geteuid } from "../../../native/linux/credential.ts";
import { openControl } from "../../../native/linux/devmapper.ts";
import { close, fsync, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, open } from "../../../native/linux/fd.ts";
import { getrandom } from "../../../native/linux/process.ts";
import { exists, mkdirAll, rename, stat } from "../../../native/linux/stat.ts";
import { dryRun, isDryRun } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { formatSize } from "../../common/units.ts";
import {
	checkName,
	dmPool,
	makePoolFolder,
	type PoolRecord,
	poolFolder,
	readPoolIfAny,
	type Segment,
	save,
	syncFolder,
	withStore,
} from "../store/pool.ts";
import { hex } from "../store/text.ts";
import { beginTransactions } from "../store/transaction.ts";
import { devicePath } from "../udev/device.ts";
import { activatePool } from "./activate.ts";
import { checkDevice } from "./content.ts";
import { clearCreation, creatingPath, undoCreation } from "./remove.ts";
import { RESERVED, writeSignatures } from "./signature.ts";
import { BLOCK_SIZE, checkSizes, GIB, MIB, metadataFor } from "./sizes.ts";

export interface CreatePoolOptions {
	loop?: string;
	device?: string;
	metadata?: string;
	dataSize?: number;
	metadataSize?: number;
	dataPercent?: number;
	metadataPercent?: number;
	blockSize?: number;
	lowWater?: number;
	onFull?: "queue" | "error";
	autoextendThreshold?: number;
	autoextendPercent?: number;
	minFree?: number;
	skipBlockZeroing?: true;
	force?: true;
}

export function createPool(operands: string[], options: CreatePoolOptions) {
	const name = checkName(operands[0], "NAME");
	if (operands.length > 1) throw new UsageError(`${show(operands[1] as string)}: one NAME is taken`);
	if ((options.loop === undefined) === (options.device === undefined)) throw new UsageError("one of --loop DIR and --device DEV is needed");
	withStore(() => {
		if (!isDryRun() && readPoolIfAny(name)) fail(`${name}: the pool exists`);
		if (!isDryRun()) clearCreation(name);
		const undo: (() => void)[] = [];
		try {
			build(name, options, undo);
		} catch (error) {
			for (const step of undo.reverse()) step();
			throw error;
		}
	});
	if (!isDryRun()) print(`${devicePath(dmPool(name))}\n`);
}

function build(name: string, options: CreatePoolOptions, undo: (() => void)[]) {
	const block = options.blockSize ?? BLOCK_SIZE;
	const pool: PoolRecord = {
		format: 1,
		name,
		uuid: hex(getrandom(16)),
		block_size: block / 512,
		low_water: 0,
		on_full: options.onFull ?? "queue",
		autoextend: { threshold: options.autoextendThreshold ?? 100, percent: options.autoextendPercent ?? 20 },
		min_free: options.minFree ?? 10,
		skip_block_zeroing: options.skipBlockZeroing === true,
	};
	if (pool.autoextend.threshold < 50) throw new UsageError("--autoextend-threshold: less than 50");
	const layout = options.loop === undefined ? planDevices(pool, options) : planLoop(pool, options);
	checkSizes(layout.data, layout.metadata, block);
	pool.low_water = lowWater(options.lowWater, pool, Math.floor(layout.data / block));
	for (const path of Object.values(pool.loop ?? {}))
		if (!isDryRun() && exists(path)) fail(`${show(path)}: exists`, "a pool may be in it; choose another folder");
	/* Before anything is made: there may be no device-mapper. */
	if (!isDryRun()) openControl();
	makePoolFolder(name);
	undo.push(() => undoCreation(pool));
	/* From here on gc knows what a creation that is killed has left. */
	save(creatingPath(name), pool);
	if (pool.loop) makeLoopFiles(pool.loop, layout);
	else writeSignatures(pool);
	activatePool(pool, (metadata) => zeroStart(metadata));
	beginTransactions(pool);
	if (!dryRun(`rename ${creatingPath(name)} ${poolFolder(name)}/pool`)) {
		rename(creatingPath(name), `${poolFolder(name)}/pool`);
		syncFolder(poolFolder(name));
	}
}

/** Free blocks at which the kernel tells: what the threshold leaves, or a tenth. */
function lowWater(given: number | undefined, pool: PoolRecord, blocks: number): number {
	if (given !== undefined) return Math.floor(given / (pool.block_size * 512));
	const threshold = pool.autoextend.threshold < 100 ? pool.autoextend.threshold : 90;
	return Math.max(1, Math.floor((blocks * (100 - threshold)) / 100));
}

interface Sizes {
	data: number;
	metadata: number;
}

function planLoop(pool: PoolRecord, options: CreatePoolOptions): Sizes {
	if (options.metadata !== undefined || options.dataPercent !== undefined || options.metadataPercent !== undefined)
		throw new UsageError("--metadata, --data-percent and --metadata-percent are for --device");
	const folder = options.loop ?? "";
	if (!folder.startsWith("/")) throw new UsageError(`--loop: ${show(folder)}: not a path from /`);
	pool.loop = { data: `${folder}/data`, metadata: `${folder}/metadata` };
	const data = options.dataSize ?? 100 * GIB;
	return { data, metadata: options.metadataSize ?? (options.dataSize === undefined ? 2 * GIB : metadataFor(data, pool.block_size * 512)) };
}

function makeLoopFiles(loop: { data: string; metadata: string }, sizes: Sizes) {
	const folder = loop.data.replace(/\/[^/]*$/, "");
	mkdirAll(folder, 0o700);
	/* Who can write there could put another file in the place of the pool's. */
	const { uid, mode } = isDryRun() ? { uid: 0, mode: 0 } : stat(folder);
	if ((uid !== 0 && uid !== geteuid()) || (mode & 0o022) !== 0)
		fail(`${show(folder)}: others may write there`, "choose a folder that only root may write to; one that is not there is made so");
	for (const what of ["data", "metadata"] as const) {
		const path = loop[what];
		if (dryRun(`create ${path}, ${formatSize(sizes[what])}`)) continue;
		const fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
		try {
			truncateFile(fd, Math.floor(sizes[what] / 4096) * 4096);
			fsync(fd);
		} finally {
			close(fd);
		}
	}
}

/** Cuts metadata and data, in this order, from what the device has behind the signature. In multiples of a block. */
function planDevices(pool: PoolRecord, options: CreatePoolOptions): Sizes {
	if (options.dataSize !== undefined || options.metadataSize !== undefined)
		throw new UsageError("--data-size and --metadata-size are for --loop; --data-percent and --metadata-percent for --device");
	const paths = [options.device as string, ...(options.metadata === undefined ? [] : [options.metadata])];
	pool.devices = paths.map((path) => {
		const sectors = isDryRun() ? 2 * GIB : checkDevice(path, options.force === true);
		if (sectors < RESERVED + 8 * pool.block_size + (4 * MIB) / 512) fail(`${show(path)}: too small for a pool`);
		return { path, uuid: hex(getrandom(16)), sectors };
	});
	const [first, second] = pool.devices;
	const room = (first as { sectors: number }).sectors - RESERVED;
	const dataPercent = options.dataPercent ?? 95;
	const metadataPercent = options.metadataPercent ?? 1;
	if (!second && dataPercent + metadataPercent > 100) throw new UsageError("--data-percent and --metadata-percent: more than 100 together");
	const whole = (sectors: number, unit: number) => Math.floor(sectors / unit) * unit;
	/* 1 % of a small device is less than the kernel needs. */
	const least = metadataFor((room * 512 * dataPercent) / 100, pool.block_size * 512) / 512;
	const metadata = second
		? whole(Math.min(second.sectors - RESERVED, MIB * 32), 8)
		: whole(Math.max(least, (room * metadataPercent) / 100), 8);
	const start = second ? RESERVED : RESERVED + metadata;
	const data = whole(Math.min((room * dataPercent) / 100, RESERVED + room - start), pool.block_size);
	pool.metadata = [segment(second ? 1 : 0, RESERVED, metadata)];
	pool.data = [segment(0, start, data)];
	return { data: data * 512, metadata: metadata * 512 };
}

const segment = (device: number, start: number, length: number): Segment => ({ device, start, length });

/** The kernel makes new metadata where the first block is zero, and none elsewhere. */
function zeroStart(metadata: string) {
	if (dryRun(`write ${metadata} 4 KiB of zeros`)) return;
	const fd = open(metadata, O_RDWR);
	try {
		const start = new Uint8Array(4096);
		readAt(fd, start, 0);
		if (start.some((byte) => byte !== 0)) {
			writeAt(fd, new Uint8Array(4096), 0);
			fsync(fd);
		}
	} finally {
		close(fd);
	}
}
