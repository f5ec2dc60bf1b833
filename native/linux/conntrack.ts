/**
 * The connections that the kernel tracks (ctnetlink): linux/netfilter/nfnetlink_conntrack.h, man 8 conntrack.
 *
 * A flow of UDP has no end: what is tracked of it goes on to the old place when a port has been published anew.
 */
import { ENOENT } from "./errno.ts";
import { Attributes } from "./netlink/attribute.ts";
import type { Message } from "./netlink/message.ts";
import { change, dump, isErrno, type Netlink } from "./netlink/request.ts";
import { type Family, NFNL_SUBSYS_CTNETLINK, netfilterRequest, nfgenmsg } from "./nftables/transaction.ts";

export const IPCTNL_MSG_CT_GET = 1;
export const IPCTNL_MSG_CT_DELETE = 2;
export const CTA_TUPLE_ORIG = 1;
export const CTA_TUPLE_REPLY = 2;
export const CTA_ID = 12;
export const CTA_ZONE = 18;
export const CTA_TUPLE_IP = 1;
export const CTA_TUPLE_PROTO = 2;
export const CTA_IP_V4_SRC = 1;
export const CTA_IP_V4_DST = 2;
export const CTA_IP_V6_SRC = 3;
export const CTA_IP_V6_DST = 4;
export const CTA_PROTO_NUM = 1;
export const CTA_PROTO_SRC_PORT = 2;
export const CTA_PROTO_DST_PORT = 3;

/** One direction of a connection. */
export interface Tuple {
	source: Uint8Array;
	destination: Uint8Array;
	/** IPPROTO_* */
	protocol: number;
	sourcePort: number;
	destinationPort: number;
}

export interface Connection {
	original: Tuple;
	reply: Tuple;
	message: Message;
}

const nothing = /* @__PURE__ */ new Uint8Array(0);

function readTuple(attributes: Attributes | undefined): Tuple {
	const ip = attributes?.nested(CTA_TUPLE_IP);
	const protocol = attributes?.nested(CTA_TUPLE_PROTO);
	return {
		source: ip?.payload(CTA_IP_V4_SRC) ?? ip?.payload(CTA_IP_V6_SRC) ?? nothing,
		destination: ip?.payload(CTA_IP_V4_DST) ?? ip?.payload(CTA_IP_V6_DST) ?? nothing,
		protocol: protocol?.u8(CTA_PROTO_NUM) ?? 0,
		sourcePort: protocol?.be16(CTA_PROTO_SRC_PORT) ?? 0,
		destinationPort: protocol?.be16(CTA_PROTO_DST_PORT) ?? 0,
	};
}

/** The tracked connections of a family. `netlink`: `openNetfilter()`. */
export function connections(netlink: Netlink, family: "ip" | "ip6"): Connection[] {
	const request = netfilterRequest(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, "IPCTNL_MSG_CT_GET", family, []);
	return dump(netlink, request).map((message) => {
		const attributes = new Attributes(message.payload, nfgenmsg.size);
		return { original: readTuple(attributes.nested(CTA_TUPLE_ORIG)), reply: readTuple(attributes.nested(CTA_TUPLE_REPLY)), message };
	});
}

/** Deletes the connections that `isWanted` says; returns how many there were. One that has just ended by itself does not count. */
export function flushConnections(netlink: Netlink, family: "ip" | "ip6", isWanted: (connection: Connection) => boolean): number {
	let flushed = 0;
	for (const connection of connections(netlink, family).filter(isWanted)) if (remove(netlink, family, connection)) flushed++;
	return flushed;
}

function remove(netlink: Netlink, family: Family, { message, original }: Connection): boolean {
	const attributes = new Attributes(message.payload, nfgenmsg.size);
	const wanted = [CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE].flatMap((type) => {
		const payload = attributes.payload(type);
		return payload ? [[type | (type === CTA_TUPLE_ORIG ? 0x8000 : 0), payload] as const] : [];
	});
	const step = () =>
		`conntrack -D -p ${original.protocol} --orig-port-src ${original.sourcePort} --orig-port-dst ${original.destinationPort}`;
	try {
		change(netlink, netfilterRequest(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE, "IPCTNL_MSG_CT_DELETE", family, wanted, { step }));
		return true;
	} catch (error) {
		if (isErrno(error, ENOENT)) return false;
		throw error;
	}
}

/**
 * Deletes what is tracked of a protocol to a port: `address` and `port` are those that the first packet went to, or the
 * place that it was translated to. What is not given is any. Returns the number of connections.
 */
export function flushConntrack(
	netlink: Netlink,
	{ family, protocol, address, port }: { family: "ip" | "ip6"; protocol: number; address?: Uint8Array; port?: number },
): number {
	const isIt = (at: Uint8Array, its: number) =>
		(address === undefined || at.join() === address.join()) && (port === undefined || its === port);
	return flushConnections(
		netlink,
		family,
		({ original, reply }) =>
			original.protocol === protocol && (isIt(original.destination, original.destinationPort) || isIt(reply.source, reply.sourcePort)),
	);
}
