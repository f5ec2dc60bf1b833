/**
 * Requests over a netlink socket: a change that the kernel acknowledges, a question with one answer, a dump of many.
 *
 * `--trace` and `--dry-run` show each change as its `step`, in the words of ip(8) or nft(8); a dry run makes none of them.
 */
import { EBADMSG, EINTR, ENOBUFS, ENOPROTOOPT } from "../errno.ts";
import { close } from "../fd.ts";
import { AF_NETLINK } from "../sockaddr.ts";
import {
	bind,
	MSG_TRUNC,
	recvfrom,
	SO_RCVBUFFORCE,
	SO_SNDBUFFORCE,
	SOCK_RAW,
	SOL_NETLINK,
	SOL_SOCKET,
	sendto,
	setsockopt,
	socket,
} from "../socket.ts";
import { dryRun, note, SysError } from "../syscall.ts";
import type { Attribute } from "./attribute.ts";
import {
	type Acknowledgement,
	attributePath,
	encodeMessage,
	type Message,
	NLM_F_ACK,
	NLM_F_DUMP,
	NLM_F_DUMP_INTR,
	NLM_F_MULTI,
	NLM_F_REQUEST,
	NLMSG_DONE,
	NLMSG_ERROR,
	NLMSG_MIN_TYPE,
	NLMSG_OVERRUN,
	readAcknowledgement,
	readMessages,
} from "./message.ts";

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

export const NETLINK_ADD_MEMBERSHIP = 1;
export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;
export const NETLINK_GET_STRICT_CHK = 12;

export interface Request {
	type: number;
	/** NLM_F_CREATE and so on; NLM_F_REQUEST is always there. */
	flags?: number;
	/** The family's header. */
	header: Uint8Array;
	attributes: readonly Attribute[];
	/** What an error names: the message's type, `RTM_NEWLINK`, and what it is about, `veth3`. */
	name: string;
	object?: string | undefined;
	/** What is done, as a command line that people know: `ip link add veth3 type veth`. */
	step?: () => string;
	/** The names of attributes, by their path of types, for errors. */
	attributeName?: (path: number[]) => string | undefined;
}

/**
 * What the kernel refused: `RTM_NEWLINK veth3: File exists`, with the text of its extended acknowledgement behind it where
 * there is one. `index` is the request's place in its batch.
 */
export class NetlinkError extends SysError {
	constructor(
		name: string,
		errno: number,
		object: string | undefined,
		readonly text: string | undefined,
		readonly attribute: string | undefined,
		readonly index = 0,
	) {
		super(name, errno, object);
	}
	override get message(): string {
		return `${super.message}${this.text === undefined ? "" : `: ${this.text}`}${this.attribute === undefined ? "" : ` (${this.attribute})`}`;
	}
}

export interface Netlink {
	fd: number;
	seq: number;
	buffer: Uint8Array;
}

/** Opens a socket of a netlink protocol in this process's network namespace; `groups`: the multicast groups to hear. Close it with `closeNetlink`. */
export function openNetlink(protocol: number, groups: number[] = []): Netlink {
	const fd = socket(AF_NETLINK, SOCK_RAW, protocol);
	try {
		/* Linux 4.12; strict checking 4.20. */
		for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK]) {
			try {
				setsockopt(fd, SOL_NETLINK, option, 1);
			} catch (error) {
				if (!(error instanceof SysError && error.errno === ENOPROTOOPT)) throw error;
			}
		}
		/* Without a port of its own it would hear nothing: a message is not sent to the port that it is from, and the kernel's is 0. */
		if (groups.length > 0) bind(fd, { family: AF_NETLINK, pid: 0, groups: 0 });
		for (const group of groups) setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group, "NETLINK_ADD_MEMBERSHIP");
	} catch (error) {
		close(fd);
		throw error;
	}
	return { fd, seq: 0, buffer: new Uint8Array(8192) };
}

export function closeNetlink({ fd }: Netlink) {
	close(fd);
}

/** Works with a socket, and closes it. */
export function withNetlink<T>(protocol: number, work: (netlink: Netlink) => T): T {
	const netlink = openNetlink(protocol);
	try {
		return work(netlink);
	} finally {
		closeNetlink(netlink);
	}
}

/** Datagrams of a dump are this large at most (Linux: NLMSG_GOODSIZE, and what the reader has shown to take up to 32 KiB). */
const dumpBuffer = 32768;

