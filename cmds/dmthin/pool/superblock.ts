/**
 * The metadata of a thin pool, block 0: drivers/md/dm-thin-metadata.c, struct thin_disk_superblock. All is little endian:
 *
 *     0 u32 csum   4 u32 flags (1: needs_check)   8 u64 blocknr   16 uuid   32 u64 magic 27022010   40 u32 version
 *     44 u32 time   48 u64 transaction id   56 u64 held root (of a metadata snapshot, a block)
 *     64 space map of data (128 bytes)   192 space map of metadata (128 bytes)
 *     320 u64 root of the mappings   328 u64 root of the details   336 u32 data block in sectors
 *     340 u32 metadata block in sectors   344 u64 metadata blocks
 *
 * The checksum is CRC-32C, without the final inversion, of the bytes from 4 on, XORed with 160774.
 */

import { alignedBytes, readAt } from "../../../native/linux/blockdev.ts";
import { getU64 } from "../../../native/linux/struct.ts";
export const METADATA_BLOCK = 4096;
const MAGIC = 27022010;
const CHECKSUM_XOR = 160774;

export interface Superblock {
	needsCheck: boolean;
	version: number;
	transactionId: number;
	heldRoot: number;
	mappingRoot: number;
	detailsRoot: number;
	/** In sectors. */
	dataBlock: number;
	metadataBlocks: number;
	isChecksumRight: boolean;
}

function crc32c(bytes: Uint8Array, from: number): number {
	let crc = ~0;
	for (let i = from; i < bytes.length; i++) {
		crc ^= bytes[i] as number;
		for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
	}
	return crc;
}

/** Undefined where there is no thin pool's metadata. */
export function parseSuperblock(bytes: Uint8Array): Superblock | undefined {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	if (getU64(view, 32) !== MAGIC) return undefined;
	return {
		needsCheck: (view.getUint32(4, true) & 1) !== 0,
		version: view.getUint32(40, true),
		transactionId: getU64(view, 48),
		heldRoot: getU64(view, 56),
		mappingRoot: getU64(view, 320),
		detailsRoot: getU64(view, 328),
		dataBlock: view.getUint32(336, true),
		metadataBlocks: getU64(view, 344),
		isChecksumRight: (crc32c(bytes, 4) ^ CHECKSUM_XOR) >>> 0 === view.getUint32(0, true),
	};
}

/** A block of the metadata, read past the page cache: the kernel writes it past the cache as well. */
export function readBlock(fd: number, block: number): Uint8Array {
	const bytes = alignedBytes(METADATA_BLOCK);
	const got = readAt(fd, bytes, block * METADATA_BLOCK);
	if (got < METADATA_BLOCK) throw new RangeError(`block ${block} is beyond the metadata's end`);
	return bytes;
}
