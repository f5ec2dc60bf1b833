/** A progress bar for long work, on standard error where that is a terminal, and nothing elsewhere. */
import { CLOCK_MONOTONIC, clockGettime } from "../../native/linux/clock.ts";
import { write } from "../../native/linux/fd.ts";
import { columns, isTerminal } from "../../native/linux/terminal.ts";
import { escapeControls } from "./errors.ts";
import { formatSize } from "./units.ts";

export interface Progress {
	/** So many bytes are done. */
	at(bytes: number): void;
	/** Takes the bar away. */
	end(): void;
}

const EVERY = 0.1;
const nothing: Progress = { at() {}, end() {} };

/** `label  [#####     ]  12 MiB / 30 MiB  4 MiB/s`; without a total there is no bar. */
export function startProgress(label: string, total?: number): Progress {
	if (!isTerminal(2)) return nothing;
	const started = clockGettime(CLOCK_MONOTONIC);
	let drawn = started;
	let isShown = false;
	return {
		at(bytes) {
			const now = clockGettime(CLOCK_MONOTONIC);
			if (now - drawn < EVERY) return;
			drawn = now;
			isShown = true;
			write(2, `\r${progressLine(escapeControls(label), bytes, total, now - started, columns(2) ?? 80)}\x1b[K`);
		},
		end() {
			if (isShown) write(2, "\r\x1b[K");
		},
	};
}

/** One line of at most `width` columns. */
export function progressLine(label: string, bytes: number, total: number | undefined, seconds: number, width: number): string {
	const rate = seconds > 0 ? `  ${formatSize(Math.round(bytes / seconds))}/s` : "";
	const figures = `${formatSize(bytes)}${total === undefined ? "" : ` / ${formatSize(total)}`}${rate}`;
	const room = width - label.length - figures.length - 7;
	const part = total ? Math.min(1, bytes / total) : 0;
	const bar = total !== undefined && room >= 10 ? `  [${"#".repeat(Math.round(part * room)).padEnd(room)}]` : "";
	return `${label}${bar}  ${figures}`.slice(0, width - 1);
}
