/**
 * Connections: each is two sockets, and two directions in which bytes move through a pipe, never through our memory:
 *
 *     client --splice--> pipe --splice--> server,   server --splice--> pipe --splice--> client
 *
 * Ends are numbered: connection C has the ends 2C (the client's) and 2C + 1 (the server's), so the other end of `i` is `i ^ 1`.
 * What is known of an end and of the direction that reads from it stands at `i` in typed arrays: an event allocates nothing.
 *
 * Events are level-triggered. An end that is read is watched for EPOLLIN; where the other end takes no more, the direction is
 * BLOCKED: its bytes stay in its pipe, the other end is watched for EPOLLOUT, and nothing is read until the pipe is empty
 * again. So each side feels the other's back-pressure as if there were no proxy.
 */
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, type Epoll } from "../../../native/linux/epoll.ts";
import { EAGAIN, ECONNABORTED, EINPROGRESS, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EPROTO } from "../../../native/linux/errno.ts";
import { close, write } from "../../../native/linux/fd.ts";
import { linger, SHUT_WR, SO_LINGER, SOCK_NONBLOCK, SOL_SOCKET, setsockopt, tryAccept, tryShutdown } from "../../../native/linux/socket.ts";
import { SPLICE_F_MOVE, SPLICE_F_NONBLOCK, trySplice } from "../../../native/linux/splice.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { CONNECTION } from "./kinds.ts";
import type { Peers } from "./peers.ts";
import { pipePool } from "./pipes.ts";
import { formatMapping, type Port } from "./port.ts";

/** What is known of end `i`. */
const ENDED = 1; /* it has sent its last byte, and that has been passed on */
const BLOCKED = 2; /* the bytes from it wait for the other end */
const STARVED = 4; /* there is no pipe for the bytes from it */
const CONNECTING = 8; /* of a server's: nothing has come of it yet */

const READ = EPOLLIN | EPOLLRDHUP;
/** What a splice moves at most; a pipe takes less. */
const CHUNK = 1 << 20;
/** The slots of the smallest pipe: fewer bytes than that cannot have filled it, so they were all that there were. */
const SLOTS = 16;
/** How many connections are accepted before other events have their turn. */
const BATCH = 64;
/** So many full pipes are moved before other connections have their turn. */
const ROUNDS = 8;
const FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

/** An accept that failed for want of descriptors or memory is made again when there may be some. */
const SHORT = [-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM];

export interface TcpSettings {
	maxConnections: number;
	/** Ticks of the loop's clock after which a connection that moves nothing is ended; 0: never. */
	idleTicks: number;
}

export interface Tcp {
	/** Takes the connections that wait at a port. */
	accept(port: Port): void;
	/** An event of an end. */
	event(end: number, events: number): void;
	/** Between two batches of events: ends that were closed may be used again. */
	settle(): void;
	/** A tick of the clock: ends what is idle. */
	tick(now: number): void;
	/** Resets all connections, of one port or of all. */
	reset(port?: Port): void;
	count(): number;
	/** Something waits for descriptors: `relieve` is to be called in a while. */
	waits(): boolean;
	relieve(): void;
}

