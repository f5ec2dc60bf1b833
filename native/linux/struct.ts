/**
 * C structs, declared once as a table of fields:
 *
 *     const timespec = struct([["tv_sec", "s64"], ["tv_nsec", "s64"]]);
 *     timespec.size; timespec.offset.tv_nsec; timespec.pack({ tv_sec: 1 }); timespec.unpack(bytes).tv_sec
 *
 * Fields are aligned as the C compiler does on 64-bit Linux. 64-bit values are JavaScript numbers, exact up to 2^53;
 * larger unsigned ones (a mask of all ones) are read as the nearest double. `char[N]` is a string up to its first NUL. A
 * field's type may be another struct, or `pointer`: to bytes or a string when it is packed, an address when it is read.
 */
import * as host from "#host";

type Scalar = "u8" | "u16" | "u32" | "u64" | "s32" | "s64" | "be16" | "be32" | "pointer" | `char[${number}]` | `u8[${number}]`;
// biome-ignore lint/suspicious/noExplicitAny: a struct of any fields can stand in another
export type FieldType = Scalar | Struct<any>;
/** What a pointer points to: bytes, a string (with its NUL), or NULL. */
export type Pointer = ArrayBuffer | ArrayBufferView | string | null;
type Given<T> =
	T extends Struct<infer F>
		? Partial<GivenValues<F>>
		: T extends "pointer"
			? Pointer
			: T extends `char[${number}]`
				? string
				: T extends `u8[${number}]`
					? Uint8Array
					: number;
type Read<T> =
	T extends Struct<infer F> ? Values<F> : T extends `char[${number}]` ? string : T extends `u8[${number}]` ? Uint8Array : number;
type Fields = readonly (readonly [string, FieldType])[];
type GivenValues<F extends Fields> = { -readonly [P in F[number] as P[0]]: Given<P[1]> };
type Values<F extends Fields> = { -readonly [P in F[number] as P[0]]: Read<P[1]> };

export interface Struct<F extends Fields> {
	readonly size: number;
	/** What its address is a multiple of. */
	readonly align: number;
	readonly offset: { readonly [P in F[number] as P[0]]: number };
	/** The bytes of each field. */
	readonly length: { readonly [P in F[number] as P[0]]: number };
	/** The struct's bytes; what is not given is 0. What its pointers point to lives as long as they do. */
	pack(values: Partial<GivenValues<F>>): Uint8Array;
	/** Writes the struct's values to `at`; what is not given stays as it is. */
	packInto(bytes: Uint8Array, at: number, values: Partial<GivenValues<F>>): void;
	/** The values at `at`; fields beyond the end of the bytes (an older kernel's struct) are 0. A pointer is an address. */
	unpack(bytes: Uint8Array, at?: number): Values<F>;
}

const sizes: Record<string, number> = { u8: 1, u16: 2, be16: 2, u32: 4, be32: 4, s32: 4, u64: 8, s64: 8, pointer: 8 };

/** Declares a struct. `packed` leaves out all padding (__attribute__((packed))). */
export function struct<const F extends Fields>(fields: F, packed = false): Struct<F> {
	/* Laid out when it is first used: a tool declares many structs, and a run uses few. */
	let known: Layout | undefined;
	const layout = () => {
		known ??= layOut(fields, packed);
		return known;
	};
	const packInto = (bytes: Uint8Array, at: number, values: Record<string, unknown>) => {
		const { offset, lengths } = layout();
		const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		for (const [name, type] of fields) {
			const value = values[name];
			if (value !== undefined) put(bytes, view, at + (offset[name] as number), type, value, lengths[name] as number);
		}
	};
	return {
		get size() {
			return layout().size;
		},
		get align() {
			return layout().align;
		},
		get offset() {
			return layout().offset as Struct<F>["offset"];
		},
		get length() {
			return layout().lengths as Struct<F>["length"];
		},
		pack(values) {
			const bytes = new Uint8Array(layout().size);
			packInto(bytes, 0, values);
			return bytes;
		},
		packInto,
		unpack(bytes, at = 0) {
			const { offset, lengths } = layout();
			const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
			const values: Record<string, unknown> = {};
			for (const [name, type] of fields) values[name] = get(bytes, view, at + (offset[name] as number), type, lengths[name] as number);
			return values as Values<F>;
		},
	};
}

interface Layout {
	size: number;
	align: number;
	offset: Record<string, number>;
	lengths: Record<string, number>;
}

