/**
 * Flows: a client's datagrams to a port go on through a socket of their own, connected to the server, so that what comes
 * back on it is for that client. A flow ends when nothing has come either way for a time.
 *
 * Datagrams are taken and sent in batches (recvmmsg, sendmmsg). The answer's source is the address that the client wrote to
 * (IP_PKTINFO): a socket of all addresses would answer from whichever is nearest.
 */
import { EPOLLIN, type Epoll } from "../../../native/linux/epoll.ts";
import { EAGAIN, ECONNREFUSED, EMFILE, ENFILE } from "../../../native/linux/errno.ts";
import { close } from "../../../native/linux/fd.ts";
import { AF_INET, SOCKADDR_STORAGE_SIZE, sockaddrIn, sockaddrIn6 } from "../../../native/linux/sockaddr.ts";
import { IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO } from "../../../native/linux/socket.ts";
import { controlSpace, in6Pktinfo, inPktinfo, messageBatch } from "../../../native/linux/sockmsg.ts";
import { FLOW } from "./kinds.ts";
import type { Peers } from "./peers.ts";
import type { Port } from "./port.ts";

/** Datagrams in a call, and the room for each: an IPv4 datagram has 65,507 bytes of data at most. */
const BATCH = 16;
const SIZE = 65536;
/** Calls before others have their turn. */
const ROUNDS = 4;
const NAME = 32;
const ROOM = 64;

export interface UdpSettings {
	maxConnections: number;
	/** Ticks of the loop's clock after which a flow ends. */
	idleTicks: number;
}

export interface Udp {
	/** Passes on the datagrams that wait at a port. */
	receive(port: Port): void;
	/** Passes on the answers that wait at a flow. */
	event(flow: number): void;
	tick(now: number): void;
	reset(port?: Port): void;
	count(): number;
}

interface Flow {
	fd: number;
	port: Port;
	key: string;
	lastUsed: number;
	/** The server has answered: the last to go where there are too many. */
	isAnswered: boolean;
}

