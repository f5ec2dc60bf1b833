/**
 * The host on Node: the same interface as host.c through koffi, so that tests import any module in-process.
 */
import { createRequire } from "node:module";
import type { Argument, Host } from "./host.d.ts";

const koffi = createRequire(import.meta.url)("koffi");
const libc = koffi.load(null);
const prototypes = new Map<string, (...args: unknown[]) => number>();
const identity = libc.func("intptr_t memcpy(void *, void *, size_t)");

/** The C library's `syscall` with this pattern of integers (i) and pointers (p). */
function prototype(pattern: string) {
	let found = prototypes.get(pattern);
	if (!found) {
		const types = [...pattern].map((kind) => (kind === "p" ? "void *" : "int64_t"));
		found = libc.func("syscall", "int64_t", ["int64_t", ...types]) as (...args: unknown[]) => number;
		prototypes.set(pattern, found);
	}
	return found;
}

const EINVAL = 22;

export const syscall: Host["syscall"] = (nr, ...args) => {
	let pattern = "";
	const values: unknown[] = [];
	for (const arg of args) {
		if (typeof arg === "string") {
			const text = new Uint8Array(encode(arg));
			if (text.includes(0)) return -EINVAL;
			values.push(Buffer.concat([text, Buffer.alloc(1)]));
		} else if (arg === null || typeof arg === "number") {
			values.push(arg ?? 0);
		} else {
			values.push(bytesOf(arg));
		}
		pattern += typeof arg === "string" || (arg !== null && typeof arg === "object") ? "p" : "i";
	}
	const result = Number(prototype(pattern)(nr, ...values));
	return result === -1 ? -koffi.errno() : result;
};

/** The same memory as bytes, whatever the view: V8 keeps it in place once its `buffer` has been asked for. */
function bytesOf(view: Exclude<Argument, number | string | null>): Uint8Array {
	return view instanceof ArrayBuffer ? new Uint8Array(view) : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

export const fork: Host["fork"] = () => {
	throw new Error("fork: Node has many threads, it cannot fork; test this through the built tool");
};

export const exit: Host["exit"] = (code) => process.exit(code);
export const argv: Host["argv"] = () => process.argv.slice(1);
export const environ: Host["environ"] = () => Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
export const addressOf: Host["addressOf"] = (view) => Number(identity(bytesOf(view), null, 0));
export const arch: Host["arch"] = process.arch === "arm64" ? "aarch64" : "x86_64";

export const encode: Host["encode"] = (text) => {
	const bytes: number[] = [];
	for (const character of text) {
		const code = character.codePointAt(0) as number;
		if (code >= 0xdc80 && code <= 0xdcff) bytes.push(code - 0xdc00);
		else bytes.push(...Buffer.from(character));
	}
	const buffer = new ArrayBuffer(bytes.length);
	new Uint8Array(buffer).set(bytes);
	return buffer;
};

export const decode: Host["decode"] = (view, from = 0, to = view.byteLength) => {
	if (from < 0 || to > view.byteLength || from > to) throw new RangeError("decode: outside of the view");
	const bytes = Buffer.from(bytesOf(view).subarray(from, to));
	const text = bytes.toString("utf8");
	if (Buffer.from(text).equals(bytes)) return text;
	let out = "";
	for (let i = 0; i < bytes.length; ) {
		const first = bytes[i] as number;
		const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
		const piece = bytes.subarray(i, i + length);
		const read = piece.toString("utf8");
		if (Buffer.from(read).equals(piece)) {
			out += read;
			i += length;
		} else {
			out += String.fromCharCode(0xdc00 + first);
			i++;
		}
	}
	return out;
};
