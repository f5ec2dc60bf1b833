/**
 * Writes an archive: POSIX headers, PAX records where those do not suffice. The same entries give the same bytes: there are
 * no names of users, no times but the entries' own.
 */
import * as host from "#host";
import { copyBytes } from "../copy.ts";
import { write } from "../fd.ts";
import { blockSize } from "./block.ts";
import { paxRecord } from "./pax.ts";

export interface WriteEntry {
	/** "0" file, "1" hard link, "2" symlink, "3" and "4" devices, "5" directory, "6" fifo. */
	type: string;
	/** Of a directory with a slash at its end. */
	name: string;
	linkname?: string;
	mode: number;
	uid: number;
	gid: number;
	mtime: number;
	mtimeNanoseconds: number;
	/** Of a file, its holes counted. */
	size: number;
	devmajor?: number;
	devminor?: number;
	xattrs?: [name: string, value: Uint8Array][] | undefined;
	/** The stored segments of a file with holes, as offset and length by turns. */
	segments?: number[] | undefined;
}

export interface Writer {
	/** Writes an entry's headers; of one with data `data` or `zeros` must follow, for all of it. */
	header(entry: WriteEntry): void;
	/** Copies data of the present entry. Returns how much there was. */
	data(fd: number, length: number, position: number): number;
	/** Zeros in the place of data that is no longer there. */
	zeros(length: number): void;
	/** Fills the last block of the present entry up. */
	close(length: number): void;
	/** The end of the archive. */
	end(): void;
	/** Bytes written so far. */
	position(): number;
}

const octalLimit = 8 ** 7;
const sizeLimit = 8 ** 11;
const bufferSize = 65536;
/* "ustar\0" "00", and two device numbers of seven zeros each, as they stand from byte 257 and 329 on. */
const magic = [0x75, 0x73, 0x74, 0x61, 0x72, 0, 0x30, 0x30];
const blanks = 8 * 0x20;
const idsLength = 24;

/** An octal number with leading zeros and a NUL. Returns what its bytes come to. */
function putOctal(bytes: Uint8Array, at: number, length: number, value: number): number {
	let total = 0;
	let i = at + length - 2;
	let rest = value;
	for (; rest >= 0x80000000; i--) {
		const digit = 0x30 + (rest % 8);
		bytes[i] = digit;
		total += digit;
		rest = Math.floor(rest / 8);
	}
	for (; i >= at; i--) {
		const digit = 0x30 + (rest & 7);
		bytes[i] = digit;
		total += digit;
		rest >>>= 3;
	}
	return total;
}

function putText(bytes: Uint8Array, at: number, length: number, text: Uint8Array): number {
	const part = text.length > length ? text.subarray(0, length) : text;
	bytes.set(part, at);
	let total = 0;
	for (let i = 0; i < part.length; i++) total += part[i] as number;
	return total;
}

/** A path cut in two at a slash, 155 bytes and 100 at most; undefined if it cannot be. */
function splitPath(path: Uint8Array): { prefix: Uint8Array; name: Uint8Array } | undefined {
	if (path.length > 256) return undefined;
	/* A slash at the end closes a directory's name, it does not begin one. */
	for (let slash = Math.min(155, path.length - 2); slash > 0 && path.length - slash - 1 <= 100; slash--)
		if (path[slash] === 0x2f) return { prefix: path.subarray(0, slash), name: path.subarray(slash + 1) };
	return undefined;
}

