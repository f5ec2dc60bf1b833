/**
 * Messages of sockets with control data, one (sendmsg, recvmsg) or many in a call (sendmmsg, recvmmsg): man 2 send, recv,
 * sendmmsg, man 3 cmsg.
 */
import * as host from "#host";
import { EAGAIN, EMSGSIZE } from "./errno.ts";
import { close } from "./fd.ts";
import { mapAnonymous } from "./memory.ts";
import * as nr from "./nr.ts";
import {
	decodeAddress,
	encodeAddress,
	formatAddress,
	formatInet,
	parseInet,
	SOCKADDR_STORAGE_SIZE,
	type SocketAddress,
} from "./sockaddr.ts";
import { IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO, MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_NOSIGNAL, SOL_SOCKET } from "./socket.ts";
import { putU64, struct } from "./struct.ts";
import { SysError, tryCall } from "./syscall.ts";

export const iovec = /* @__PURE__ */ struct([
	["iov_base", "u64"],
	["iov_len", "u64"],
]);

export const msghdr = /* @__PURE__ */ struct([
	["msg_name", "u64"],
	["msg_namelen", "u32"],
	["msg_iov", "u64"],
	["msg_iovlen", "u64"],
	["msg_control", "u64"],
	["msg_controllen", "u64"],
	["msg_flags", "s32"],
]);

/** A msghdr, and behind it how many bytes came or went. */
export const mmsghdr = /* @__PURE__ */ struct([
	["msg_hdr", "u8[56]"],
	["msg_len", "u32"],
	["padding", "u32"],
]);

export const cmsghdr = /* @__PURE__ */ struct([
	["cmsg_len", "u64"],
	["cmsg_level", "s32"],
	["cmsg_type", "s32"],
]);

/** man 7 ip, IP_PKTINFO. To send: from `ipi_spec_dst`, out of `ipi_ifindex`. */
export const inPktinfo = /* @__PURE__ */ struct([
	["ipi_ifindex", "s32"],
	["ipi_spec_dst", "u8[4]"],
	["ipi_addr", "u8[4]"],
]);

/** man 7 ipv6, IPV6_PKTINFO. */
export const in6Pktinfo = /* @__PURE__ */ struct([
	["ipi6_addr", "u8[16]"],
	["ipi6_ifindex", "u32"],
]);

export const SCM_RIGHTS = 1;
export const SCM_CREDENTIALS = 2;
/** The most descriptors that one message carries; what is beyond is refused with EINVAL. */
export const SCM_MAX_FD = 253;

/** One piece of control data. */
export interface ControlMessage {
	level: number;
	type: number;
	data: Uint8Array;
}

const HEADER = 16;
const align = (length: number) => (length + 7) & ~7;

/** The bytes that a control message of so much data takes: CMSG_SPACE. */
export function controlSpace(length: number): number {
	return HEADER + align(length);
}

/** Control messages as the kernel takes them, one after the other. */
export function encodeControl(messages: ControlMessage[]): Uint8Array {
	const bytes = new Uint8Array(messages.reduce((size, { data }) => size + controlSpace(data.length), 0));
	let at = 0;
	for (const { level, type, data } of messages) {
		bytes.set(cmsghdr.pack({ cmsg_len: HEADER + data.length, cmsg_level: level, cmsg_type: type }), at);
		bytes.set(data, at + HEADER);
		at += controlSpace(data.length);
	}
	return bytes;
}

/** The control messages in the first `length` bytes. One that claims more than there is ends the list. */
export function decodeControl(bytes: Uint8Array, length = bytes.length): ControlMessage[] {
	const messages: ControlMessage[] = [];
	for (let at = 0; at + HEADER <= length; ) {
		const { cmsg_len, cmsg_level, cmsg_type } = cmsghdr.unpack(bytes, at);
		if (cmsg_len < HEADER || at + cmsg_len > length) break;
		messages.push({ level: cmsg_level, type: cmsg_type, data: bytes.slice(at + HEADER, at + cmsg_len) });
		at += align(cmsg_len);
	}
	return messages;
}

/** Descriptors to hand over through a unix socket. */
export function rights(fds: number[]): ControlMessage {
	return { level: SOL_SOCKET, type: SCM_RIGHTS, data: new Uint8Array(new Int32Array(fds).buffer) };
}

/** The descriptors that came; they are the receiver's to close. */
export function rightsOf(control: ControlMessage[]): number[] {
	const fds: number[] = [];
	for (const { level, type, data } of control)
		if (level === SOL_SOCKET && type === SCM_RIGHTS)
			for (let at = 0; at + 4 <= data.length; at += 4) fds.push(new DataView(data.buffer, data.byteOffset).getInt32(at, true));
	return fds;
}

