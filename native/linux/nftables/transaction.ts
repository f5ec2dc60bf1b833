/**
 * nf_tables by netlink: linux/netfilter/nfnetlink.h, nf_tables.h; man 8 nft.
 *
 *     nlmsghdr   nlmsg_type: subsystem << 8 | NFT_MSG_*
 *     nfgenmsg   family (NFPROTO_*), version, res_id
 *     attributes numbers in network byte order
 *
 * Changes stand between NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END: all are made at once, or none.
 */
import type { Attribute } from "../netlink/attribute.ts";
import { type Message, NLM_F_ACK, NLMSG_ERROR, readAcknowledgement } from "../netlink/message.ts";
import {
	dump,
	encodeAll,
	errorOf,
	NETLINK_NETFILTER,
	type Netlink,
	type NetlinkError,
	openNetlink,
	type Request,
	receive,
	sendAll,
} from "../netlink/request.ts";
import { struct } from "../struct.ts";
import { dryRun, note } from "../syscall.ts";

export const nfgenmsg = /* @__PURE__ */ struct([
	["nfgen_family", "u8"],
	["version", "u8"],
	["res_id", "be16"],
]);

export const NFNL_SUBSYS_CTNETLINK = 1;
export const NFNL_SUBSYS_NFTABLES = 10;
export const NFNL_MSG_BATCH_BEGIN = 16;
export const NFNL_MSG_BATCH_END = 17;

export const NFPROTO_UNSPEC = 0;
export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_ARP = 3;
export const NFPROTO_NETDEV = 5;
export const NFPROTO_BRIDGE = 7;
export const NFPROTO_IPV6 = 10;

export type Family = "ip" | "ip6" | "inet" | "arp" | "bridge" | "netdev";

const families: Record<Family, number> = {
	ip: NFPROTO_IPV4,
	ip6: NFPROTO_IPV6,
	inet: NFPROTO_INET,
	arp: NFPROTO_ARP,
	bridge: NFPROTO_BRIDGE,
	netdev: NFPROTO_NETDEV,
};

export function familyName(number: number): Family {
	return (Object.keys(families) as Family[]).find((name) => families[name] === number) ?? "inet";
}

export function openNetfilter(): Netlink {
	return openNetlink(NETLINK_NETFILTER);
}

/** A request of a netfilter subsystem; see `Request`. */
export function netfilterRequest(
	subsystem: number,
	message: number,
	name: string,
	family: Family | undefined,
	attributes: readonly Attribute[],
	more: Pick<Request, "flags" | "object" | "step"> = {},
): Request {
	const header = nfgenmsg.pack({ nfgen_family: family === undefined ? NFPROTO_UNSPEC : families[family] });
	return { type: (subsystem << 8) | message, header, attributes, name, ...more };
}

export function nftRequest(
	message: number,
	name: string,
	family: Family | undefined,
	attributes: readonly Attribute[],
	more: Pick<Request, "flags" | "object" | "step"> = {},
): Request {
	return netfilterRequest(NFNL_SUBSYS_NFTABLES, message, name, family, attributes, more);
}

function mark(type: number): Request {
	return { type, header: nfgenmsg.pack({ res_id: NFNL_SUBSYS_NFTABLES }), attributes: [], name: "nf_tables" };
}

/**
 * Makes all changes at once, or none. Throws NetlinkError of the first that the kernel refused; its `index` is the
 * request's place. A dry run prints each as nft(8) has it.
 */
export function transaction(netlink: Netlink, requests: readonly Request[]) {
	const wanted = requests.filter(({ step, name, object }) => !dryRun(() => step?.() ?? `${name} ${object ?? ""}`));
	if (wanted.length === 0) return;
	const all = [mark(NFNL_MSG_BATCH_BEGIN), ...wanted, mark(NFNL_MSG_BATCH_END)];
	/* The end of a batch is acknowledged since Linux 6.10 only; a change, once all are made. */
	const encoded = encodeAll(netlink, all, (i) => (i === wanted.length ? NLM_F_ACK : 0));
	const first = netlink.seq - all.length + 1;
	sendAll(netlink, encoded);
	const failure = awaitEnd(netlink, first, all, encoded);
	for (const { step } of wanted) if (step) note(step);
	if (failure) throw failure;
}

function awaitEnd(netlink: Netlink, first: number, all: Request[], encoded: Uint8Array[]): NetlinkError | undefined {
	let failure: NetlinkError | undefined;
	for (;;) {
		for (const message of receive(netlink)) {
			const index = message.seq - first;
			if (message.type !== NLMSG_ERROR || index < 0 || index >= all.length) continue;
			const answer = readAcknowledgement(message);
			if (answer.errno !== 0) failure ??= errorOf(all[index] as Request, encoded[index] as Uint8Array, answer, index - 1);
			/* An error of the beginning is the only answer: nothing was looked at (EPERM), or all was given up. */
			if (index >= all.length - 2 || index === 0) return failure;
		}
	}
}

/** What the kernel has of a kind, as messages with an nfgenmsg. */
export function nftDump(
	netlink: Netlink,
	message: number,
	name: string,
	family: Family | undefined,
	attributes: readonly Attribute[] = [],
	object?: string,
): Message[] {
	return dump(netlink, nftRequest(message, name, family, attributes, object === undefined ? {} : { object }));
}

/** A comment as nft(8) keeps it in the user data of rules, tables and sets' elements (libnftnl/udata.h): type 0, length, text with its NUL. */
export function commentData(comment: string, type = 0): Uint8Array {
	const text = [...comment.slice(0, 127)].map((letter) => letter.charCodeAt(0) & 0x7f);
	return new Uint8Array([type, text.length + 1, ...text, 0]);
}

/** The comment in user data; undefined where there is none. */
export function readComment(data: Uint8Array | undefined, type = 0): string | undefined {
	for (let at = 0; data && at + 2 <= data.length; at += 2 + (data[at + 1] as number)) {
		if (data[at] !== type) continue;
		const text = data.subarray(at + 2, at + 2 + (data[at + 1] as number));
		return String.fromCharCode(...text.filter((byte) => byte !== 0));
	}
	return undefined;
}