/** Writes to `fd`: a pipe, a file, anything. */
export function openWriter(fd: number): Writer {
	const bytes = new Uint8Array(bufferSize);
	const words = new Uint32Array(bytes.buffer);
	/* What is to be written stands from `start` on; a block always on a multiple of 512. */
	let start = 0;
	let used = 0;
	let written = 0;

	const template = new Uint8Array(blockSize);
	template.set(magic, 257);
	template.fill(0x30, 329, 336);
	template.fill(0x30, 337, 344);
	const templateSum = template.reduce((total, byte) => total + byte, 0);

	const flush = () => {
		if (used > start) write(fd, bytes.subarray(start, used));
		bytes.fill(0, start, used);
		written += used - start;
		start = used = written & (blockSize - 1);
	};
	/** Room for a block that is to be filled in. */
	const block = (): number => {
		if (used + blockSize > bufferSize) flush();
		used += blockSize;
		return used - blockSize;
	};
	/* The rest of the buffer is zeros. */
	const zeros = (length: number) => {
		for (let left = length; left > 0; ) {
			if (used === bufferSize) flush();
			const part = Math.min(left, bufferSize - used);
			used += part;
			left -= part;
		}
	};
	const blocks = (data: Uint8Array) => {
		for (let from = 0; from < data.length; ) {
			if (used === bufferSize) flush();
			const part = data.subarray(from, from + bufferSize - used);
			bytes.set(part, used);
			used += part.length;
			from += part.length;
		}
		zeros(-data.length & (blockSize - 1));
	};

	/* Of most entries mode and owner are those of the one before. */
	let [lastMode, lastUid, lastGid, idsSum] = [-1, 0, 0, 0];
	const ids = new Uint8Array(idsLength);
	const putIds = (at: number, mode: number, uid: number, gid: number): number => {
		if (mode !== lastMode || uid !== lastUid || gid !== lastGid) {
			idsSum =
				putOctal(ids, 0, 8, mode) + putOctal(ids, 8, 8, uid < octalLimit ? uid : 0) + putOctal(ids, 16, 8, gid < octalLimit ? gid : 0);
			[lastMode, lastUid, lastGid] = [mode, uid, gid];
		}
		bytes.set(ids, at + 100);
		return idsSum;
	};
	/** The name, and what its bytes come to: four at a time, in two halves of 16 bits. */
	const putName = (at: number, name: Uint8Array): number => {
		const part = name.length > 100 ? name.subarray(0, 100) : name;
		bytes.set(part, at);
		let halves = 0;
		const last = (at + part.length + 3) >> 2;
		for (let i = at >> 2; i < last; i++) {
			const word = words[i] as number;
			halves += (word & 0xff00ff) + ((word >>> 8) & 0xff00ff);
		}
		return (halves & 0xffff) + (halves >>> 16);
	};
	const put = (type: string, name: Uint8Array, mode: number, uid: number, gid: number, size: number, mtime: number): [number, number] => {
		const at = block();
		bytes.set(template, at);
		const total =
			putName(at, name) +
			putIds(at, mode, uid, gid) +
			putOctal(bytes, at + 124, 12, size < sizeLimit ? size : 0) +
			putOctal(bytes, at + 136, 12, mtime >= 0 && mtime < sizeLimit ? mtime : 0);
		const flag = type.charCodeAt(0);
		bytes[at + 156] = flag;
		return [at, total + flag + templateSum + blanks];
	};
	const putSum = (at: number, total: number) => {
		/* Six digits, a NUL and a blank. */
		putOctal(bytes, at + 148, 7, total);
		bytes[at + 155] = 0x20;
	};
	/** In place of the template's zeros. Returns by how much the sum grows. */
	const putDevice = (at: number, major: number, minor: number): number =>
		major === 0 && minor === 0 ? 0 : putOctal(bytes, at + 329, 8, major) + putOctal(bytes, at + 337, 8, minor) - 14 * 0x30;

	/* The header of records depends on their length alone. */
	const knownPax: Uint8Array[] = [];
	const paxName = new Uint8Array(host.encode("PaxHeaders"));
	const putPax = (records: Uint8Array) => {
		const known = knownPax[records.length];
		if (known) {
			bytes.set(known, block());
		} else {
			const [at, total] = put("x", paxName, 0o644, 0, 0, records.length, 0);
			putSum(at, total + putDevice(at, 0, 0));
			if (records.length < 256) knownPax[records.length] = bytes.slice(at, at + blockSize);
		}
		blocks(records);
	};

	const recordsOf = (
		entry: WriteEntry,
		name: Uint8Array,
		linkname: Uint8Array | undefined,
		isLongName: boolean,
	): Uint8Array | undefined => {
		let text = "";
		const add = (key: string, value: string) => {
			text += host.decode(paxRecord(key, value));
		};
		if (entry.mtimeNanoseconds !== 0 || entry.mtime < 0 || entry.mtime >= sizeLimit) {
			/* SECONDS.NANOSECONDS, where the second counts from the number before, also if that is negative. */
			const negative = entry.mtime < 0 && entry.mtimeNanoseconds !== 0;
			const seconds = negative ? entry.mtime + 1 : entry.mtime;
			const nanoseconds = negative ? 1e9 - entry.mtimeNanoseconds : entry.mtimeNanoseconds;
			const sign = negative && seconds === 0 ? "-" : "";
			const value = `${sign}${seconds}${nanoseconds === 0 ? "" : `.${String(nanoseconds).padStart(9, "0").replace(/0+$/, "")}`}`;
			/* "NN mtime=": two digits of length, for any time there is. */
			text += `${value.length + 10} mtime=${value}\n`;
		}
		if (isLongName) add("path", host.decode(name));
		if (linkname && linkname.length > 100) add("linkpath", host.decode(linkname));
		if (entry.uid >= octalLimit) add("uid", String(entry.uid));
		if (entry.gid >= octalLimit) add("gid", String(entry.gid));
		if (entry.size >= sizeLimit && !entry.segments) add("size", String(entry.size));
		if (text === "" && !entry.xattrs) return undefined;
		const parts: Uint8Array[] = [new Uint8Array(host.encode(text))];
		/* As GNU tar writes names that hold the sign that ends them. */
		for (const [key, value] of entry.xattrs ?? [])
			parts.push(paxRecord(`SCHILY.xattr.${key.replace(/[%=]/g, (c) => (c === "%" ? "%25" : "%3D"))}`, value));
		if (parts.length === 1) return parts[0];
		const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
		let at = 0;
		for (const part of parts) {
			all.set(part, at);
			at += part.length;
		}
		return all;
	};

	/** PAX 1.0: the map stands before the data. */
	const sparse = (entry: WriteEntry, segments: number[], name: Uint8Array): { map: Uint8Array; stored: number; records: Uint8Array } => {
		let text = `${segments.length / 2}\n`;
		let stored = 0;
		for (let i = 0; i < segments.length; i++) {
			text += `${segments[i]}\n`;
			if (i % 2 === 1) stored += segments[i] as number;
		}
		const map = new Uint8Array(Math.ceil(text.length / blockSize) * blockSize);
		map.set(new Uint8Array(host.encode(text)));
		stored += map.length;
		const records = [
			paxRecord("GNU.sparse.major", "1"),
			paxRecord("GNU.sparse.minor", "0"),
			paxRecord("GNU.sparse.name", name),
			paxRecord("GNU.sparse.realsize", String(entry.size)),
			...(stored >= sizeLimit ? [paxRecord("size", String(stored))] : []),
		];
		const all = new Uint8Array(records.reduce((size, part) => size + part.length, 0));
		let at = 0;
		for (const part of records) {
			all.set(part, at);
			at += part.length;
		}
		return { map, stored, records: all };
	};

	return {
		position: () => written + used - start,
		header(entry) {
			const whole = new Uint8Array(host.encode(entry.name));
			const linkname = entry.linkname === undefined ? undefined : new Uint8Array(host.encode(entry.linkname));
			const parts = whole.length > 100 ? splitPath(whole) : undefined;
			const holes = entry.segments ? sparse(entry, entry.segments, whole) : undefined;
			let records = recordsOf(entry, whole, linkname, whole.length > 100 && !parts && !holes);
			if (holes) {
				const all = new Uint8Array((records?.length ?? 0) + holes.records.length);
				if (records) all.set(records);
				all.set(holes.records, records?.length ?? 0);
				records = all;
			}
			if (records) putPax(records);
			const size = holes?.stored ?? entry.size;
			let [at, total] = put(entry.type, parts?.name ?? whole, entry.mode, entry.uid, entry.gid, size, entry.mtime);
			if (linkname) total += putText(bytes, at + 157, 100, linkname);
			if (parts) total += putText(bytes, at + 345, 155, parts.prefix);
			total += putDevice(at, entry.devmajor ?? 0, entry.devminor ?? 0);
			putSum(at, total);
			if (holes) blocks(holes.map);
		},
		data(from, length, position) {
			flush();
			const copied = copyBytes(from, fd, length, position);
			written += copied;
			start = used = written & (blockSize - 1);
			return copied;
		},
		zeros,
		close(length) {
			zeros(-length & (blockSize - 1));
		},
		end() {
			block();
			block();
			flush();
		},
	};
}
