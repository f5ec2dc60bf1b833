/** Neighbours (ARP, NDP) and the forwarding databases of bridges: man 7 rtnetlink, RTM_NEWNEIGH; linux/neighbour.h. */
import { type Attribute, u16, u32 } from "../netlink/attribute.ts";
import { attributesOf, type Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../netlink/message.ts";
import { dump, type Netlink, type Request } from "../netlink/request.ts";
import { formatInet } from "../sockaddr.ts";
import { struct } from "../struct.ts";
import { familyOf, formatBytes } from "./address.ts";
import { formatHardware } from "./link.ts";

export const ndmsg = /* @__PURE__ */ struct([
	["ndm_family", "u8"],
	["ndm_pad1", "u8"],
	["ndm_pad2", "u16"],
	["ndm_ifindex", "s32"],
	["ndm_state", "u16"],
	["ndm_flags", "u8"],
	["ndm_type", "u8"],
]);

export const AF_BRIDGE = 7;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;
export const NDA_DST = 1;
export const NDA_LLADDR = 2;
export const NDA_VLAN = 5;
export const NDA_MASTER = 9;
export const NUD_INCOMPLETE = 1;
export const NUD_REACHABLE = 2;
export const NUD_STALE = 4;
export const NUD_DELAY = 8;
export const NUD_PROBE = 16;
export const NUD_FAILED = 32;
export const NUD_NOARP = 64;
export const NUD_PERMANENT = 128;
export const NTF_SELF = 2;
export const NTF_MASTER = 4;
export const NTF_PROXY = 8;
export const NTF_EXT_LEARNED = 16;
export const NTF_ROUTER = 128;

const states: [number, string][] = [
	[NUD_INCOMPLETE, "INCOMPLETE"],
	[NUD_REACHABLE, "REACHABLE"],
	[NUD_STALE, "STALE"],
	[NUD_DELAY, "DELAY"],
	[NUD_PROBE, "PROBE"],
	[NUD_FAILED, "FAILED"],
	[NUD_NOARP, "NOARP"],
	[NUD_PERMANENT, "PERMANENT"],
];

const flagNames: [number, string][] = [
	[NTF_SELF, "self"],
	[NTF_MASTER, "master"],
	[NTF_PROXY, "proxy"],
	[NTF_EXT_LEARNED, "extern_learn"],
	[NTF_ROUTER, "router"],
];

export interface Neighbour {
	index: number;
	/** The internet address; an entry of a forwarding database has none, but for a tunnel's other end. */
	address?: string;
	/** The hardware address. */
	hardware?: string;
	states: string[];
	flags: string[];
	vlan?: number;
	/** The bridge's index, for an entry of its forwarding database. */
	master?: number;
}

/** Reads an RTM_NEWNEIGH. Throws SysError EBADMSG. */
export function readNeighbour(message: Message): Neighbour {
	const attributes = attributesOf(message, ndmsg.size);
	const info = ndmsg.unpack(message.payload);
	const address = attributes.payload(NDA_DST);
	const hardware = attributes.payload(NDA_LLADDR);
	const vlan = attributes.u16(NDA_VLAN);
	const master = attributes.u32(NDA_MASTER);
	const names = (table: [number, string][], bits: number) => table.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
	return {
		index: info.ndm_ifindex,
		...(address && { address: formatBytes(address) }),
		...(hardware && { hardware: formatHardware(hardware) }),
		states: names(states, info.ndm_state),
		flags: names(flagNames, info.ndm_flags),
		...(vlan !== undefined && { vlan }),
		...(master !== undefined && { master }),
	};
}

/** The neighbours of one family, 0 for both. */
export function neighbours(netlink: Netlink, family = 0): Neighbour[] {
	const header = ndmsg.pack({ ndm_family: family });
	return dump(netlink, { type: RTM_GETNEIGH, header, attributes: [], name: "RTM_GETNEIGH" }).map(readNeighbour);
}

/** The forwarding databases of all bridges, or that of one, by its index. */
export function forwarding(netlink: Netlink, bridge?: number): Neighbour[] {
	const attributes: Attribute[] = bridge === undefined ? [] : [[NDA_MASTER, u32(bridge)]];
	const header = ndmsg.pack({ ndm_family: AF_BRIDGE });
	return dump(netlink, { type: RTM_GETNEIGH, header, attributes, name: "RTM_GETNEIGH" }).map(readNeighbour);
}

function neighbourRequest(
	type: number,
	name: string,
	index: number,
	address: Uint8Array,
	hardware: Uint8Array | undefined,
	proxy: boolean,
): Request {
	return {
		type,
		header: ndmsg.pack({
			ndm_family: familyOf(address),
			ndm_ifindex: index,
			ndm_state: type === RTM_NEWNEIGH && !proxy ? NUD_PERMANENT : 0,
			ndm_flags: proxy ? NTF_PROXY : 0,
		}),
		attributes: [[NDA_DST, address], ...(hardware ? ([[NDA_LLADDR, hardware]] as Attribute[]) : [])],
		name,
		object: formatInet(address),
	};
}

/** A permanent neighbour; without a hardware address, one that is answered for (proxy). */
export function neighbourAdd(
	index: number,
	address: Uint8Array,
	hardware?: Uint8Array,
	{ replace = false, called = `#${index}` } = {},
): Request {
	return {
		...neighbourRequest(RTM_NEWNEIGH, "RTM_NEWNEIGH", index, address, hardware, hardware === undefined),
		flags: NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL),
		step: () =>
			`ip neigh ${replace ? "replace" : "add"} ${hardware ? `${formatInet(address)} lladdr ${formatHardware(hardware)}` : `proxy ${formatInet(address)}`} dev ${called}`,
	};
}