/** `watch`: a port is to be listened to, or not. */
export function tcp(poller: Epoll, peers: Peers, settings: TcpSettings, watch: (port: Port, on: boolean) => void): Tcp {
	let room = 64;
	let fds = new Int32Array(2 * room).fill(-1);
	let state = new Uint8Array(2 * room);
	/** The events that each end is watched for. */
	let armed = new Uint16Array(2 * room);
	/** The pipe of the direction from each end, -1 for none, and how many bytes are in it. */
	let pipeOf = new Int32Array(2 * room).fill(-1);
	let held = new Int32Array(2 * room);
	/** By connection. */
	let lastUsed = new Uint32Array(room);
	const portOf: Port[] = [];

	let used = 0;
	let count = 0;
	let now = 0;
	const free: number[] = [];
	const closing: number[] = [];
	const starved: number[] = [];
	const paused: Port[] = [];
	const pipes = pipePool();
	const hard = linger.pack({ l_onoff: 1, l_linger: 0 });

	function grow() {
		const wider = <T extends Int32Array | Uint8Array | Uint16Array | Uint32Array>(old: T, fresh: T): T => {
			fresh.set(old);
			return fresh;
		};
		fds = wider(fds, new Int32Array(4 * room).fill(-1));
		state = wider(state, new Uint8Array(4 * room));
		armed = wider(armed, new Uint16Array(4 * room));
		pipeOf = wider(pipeOf, new Int32Array(4 * room).fill(-1));
		held = wider(held, new Int32Array(4 * room));
		lastUsed = wider(lastUsed, new Uint32Array(2 * room));
		room *= 2;
	}

	/** Watches an end for what its two directions wait for. */
	function arm(i: number) {
		const wanted = (state[i] as number) & (ENDED | BLOCKED | STARVED) ? 0 : READ;
		const events = wanted | ((state[i ^ 1] as number) & BLOCKED ? EPOLLOUT : 0);
		if (events === armed[i]) return;
		armed[i] = events;
		poller.modify(fds[i] as number, events, CONNECTION, i);
	}

	/** There is a pipe again: for one of those that wait for it. */
	function feed() {
		const i = starved.pop() as number;
		state[i] = (state[i] as number) & ~STARVED;
		if ((fds[i] as number) >= 0) arm(i);
	}

	/** A pipe, or descriptors, may be had again. */
	function relieve() {
		while (starved.length > 0) feed();
		while (paused.length > 0 && count < settings.maxConnections) watch(paused.pop() as Port, true);
	}

	function release(i: number) {
		pipes.give(pipeOf[i] as number);
		pipeOf[i] = -1;
		if (starved.length > 0) feed();
	}

	/** Closes both ends, with a reset in place of a FIN where something went wrong. */
	function finish(connection: number, withReset: boolean) {
		for (let i = 2 * connection; i <= 2 * connection + 1; i++) {
			const fd = fds[i] as number;
			if (withReset) setsockopt(fd, SOL_SOCKET, SO_LINGER, hard, "SO_LINGER");
			close(fd);
			fds[i] = -1;
			if ((pipeOf[i] as number) >= 0) {
				if (held[i] === 0) pipes.give(pipeOf[i] as number);
				else pipes.discard(pipeOf[i] as number);
				pipeOf[i] = -1;
				held[i] = 0;
			}
		}
		const port = portOf[connection] as Port;
		port.open--;
		if (withReset) port.resets++;
		count--;
		closing.push(connection);
	}

	/** Something went wrong at one end: the other one hears of it as it would have without us. */
	function abort(i: number) {
		const connection = i >> 1;
		if ((state[2 * connection + 1] as number) & CONNECTING) (portOf[connection] as Port).refused++;
		finish(connection, true);
	}

	/** End `i` has sent its last byte. */
	function end(i: number) {
		if ((state[i ^ 1] as number) & ENDED) return finish(i >> 1, false);
		state[i] = (state[i] as number) | ENDED;
		/* Where it fails, the other end is gone, and an event tells so. */
		tryShutdown(fds[i ^ 1] as number, SHUT_WR);
		arm(i);
	}

	/** Moves what there is from end `i` to the other one. `hungUp`: no byte comes after those that are there. */
	function pump(i: number, hungUp: boolean) {
		const from = fds[i] as number;
		const to = fds[i ^ 1] as number;
		let pipe = pipeOf[i] as number;
		if (pipe < 0) {
			pipe = pipes.take();
			if (pipe < 0) {
				state[i] = (state[i] as number) | STARVED;
				starved.push(i);
				return arm(i);
			}
			pipeOf[i] = pipe;
		}
		const reader = pipes.reader(pipe);
		const writer = pipes.writer(pipe);
		const port = portOf[i >> 1] as Port;
		let moved = 0;
		let bytes = held[i] as number;
		let read = CHUNK;
		for (let round = 0; ; round++) {
			if (bytes === 0) {
				/* What came in was all that there was, or others want their turn: epoll tells if there is more. */
				if (round > 0 && (hungUp ? read < SLOTS : read < 65536 || round >= ROUNDS)) break;
				read = trySplice(from, writer, CHUNK, FLAGS);
				if (read <= 0) break;
				bytes = read;
			}
			const written = trySplice(reader, to, bytes, FLAGS);
			if (written > 0) {
				bytes -= written;
				moved += written;
			}
			if (written < 0 && written !== -EAGAIN) {
				held[i] = bytes;
				return abort(i);
			}
			if (bytes > 0) break;
		}
		if (moved > 0) {
			lastUsed[i >> 1] = now;
			if (i & 1) {
				port.bytesOut += moved;
				if ((state[i] as number) & CONNECTING) state[i] = (state[i] as number) & ~CONNECTING;
			} else port.bytesIn += moved;
		}
		held[i] = bytes;
		if (bytes > 0) {
			if ((state[i] as number) & BLOCKED) return;
			state[i] = (state[i] as number) | BLOCKED;
			arm(i);
			return arm(i ^ 1);
		}
		release(i);
		if ((state[i] as number) & BLOCKED) {
			state[i] = (state[i] as number) & ~BLOCKED;
			arm(i);
			arm(i ^ 1);
		}
		if (read === 0 || (hungUp && read > 0 && read < SLOTS)) end(i);
		else if (read < 0 && read !== -EAGAIN) abort(i);
	}

	/** Takes a number for a new connection. */
	function number(): number {
		if (free.length > 0) return free.pop() as number;
		if (used === room) grow();
		return used++;
	}

	/** A client has been accepted: joins it to a socket that begins to connect. */
	function join(port: Port, client: number, server: number) {
		const connected = peers.connect(port, server);
		if (connected < 0 && connected !== -EINPROGRESS) {
			port.refused++;
			port.resets++;
			setsockopt(client, SOL_SOCKET, SO_LINGER, hard, "SO_LINGER");
			close(client);
			close(server);
			return;
		}
		const connection = number();
		const i = 2 * connection;
		fds[i] = client;
		fds[i + 1] = server;
		state[i] = 0;
		state[i + 1] = CONNECTING;
		armed[i] = READ;
		armed[i + 1] = READ;
		lastUsed[connection] = now;
		portOf[connection] = port;
		port.open++;
		port.accepted++;
		count++;
		const header = peers.header(client);
		if (header) {
			const pipe = pipes.take();
			if (pipe >= 0) {
				write(pipes.writer(pipe), header);
				pipeOf[i] = pipe;
				held[i] = header.length;
				state[i] = BLOCKED;
				armed[i] = 0;
				armed[i + 1] = READ | EPOLLOUT;
			}
		}
		const watched =
			poller.tryAdd(server, armed[i + 1] as number, CONNECTION, i + 1) || poller.tryAdd(client, armed[i] as number, CONNECTION, i);
		if (watched < 0 || (header && pipeOf[i] === -1)) abort(i);
	}

	/** A port is not looked at until a connection has ended, or a tick has passed. */
	function pause(port: Port) {
		watch(port, false);
		paused.push(port);
	}

	return {
		accept(port) {
			for (let n = 0; n < BATCH; n++) {
				if (count >= settings.maxConnections) return pause(port);
				/* The server's socket first: a client is accepted only where it can be served. */
				const server = peers.take(port);
				if (server < 0) return pause(port);
				const client = tryAccept(port.fd, SOCK_NONBLOCK, peers.name, peers.resetNameLength());
				if (client < 0) {
					peers.keep(port, server);
					if (client === -EAGAIN) return;
					if (SHORT.includes(client)) return pause(port);
					/* It has gone again, or a firewall forbids it: there may be others behind it. */
					if (client !== -ECONNABORTED && client !== -EPERM && client !== -EPROTO)
						throw new SysError("accept4", -client, formatMapping(port.mapping));
				} else if (peers.admits()) join(port, client, server);
				else {
					port.denied++;
					peers.keep(port, server);
					setsockopt(client, SOL_SOCKET, SO_LINGER, hard, "SO_LINGER");
					close(client);
				}
			}
		},
		event(i, events) {
			/* Closed by an event before this one. */
			if ((fds[i] as number) < 0) return;
			const waits = (state[i] as number) & (ENDED | BLOCKED | STARVED);
			const isBlocked = (state[i ^ 1] as number) & BLOCKED;
			if (!waits && events !== EPOLLOUT) pump(i, (events & EPOLLRDHUP) !== 0);
			else if (events & (EPOLLERR | EPOLLHUP) && !isBlocked) return abort(i);
			if (isBlocked && (fds[i] as number) >= 0 && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) pump(i ^ 1, false);
		},
		settle() {
			if (closing.length === 0) return;
			while (closing.length > 0) free.push(closing.pop() as number);
			if (paused.length > 0 || starved.length > 0) relieve();
		},
		tick(time) {
			now = time;
			if (settings.idleTicks === 0) return;
			for (let c = 0; c < used; c++)
				if ((fds[2 * c] as number) >= 0 && now - (lastUsed[c] as number) > settings.idleTicks) {
					(portOf[c] as Port).timedOut++;
					finish(c, true);
				}
		},
		reset(port) {
			for (let c = 0; c < used; c++) if ((fds[2 * c] as number) >= 0 && (port === undefined || portOf[c] === port)) finish(c, true);
		},
		count: () => count,
		waits: () => starved.length > 0 || paused.length > 0,
		relieve,
	};
}
