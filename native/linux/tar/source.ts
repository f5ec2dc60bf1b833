/**
 * Where an archive comes from: a file, read by position, or a pipe, read as it comes. Only headers come into a buffer of
 * ours; the data of files goes from descriptor to descriptor (splice.ts).
 */

import { copyBytes } from "../copy.ts";
import * as nr from "../nr.ts";
import { S_IFMT, S_IFREG, stat } from "../stat.ts";
import { call, tryCall } from "../syscall.ts";
import { blockSize, TarError } from "./block.ts";

/** Headers that stand close together, those of small files, are read at once. */
const windowSize = 8192;

export interface Source {
	readonly bytes: Uint8Array;
	readonly words: Uint32Array;
	/** How much of the archive has been taken. */
	position(): number;
	/** Goes to the next block. Returns where it is in `bytes`; -1 at the end of the archive. */
	block(): number;
	/** The next bytes, for what a header says in more than a block. */
	take(length: number): Uint8Array;
	/** Copies the next bytes to a descriptor. */
	copy(to: number, length: number): void;
	skip(length: number): void;
	/** Passes over what fills up the last block of an entry. At the end of an archive it may be missing. */
	pad(length: number): void;
	/** After the archive's end: lets the writer at the other end of a pipe write all that it has. */
	drain(): void;
}

function isTruncated(): never {
	throw new TarError("the archive ends in the middle of an entry");
}

/** An open archive. Its file position is where the archive begins. */
export function openSource(fd: number): Source {
	return (stat("", fd).mode & S_IFMT) === S_IFREG ? fileSource(fd) : pipeSource(fd);
}

const SEEK_CUR = 1;

function fileSource(fd: number): Source {
	const begin = call("lseek", nr.SYS_lseek, fd, 0, SEEK_CUR);
	const { size } = stat("", fd);
	const bytes = new Uint8Array(windowSize);
	/* The window shows `held` bytes of the file from `start` on. */
	let start = begin;
	let held = 0;
	let at = begin;
	const readAt = (into: Uint8Array, position: number) => {
		let got = 0;
		while (got < into.length) {
			const length = call("pread64", nr.SYS_pread64, fd, got === 0 ? into : into.subarray(got), into.length - got, position + got);
			if (length === 0) break;
			got += length;
		}
		return got;
	};
	return {
		bytes,
		words: new Uint32Array(bytes.buffer),
		position: () => at - begin,
		block() {
			if (at < start || at + blockSize > start + held) {
				start = at;
				held = readAt(bytes, at);
				if (held === 0 && at - size < blockSize) return -1;
				if (held < blockSize) isTruncated();
			}
			const found = at - start;
			at += blockSize;
			return found;
		},
		take(length) {
			const taken = new Uint8Array(length);
			if (at >= start && at + length <= start + held) taken.set(bytes.subarray(at - start, at - start + length));
			else if (readAt(taken, at) < length) isTruncated();
			at += length;
			return taken;
		},
		copy(to, length) {
			if (copyBytes(fd, to, length, at) < length) isTruncated();
			at += length;
		},
		skip(length) {
			at += length;
			if (at > size) isTruncated();
		},
		pad(length) {
			at += length;
		},
		drain() {},
	};
}

function pipeSource(fd: number): Source {
	const bytes = new Uint8Array(2 * blockSize);
	const words = new Uint32Array(bytes.buffer);
	let position = 0;
	/* Bytes that fill up a block: they come with the next header in one read. */
	let behind = 0;
	const fill = (into: Uint8Array) => {
		let got = 0;
		while (got < into.length) {
			const length = call("read", nr.SYS_read, fd, got === 0 ? into : into.subarray(got), into.length - got);
			if (length === 0) break;
			got += length;
		}
		return got;
	};
	let nowhere = -1;
	const discard = (length: number) => {
		if (nowhere < 0) nowhere = call("openat", nr.SYS_openat, -100, "/dev/null", 0o2000001);
		return copyBytes(fd, nowhere, length);
	};
	const passOver = () => {
		if (behind > 0 && discard(behind) < behind) isTruncated();
		behind = 0;
	};
	return {
		bytes,
		words,
		position: () => position,
		block() {
			/* The header is to stand on a multiple of four. */
			const from = blockSize - behind;
			const got = fill(bytes.subarray(from));
			if (got <= behind) return -1;
			if (got < blockSize + behind) isTruncated();
			behind = 0;
			position += blockSize;
			return blockSize;
		},
		take(length) {
			passOver();
			const taken = new Uint8Array(length);
			if (fill(taken) < length) isTruncated();
			position += length;
			return taken;
		},
		copy(to, length) {
			passOver();
			if (copyBytes(fd, to, length) < length) isTruncated();
			position += length;
		},
		skip(length) {
			passOver();
			if (discard(length) < length) isTruncated();
			position += length;
		},
		pad(length) {
			behind += length;
			position += length;
		},
		drain() {
			while (discard(1 << 30) > 0);
			if (nowhere >= 0) tryCall("close", nr.SYS_close, nowhere);
			nowhere = -1;
		},
	};
}
