/**
 * PAX extended headers (POSIX.1-2017 pax, "pax Extended Header"): records `LENGTH KEY=VALUE\n`, LENGTH counting itself.
 *
 * Read are the keys of POSIX, SCHILY.xattr.NAME (star, GNU tar, Go: the value's bytes), LIBARCHIVE.xattr.NAME (base64),
 * SCHILY.acl.access and .default, SCHILY.devmajor and devminor, and GNU.sparse.* of the three versions.
 */
import * as host from "#host";
import { TarError } from "./block.ts";

/** What is kept of a header's records. A key that is absent was not given; "" takes a global header's value back. */
export interface PaxRecords {
	/** By key; the last one of a key counts. Not xattrs, nor the repeated keys of sparse version 0.0. */
	values: Record<string, string>;
	/** Extended attributes, in the order of the records. */
	xattrs?: Map<string, Uint8Array>;
	/** GNU.sparse.offset and .numbytes of version 0.0, pairwise. */
	segments?: number[];
}

const XATTR = "SCHILY.xattr.";
const LIBARCHIVE_XATTR = "LIBARCHIVE.xattr.";
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Base64 without line ends, padded or not. Throws TarError. */
export function fromBase64(text: string): Uint8Array {
	const digits = text.replace(/=+$/, "");
	const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
	let bits = 0;
	let held = 0;
	let at = 0;
	for (let i = 0; i < digits.length; i++) {
		const value = BASE64.indexOf(digits[i] as string);
		if (value < 0) throw new TarError("an extended header whose base64 is wrong");
		bits = ((bits << 6) | value) & 0xffff;
		held += 6;
		if (held >= 8) {
			held -= 8;
			bytes[at++] = (bits >> held) & 0xff;
		}
	}
	return bytes;
}

/** `%XX` as libarchive writes it in attribute names. */
function unescapePercent(text: string): string {
	return text.includes("%") ? text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))) : text;
}

/** A whole decimal number. Throws TarError. */
export function decimal(text: string, what: string): number {
	const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : NaN;
	if (!Number.isSafeInteger(value)) throw new TarError(`an extended header whose ${what} is not a number`);
	return value;
}

/** Parses the records. Throws TarError for those that break the format. */
export function parsePax(bytes: Uint8Array): PaxRecords {
	const records: PaxRecords = { values: {} };
	let at = 0;
	/* Some writers fill the last block's rest with NULs and count them. */
	while (at < bytes.length && bytes[at] !== 0) {
		let length = 0;
		let digits = at;
		for (; digits < bytes.length && digits < at + 8; digits++) {
			const digit = (bytes[digits] as number) - 0x30;
			if (digit < 0 || digit > 9) break;
			length = length * 10 + digit;
		}
		const end = at + length;
		const equals = bytes.indexOf(0x3d, digits);
		if (
			digits === at ||
			bytes[digits] !== 0x20 ||
			end > bytes.length ||
			bytes[end - 1] !== 0x0a ||
			equals < 0 ||
			equals >= end ||
			equals === digits + 1
		)
			throw new TarError("an extended header with a malformed record");
		const key = host.decode(bytes, digits + 1, equals);
		addRecord(records, key, bytes, equals + 1, end - 1);
		at = end;
	}
	return records;
}

function addRecord(records: PaxRecords, key: string, bytes: Uint8Array, from: number, to: number) {
	if (key.startsWith(XATTR)) {
		records.xattrs ??= new Map();
		records.xattrs.set(key.slice(XATTR.length), bytes.slice(from, to));
		return;
	}
	const value = host.decode(bytes, from, to);
	/* A name with a NUL in it is one name here and another, shorter one to a reader in C. */
	if (value.includes("\0") || key.includes("\0")) throw new TarError(`an extended header with a NUL in its ${key.replace(/\0.*/, "")}`);
	if (key.startsWith(LIBARCHIVE_XATTR)) {
		records.xattrs ??= new Map();
		const name = unescapePercent(key.slice(LIBARCHIVE_XATTR.length));
		if (!records.xattrs.has(name)) records.xattrs.set(name, fromBase64(value));
	} else if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") {
		records.segments ??= [];
		/* Each offset is followed by its length. */
		if ((records.segments.length % 2 === 0) !== (key === "GNU.sparse.offset")) throw new TarError("a sparse map out of order");
		records.segments.push(decimal(value, key));
	} else records.values[key] = value;
}

/** A time `SECONDS[.FRACTION]`, which may be negative, as whole seconds and nanoseconds above them. Throws TarError. */
export function parsePaxTime(text: string): { seconds: number; nanoseconds: number } {
	const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text);
	if (!match) throw new TarError("an extended header whose time is not a number");
	const seconds = Number(match[2]);
	const nanoseconds = Number((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
	if (!match[1]) return { seconds, nanoseconds };
	return nanoseconds === 0 ? { seconds: 0 - seconds, nanoseconds } : { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds };
}

/** A record: its length counts its own digits. */
export function paxRecord(key: string, value: string | Uint8Array): Uint8Array {
	const head = new Uint8Array(host.encode(` ${key}=`));
	const body = typeof value === "string" ? new Uint8Array(host.encode(value)) : value;
	const rest = head.length + body.length + 1;
	let length = rest + String(rest).length;
	if (String(length).length !== String(rest).length) length = rest + String(length).length;
	const digits = new Uint8Array(host.encode(String(length)));
	const record = new Uint8Array(length);
	record.set(digits);
	record.set(head, digits.length);
	record.set(body, digits.length + head.length);
	record[length - 1] = 0x0a;
	return record;
}
