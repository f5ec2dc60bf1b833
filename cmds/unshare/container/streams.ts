/**
 * The program's standard streams. A terminal of the host's never goes into a container: who has it open can put input into
 * it (TIOCSTI), and reads what is typed there later. In its place the program gets a pipe, and we carry the bytes.
 */
import { EAGAIN, EBADF, EIO } from "../../../native/linux/errno.ts";
import {
	close,
	dup,
	isOpen,
	O_APPEND,
	O_CREAT,
	O_NOCTTY,
	O_RDONLY,
	O_WRONLY,
	open,
	pipe,
	read,
	setNonblocking,
	writeSome,
} from "../../../native/linux/fd.ts";
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, type poll } from "../../../native/linux/poll.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { isTerminal } from "../../../native/linux/terminal.ts";
import { fail } from "../../common/errors.ts";
import type { Plan } from "./plan.ts";
import { type Relay, writeAll } from "./tty.ts";

/** What the program gets; undefined to keep ours. And between which descriptors of ours bytes are carried. */
export interface Streams {
	program: (number | undefined)[];
	carried: Carried[];
}

interface Carried {
	from: number;
	to: number;
	/** From the user's terminal into the container. */
	isInput: boolean;
}

/** What --stdin and its like name, or what we have been given, opened; a terminal is exchanged for a pipe. */
export function openStreams({ stdio, tty, preserve }: Pick<Plan, "stdio" | "tty" | "preserve">): Streams {
	for (let fd = 3; fd < 3 + preserve; fd++)
		if (isTerminal(fd)) fail(`--preserve-fds: ${fd} is a terminal, which never goes into a container`);
	const streams: Streams = { program: stdio.map((text, i) => (text === undefined ? undefined : openStream(text, i))), carried: [] };
	if (!tty && !isDryRun()) streams.program = streams.program.map((fd, i) => exchange(streams.carried, fd, i));
	return streams;
}

function openStream(text: string, i: number): number {
	const option = ["--stdin", "--stdout", "--stderr"][i] as string;
	if (!/^\d{1,7}$/.test(text)) return open(text, (i === 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND) | O_NOCTTY, 0o644);
	if (!isOpen(Number(text))) throw new SysError(option, EBADF, text);
	return dup(Number(text), 3);
}

function exchange(carried: Carried[], fd: number | undefined, i: number): number | undefined {
	const ours = fd ?? i;
	if (!isTerminal(ours)) return fd;
	const { reader, writer } = pipe();
	/* A copy, since ours may be closed, or given to somebody else, before the end. */
	const terminal = dup(ours, 3);
	if (fd !== undefined) close(fd);
	carried.push(i === 0 ? { from: terminal, to: writer, isInput: true } : { from: reader, to: terminal, isInput: false });
	return i === 0 ? reader : writer;
}

/** The descriptors that carrying needs, for who closes all others. */
export function carrying({ carried }: Streams): number[] {
	return carried.flatMap(({ from, to }) => [from, to]);
}

/** Carries the bytes; undefined where none are. */
export function startCarrying({ carried }: Streams): Relay | undefined {
	if (carried.length === 0) return undefined;
	const lines = carried.map(lineOf);
	return {
		wanted: () => lines.flatMap((line) => line.wanted()),
		handle: (ready) => {
			lines.forEach((line, i) => {
				line.handle(ready[2 * i] ?? 0, ready[2 * i + 1] ?? 0);
			});
		},
		resize() {},
		finish: () => {
			for (const line of lines) line.finish();
		},
	};
}

const ENDED = POLLHUP | POLLERR | POLLNVAL;

/** One direction: a chunk is read when it has been written, so that a program that does not read is not read for. */
function lineOf({ from, to, isInput }: Carried) {
	const bytes = new Uint8Array(32768);
	let pending = bytes.subarray(0, 0);
	let isOpen = true;
	const end = () => {
		isOpen = false;
		close(from);
		/* The program's input ends; the terminal stays. */
		close(to);
	};
	const fill = (): boolean => {
		try {
			const length = read(from, bytes);
			pending = bytes.subarray(0, length);
			if (length === 0) end();
			return length > 0;
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
			/* EIO: a terminal that has been hung up, or is not ours to read at the moment. */
			if (error.errno !== EAGAIN) end();
			if (error.errno !== EAGAIN && error.errno !== EIO) throw error;
			return false;
		}
	};
	const drain = () => {
		try {
			if (isInput) while (pending.length > 0) pending = pending.subarray(writeSome(to, pending));
			else {
				writeAll(to, pending);
				pending = pending.subarray(pending.length);
			}
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
			if (error.errno === EAGAIN) return;
			/* Nobody is at the other end any more: a terminal that is gone, a program that has closed its input. */
			pending = pending.subarray(pending.length);
			end();
		}
	};
	/* What we read is nonblocking only where it is ours alone: a terminal is shared with whoever else has it. */
	setNonblocking(isInput ? to : from, true);
	return {
		wanted: (): Parameters<typeof poll>[0] => [
			{ fd: isOpen && pending.length === 0 ? from : -1, events: POLLIN },
			{ fd: isOpen && pending.length > 0 ? to : -1, events: POLLOUT },
		],
		handle(fromReady: number, toReady: number) {
			if (toReady !== 0) drain();
			if (isOpen && (fromReady & (POLLIN | ENDED)) !== 0 && fill()) drain();
		},
		/** What the program has written last. */
		finish() {
			while (!isInput && isOpen && fill()) drain();
			if (isOpen) end();
		},
	};
}
