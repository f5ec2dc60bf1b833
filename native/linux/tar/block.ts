/**
 * The 512-byte block of a tar archive: POSIX.1-2017 pax "ustar Interchange Format", and GNU tar's own
 * (tar.info, "Basic Tar Format"). Offset and length of each field:
 *
 *     0 name 100      100 mode 8      108 uid 8       116 gid 8      124 size 12    136 mtime 12
 *     148 chksum 8    156 typeflag 1  157 linkname 100
 *     257 magic 6     263 version 2   265 uname 32    297 gname 32   329 devmajor 8 337 devminor 8
 *     345 prefix 155                                                       magic "ustar\0", "00": POSIX
 *     386 sparse 4 x (offset 12, numbytes 12)  482 isextended  483 realsize 12      magic "ustar  \0": GNU
 *
 * A number is octal, closed by a blank or NUL; or base-256: the first byte is 0x80 (or 0xff: negative, two's complement),
 * and the number is big endian in what follows.
 */
import * as host from "#host";

export const blockSize = 512;

/** A header as it stands in the block, before PAX records and GNU long names have their say. */
export interface Header {
	/** The typeflag as a character; "0" also for the NUL of old archives. */
	type: string;
	name: string;
	linkname: string;
	/** Permission bits, 0-07777. */
	mode: number;
	uid: number;
	gid: number;
	/** Bytes of data that follow; Header of type "S": of the stored segments. */
	size: number;
	/** Seconds since 1970, may be negative. */
	mtime: number;
	uname: string;
	gname: string;
	devmajor: number;
	devminor: number;
	isGnu: boolean;
}

/** An archive that breaks the format, or that means harm. The message is for people. */
export class TarError extends Error {
	override name = "TarError";
}

/** Octal, for what is not read by `number`'s short way. */
function octal(block: Uint8Array, from: number, to: number, what: string): number {
	let at = from;
	while (at < to && block[at] === 0x20) at++;
	let value = 0;
	for (; at < to; at++) {
		const digit = (block[at] as number) - 0x30;
		if (digit < 0 || digit > 7) break;
		value = value * 8 + digit;
	}
	/* What closes it, and nothing but blanks and NULs behind it. */
	for (; at < to; at++) if (block[at] !== 0 && block[at] !== 0x20) throw new TarError(`a header whose ${what} is not a number`);
	return value;
}

/** A numeric field. Throws TarError for what is no number, or none that fits 2^53. */
export function number(block: Uint8Array, from: number, length: number, what: string): number {
	const first = block[from] as number;
	if (first < 0x80) return octal(block, from, from + length, what);
	if (first !== 0x80 && first !== 0xff) throw new TarError(`a header whose ${what} is out of range`);
	/* Two's complement: of a negative number all bits are turned over, which makes -1-value. */
	const flip = first === 0xff ? 0xff : 0;
	let value = 0;
	for (let at = from + 1; at < from + length; at++) value = value * 256 + ((block[at] as number) ^ flip);
	if (value > Number.MAX_SAFE_INTEGER) throw new TarError(`a header whose ${what} is out of range`);
	return flip ? -1 - value : value;
}

/** Text of a field up to its first NUL. */
export function text(block: Uint8Array, from: number, length: number): string {
	if (block[from] === 0) return "";
	let end = block.indexOf(0, from);
	if (end < 0 || end > from + length) end = from + length;
	return host.decode(block, from, end);
}

/** The sum of bytes from `from` to `to`. */
function sum(bytes: Uint8Array, from: number, to: number): number {
	let total = 0;
	for (let i = from; i < to; i++) total += bytes[i] as number;
	return total;
}

/** The same with bytes as signed ones: as some tars of the eighties have it. */
function signedSum(block: Uint8Array, at: number, unsigned: number): number {
	let total = unsigned;
	for (let i = at; i < at + blockSize; i++) if ((block[i] as number) > 127 && (i < at + 148 || i >= at + 156)) total -= 256;
	return total;
}

/*
 * A loop over 512 bytes takes the engine longer than the kernel takes to make a file. Headers are much alike, so a header is
 * compared, in pieces, with those before: what a piece says and what its bytes come to is known already. Pieces are strings,
 * which the engine makes and compares natively.
 */

/** Bytes 100-123: mode, uid, gid. */
interface Ids {
	sum: number;
	mode: number;
	uid: number;
	gid: number;
}
/** Bytes 156-256: typeflag, linkname. */
interface Link {
	sum: number;
	type: string;
	linkname: string;
}
/** Bytes 257-511: magic, uname, gname, device, prefix. */
interface Tail {
	sum: number;
	isUstar: boolean;
	isGnu: boolean;
	uname: string;
	gname: string;
	prefix: string;
}

const mostKnown = 64;
let knownIds: Record<string, Ids> = {};
let idsCount = 0;
let linkText = "";
let link: Link;
let tailText = "";
let tail: Tail;
const zeros: string[] = [];

function zerosOf(length: number): string {
	zeros[length] ??= "\0".repeat(length);
	return zeros[length] as string;
}

