/**
 * The start of a device that a pool is cut from: its first MiB, so that the pool is found again whatever the device is called
 * after a boot, and without the store.
 *
 *     0        16 bytes  "tsbox thin pool\n"
 *     16       u32       format, 1
 *     20       u32       length of the JSON, in bytes
 *     24       u32       CRC-32 of the JSON
 *     28       u32       how often it was written: of two copies the later one counts
 *     64       JSON      { device: this device's uuid, pool: the pool's record }
 *     512 KiB  the second copy, alike
 *
 * The copies are written by turns, so that one of them is whole after a power cut.
 */
import { blockSize, readAt, writeAt } from "../../../native/linux/blockdev.ts";
import { close, fsync, O_EXCL, O_RDONLY, O_RDWR, open, readdir } from "../../../native/linux/fd.ts";
import { struct } from "../../../native/linux/struct.ts";
import { dryRun, isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { isName } from "../../common/state.ts";
import type { PoolDevice, PoolRecord, Segment } from "../store/pool.ts";
import { bytesOf, textOf } from "../store/text.ts";

const MAGIC = "tsbox thin pool\n";
/** Sectors that the signature takes at the start of a device. */
export const RESERVED = 2048;
const COPIES = [0, 512 * 1024];
const JSON_AT = 64;
const LARGEST = 256 * 1024;

export interface Signature {
	/** The device's own uuid. */
	device: string;
	pool: PoolRecord;
	written: number;
}

const header = /* @__PURE__ */ struct([
	["magic", "u8[16]"],
	["format", "u32"],
	["length", "u32"],
	["crc", "u32"],
	["written", "u32"],
]);

/** CRC-32 as zlib's crc32() makes it. */
export function crc32(bytes: Uint8Array): number {
	let crc = ~0;
	for (const byte of bytes) {
		crc ^= byte;
		for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
	}
	return ~crc >>> 0;
}

export function packSignature({ device, pool, written }: Signature): Uint8Array {
	const json = bytesOf(JSON.stringify({ device, pool }));
	if (json.length > LARGEST) throw new RangeError("the pool's record is longer than its place on the device");
	const bytes = new Uint8Array(JSON_AT + json.length);
	bytes.set(header.pack({ magic: bytesOf(MAGIC), format: 1, length: json.length, crc: crc32(json), written }));
	bytes.set(json, JSON_AT);
	return bytes;
}

/** One copy; undefined where there is none, or a broken one. */
export function parseSignature(bytes: Uint8Array): Signature | undefined {
	const { magic, format, length, crc, written } = header.unpack(bytes);
	if (textOf(magic) !== MAGIC || format !== 1 || length > LARGEST || JSON_AT + length > bytes.length) return undefined;
	const json = bytes.subarray(JSON_AT, JSON_AT + length);
	if (crc32(json) !== crc) return undefined;
	try {
		const { device, pool } = JSON.parse(textOf(json)) as { device: unknown; pool: Record<string, unknown> };
		const record = trustedRecord(pool);
		return record && isUuid(device) ? { device, pool: record, written } : undefined;
	} catch (error) {
		if (error instanceof SyntaxError) return undefined;
		throw error;
	}
}

const isUuid = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]{32}$/.test(value);
const isPercent = (value: unknown): value is number => typeof value === "number" && value >= 0 && value <= 100;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/**
 * The record of a pool, of a disk that a stranger may have written: only the members that there are, each as it may be. A pool
 * of files is none: a disk could name any file.
 */