function encode(netlink: Netlink, { type, flags = 0, header, attributes }: Request, more: number): Uint8Array {
	netlink.seq = (netlink.seq + 1) >>> 0;
	return encodeMessage(type, flags | NLM_F_REQUEST | more, netlink.seq, header, attributes);
}

/** The messages of the next datagram from the kernel. Throws SysError EBADMSG for one that is broken or was cut. */
export function receive(netlink: Netlink): Message[] {
	for (;;) {
		const got = recvfrom(netlink.fd, netlink.buffer, MSG_TRUNC);
		if (got === undefined) return [];
		/* A process with CAP_NET_ADMIN in the namespace can send to us, too: only the kernel's port is 0. */
		if (got.address?.family !== AF_NETLINK || got.address.pid !== 0) continue;
		if (got.length > netlink.buffer.length) throw new SysError("netlink", EBADMSG);
		return readMessages(netlink.buffer.subarray(0, got.length));
	}
}

/** The error that an acknowledgement of a request (`bytes` as it was sent) tells of. */
export function errorOf(request: Request, bytes: Uint8Array, answer: Acknowledgement, index: number): NetlinkError {
	let attribute: string | undefined;
	const path = answer.offset === undefined ? [] : attributePath(bytes, request.header.length, answer.offset);
	if (answer.missing !== undefined) path.push(answer.missing);
	if (path.length > 0) {
		const name = request.attributeName?.(path) ?? `attribute ${path.join(".")}`;
		attribute = answer.missing === undefined ? name : `${name} is missing`;
	}
	return new NetlinkError(request.name, answer.errno, request.object, answer.text, attribute, index);
}

/** Throws for a message that has no place in an answer. */
function checkAnswer(message: Message, last: number, first: number, request: Request): boolean {
	if (message.type === NLMSG_OVERRUN) throw new SysError(request.name, ENOBUFS, request.object);
	/* What was left of an earlier request that failed, and news of a group, have other numbers. */
	return message.seq >= first && message.seq <= last;
}

/** As many answers as surely fit into the receive queue (rmem_default is 208 KiB, and an error takes 1 KiB of it). */
const chunk = 128;

/**
 * Sends requests in one datagram, 128 at most in each; the kernel does them in their order, and those of one datagram all,
 * even if one fails. Throws NetlinkError of the first that failed.
 */
export function changeAll(netlink: Netlink, requests: readonly Request[]) {
	const wanted = requests.filter(({ step, name, object }) => {
		const line = () => step?.() ?? `${name}${object === undefined ? "" : ` ${object}`}`;
		return !dryRun(line);
	});
	for (let from = 0; from < wanted.length; from += chunk) {
		const requests = wanted.slice(from, from + chunk);
		/* Errors come for each, a word that it is done for the last only. */
		const encoded = encodeAll(netlink, requests, (i) => (i === requests.length - 1 ? NLM_F_ACK : 0));
		const failures = transact(netlink, encoded, requests, from);
		requests.forEach(({ step }, i) => {
			if (step) note(() => `${step()}${failures[i] ? `: ${(failures[i] as NetlinkError).message}` : ""}`);
		});
		const failed = failures.find((failure) => failure !== undefined);
		if (failed) throw failed;
	}
}

/** Sends messages that have been encoded, the last with NLM_F_ACK, and returns what failed, by their places. */
export function transact(netlink: Netlink, encoded: Uint8Array[], requests: readonly Request[], offset = 0): (NetlinkError | undefined)[] {
	const last = netlink.seq;
	const first = last - encoded.length + 1;
	const failures: (NetlinkError | undefined)[] = [];
	sendAll(netlink, encoded);
	for (;;) {
		for (const message of receive(netlink)) {
			if (!checkAnswer(message, last, first, requests[0] as Request) || message.type !== NLMSG_ERROR) continue;
			const index = message.seq - first;
			const request = requests[index] as Request;
			const answer = readAcknowledgement(message);
			if (answer.errno !== 0) failures[index] ??= errorOf(request, encoded[index] as Uint8Array, answer, offset + index);
			if (message.seq === last) return failures;
		}
	}
}

/** Encodes requests with the next sequence numbers; `flagsOf` gives the flags that each gets besides its own. */
export function encodeAll(netlink: Netlink, requests: readonly Request[], flagsOf: (index: number) => number): Uint8Array[] {
	return requests.map((request, i) => encode(netlink, request, flagsOf(i)));
}

