/** Between the user's terminal and the container's: bytes both ways, the window's size, raw mode while it lasts. */
import { EAGAIN, EIO } from "../../../native/linux/errno.ts";
import { O_NOCTTY, O_RDWR, open, read, setNonblocking, writeSome } from "../../../native/linux/fd.ts";
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, poll } from "../../../native/linux/poll.ts";
import { getpgrp } from "../../../native/linux/process.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import {
	getAttributes,
	getForegroundGroup,
	getWindowSize,
	isTerminal,
	rawAttributes,
	setAttributes,
	setWindowSize,
} from "../../../native/linux/terminal.ts";

type Wanted = Parameters<typeof poll>[0];

export interface Relay {
	/** What to poll for: two entries. */
	wanted(): Wanted;
	/** Moves what these are ready for. */
	handle(ready: number[]): void;
	/** Gives the container's terminal the size of the user's. */
	resize(): void;
	/** Copies what the program has written last, and gives the user's terminal its settings back. */
	finish(): void;
}

/** What ends the input of a terminal: Control-D. */
const VEOF = 4;

/** The terminal of the process, whatever its standard streams are; undefined where it has none. */
export function ownTerminal(): number | undefined {
	try {
		return open("/dev/tty", O_RDWR | O_NOCTTY);
	} catch (error) {
		if (error instanceof SysError) return undefined;
		throw error;
	}
}

/**
 * Gives the container's terminal the size of the user's. Done for the first time before the program runs, which may ask at
 * once.
 */
export function copySize(master: number, input: number, output: number) {
	const size = getWindowSize(input) ?? getWindowSize(output);
	if (size) setWindowSize(master, size);
}

/** Starts to relay. Where `input` is a terminal it is set to raw mode: the container's does the processing. */
export function startRelay(master: number, input: number, output: number): Relay {
	/* From the background, to set it would stop us (SIGTTOU), for good where nobody can bring us to the foreground. */
	const before = isTerminal(input) && getForegroundGroup(input) === getpgrp() ? getAttributes(input) : undefined;
	const bytes = new Uint8Array(32768);
	let pending = bytes.subarray(0, 0);
	let atEnd = false;
	let isOpen = true;

	/** False once there is nothing to be had now. */
	const copyOut = (): boolean => {
		const chunk = new Uint8Array(32768);
		const length = tryIo(() => read(master, chunk));
		if (length === undefined) return false;
		if (length > 0) writeAll(output, chunk.subarray(0, length));
		else isOpen = false;
		return length > 0;
	};
	/** Gives the master as much as it takes: a program that does not read must not keep us from reading what it writes. */
	const copyIn = () => {
		while (pending.length > 0) {
			const taken = tryIo(() => writeSome(master, pending));
			if (taken === undefined) return;
			pending = pending.subarray(taken || pending.length);
		}
	};

	setNonblocking(master, true);
	if (before) setAttributes(input, rawAttributes(before));
	return {
		wanted: () => [
			{ fd: isOpen ? master : -1, events: POLLIN | (pending.length > 0 ? POLLOUT : 0) },
			{ fd: atEnd || pending.length > 0 ? -1 : input, events: POLLIN },
		],
		handle([masterReady = 0, inputReady = 0]) {
			if ((inputReady & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) !== 0) {
				const length = (inputReady & POLLNVAL) !== 0 ? 0 : (tryIo(() => read(input, bytes)) ?? 0);
				/* The end of a file or pipe: in the container, too. A terminal that is gone says SIGHUP besides. */
				if (length === 0) atEnd = true;
				pending = length === 0 ? new Uint8Array([VEOF]) : bytes.slice(0, length);
			}
			copyIn();
			if ((masterReady & (POLLIN | POLLHUP | POLLERR)) !== 0) copyOut();
		},
		resize: () => copySize(master, input, output),
		finish() {
			try {
				while (copyOut());
			} finally {
				if (before) setAttributes(input, before);
			}
		},
	};
}

/** Writes to a descriptor that may be non-blocking: it is shared with whoever made it so. */
export function writeAll(fd: number, bytes: Uint8Array) {
	for (let rest = bytes; rest.length > 0; ) {
		try {
			rest = rest.subarray(writeSome(fd, rest));
		} catch (error) {
			if (!(error instanceof SysError && error.errno === EAGAIN)) throw error;
			poll([{ fd, events: POLLOUT }]);
		}
	}
}

/** Undefined where nothing could be moved now; 0 at the end, which a master tells with EIO. */
function tryIo(step: () => number): number | undefined {
	try {
		return step();
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		if (error.errno === EAGAIN) return undefined;
		if (error.errno === EIO) return 0;
		throw error;
	}
}