/** The local address that a datagram is to be sent from, and the interface, where it matters. */
export function pktinfo(address: string, ifindex = 0): ControlMessage {
	const bytes = parseInet(address);
	if (!bytes) throw new RangeError(`"${address}" is not an internet address`);
	return bytes.length === 4
		? { level: IPPROTO_IP, type: IP_PKTINFO, data: inPktinfo.pack({ ipi_ifindex: ifindex, ipi_spec_dst: bytes }) }
		: { level: IPPROTO_IPV6, type: IPV6_PKTINFO, data: in6Pktinfo.pack({ ipi6_addr: bytes, ipi6_ifindex: ifindex }) };
}

/**
 * The address that a datagram was sent to, and the interface that it came in by; undefined where the socket does not ask for
 * it (IP_PKTINFO, IPV6_RECVPKTINFO).
 */
export function pktinfoOf(control: ControlMessage[]): { address: string; ifindex: number } | undefined {
	for (const { level, type, data } of control) {
		if (level === IPPROTO_IP && type === IP_PKTINFO && data.length >= inPktinfo.size) {
			const info = inPktinfo.unpack(data);
			return { address: formatInet(info.ipi_addr), ifindex: info.ipi_ifindex };
		}
		if (level === IPPROTO_IPV6 && type === IPV6_PKTINFO && data.length >= in6Pktinfo.size) {
			const info = in6Pktinfo.unpack(data);
			return { address: formatInet(info.ipi6_addr), ifindex: info.ipi6_ifindex };
		}
	}
	return undefined;
}

function packIovecs(parts: Uint8Array[]): Uint8Array {
	const bytes = new Uint8Array(parts.length * iovec.size);
	parts.forEach((part, i) => {
		bytes.set(iovec.pack({ iov_base: host.addressOf(part), iov_len: part.length }), i * iovec.size);
	});
	return bytes;
}

export interface Outgoing {
	address?: SocketAddress;
	control?: ControlMessage[];
	flags?: number;
}

/** sendmsg(2), without a SIGPIPE: the bytes that were sent, of all parts together. A stream may take fewer than there are. */
export function sendmsg(fd: number, data: Uint8Array | Uint8Array[], { address, control = [], flags = 0 }: Outgoing = {}): number {
	const parts = Array.isArray(data) ? data : [data];
	const name = address && encodeAddress(address);
	const iovecs = packIovecs(parts);
	const controls = encodeControl(control);
	const header = msghdr.pack({
		msg_name: name ? host.addressOf(name) : 0,
		msg_namelen: name?.length ?? 0,
		msg_iov: host.addressOf(iovecs),
		msg_iovlen: parts.length,
		msg_control: controls.length > 0 ? host.addressOf(controls) : 0,
		msg_controllen: controls.length,
	});
	const result = tryCall("sendmsg", nr.SYS_sendmsg, fd, header, flags | MSG_NOSIGNAL);
	if (result < 0) throw new SysError("sendmsg", -result, address && formatAddress(address));
	return result;
}

export interface Incoming {
	/** How many bytes came; with MSG_TRUNC among the call's flags the datagram's whole length. */
	length: number;
	/** MSG_TRUNC, MSG_EOR ... */
	flags: number;
	address: SocketAddress | undefined;
	control: ControlMessage[];
}

/**
 * recvmsg(2); undefined where a nonblocking socket has nothing. `room`: bytes for control data. Descriptors that come are
 * closed by an exec; where there was not room for all of them, those that came are closed, and it throws SysError.
 */
export function recvmsg(fd: number, into: Uint8Array | Uint8Array[], flags = 0, room = 0): Incoming | undefined {
	const parts = Array.isArray(into) ? into : [into];
	const name = new Uint8Array(SOCKADDR_STORAGE_SIZE);
	const iovecs = packIovecs(parts);
	const controls = new Uint8Array(room);
	const header = msghdr.pack({
		msg_name: host.addressOf(name),
		msg_namelen: name.length,
		msg_iov: host.addressOf(iovecs),
		msg_iovlen: parts.length,
		msg_control: room > 0 ? host.addressOf(controls) : 0,
		msg_controllen: room,
	});
	const length = tryCall("recvmsg", nr.SYS_recvmsg, fd, header, flags | MSG_CMSG_CLOEXEC);
	if (length === -EAGAIN) return undefined;
	if (length < 0) throw new SysError("recvmsg", -length);
	const result = msghdr.unpack(header);
	const control = decodeControl(controls, Math.min(room, result.msg_controllen));
	if (result.msg_flags & MSG_CTRUNC) {
		const fds = rightsOf(control);
		for (const passed of fds) close(passed);
		if (fds.length > 0) throw new SysError("recvmsg", EMSGSIZE, "descriptors beyond the room for control data");
	}
	return { length, flags: result.msg_flags, address: decodeAddress(name, Math.min(name.length, result.msg_namelen)), control };
}