function layOut(fields: Fields, packed: boolean): Layout {
	const offset: Record<string, number> = {};
	const lengths: Record<string, number> = {};
	let size = 0;
	let widest = 1;
	for (const [name, type] of fields) {
		const array = typeof type === "string" ? type.indexOf("[") : -1;
		const unit = typeof type !== "string" ? type.align : array < 0 ? (sizes[type] as number) : 1;
		const length = typeof type !== "string" ? type.size : array < 0 ? unit : Number(type.slice(array + 1, -1));
		if (!packed) {
			size = Math.ceil(size / unit) * unit;
			widest = Math.max(widest, unit);
		}
		offset[name] = size;
		lengths[name] = length;
		size += length;
	}
	return { size: Math.ceil(size / widest) * widest, align: widest, offset, lengths };
}

function put(bytes: Uint8Array, view: DataView, at: number, type: FieldType, value: unknown, length: number) {
	const number = value as number;
	if (typeof type !== "string") type.packInto(bytes, at, value as Record<string, never>);
	else if (type === "u64" || type === "s64") putU64(view, at, number);
	else if (type === "u32" || type === "s32") view.setUint32(at, number, true);
	else if (type === "u16") view.setUint16(at, number, true);
	else if (type === "u8") view.setUint8(at, number);
	else if (type === "be16") view.setUint16(at, number, false);
	else if (type === "be32") view.setUint32(at, number, false);
	else if (type === "pointer") putU64(view, at, addressIn(bytes, value as Pointer));
	else {
		const text = typeof value === "string" ? new Uint8Array(host.encode(value)) : (value as Uint8Array);
		/* A string keeps its NUL: a name that fills the field would run on into the next one. */
		if (text.length > length - (typeof value === "string" ? 1 : 0)) throw new RangeError(`"${value}" is longer than ${type}`);
		bytes.set(text, at);
	}
}

/** The target's address; the bytes that hold it keep the target alive. */
function addressIn(holder: Uint8Array & { pointsTo?: unknown[] }, target: Pointer): number {
	if (target === null) return 0;
	const bytes = typeof target === "string" ? host.encode(target) : target;
	holder.pointsTo ??= [];
	holder.pointsTo.push(bytes);
	return host.addressOf(bytes);
}

function get(bytes: Uint8Array, view: DataView, at: number, type: FieldType, length: number): unknown {
	if (typeof type !== "string") return type.unpack(bytes, at);
	if (at + length > bytes.byteLength) return type.startsWith("char") ? "" : type.startsWith("u8[") ? new Uint8Array(length) : 0;
	if (type === "u64" || type === "pointer") return getU64(view, at);
	if (type === "s64") return view.getInt32(at + 4, true) * 0x100000000 + view.getUint32(at, true);
	if (type === "u32") return view.getUint32(at, true);
	if (type === "s32") return view.getInt32(at, true);
	if (type === "u16") return view.getUint16(at, true);
	if (type === "u8") return view.getUint8(at);
	if (type === "be16") return view.getUint16(at, false);
	if (type === "be32") return view.getUint32(at, false);
	if (type.startsWith("u8")) return bytes.slice(at, at + length);
	let end = at;
	while (end < at + length && bytes[end] !== 0) end++;
	return host.decode(bytes, at, end);
}

/** A 64-bit number, little endian; -1 gives all ones. */
export function putU64(view: DataView, at: number, value: number) {
	view.setUint32(at, value % 0x100000000, true);
	view.setUint32(at + 4, Math.floor(value / 0x100000000), true);
}

export function getU64(view: DataView, at: number): number {
	return view.getUint32(at + 4, true) * 0x100000000 + view.getUint32(at, true);
}

/** Strings as a C array of pointers, closed by NULL, with the strings behind it in the same bytes: argv and envp of execve(2). */
export function pointerArray(strings: string[]): Uint8Array {
	const encoded = strings.map((text) => new Uint8Array(host.encode(text)));
	let at = 8 * (strings.length + 1);
	const bytes = new Uint8Array(encoded.reduce((size, text) => size + text.length + 1, at));
	const view = new DataView(bytes.buffer);
	const address = host.addressOf(bytes);
	encoded.forEach((text, i) => {
		putU64(view, 8 * i, address + at);
		bytes.set(text, at);
		at += text.length + 1;
	});
	return bytes;
}
