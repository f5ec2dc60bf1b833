/**
 * Netlink messages: man 7 netlink, linux/netlink.h.
 *
 *     struct nlmsghdr    nlmsg_len (of all, without the padding behind it), nlmsg_type, nlmsg_flags, nlmsg_seq, nlmsg_pid
 *     a family's header  struct ifinfomsg, struct nfgenmsg ..., padded to 4 bytes
 *     attributes
 */
import { EBADMSG } from "../errno.ts";
import { struct } from "../struct.ts";
import { SysError } from "../syscall.ts";
import { type Attribute, Attributes, align, encodeAttributes } from "./attribute.ts";

export const nlmsghdr = /* @__PURE__ */ struct([
	["nlmsg_len", "u32"],
	["nlmsg_type", "u16"],
	["nlmsg_flags", "u16"],
	["nlmsg_seq", "u32"],
	["nlmsg_pid", "u32"],
]);

export const NLMSG_HDRLEN = 16;

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;
export const NLMSG_MIN_TYPE = 16;

export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
export const NLM_F_ECHO = 0x08;
export const NLM_F_DUMP_INTR = 0x10;
/** For RTM_GET*: ROOT and MATCH together are a dump of all. */
export const NLM_F_DUMP = 0x300;
/** For RTM_NEW*. */
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** For acknowledgements: only the header of the request is in it; attributes follow. */
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

export const NLMSGERR_ATTR_MSG = 1;
export const NLMSGERR_ATTR_OFFS = 2;
export const NLMSGERR_ATTR_MISS_TYPE = 5;

/** One message of an answer. */
export interface Message {
	type: number;
	flags: number;
	seq: number;
	/** What follows the nlmsghdr. */
	payload: Uint8Array;
}

/** The attributes of a message whose family's header has so many bytes. Throws SysError EBADMSG. */
export function attributesOf({ payload }: Message, headerLength: number): Attributes {
	if (payload.length < headerLength) throw new SysError("netlink", EBADMSG);
	return new Attributes(payload, align(headerLength));
}

/** A message as it is sent. */
export function encodeMessage(type: number, flags: number, seq: number, header: Uint8Array, attributes: readonly Attribute[]): Uint8Array {
	const bytes = encodeAttributes([header, ...attributes], NLMSG_HDRLEN);
	bytes.set(nlmsghdr.pack({ nlmsg_len: bytes.length, nlmsg_type: type, nlmsg_flags: flags, nlmsg_seq: seq }));
	return bytes;
}

/** The messages of one datagram. Throws SysError EBADMSG where one is cut off, or shorter than its header. */
export function readMessages(bytes: Uint8Array): Message[] {
	const messages: Message[] = [];
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	for (let at = 0; at < bytes.length; ) {
		const length = bytes.length - at < NLMSG_HDRLEN ? 0 : view.getUint32(at, true);
		if (length < NLMSG_HDRLEN || at + length > bytes.length) throw new SysError("netlink", EBADMSG);
		messages.push({
			type: view.getUint16(at + 4, true),
			flags: view.getUint16(at + 6, true),
			seq: view.getUint32(at + 8, true),
			payload: bytes.subarray(at + NLMSG_HDRLEN, at + length),
		});
		at += align(length);
	}
	return messages;
}

/** What an acknowledgement says. */
export interface Acknowledgement {
	/** The error number, 0 for done. */
	errno: number;
	/** The kernel's own words (extended acknowledgement, Linux 4.12). */
	text?: string;
	/** Where in the request the attribute is that the kernel does not like; from the message's start. */
	offset?: number;
	/** The type of an attribute that is not there. */
	missing?: number;
}

/**
 * Reads an NLMSG_ERROR: s32 error, the request's nlmsghdr, all of the request unless it is capped, attributes. NLMSG_DONE
 * has the s32, and then attributes (or nothing: then it is no error). Throws SysError EBADMSG.
 */
export function readAcknowledgement({ type, flags, payload }: Message): Acknowledgement {
	if (type === NLMSG_DONE && payload.length < 4) return { errno: 0 };
	if (payload.length < (type === NLMSG_DONE ? 4 : 4 + NLMSG_HDRLEN)) throw new SysError("netlink", EBADMSG);
	const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
	const errno = -view.getInt32(0, true);
	if ((flags & NLM_F_ACK_TLVS) === 0 || errno < 0) return { errno: Math.max(errno, 0) };
	let at = 4;
	if (type !== NLMSG_DONE) {
		const length = view.getUint32(4, true);
		at += (flags & NLM_F_CAPPED) !== 0 ? NLMSG_HDRLEN : Math.ceil(length / 4) * 4;
	}
	if (at > payload.length) throw new SysError("netlink", EBADMSG);
	const attributes = new Attributes(payload, at);
	const text = attributes.string(NLMSGERR_ATTR_MSG);
	const offset = attributes.u32(NLMSGERR_ATTR_OFFS);
	const missing = attributes.u32(NLMSGERR_ATTR_MISS_TYPE);
	return {
		errno,
		...(text !== undefined && { text }),
		...(offset !== undefined && { offset }),
		...(missing !== undefined && { missing }),
	};
}

/** The types of the attributes, from the outermost on, that lead to an offset in a request whose family's header has so many bytes. */
export function attributePath(request: Uint8Array, headerLength: number, offset: number): number[] {
	const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
	const path: number[] = [];
	let at = NLMSG_HDRLEN + align(headerLength);
	let end = request.length;
	while (at + 4 <= end) {
		const length = view.getUint16(at, true);
		const next = at + align(length);
		if (length < 4) break;
		if (offset >= next) at = next;
		else {
			path.push(view.getUint16(at + 2, true) & 0x3fff);
			if (offset <= at) break;
			end = Math.min(end, at + length);
			at += 4;
		}
	}
	return path;
}
