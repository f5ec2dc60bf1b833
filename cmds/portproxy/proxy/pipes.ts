/**
 * The pipes that bytes move through from socket to socket. A direction of a connection has one only while there are bytes in
 * it, so a few pipes serve thousands of connections.
 */
import { close, O_NONBLOCK } from "../../../native/linux/fd.ts";
import { tryPipe, trySetPipeSize } from "../../../native/linux/splice.ts";

/** How many unused pipes are kept. */
const KEPT = 16;
const RESERVE = 2;
/** Room in a pipe: the fewer calls for a stream, the less CPU time. The kernel's own are of 64 KiB. */
const SIZE = 1 << 20;

export interface Pipes {
	/** The number of an empty pipe; -errno where there can be no more (EMFILE, ENFILE). */
	take(): number;
	/** Gives an empty pipe back. */
	give(pipe: number): void;
	/** Closes a pipe that has bytes in it. */
	discard(pipe: number): void;
	reader(pipe: number): number;
	writer(pipe: number): number;
	/** How many pipes are open. */
	open(): number;
}

export function pipePool(): Pipes {
	const ends: number[] = [];
	/** Numbers of pipes that are open and empty, and of those that are closed. */
	const unused: number[] = [];
	const closed: number[] = [];
	const two = new Int32Array(2);
	const make = () => {
		const result = tryPipe(two, O_NONBLOCK);
		if (result < 0) return result;
		/* Beyond /proc/sys/fs/pipe-user-pages-soft an ordinary user's stay as they are. */
		trySetPipeSize(two[0] as number, SIZE);
		const pipe = closed.length > 0 ? (closed.pop() as number) : ends.length / 2;
		ends[2 * pipe] = two[0] as number;
		ends[2 * pipe + 1] = two[1] as number;
		return pipe;
	};
	const discard = (pipe: number) => {
		close(ends[2 * pipe] as number);
		close(ends[2 * pipe + 1] as number);
		closed.push(pipe);
	};
	/** Some are made at once, so that there are pipes when connections have taken all the descriptors. */
	const reserve = Array.from({ length: RESERVE }, make).filter((pipe) => pipe >= 0);
	unused.push(...reserve);
	return {
		take() {
			return unused.length > 0 ? (unused.pop() as number) : make();
		},
		give(pipe) {
			if (unused.length < KEPT) unused.push(pipe);
			else discard(pipe);
		},
		discard,
		reader: (pipe) => ends[2 * pipe] as number,
		writer: (pipe) => ends[2 * pipe + 1] as number,
		open: () => ends.length / 2 - closed.length,
	};
}
