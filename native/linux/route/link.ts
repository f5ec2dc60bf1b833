/**
 * Network interfaces: man 7 rtnetlink, RTM_NEWLINK and its like; linux/if_link.h.
 *
 *     struct ifinfomsg, attributes; what is special to a kind of link is nested: IFLA_LINKINFO { IFLA_INFO_KIND, IFLA_INFO_DATA }
 */
import { ENODEV } from "../errno.ts";
import { type Attribute, type Attributes, u32 } from "../netlink/attribute.ts";
import { attributesOf, type Message } from "../netlink/message.ts";
import { dump, get, isErrno, type Netlink, type Request } from "../netlink/request.ts";
import { struct } from "../struct.ts";

export const ifinfomsg = /* @__PURE__ */ struct([
	["ifi_family", "u8"],
	["__ifi_pad", "u8"],
	["ifi_type", "u16"],
	["ifi_index", "s32"],
	["ifi_flags", "u32"],
	["ifi_change", "u32"],
]);

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;

export const IFF_UP = 1;
export const IFF_BROADCAST = 2;
export const IFF_LOOPBACK = 8;
export const IFF_POINTOPOINT = 16;
export const IFF_RUNNING = 64;
export const IFF_NOARP = 128;
export const IFF_PROMISC = 256;
export const IFF_ALLMULTI = 512;
export const IFF_MASTER = 1024;
export const IFF_SLAVE = 2048;
export const IFF_MULTICAST = 4096;
export const IFF_LOWER_UP = 65536;
export const IFF_DORMANT = 131072;

export const IFLA_ADDRESS = 1;
export const IFLA_BROADCAST = 2;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_LINK = 5;
export const IFLA_MASTER = 10;
export const IFLA_TXQLEN = 13;
export const IFLA_OPERSTATE = 16;
export const IFLA_LINKINFO = 18;
export const IFLA_NET_NS_PID = 19;
export const IFLA_IFALIAS = 20;
export const IFLA_STATS64 = 23;
export const IFLA_AF_SPEC = 26;
export const IFLA_GROUP = 27;
export const IFLA_NET_NS_FD = 28;
export const IFLA_EXT_MASK = 29;
export const IFLA_PROMISCUITY = 30;
export const IFLA_CARRIER = 33;
export const IFLA_LINK_NETNSID = 37;
export const IFLA_ALT_IFNAME = 53;

export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
export const IFLA_INFO_SLAVE_KIND = 4;
export const IFLA_INFO_SLAVE_DATA = 5;
export const VETH_INFO_PEER = 1;

export const IFLA_BR_FORWARD_DELAY = 1;
export const IFLA_BR_STP_STATE = 5;
export const IFLA_BR_VLAN_FILTERING = 7;
export const IFLA_BR_MCAST_SNOOPING = 23;
export const IFLA_BR_BRIDGE_ID = 11;
export const IFLA_BR_AGEING_TIME = 4;
export const IFLA_BR_VLAN_DEFAULT_PVID = 39;

export const IFLA_BRPORT_STATE = 1;
export const IFLA_BRPORT_COST = 3;
export const IFLA_BRPORT_MODE = 4;
export const IFLA_BRPORT_LEARNING = 8;
export const IFLA_BRPORT_UNICAST_FLOOD = 9;
export const IFLA_BRPORT_ISOLATED = 33;

export const IFLA_VLAN_ID = 1;
export const IFLA_VLAN_PROTOCOL = 5;
export const IFLA_MACVLAN_MODE = 1;
export const MACVLAN_MODE_PRIVATE = 1;
export const MACVLAN_MODE_VEPA = 2;
export const MACVLAN_MODE_BRIDGE = 4;
export const MACVLAN_MODE_PASSTHRU = 8;
export const IFLA_VXLAN_ID = 1;
export const IFLA_VXLAN_GROUP = 2;
export const IFLA_VXLAN_LINK = 3;
export const IFLA_VXLAN_LOCAL = 4;
export const IFLA_VXLAN_LEARNING = 7;
export const IFLA_VXLAN_PORT = 15;
export const IFLA_VXLAN_GROUP6 = 16;
export const IFLA_VXLAN_LOCAL6 = 17;

export const IFLA_INET_CONF = 1;

/** linux/ip.h: the number of arp_notify among an interface's settings; Linux 2.6.39 on takes them by IFLA_INET_CONF. */
export const IPV4_DEVCONF_ARP_NOTIFY = 22;

