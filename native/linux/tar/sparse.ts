/**
 * Files with holes in an archive: which bytes of the file its stored data are. Four ways of saying it (tar.info, "Storing
 * Sparse Files"):
 *
 *     old GNU   type "S": four pairs in the header, 21 in each block that follows while `isextended` says so
 *     PAX 0.0   GNU.sparse.size, and GNU.sparse.offset and .numbytes again and again
 *     PAX 0.1   GNU.sparse.size, GNU.sparse.name, GNU.sparse.map=OFFSET,BYTES,OFFSET,BYTES...
 *     PAX 1.0   GNU.sparse.major=1, GNU.sparse.realsize, GNU.sparse.name; the map stands before the data, decimal numbers
 *               each on a line, their count first, filled up to a block
 */
import { blockSize, number, TarError } from "./block.ts";
import { decimal } from "./pax.ts";
import type { Source } from "./source.ts";

/** A map of more text than this is refused: there is no file like that, but there are attacks. */
const longestMap = 1 << 20;

/** The stored segments of a file, in order, as offset and length by turns. */
export class SegmentMap {
	private pairs = new Float64Array(16);
	length = 0;
	/** All that is stored. */
	stored = 0;
	private end = 0;

	/** Throws TarError for segments that overlap or go back. */
	add(offset: number, bytes: number) {
		if (offset < this.end || !Number.isSafeInteger(offset + bytes)) throw new TarError("a sparse map whose segments overlap");
		this.end = offset + bytes;
		this.stored += bytes;
		if (bytes === 0) return;
		if (this.length > 0 && (this.pairs[this.length - 2] as number) + (this.pairs[this.length - 1] as number) === offset) {
			this.pairs[this.length - 1] = (this.pairs[this.length - 1] as number) + bytes;
			return;
		}
		if (this.length === this.pairs.length) {
			const larger = new Float64Array(2 * this.length);
			larger.set(this.pairs);
			this.pairs = larger;
		}
		this.pairs[this.length++] = offset;
		this.pairs[this.length++] = bytes;
	}

	offset(i: number): number {
		return this.pairs[2 * i] as number;
	}

	bytes(i: number): number {
		return this.pairs[2 * i + 1] as number;
	}

	/** Throws TarError unless the segments are within the file, and all the data that there is. */
	check(size: number, stored: number) {
		if (this.end > size) throw new TarError("a sparse map that goes beyond its file");
		if (this.stored !== stored) throw new TarError("a sparse map that does not fit its data");
	}
}

/** Old GNU: from the header at `at`, and the blocks that follow it. Returns the file's size. */
export function readOldMap(source: Source, at: number, map: SegmentMap): number {
	const size = number(source.bytes, at + 483, 12, "real size");
	if (size < 0) throw new TarError("a header with a negative size");
	const addPairs = (block: Uint8Array, from: number, count: number) => {
		for (let i = from; i < from + 24 * count && block[i] !== 0; i += 24) {
			const offset = number(block, i, 12, "sparse map");
			const bytes = number(block, i + 12, 12, "sparse map");
			if (offset < 0 || bytes < 0) throw new TarError("a sparse map with a negative number");
			map.add(offset, bytes);
		}
	};
	addPairs(source.bytes, at + 386, 4);
	let isExtended = source.bytes[at + 482] !== 0;
	for (let read = 0; isExtended; read += blockSize) {
		if (read > longestMap) throw new TarError("a sparse map of more than 1 MiB");
		const block = source.take(blockSize);
		addPairs(block, 0, 21);
		isExtended = block[504] !== 0;
	}
	return size;
}

/** PAX 0.1. */
export function parseMap(text: string, map: SegmentMap) {
	for (let at = 0; at < text.length; ) {
		let comma = text.indexOf(",", at);
		if (comma < 0) throw new TarError("a sparse map with an odd number of numbers");
		const offset = decimal(text.slice(at, comma), "sparse map");
		at = comma + 1;
		comma = text.indexOf(",", at);
		if (comma < 0) comma = text.length;
		map.add(offset, decimal(text.slice(at, comma), "sparse map"));
		at = comma + 1;
	}
}

/** PAX 1.0: takes the map from the beginning of the data. Returns how many bytes it took, of `most` that there are. */
export function readMap(source: Source, most: number, map: SegmentMap): number {
	let block: Uint8Array = new Uint8Array(0);
	let at = 0;
	let taken = 0;
	const line = (): number => {
		let value = 0;
		for (let digits = 0; ; digits++) {
			if (at === block.length) {
				if (taken + blockSize > most) throw new TarError("a sparse map that is longer than its data");
				if (taken >= longestMap) throw new TarError("a sparse map of more than 1 MiB");
				block = source.take(blockSize);
				taken += blockSize;
				at = 0;
			}
			const byte = block[at++] as number;
			if (byte === 0x0a && digits > 0) return value;
			if (byte < 0x30 || byte > 0x39 || digits > 15) throw new TarError("a sparse map that is not made of numbers");
			value = value * 10 + byte - 0x30;
		}
	};
	for (let left = line(); left > 0; left--) {
		const offset = line();
		map.add(offset, line());
	}
	return taken;
}