/** Sends in one datagram what need not be acknowledged yet; the buffers are made as large as it is. */
export function sendAll(netlink: Netlink, encoded: Uint8Array[]) {
	let size = 0;
	for (const { length } of encoded) size += length;
	let bytes = encoded[0] as Uint8Array;
	if (encoded.length > 1) {
		bytes = new Uint8Array(size);
		let at = 0;
		for (const one of encoded) {
			bytes.set(one, at);
			at += one.length;
		}
	}
	/* wmem_default is 208 KiB. */
	if (size > 100_000) setsockopt(netlink.fd, SOL_SOCKET, SO_SNDBUFFORCE, 2 * size, "SO_SNDBUFFORCE");
	if (encoded.length > chunk) setsockopt(netlink.fd, SOL_SOCKET, SO_RCVBUFFORCE, 1536 * encoded.length, "SO_RCVBUFFORCE");
	sendto(netlink.fd, bytes);
}

/** One change. Throws NetlinkError. */
export function change(netlink: Netlink, request: Request) {
	changeAll(netlink, [request]);
}

/** A question that one message answers. Throws NetlinkError; EBADMSG where the kernel answers nothing. */
export function get(netlink: Netlink, request: Request): Message {
	const bytes = encode(netlink, request, 0);
	grow(netlink);
	sendAll(netlink, [bytes]);
	for (;;) {
		for (const message of receive(netlink)) {
			if (!checkAnswer(message, netlink.seq, netlink.seq, request)) continue;
			if (message.type === NLMSG_ERROR) {
				const answer = readAcknowledgement(message);
				if (answer.errno === 0) throw new SysError(request.name, EBADMSG, request.object);
				throw errorOf(request, bytes, answer, 0);
			}
			if (message.type >= NLMSG_MIN_TYPE) return own(message);
		}
	}
}

/** A message that stays as it is when the buffer is used again. */
function own(message: Message): Message {
	return { ...message, payload: message.payload.slice() };
}

function grow(netlink: Netlink) {
	if (netlink.buffer.length < dumpBuffer) netlink.buffer = new Uint8Array(dumpBuffer);
}

const attempts = 20;

/**
 * All that the kernel has of a kind. A dump that a change has interrupted (NLM_F_DUMP_INTR) is made again, 20 times at most.
 * Throws NetlinkError, with EINTR where it never came to its end undisturbed.
 */
export function dump(netlink: Netlink, request: Request): Message[] {
	grow(netlink);
	for (let attempt = 0; attempt < attempts; attempt++) {
		const messages = tryDump(netlink, request);
		if (messages) return messages;
	}
	throw new NetlinkError(request.name, EINTR, request.object, "what is listed changes all the time", undefined);
}

function tryDump(netlink: Netlink, request: Request): Message[] | undefined {
	const bytes = encode(netlink, request, NLM_F_DUMP);
	const { seq } = netlink;
	sendAll(netlink, [bytes]);
	const messages: Message[] = [];
	let isInterrupted = false;
	for (;;) {
		for (const message of receive(netlink)) {
			if (!checkAnswer(message, seq, seq, request)) continue;
			if ((message.flags & NLM_F_DUMP_INTR) !== 0) isInterrupted = true;
			if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
				const answer = readAcknowledgement(message);
				if (answer.errno === EINTR) isInterrupted = true;
				else if (answer.errno !== 0) throw errorOf(request, bytes, answer, 0);
				return isInterrupted ? undefined : messages;
			}
			if (message.type < NLMSG_MIN_TYPE) continue;
			messages.push(own(message));
			/* An answer of one message only, without an end. */
			if ((message.flags & NLM_F_MULTI) === 0) return isInterrupted ? undefined : messages;
		}
	}
}

/** True for an error of the kernel with one of these numbers. */
export function isErrno(error: unknown, ...numbers: number[]): boolean {
	return error instanceof SysError && numbers.includes(error.errno);
}

/** Does a change; errors with these numbers count as done. True if it was done. */
export function tryChange(netlink: Netlink, request: Request, ...allowed: number[]): boolean {
	try {
		change(netlink, request);
		return true;
	} catch (error) {
		if (!isErrno(error, ...allowed)) throw error;
		return false;
	}
}
