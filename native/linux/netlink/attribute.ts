/**
 * Netlink attributes, written and read: man 7 netlink, "struct nlattr" of linux/netlink.h.
 *
 *     u16 nla_len     of header and payload, without the padding behind it
 *     u16 nla_type    the two highest bits are flags: NLA_F_NESTED, NLA_F_NET_BYTEORDER
 *     payload         padded to a multiple of 4 bytes; nested attributes, a number, a string with its NUL, a struct ...
 */
import * as host from "#host";
import { EBADMSG } from "../errno.ts";
import { getU64, putU64, struct } from "../struct.ts";
import { SysError } from "../syscall.ts";

export const nlattr = /* @__PURE__ */ struct([
	["nla_len", "u16"],
	["nla_type", "u16"],
]);

export const NLA_F_NESTED = 0x8000;
export const NLA_F_NET_BYTEORDER = 0x4000;
export const NLA_HDRLEN = 4;

const typeMask = 0x3fff;

/** One attribute: its type, and bytes, a string (its NUL is added), or what is nested in it: attributes, behind a struct's bytes where it has one. */
export type Attribute = readonly [type: number, value: Uint8Array | string | readonly (Attribute | Uint8Array)[]];

/* Payloads: numbers in the machine's order, and with `be` in the network's. */

export function u8(value: number): Uint8Array {
	return new Uint8Array([value]);
}

export function u16(value: number): Uint8Array {
	return new Uint8Array([value & 0xff, (value >> 8) & 0xff]);
}

/** Also for s32: -1 gives all ones. */
export function u32(value: number): Uint8Array {
	return new Uint8Array([value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >>> 24) & 0xff]);
}

export function u64(value: number): Uint8Array {
	const bytes = new Uint8Array(8);
	putU64(new DataView(bytes.buffer), 0, value);
	return bytes;
}

export function be16(value: number): Uint8Array {
	return new Uint8Array([(value >> 8) & 0xff, value & 0xff]);
}

export function be32(value: number): Uint8Array {
	return new Uint8Array([(value >>> 24) & 0xff, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff]);
}

export function be64(value: number): Uint8Array {
	const bytes = u64(value);
	return bytes.reverse();
}

/** A flag: an attribute that says all by being there. */
export const flag = /* @__PURE__ */ new Uint8Array(0);

export const align = (length: number) => (length + 3) & ~3;

interface Sized {
	type: number;
	length: number;
	bytes?: Uint8Array;
	children?: Sized[];
}

const isAttribute = (entry: Attribute | Uint8Array): entry is Attribute => Array.isArray(entry);

/* The length of each attribute is known before anything is written, so all of a message is written once. */
function measure(entry: Attribute | Uint8Array): Sized {
	if (!isAttribute(entry)) return { type: -1, length: entry.length, bytes: entry };
	const [type, value] = entry;
	if (typeof value === "string") {
		const bytes = new Uint8Array(host.encode(value));
		return { type, length: NLA_HDRLEN + bytes.length + 1, bytes };
	}
	if (!Array.isArray(value)) return { type, length: NLA_HDRLEN + (value as Uint8Array).length, bytes: value as Uint8Array };
	const children = (value as (Attribute | Uint8Array)[]).map(measure);
	let length = NLA_HDRLEN;
	for (const child of children) length += align(child.length);
	return { type: type | NLA_F_NESTED, length, children };
}

function put(bytes: Uint8Array, at: number, { type, length, bytes: payload, children }: Sized): number {
	let next = at;
	if (type >= 0) {
		if (length > 0xffff) throw new RangeError(`netlink attribute ${type & typeMask}: longer than 65535 bytes`);
		bytes[at] = length & 0xff;
		bytes[at + 1] = length >> 8;
		bytes[at + 2] = type & 0xff;
		bytes[at + 3] = type >> 8;
		next += NLA_HDRLEN;
	}
	if (payload) bytes.set(payload, next);
	else for (const child of children as Sized[]) next = put(bytes, next, child);
	return at + align(length);
}