function idsOf(bytes: Uint8Array, at: number): Ids {
	const key = host.decode(bytes, at + 100, at + 124);
	const known = knownIds[key];
	if (known) return known;
	if (++idsCount > mostKnown) {
		knownIds = {};
		idsCount = 1;
	}
	const ids = {
		sum: sum(bytes, at + 100, at + 124),
		mode: number(bytes, at + 100, 8, "mode") & 0o7777,
		uid: number(bytes, at + 108, 8, "uid"),
		gid: number(bytes, at + 116, 8, "gid"),
	};
	knownIds[key] = ids;
	return ids;
}

function linkOf(bytes: Uint8Array, at: number): Link {
	const key = host.decode(bytes, at + 156, at + 257);
	if (key === linkText) return link;
	const flag = bytes[at + 156] as number;
	link = { sum: sum(bytes, at + 156, at + 257), type: flag === 0 ? "0" : String.fromCharCode(flag), linkname: text(bytes, at + 157, 100) };
	linkText = key;
	return link;
}

function tailOf(bytes: Uint8Array, at: number): Tail {
	const key = host.decode(bytes, at + 257, at + 512);
	if (key === tailText) return tail;
	const isUstar = bytes[at + 257] === 0x75 && bytes[at + 258] === 0x73 && bytes[at + 259] === 0x74;
	const isGnu = isUstar && bytes[at + 262] === 0x20;
	/* star's headers ("tar\0" at the end) have two times in the last part of the prefix. */
	const isStar = bytes[at + 508] === 0x74 && bytes[at + 509] === 0x61 && bytes[at + 510] === 0x72 && bytes[at + 511] === 0;
	tail = {
		sum: sum(bytes, at + 257, at + 512),
		isUstar,
		isGnu,
		uname: isUstar ? text(bytes, at + 265, 32) : "",
		gname: isUstar ? text(bytes, at + 297, 32) : "",
		prefix: isUstar && !isGnu ? text(bytes, at + 345, isStar ? 131 : 155) : "",
	};
	tailText = key;
	return tail;
}

/** The name's bytes, added up. */
function nameSum(bytes: Uint8Array, words: Uint32Array, at: number, end: number): number {
	/* Four at a time, in two halves of 16 bits: 25 words x 2 x 255 fit. */
	let halves = 0;
	const last = (end + 3) >> 2;
	for (let i = at >> 2; i < last; i++) {
		const word = words[i] as number;
		halves += (word & 0xff00ff) + ((word >>> 8) & 0xff00ff);
	}
	let total = (halves & 0xffff) + (halves >>> 16);
	const rest = last << 2;
	if (rest < at + 100 && host.decode(bytes, rest, at + 100) !== zerosOf(at + 100 - rest)) total += sum(bytes, rest, at + 100);
	return total;
}

/**
 * The header at `at` (a multiple of 512) of `bytes`, which `words` shows as well; undefined for a block of zeros, which ends
 * an archive. Throws TarError.
 */
export function parseHeader(bytes: Uint8Array, words: Uint32Array, at: number): Header | undefined {
	let end = bytes.indexOf(0, at);
	if (end < 0 || end > at + 100) end = at + 100;
	if (end === at && host.decode(bytes, at, at + blockSize) === zerosOf(blockSize)) return undefined;
	let total = 8 * 0x20 + nameSum(bytes, words, at, end);
	/* size and mtime: octal as a rule, closed by a blank or NUL. */
	let size = 0;
	let mtime = 0;
	let isPlain = true;
	for (let i = at + 124; i < at + 135; i++) {
		const byte = bytes[i] as number;
		total += byte;
		if ((byte & 0xf8) !== 0x30) isPlain = false;
		size = size * 8 + (byte & 7);
	}
	for (let i = at + 136; i < at + 147; i++) {
		const byte = bytes[i] as number;
		total += byte;
		if ((byte & 0xf8) !== 0x30) isPlain = false;
		mtime = mtime * 8 + (byte & 7);
	}
	const [closeSize, closeTime] = [bytes[at + 135] as number, bytes[at + 147] as number];
	total += closeSize + closeTime;
	if ((closeSize & 0xdf) !== 0 || (closeTime & 0xdf) !== 0) isPlain = false;
	const link = linkOf(bytes, at);
	const tail = tailOf(bytes, at);
	const stored = number(bytes, at + 148, 8, "checksum");
	const ids = idsOf(bytes, at);
	total += link.sum + tail.sum + ids.sum;
	if (stored !== total && stored !== signedSum(bytes, at, total)) throw new TarError("not a tar header: its checksum is wrong");
	if (!isPlain) {
		size = number(bytes, at + 124, 12, "size");
		mtime = number(bytes, at + 136, 12, "mtime");
	}
	if (size < 0) throw new TarError("a header with a negative size");
	const name = end === at ? "" : host.decode(bytes, at, end);
	const isDevice = tail.isUstar && (link.type === "3" || link.type === "4");
	return {
		type: link.type,
		name: tail.prefix === "" ? name : `${tail.prefix}/${name}`,
		linkname: link.linkname,
		mode: ids.mode,
		uid: ids.uid,
		gid: ids.gid,
		size,
		mtime,
		uname: tail.uname,
		gname: tail.gname,
		devmajor: isDevice ? number(bytes, at + 329, 8, "devmajor") : 0,
		devminor: isDevice ? number(bytes, at + 337, 8, "devminor") : 0,
		isGnu: tail.isGnu,
	};
}