/**
 * Room for `count` messages at a time, made once and used for each call: a header, `size` bytes of data, a peer's address
 * and `room` bytes of control data for each. The data are passed on, not looked at: they are not in a view, and take memory
 * only once there are some.
 *
 * `receive` fills it; what is in it can be sent on by `send` as it is, from message `from` on, `count` of them. Headers are
 * changed by the setters, which keep to what the kernel wrote otherwise.
 */
export interface MessageBatch {
	readonly count: number;
	readonly size: number;
	/** The peer's address of message i is at i * SOCKADDR_STORAGE_SIZE. */
	readonly names: Uint8Array;
	/** The control data of message i are at i * room. */
	readonly control: Uint8Array;
	readonly room: number;
	/** All of the struct mmsghdr, for `offsetOf`. */
	readonly headers: DataView;
	/** recvmmsg(2): how many messages came, or -errno. */
	receive(fd: number, flags: number): number;
	/** sendmmsg(2) without a SIGPIPE: how many went, or -errno of the first. */
	send(fd: number, from: number, count: number, flags: number): number;
	/** How many bytes came in, or went out of, message i. */
	length(i: number): number;
	nameLength(i: number): number;
	controlLength(i: number): number;
	flags(i: number): number;
	/** What `send` takes of message i: so many bytes of data, of name (0: to the peer of a connected socket) and of control data. */
	setLengths(i: number, data: number, name: number, control: number): void;
}

export function messageBatch(count: number, size: number, room: number): MessageBatch {
	const NAME = SOCKADDR_STORAGE_SIZE;
	const STEP = mmsghdr.size;
	const { msg_namelen, msg_controllen, msg_flags } = msghdr.offset;
	const { msg_len } = mmsghdr.offset;
	const names = new Uint8Array(count * NAME);
	const control = new Uint8Array(Math.max(1, count * room));
	const iovecs = new Uint8Array(count * iovec.size);
	const bytes = new Uint8Array(count * STEP);
	const headers = new DataView(bytes.buffer);
	const lengths = new DataView(iovecs.buffer);
	/* The views are in closures below, so their memory stays where these addresses say. */
	const dataAt = mapAnonymous(count * size);
	const [nameAt, controlAt, iovecAt, headerAt] = [names, control, iovecs, bytes].map((view) => host.addressOf(view)) as [
		number,
		number,
		number,
		number,
	];
	for (let i = 0; i < count; i++) {
		iovecs.set(iovec.pack({ iov_base: dataAt + i * size, iov_len: size }), i * iovec.size);
		bytes.set(
			msghdr.pack({
				msg_name: nameAt + i * NAME,
				msg_namelen: NAME,
				msg_iov: iovecAt + i * iovec.size,
				msg_iovlen: 1,
				msg_control: controlAt + i * room,
				msg_controllen: room,
			}),
			i * STEP,
		);
	}
	/** The messages before this one have been changed since the last call, by the kernel or the caller. */
	let used = 0;
	const setLengths = (i: number, dataLength: number, nameLength: number, controlLength: number) => {
		const at = i * STEP;
		if (i >= used) used = i + 1;
		lengths.setUint32(i * 16 + 8, dataLength, true);
		/* A name of no length is refused by some protocols where its pointer is not NULL. */
		putU64(headers, at, nameLength === 0 ? 0 : nameAt + i * NAME);
		headers.setUint32(at + msg_namelen, nameLength, true);
		headers.setUint32(at + msg_controllen, controlLength, true);
	};
	return {
		count,
		size,
		names,
		control,
		room,
		headers,
		receive(fd, flags) {
			for (let i = 0; i < used; i++) setLengths(i, size, NAME, room);
			const received = tryCall("recvmmsg", nr.SYS_recvmmsg, fd, bytes, count, flags | MSG_CMSG_CLOEXEC, null);
			used = Math.max(received, 0);
			return received;
		},
		send(fd, from, messages, flags) {
			return tryCall("sendmmsg", nr.SYS_sendmmsg, fd, headerAt + from * STEP, messages, flags | MSG_NOSIGNAL);
		},
		length: (i) => headers.getUint32(i * STEP + msg_len, true),
		nameLength: (i) => headers.getUint32(i * STEP + msg_namelen, true),
		controlLength: (i) => headers.getUint32(i * STEP + msg_controllen, true),
		flags: (i) => headers.getInt32(i * STEP + msg_flags, true),
		setLengths,
	};
}