/** RFC 2863's states in the order of IFLA_OPERSTATE. */
const operstates = ["UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"];
/** linux/if_bridge.h, BR_STATE_*. */
const portStates = ["disabled", "listening", "learning", "forwarding", "blocking"];
export const macvlanModes: Record<string, number> = {
	private: MACVLAN_MODE_PRIVATE,
	vepa: MACVLAN_MODE_VEPA,
	bridge: MACVLAN_MODE_BRIDGE,
	passthru: MACVLAN_MODE_PASSTHRU,
};

/** An interface as the kernel tells of it. */
export interface Link {
	index: number;
	name: string;
	/** IFF_* */
	flags: number;
	/** ARPHRD_*: 1 for Ethernet, 772 for a loopback. */
	hardware: number;
	mtu: number;
	/** The hardware address, `02:42:ac:11:00:02`. */
	address?: string;
	/** `veth`, `bridge`, `vlan` ...; a device of its own kind has none. */
	kind?: string;
	/** The index of the bridge (or bond) that it is a port of. */
	master?: number;
	/** The index of the other end, or the lower interface; in the namespace `linkNetnsid` where that is given. */
	link?: number;
	linkNetnsid?: number;
	operstate: string;
	carrier?: boolean;
	alias?: string;
	/** What is special to its kind, by the words of ip(8). */
	details: Record<string, string | number | boolean>;
	/** As a port of a bridge. */
	port?: { state: string; hairpin: boolean; isolated: boolean; learning: boolean };
	stats?: { rxBytes: number; rxPackets: number; txBytes: number; txPackets: number; rxDropped: number; txDropped: number };
}

export function formatHardware(bytes: Uint8Array): string {
	return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** `02:42:ac:11:00:02` as 6 bytes; undefined if it is no hardware address. */
export function parseHardware(text: string): Uint8Array | undefined {
	if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) return undefined;
	return Uint8Array.from(text.split(/[:-]/), (part) => Number.parseInt(part, 16));
}

const flagNames: [number, string][] = [
	[IFF_LOOPBACK, "LOOPBACK"],
	[IFF_BROADCAST, "BROADCAST"],
	[IFF_POINTOPOINT, "POINTOPOINT"],
	[IFF_MULTICAST, "MULTICAST"],
	[IFF_NOARP, "NOARP"],
	[IFF_ALLMULTI, "ALLMULTI"],
	[IFF_PROMISC, "PROMISC"],
	[IFF_MASTER, "MASTER"],
	[IFF_SLAVE, "SLAVE"],
	[IFF_UP, "UP"],
	[IFF_LOWER_UP, "LOWER_UP"],
	[IFF_DORMANT, "DORMANT"],
];

/** As ip(8) lists them; an interface that is up without a carrier has NO-CARRIER. */
export function linkFlags(flags: number): string[] {
	const names = flagNames.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
	if ((flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) === 0) names.unshift("NO-CARRIER");
	return names;
}

/** Reads an RTM_NEWLINK. Throws SysError EBADMSG. */
export function readLink(message: Message): Link {
	const attributes = attributesOf(message, ifinfomsg.size);
	const info = ifinfomsg.unpack(message.payload);
	const linkinfo = attributes.nested(IFLA_LINKINFO);
	const kind = linkinfo?.string(IFLA_INFO_KIND);
	const address = attributes.payload(IFLA_ADDRESS);
	const link: Link = {
		index: info.ifi_index,
		name: attributes.string(IFLA_IFNAME) ?? "",
		flags: info.ifi_flags,
		hardware: info.ifi_type,
		mtu: attributes.u32(IFLA_MTU) ?? 0,
		operstate: operstates[attributes.u8(IFLA_OPERSTATE) ?? 0] ?? "UNKNOWN",
		details: {},
	};
	if (address && address.length > 0) link.address = formatHardware(address);
	if (kind !== undefined) link.kind = kind;
	const optional = (key: "master" | "link" | "linkNetnsid", value: number | undefined) => {
		if (value !== undefined && (value !== 0 || key !== "master")) link[key] = value;
	};
	optional("master", attributes.u32(IFLA_MASTER));
	optional("link", attributes.u32(IFLA_LINK));
	optional("linkNetnsid", attributes.s32(IFLA_LINK_NETNSID));
	const carrier = attributes.u8(IFLA_CARRIER);
	if (carrier !== undefined) link.carrier = carrier === 1;
	const alias = attributes.string(IFLA_IFALIAS);
	if (alias !== undefined) link.alias = alias;
	const data = linkinfo?.nested(IFLA_INFO_DATA);
	if (data && kind !== undefined) link.details = readDetails(kind, data);
	const port = linkinfo?.string(IFLA_INFO_SLAVE_KIND) === "bridge" ? linkinfo.nested(IFLA_INFO_SLAVE_DATA) : undefined;
	if (port)
		link.port = {
			state: portStates[port.u8(IFLA_BRPORT_STATE) ?? 0] ?? "unknown",
			hairpin: port.u8(IFLA_BRPORT_MODE) === 1,
			isolated: port.u8(IFLA_BRPORT_ISOLATED) === 1,
			learning: port.u8(IFLA_BRPORT_LEARNING) === 1,
		};
	const stats = attributes.payload(IFLA_STATS64);
	if (stats && stats.length >= rtnlLinkStats64.size) {
		const read = rtnlLinkStats64.unpack(stats);
		link.stats = {
			rxPackets: read.rx_packets,
			txPackets: read.tx_packets,
			rxBytes: read.rx_bytes,
			txBytes: read.tx_bytes,
			rxDropped: read.rx_dropped,
			txDropped: read.tx_dropped,
		};
	}
	return link;
}