/** Attributes (and structs, as bytes) one behind the other, each padded, from `before` bytes on, which are left 0. */
export function encodeAttributes(list: readonly (Attribute | Uint8Array)[], before = 0): Uint8Array {
	const sized = list.map(measure);
	let size = before;
	for (const { length } of sized) size += align(length);
	const bytes = new Uint8Array(size);
	let at = before;
	for (const one of sized) at = put(bytes, at, one);
	return bytes;
}

function broken(): never {
	throw new SysError("netlink", EBADMSG);
}

/**
 * The attributes of a message, or those nested in one. Reading is checked: an attribute that does not fit in, or is shorter
 * than the number that it is to hold, throws SysError EBADMSG. Of several of one type the last counts; `each` gives all.
 */
export class Attributes {
	private readonly places: Record<number, number> = {};
	private readonly order: number[] = [];
	private readonly view: DataView;

	constructor(
		private readonly bytes: Uint8Array,
		from = 0,
		to = bytes.length,
	) {
		this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		let at = from;
		while (to - at >= NLA_HDRLEN) {
			const length = this.view.getUint16(at, true);
			if (length < NLA_HDRLEN || at + length > to) broken();
			this.places[this.view.getUint16(at + 2, true) & typeMask] = at;
			this.order.push(at);
			at += align(length);
		}
		/* Fewer bytes than a header are padding, if they are no more than that. */
		if (to > bytes.length) broken();
	}

	has(type: number): boolean {
		return this.places[type] !== undefined;
	}

	/** Where the payload is that must have `least` bytes; undefined where there is no such attribute. */
	private find(type: number, least: number): number | undefined {
		const at = this.places[type];
		if (at === undefined) return undefined;
		if (this.view.getUint16(at, true) - NLA_HDRLEN < least) broken();
		return at + NLA_HDRLEN;
	}

	u8(type: number): number | undefined {
		const at = this.find(type, 1);
		return at === undefined ? undefined : this.view.getUint8(at);
	}

	u16(type: number): number | undefined {
		const at = this.find(type, 2);
		return at === undefined ? undefined : this.view.getUint16(at, true);
	}

	u32(type: number): number | undefined {
		const at = this.find(type, 4);
		return at === undefined ? undefined : this.view.getUint32(at, true);
	}

	s32(type: number): number | undefined {
		const at = this.find(type, 4);
		return at === undefined ? undefined : this.view.getInt32(at, true);
	}

	/** Exact up to 2^53. */
	u64(type: number): number | undefined {
		const at = this.find(type, 8);
		return at === undefined ? undefined : getU64(this.view, at);
	}

	be16(type: number): number | undefined {
		const at = this.find(type, 2);
		return at === undefined ? undefined : this.view.getUint16(at, false);
	}

	be32(type: number): number | undefined {
		const at = this.find(type, 4);
		return at === undefined ? undefined : this.view.getUint32(at, false);
	}

	be64(type: number): number | undefined {
		const at = this.find(type, 8);
		return at === undefined ? undefined : this.view.getUint32(at, false) * 0x100000000 + this.view.getUint32(at + 4, false);
	}

	/** The text up to its NUL. */
	string(type: number): string | undefined {
		const payload = this.payload(type);
		if (payload === undefined) return undefined;
		const end = payload.indexOf(0);
		return host.decode(payload, 0, end < 0 ? payload.length : end);
	}

	payload(type: number): Uint8Array | undefined {
		const at = this.places[type];
		return at === undefined ? undefined : this.at(at);
	}

	private at(at: number): Uint8Array {
		return this.bytes.subarray(at + NLA_HDRLEN, at + this.view.getUint16(at, true));
	}

	/** The attributes nested in one, behind a struct of `header` bytes. */
	nested(type: number, header = 0): Attributes | undefined {
		const at = this.find(type, header);
		return at === undefined
			? undefined
			: new Attributes(this.bytes, at + header, at - NLA_HDRLEN + this.view.getUint16(at - NLA_HDRLEN, true));
	}

	/** All in their order, also those of the same type: the elements of an array. */
	each(): { type: number; payload: Uint8Array; nested(): Attributes }[] {
		return this.order.map((at) => ({
			type: this.view.getUint16(at + 2, true) & typeMask,
			payload: this.at(at),
			nested: () => new Attributes(this.bytes, at + NLA_HDRLEN, at + this.view.getUint16(at, true)),
		}));
	}
}
