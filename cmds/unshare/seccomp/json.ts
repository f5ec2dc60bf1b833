/** JSON whose whole numbers are exact: a policy's values have 64 bits, a JavaScript number has 53. */
import { PolicyError, type Word64 } from "../../../native/linux/seccomp/policy.ts";

/* Stands before the digits of a number that is kept as text; no name in a policy begins with it. */
const MARK = "\0";

/** JSON.parse(), with whole numbers of more than 15 digits as text for `readWord64`. Throws PolicyError. */
export function parseExactly(text: string): unknown {
	const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g, (token) => (token[0] === '"' ? token : `"\\u0000${token}"`));
	try {
		return JSON.parse(marked);
	} catch (error) {
		throw new PolicyError(`it is no JSON: ${(error as Error).message}`);
	}
}

/** An unsigned number of 64 bits, of such JSON; undefined for what is none. */
export function readWord64(value: unknown): Word64 | undefined {
	const digits = typeof value === "string" && value.startsWith(MARK) ? value.slice(1) : String(value);
	if ((typeof value !== "number" && typeof value !== "string") || !/^\d+$/.test(digits)) return undefined;
	if (typeof value === "string" && !value.startsWith(MARK)) return undefined;
	return parseDecimal(digits);
}

/** Decimal digits as two halves of 32 bits; undefined beyond 2^64. */
function parseDecimal(digits: string): Word64 | undefined {
	let [high, low] = [0, 0];
	for (const digit of digits) {
		low = low * 10 + Number(digit);
		high = high * 10 + Math.floor(low / 2 ** 32);
		low %= 2 ** 32;
		if (high >= 2 ** 32) return undefined;
	}
	return { high, low };
}

/** A number as people write it on a command line: 17, 0x11, 021, -1 (all ones). */
export function parseWord64(text: string): Word64 | undefined {
	const negative = /^-\d+$/.test(text);
	const word = /^0x[0-9a-f]{1,16}$/i.test(text) ? parseHexadecimal(text.slice(2)) : parseOther(negative ? text.slice(1) : text);
	if (!word || !negative) return word;
	if (word.high >= 2 ** 31 && !(word.high === 2 ** 31 && word.low === 0)) return undefined;
	const low = -word.low >>> 0;
	return { high: (~word.high + (word.low === 0 ? 1 : 0)) >>> 0, low };
}

function parseHexadecimal(digits: string): Word64 {
	const all = digits.padStart(16, "0");
	return { high: Number.parseInt(all.slice(0, 8), 16), low: Number.parseInt(all.slice(8), 16) };
}

function parseOther(text: string): Word64 | undefined {
	if (/^0[0-7]{1,17}$/.test(text)) {
		const value = Number.parseInt(text, 8);
		return { high: Math.floor(value / 2 ** 32), low: value % 2 ** 32 };
	}
	return /^(0|[1-9]\d*)$/.test(text) ? parseDecimal(text) : undefined;
}

/** A number for people: decimal where it is small, else hexadecimal. */
export function formatWord64({ high, low }: Word64): string {
	if (high === 0 && low < 4096) return String(low);
	return high === 0 ? `0x${low.toString(16)}` : `0x${high.toString(16)}${low.toString(16).padStart(8, "0")}`;
}