/** linux/if_link.h, its first part. */
export const rtnlLinkStats64 = /* @__PURE__ */ struct([
	["rx_packets", "u64"],
	["tx_packets", "u64"],
	["rx_bytes", "u64"],
	["tx_bytes", "u64"],
	["rx_errors", "u64"],
	["tx_errors", "u64"],
	["rx_dropped", "u64"],
	["tx_dropped", "u64"],
]);

function readDetails(kind: string, data: Attributes): Link["details"] {
	const details: Link["details"] = {};
	const put = (name: string, value: string | number | boolean | undefined) => {
		if (value !== undefined) details[name] = value;
	};
	if (kind === "bridge") {
		put("forward_delay", data.u32(IFLA_BR_FORWARD_DELAY));
		put("stp_state", data.u32(IFLA_BR_STP_STATE));
		put("vlan_filtering", data.u8(IFLA_BR_VLAN_FILTERING));
		put("mcast_snooping", data.u8(IFLA_BR_MCAST_SNOOPING));
		put("ageing_time", data.u32(IFLA_BR_AGEING_TIME));
	} else if (kind === "vlan") {
		put("id", data.u16(IFLA_VLAN_ID));
		const protocol = data.be16(IFLA_VLAN_PROTOCOL);
		put("protocol", protocol === 0x88a8 ? "802.1ad" : protocol === 0x8100 ? "802.1Q" : protocol);
	} else if (kind === "macvlan" || kind === "macvtap") {
		const mode = data.u32(IFLA_MACVLAN_MODE);
		put("mode", Object.keys(macvlanModes).find((name) => macvlanModes[name] === mode) ?? mode);
	} else if (kind === "vxlan") {
		put("id", data.u32(IFLA_VXLAN_ID));
		put("port", data.be16(IFLA_VXLAN_PORT));
		put("learning", data.u8(IFLA_VXLAN_LEARNING) === 1);
		put("link", data.u32(IFLA_VXLAN_LINK));
	}
	return details;
}

/** linux/rtnetlink.h: without the statistics. */
export const RTEXT_FILTER_SKIP_STATS = 8;

function getRequest(header: Uint8Array, attributes: Attribute[], object?: string): Request {
	return { type: RTM_GETLINK, header, attributes, name: "RTM_GETLINK", object };
}

/** All interfaces of the socket's namespace; `stats`: with their counters. */
export function links(netlink: Netlink, stats = false): Link[] {
	const mask: Attribute[] = stats ? [] : [[IFLA_EXT_MASK, u32(RTEXT_FILTER_SKIP_STATS)]];
	return dump(netlink, getRequest(new Uint8Array(ifinfomsg.size), mask)).map(readLink);
}

/** An interface by its name (an alternative one too) or index; undefined where there is none. */
export function findLink(netlink: Netlink, link: string | number): Link | undefined {
	const mask: Attribute = [IFLA_EXT_MASK, u32(RTEXT_FILTER_SKIP_STATS)];
	try {
		if (typeof link === "number") return readLink(get(netlink, getRequest(ifinfomsg.pack({ ifi_index: link }), [mask], `#${link}`)));
		const attribute: Attribute = [link.length < 16 ? IFLA_IFNAME : IFLA_ALT_IFNAME, link];
		return readLink(get(netlink, getRequest(new Uint8Array(ifinfomsg.size), [attribute, mask], link)));
	} catch (error) {
		if (isErrno(error, ENODEV)) return undefined;
		throw error;
	}
}
