/** Sizes of a pool: Documentation/admin-guide/device-mapper/thin-provisioning.rst. Sectors are of 512 bytes. */

import { notA } from "../../common/command-line/options.ts";
import { UsageError } from "../../common/errors.ts";
import { parseSize } from "../../common/units.ts";
export const KIB = 1024;
export const MIB = 1024 * 1024;
export const GIB = 1024 * MIB;

/** Docker's: 64 KiB. */
export const BLOCK_SIZE = 64 * KIB;
const LEAST_METADATA = 2 * MIB;
/** The kernel uses no more than that: 255 bitmaps of 4 KiB blocks, less some (THIN_METADATA_MAX_SECTORS). */
export const MOST_METADATA = 255 * (1 << 14) * (4096 / 512) * 512;

/** For an option table: a multiple of 64 KiB up to 1 GiB, in bytes. */
export function blockSizeOption(text: string, option: string): number {
	const bytes = parseSize(text);
	const fits = bytes !== undefined && bytes >= BLOCK_SIZE && bytes <= GIB && bytes % BLOCK_SIZE === 0;
	return fits ? bytes : notA(option, text, "a multiple of 64k, up to 1g");
}

/** For an option table: a percentage, without the sign or with it. */
export function percent(text: string, option: string): number {
	const value = /^\d+(\.\d+)?%?$/.test(text) ? Number.parseFloat(text) : Number.NaN;
	return value >= 0 && value <= 100 ? value : notA(option, text, "a percentage (0-100)");
}

/** The metadata that data of so many bytes wants: 48 bytes a block, 2 MiB at least. */
export function metadataFor(data: number, block: number): number {
	return Math.min(MOST_METADATA, Math.max(LEAST_METADATA, Math.ceil((48 * data) / block / 4096) * 4096));
}

export function checkSizes(data: number, metadata: number, block: number) {
	if (data < block) throw new UsageError(`--data-size: less than a block (${block / KIB} KiB)`);
	if (metadata < LEAST_METADATA) throw new UsageError("--metadata-size: less than 2 MiB");
	/* A whole pool has 2^40 blocks; numbers of ours are exact to 2^53 bytes. */
	if (data > Number.MAX_SAFE_INTEGER) throw new UsageError("--data-size: too large");
}

/** `+10g`: so much more than now; `10g`: so large. */
export function newSize(text: string, option: string, now: number): number {
	const bytes = parseSize(text.replace(/^\+/, "")) ?? notA(option, text, "a size (10g, +512m)");
	return text.startsWith("+") ? now + bytes : bytes;
}
