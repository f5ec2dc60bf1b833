/** Sizes and times, as people write them. */
import { notA } from "./command-line/options.ts";

const POWERS = "kmgtpe";

/** "512k", "1.5g", "1GiB", "1048576" as bytes: k, m, g ... are powers of 1024. Undefined if it is no size. */
export function parseSize(text: string): number | undefined {
	const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgtpe])(?:i?b)?|b)?$/i.exec(text);
	if (!match) return undefined;
	const bytes = Number(match[1]) * 1024 ** (match[2] ? POWERS.indexOf(match[2].toLowerCase()) + 1 : 0);
	return bytes <= Number.MAX_SAFE_INTEGER ? Math.floor(bytes) : undefined;
}

/** For an option table: a size in bytes. */
export function size(text: string, option: string): number {
	return parseSize(text) ?? notA(option, text, "a size (512k, 1.5g, 1GiB)");
}

/** "100ms", "5s", "2m", "1h", "0.5" (seconds) as seconds. Undefined if it is no time. */
export function parseDuration(text: string): number | undefined {
	const match = /^(\d+(?:\.\d+)?|\.\d+)\s*(us|ms|s|m|h|d)?$/.exec(text);
	if (!match) return undefined;
	const unit = { us: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600, d: 86400 }[match[2] ?? "s"] as number;
	return Number(match[1]) * unit;
}

/** For an option table: a time in seconds. */
export function duration(text: string, option: string): number {
	return parseDuration(text) ?? notA(option, text, "a time (100ms, 5s, 2m)");
}

/** For an option table: a whole number from `least` to `most`. */
export function integer(least: number, most: number, noun = "a whole number") {
	return (text: string, option: string): number => {
		const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
		return value >= least && value <= most ? value : notA(option, text, `${noun} (${least}-${most})`);
	};
}

/** Bytes for people: 1536 is "1.5 KiB". */
export function formatSize(bytes: number): string {
	if (bytes < 1024) return `${bytes} B`;
	let power = 0;
	let value = bytes;
	while (value >= 1023.95 && power < POWERS.length) {
		value /= 1024;
		power++;
	}
	return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${(POWERS[power - 1] as string).toUpperCase()}iB`;
}

/** Seconds for people: 0.0123 is "12.3 ms", 75 is "1m15s". */
export function formatDuration(seconds: number): string {
	if (seconds < 1e-3) return `${Math.round(seconds * 1e6)} us`;
	if (seconds < 1) return `${Number((seconds * 1e3).toPrecision(3))} ms`;
	if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
	const whole = Math.floor(seconds);
	const part = (n: number, unit: string) => (n > 0 ? `${n}${unit}` : "");
	return (
		part(Math.floor(whole / 86400), "d") +
		part(Math.floor(whole / 3600) % 24, "h") +
		part(Math.floor(whole / 60) % 60, "m") +
		part(whole % 60, "s")
	);
}