function trustedRecord(from: Record<string, unknown> | null): PoolRecord | undefined {
	if (typeof from !== "object" || from === null) return undefined;
	const { name, uuid, block_size, low_water, on_full, autoextend, min_free, skip_block_zeroing } = from;
	const devices = Array.isArray(from.devices) ? (from.devices as unknown[]) : [];
	const isDevice = (one: unknown): one is PoolDevice => {
		const { path, uuid, sectors } = (one ?? {}) as Record<string, unknown>;
		return typeof path === "string" && path.startsWith("/dev/") && isUuid(uuid) && isCount(sectors);
	};
	const segments = (list: unknown): Segment[] | undefined => {
		const isSegment = (one: unknown) => {
			const { device, start, length } = (one ?? {}) as Record<string, unknown>;
			return isCount(device) && device < devices.length && isCount(start) && start >= RESERVED && isCount(length) && length > 0;
		};
		return Array.isArray(list) && list.every(isSegment)
			? list.map(({ device, start, length }: Segment) => ({ device, start, length }))
			: undefined;
	};
	const [data, metadata] = [segments(from.data), segments(from.metadata)];
	const { threshold, percent } = (autoextend ?? {}) as Record<string, unknown>;
	if (typeof name !== "string" || !isName(name) || !isUuid(uuid) || !devices.every(isDevice) || devices.length === 0 || !data || !metadata)
		return undefined;
	if (!isCount(block_size) || block_size === 0 || !isCount(low_water)) return undefined;
	return {
		format: 1,
		name,
		uuid,
		block_size,
		low_water,
		on_full: on_full === "error" ? "error" : "queue",
		autoextend: { threshold: isPercent(threshold) ? threshold : 100, percent: isPercent(percent) ? percent : 20 },
		min_free: isPercent(min_free) ? min_free : 10,
		skip_block_zeroing: skip_block_zeroing === true,
		devices: devices.map(({ path, uuid, sectors }: PoolDevice) => ({ path, uuid, sectors })),
		data,
		metadata,
	};
}

/** The signature of an open device. */
export function readSignature(fd: number): Signature | undefined {
	let best: Signature | undefined;
	for (const at of COPIES) {
		const start = new Uint8Array(4096);
		if (readAt(fd, start, at) < start.length || textOf(start.subarray(0, 16)) !== MAGIC) continue;
		const whole = new Uint8Array(JSON_AT + Math.min(LARGEST, header.unpack(start).length));
		if (readAt(fd, whole, at) < whole.length) continue;
		const found = parseSignature(whole);
		if (found && (!best || found.written > best.written)) best = found;
	}
	return best;
}

/** Writes the pool's record to each of its devices. */
export function writeSignatures(pool: PoolRecord) {
	for (const device of pool.devices ?? []) {
		if (dryRun(`write ${device.path} signature of ${pool.name}`)) continue;
		const fd = open(device.path, O_RDWR);
		try {
			const written = (readSignature(fd)?.written ?? 0) + 1;
			writeAt(fd, packSignature({ device: device.uuid, pool, written }), COPIES[written % 2] as number);
			fsync(fd);
		} finally {
			close(fd);
		}
	}
}

/** Overwrites the signature, as a removed pool's. */
export function wipeSignature(device: PoolDevice) {
	if (dryRun(`wipe ${device.path}`)) return;
	const fd = open(device.path, O_RDWR | O_EXCL);
	try {
		if (readSignature(fd)?.device !== device.uuid) return;
		for (const at of COPIES) writeAt(fd, new Uint8Array(4096), at);
		fsync(fd);
	} finally {
		close(fd);
	}
}

/** The signature on a device by its path; undefined where there is none, or the device cannot be read. */
export function signatureOf(path: string): Signature | undefined {
	let fd: number | undefined;
	try {
		fd = open(path, O_RDONLY);
		return blockSize(fd) < RESERVED * 512 ? undefined : readSignature(fd);
	} catch (error) {
		if (error instanceof SysError) return undefined;
		throw error;
	} finally {
		if (fd !== undefined) close(fd);
	}
}

/** Where a pool's device is now: its old path, or whichever block device has its signature. */
export function findDevice(device: PoolDevice): string | undefined {
	if (isDryRun() || signatureOf(device.path)?.device === device.uuid) return device.path;
	return blockDevices().find((path) => signatureOf(path)?.device === device.uuid);
}

/** The paths of all block devices that can hold a pool. */
export function blockDevices(): string[] {
	return readdir("/sys/class/block")
		.filter((name) => !/^(loop|ram|zram|sr|fd|nbd|dm-)/.test(name))
		.map((name) => `/dev/${name.replace(/!/g, "/")}`);
}