export function neighbourDelete(index: number, address: Uint8Array, { proxy = false, called = `#${index}` } = {}): Request {
	return {
		...neighbourRequest(RTM_DELNEIGH, "RTM_DELNEIGH", index, address, undefined, proxy),
		step: () => `ip neigh del ${proxy ? "proxy " : ""}${formatInet(address)} dev ${called}`,
	};
}

/** An entry of a forwarding database: the port `index` is where a hardware address is. `self`: of the device, not of its bridge. */
function forwardingRequest(
	type: number,
	name: string,
	index: number,
	hardware: Uint8Array,
	{ self = false, vlan }: { self?: boolean; vlan?: number },
): Request {
	const attributes: Attribute[] = [[NDA_LLADDR, hardware]];
	if (vlan !== undefined) attributes.push([NDA_VLAN, u16(vlan)]);
	return {
		type,
		header: ndmsg.pack({
			ndm_family: AF_BRIDGE,
			ndm_ifindex: index,
			ndm_state: type === RTM_NEWNEIGH ? NUD_NOARP | NUD_PERMANENT : 0,
			ndm_flags: self ? NTF_SELF : NTF_MASTER,
		}),
		attributes,
		name,
		object: formatHardware(hardware),
	};
}

export function forwardingAdd(
	index: number,
	hardware: Uint8Array,
	options: { self?: boolean; vlan?: number; called?: string } = {},
): Request {
	return {
		...forwardingRequest(RTM_NEWNEIGH, "RTM_NEWNEIGH", index, hardware, options),
		flags: NLM_F_CREATE | NLM_F_EXCL,
		step: () => `bridge fdb add ${formatHardware(hardware)} dev ${options.called ?? `#${index}`} ${options.self ? "self" : "master"}`,
	};
}

export function forwardingDelete(
	index: number,
	hardware: Uint8Array,
	options: { self?: boolean; vlan?: number; called?: string } = {},
): Request {
	return {
		...forwardingRequest(RTM_DELNEIGH, "RTM_DELNEIGH", index, hardware, options),
		step: () => `bridge fdb del ${formatHardware(hardware)} dev ${options.called ?? `#${index}`} ${options.self ? "self" : "master"}`,
	};
}