export function udp(poller: Epoll, peers: Peers, settings: UdpSettings): Udp {
	const batch = messageBatch(BATCH, SIZE, ROOM);
	const names = new Uint16Array(batch.names.buffer);
	const controls = new Uint16Array(batch.control.buffer);
	const flows: (Flow | undefined)[] = [];
	/** By flow: the client's sockaddr, the control message that makes its answers come from where it wrote to, and their lengths. */
	let flowNames = new Uint8Array(0);
	let flowControls = new Uint8Array(0);
	let nameLengths = new Uint8Array(0);
	let controlLengths = new Uint8Array(0);
	const free: number[] = [];
	const byKey = new Map<Port, Map<string, number>>();
	let count = 0;
	let now = 0;
	/** Where the search for a flow to end goes on. */
	let hand = 0;

	/** The client's and our address of message i, in 16-bit words. */
	function keyOf(i: number): string {
		const name = (i * SOCKADDR_STORAGE_SIZE) / 2;
		const control = (i * ROOM + controlSpace(0)) / 2;
		const length = batch.controlLength(i);
		if (names[name] === AF_INET) {
			/* Port and address; ifindex, then spec_dst. */
			const isTold = length >= controlSpace(inPktinfo.size);
			return String.fromCharCode(
				names[name + 1] as number,
				names[name + 2] as number,
				names[name + 3] as number,
				isTold ? (controls[control + 2] as number) : 0,
				isTold ? (controls[control + 3] as number) : 0,
			);
		}
		const isTold = length >= controlSpace(in6Pktinfo.size);
		/* Port, address and scope; our address. */
		const words = [names[name + 1] as number, ...names.subarray(name + 4, name + 14)];
		return String.fromCharCode(...words, ...(isTold ? controls.subarray(control, control + 8) : []));
	}

	/** Room for what is kept of a flow. */
	function makeRoomFor(index: number) {
		if (index < nameLengths.length) return;
		const room = Math.max(16, 2 * nameLengths.length);
		const wider = (old: Uint8Array, size: number) => {
			const fresh = new Uint8Array(size);
			fresh.set(old);
			return fresh;
		};
		flowNames = wider(flowNames, room * NAME);
		flowControls = wider(flowControls, room * ROOM);
		nameLengths = wider(nameLengths, room);
		controlLengths = wider(controlLengths, room);
	}

	/** Keeps the control message of message i turned round: from where it was sent to. Returns its length. */
	function keepControl(index: number, i: number): number {
		const length = batch.controlLength(i);
		const control = flowControls.subarray(index * ROOM, index * ROOM + length);
		control.set(batch.control.subarray(i * ROOM, i * ROOM + length));
		const words = new Int32Array(control.buffer, control.byteOffset, control.length >> 2);
		const [level, type] = [words[2], words[3]];
		if (level === IPPROTO_IP && type === IP_PKTINFO && length >= controlSpace(inPktinfo.size)) {
			/* Any interface will do: the route decides. */
			words[4] = 0;
			return controlSpace(inPktinfo.size);
		}
		if (level === IPPROTO_IPV6 && type === IPV6_PKTINFO && length >= controlSpace(in6Pktinfo.size)) {
			const isLinkLocal = control[16] === 0xfe && ((control[17] as number) & 0xc0) === 0x80;
			if (!isLinkLocal) words[8] = 0;
			return controlSpace(in6Pktinfo.size);
		}
		return 0;
	}

	function end(index: number) {
		const flow = flows[index] as Flow;
		close(flow.fd);
		byKey.get(flow.port)?.delete(flow.key);
		flow.port.open--;
		flows[index] = undefined;
		free.push(index);
		count--;
	}

	/** Ends a flow to make room: one that was never answered where there is one among the next, else the longest unused of these. */
	function makeRoom() {
		let oldest = -1;
		for (let looked = 0; looked < 64 && looked < flows.length; looked++) {
			hand = (hand + 1) % flows.length;
			const flow = flows[hand];
			if (!flow) continue;
			if (!flow.isAnswered) {
				oldest = hand;
				break;
			}
			if (oldest < 0 || flow.lastUsed < (flows[oldest] as Flow).lastUsed) oldest = hand;
		}
		if (oldest >= 0) end(oldest);
	}

	/** The number of a new flow for message i; -1 where there can be none. */
	function begin(port: Port, key: string, i: number): number {
		if (count >= settings.maxConnections) makeRoom();
		let fd = peers.take(port);
		if (fd === -EMFILE || fd === -ENFILE) {
			makeRoom();
			fd = peers.take(port);
		}
		if (fd < 0) return -1;
		const index = free.length > 0 ? (free.pop() as number) : flows.length;
		if (peers.connect(port, fd) < 0 || poller.tryAdd(fd, EPOLLIN, FLOW, index) < 0) {
			close(fd);
			free.push(index);
			if (index === flows.length) flows.push(undefined);
			return -1;
		}
		makeRoomFor(index);
		const at = i * SOCKADDR_STORAGE_SIZE;
		flowNames.set(batch.names.subarray(at, at + NAME), index * NAME);
		nameLengths[index] = batch.names[at] === AF_INET ? sockaddrIn.size : sockaddrIn6.size;
		controlLengths[index] = keepControl(index, i);
		flows[index] = { fd, port, key, lastUsed: now, isAnswered: false };
		let keys = byKey.get(port);
		if (!keys) {
			keys = new Map();
			byKey.set(port, keys);
		}
		keys.set(key, index);
		port.open++;
		port.accepted++;
		count++;
		return index;
	}

	/** Sends messages from..to of the batch on through one socket; a datagram that cannot go is lost, as datagrams are. */
	function send(fd: number, from: number, to: number): number {
		let sent = 0;
		let again = true;
		for (let at = from; at < to; ) {
			const result = batch.send(fd, at, to - at, 0);
			if (result > 0) {
				sent += result;
				at += result;
			} else if (result === -ECONNREFUSED && again) {
				/* That is the answer to an earlier datagram: ask again. */
				again = false;
			} else if (result === -EAGAIN) break;
			else at++;
		}
		return sent;
	}

	return {
		receive(port) {
			const keys = byKey.get(port);
			for (let round = 0; round < ROUNDS; round++) {
				const received = batch.receive(port.fd, 0);
				if (received <= 0) return;
				let first = 0;
				let current = -1;
				let currentKey = "";
				const flush = (to: number) => {
					if (current >= 0) {
						const flow = flows[current] as Flow;
						const sent = send(flow.fd, first, to);
						port.datagramsIn += sent;
						port.dropped += to - first - sent;
						flow.lastUsed = now;
					}
					first = to;
				};
				for (let i = 0; i < received; i++) {
					const key = keyOf(i);
					if (i === 0 || key !== currentKey) {
						flush(i);
						currentKey = key;
						const { name } = peers;
						if (name) name.set(batch.names.subarray(i * SOCKADDR_STORAGE_SIZE, i * SOCKADDR_STORAGE_SIZE + name.length));
						current = (keys ?? byKey.get(port))?.get(key) ?? -1;
						if (current < 0) {
							if (!peers.admits()) port.denied++;
							else {
								current = begin(port, key, i);
								if (current < 0) port.dropped++;
							}
						}
					}
					const length = batch.length(i);
					port.bytesIn += length;
					batch.setLengths(i, length, 0, 0);
				}
				flush(received);
				if (received < BATCH) return;
			}
		},
		event(index) {
			const flow = flows[index];
			if (!flow) return;
			for (let round = 0; round < ROUNDS; round++) {
				const received = batch.receive(flow.fd, 0);
				if (received < 0) {
					if (received === -ECONNREFUSED) flow.port.refused++;
					return;
				}
				const [nameLength, controlLength] = [nameLengths[index] as number, controlLengths[index] as number];
				const name = flowNames.subarray(index * NAME, index * NAME + nameLength);
				const control = flowControls.subarray(index * ROOM, index * ROOM + controlLength);
				for (let i = 0; i < received; i++) {
					const length = batch.length(i);
					batch.names.set(name, i * SOCKADDR_STORAGE_SIZE);
					batch.control.set(control, i * ROOM);
					batch.setLengths(i, length, nameLength, controlLength);
					flow.port.bytesOut += length;
				}
				const sent = send(flow.port.fd, 0, received);
				flow.port.datagramsOut += sent;
				flow.port.dropped += received - sent;
				flow.lastUsed = now;
				flow.isAnswered = true;
				if (received < BATCH) return;
			}
		},
		tick(time) {
			now = time;
			flows.forEach((flow, index) => {
				if (flow && now - flow.lastUsed > settings.idleTicks) {
					flow.port.timedOut++;
					end(index);
				}
			});
		},
		reset(port) {
			flows.forEach((flow, index) => {
				if (flow && (port === undefined || flow.port === port)) end(index);
			});
			if (port) byKey.delete(port);
		},
		count: () => count,
	};
}
