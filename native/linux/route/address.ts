/** Addresses of interfaces: man 7 rtnetlink, RTM_NEWADDR; linux/if_addr.h. */
import { type Attribute, u32 } from "../netlink/attribute.ts";
import { attributesOf, type Message, NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import { dump, type Netlink, type Request } from "../netlink/request.ts";
import { AF_INET, AF_INET6, formatInet } from "../sockaddr.ts";
import { struct } from "../struct.ts";

export const ifaddrmsg = /* @__PURE__ */ struct([
	["ifa_family", "u8"],
	["ifa_prefixlen", "u8"],
	["ifa_flags", "u8"],
	["ifa_scope", "u8"],
	["ifa_index", "u32"],
]);

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_LABEL = 3;
export const IFA_BROADCAST = 4;
export const IFA_FLAGS = 8;

export const IFA_F_SECONDARY = 1;
export const IFA_F_NODAD = 2;
export const IFA_F_DADFAILED = 8;
export const IFA_F_DEPRECATED = 32;
export const IFA_F_TENTATIVE = 64;
export const IFA_F_PERMANENT = 128;
export const IFA_F_NOPREFIXROUTE = 512;

/** An address of an interface as the kernel tells of it. */
export interface InterfaceAddress {
	index: number;
	family: "inet" | "inet6";
	/** 4 or 16 bytes; on a point-to-point link the near end. */
	address: Uint8Array;
	prefix: number;
	/** `global`, `link`, `host` ... */
	scope: string;
	/** IFA_F_* */
	flags: number;
	label?: string;
	broadcast?: Uint8Array;
	peer?: Uint8Array;
}

/** linux/rtnetlink.h, enum rt_scope_t. */
export function scopeName(scope: number): string {
	const names: Record<number, string> = { 0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere" };
	return names[scope] ?? String(scope);
}

/** Reads an RTM_NEWADDR. Throws SysError EBADMSG. */
export function readAddress(message: Message): InterfaceAddress {
	const attributes = attributesOf(message, ifaddrmsg.size);
	const info = ifaddrmsg.unpack(message.payload);
	const local = attributes.payload(IFA_LOCAL);
	const other = attributes.payload(IFA_ADDRESS);
	const label = attributes.string(IFA_LABEL);
	const broadcast = attributes.payload(IFA_BROADCAST);
	const address = local ?? other ?? new Uint8Array(0);
	const isPeer = local !== undefined && other !== undefined && formatBytes(local) !== formatBytes(other);
	return {
		index: info.ifa_index,
		family: info.ifa_family === AF_INET6 ? "inet6" : "inet",
		address,
		prefix: info.ifa_prefixlen,
		scope: scopeName(info.ifa_scope),
		flags: attributes.u32(IFA_FLAGS) ?? info.ifa_flags,
		...(label !== undefined && { label }),
		...(broadcast && { broadcast }),
		...(isPeer && { peer: other }),
	};
}

/** An address of 4 or 16 bytes; what else the kernel may send, in hexadecimal. */
export function formatBytes(bytes: Uint8Array): string {
	if (bytes.length === 4 || bytes.length === 16) return formatInet(bytes);
	return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const familyOf = (address: Uint8Array) => (address.length === 4 ? AF_INET : AF_INET6);

/** All addresses of the socket's namespace, or those of one family. */
export function addresses(netlink: Netlink, family = 0): InterfaceAddress[] {
	const header = ifaddrmsg.pack({ ifa_family: family });
	return dump(netlink, { type: RTM_GETADDR, header, attributes: [], name: "RTM_GETADDR" }).map(readAddress);
}

/** The last address of a network of 4 bytes. */
export function broadcastOf(address: Uint8Array, prefix: number): Uint8Array {
	return address.map((byte, i) => byte | (0xff >> Math.max(0, Math.min(8, prefix - 8 * i))));
}

function request(type: number, name: string, index: number, address: Uint8Array, prefix: number, attributes: Attribute[]): Request {
	return {
		type,
		header: ifaddrmsg.pack({ ifa_family: familyOf(address), ifa_prefixlen: prefix, ifa_index: index }),
		attributes: [[IFA_LOCAL, address], [IFA_ADDRESS, address], ...attributes],
		name,
		object: `${formatInet(address)}/${prefix}`,
	};
}

/**
 * RTM_NEWADDR. An IPv4 address gets its network's broadcast address as ip(8) sets it; `nodad`: an IPv6 address is used at
 * once, without a look for another owner (duplicate address detection takes a second). `called`: the link's name, for people.
 */
export function addressAdd(index: number, address: Uint8Array, prefix: number, { nodad = false, called = `#${index}` } = {}): Request {
	const more: Attribute[] = [];
	if (address.length === 4 && prefix < 31) more.push([IFA_BROADCAST, broadcastOf(address, prefix)]);
	if (nodad && address.length === 16) more.push([IFA_FLAGS, u32(IFA_F_NODAD)]);
	return {
		...request(RTM_NEWADDR, "RTM_NEWADDR", index, address, prefix, more),
		flags: NLM_F_CREATE | NLM_F_EXCL,
		step: () =>
			`ip addr add ${formatInet(address)}/${prefix}${more.length > 0 && address.length === 4 ? " broadcast +" : ""} dev ${called}${nodad ? " nodad" : ""}`,
	};
}

export function addressDelete(index: number, address: Uint8Array, prefix: number, called = `#${index}`): Request {
	return {
		...request(RTM_DELADDR, "RTM_DELADDR", index, address, prefix, []),
		step: () => `ip addr del ${formatInet(address)}/${prefix} dev ${called}`,
	};
}
