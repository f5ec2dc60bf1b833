/**
 * Changes of network interfaces: what is given to `change` or `changeAll`. man 7 rtnetlink, man 8 ip-link.
 */
import { type Attribute, u8, u16, u32 } from "../netlink/attribute.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import type { Request } from "../netlink/request.ts";
import { AF_INET } from "../sockaddr.ts";
import {
	formatHardware,
	IFF_PROMISC,
	IFF_UP,
	IFLA_ADDRESS,
	IFLA_AF_SPEC,
	IFLA_BR_FORWARD_DELAY,
	IFLA_BR_MCAST_SNOOPING,
	IFLA_BR_STP_STATE,
	IFLA_BR_VLAN_FILTERING,
	IFLA_BRPORT_ISOLATED,
	IFLA_BRPORT_LEARNING,
	IFLA_BRPORT_MODE,
	IFLA_BRPORT_UNICAST_FLOOD,
	IFLA_IFALIAS,
	IFLA_IFNAME,
	IFLA_INET_CONF,
	IFLA_INFO_DATA,
	IFLA_INFO_KIND,
	IFLA_INFO_SLAVE_DATA,
	IFLA_INFO_SLAVE_KIND,
	IFLA_LINK,
	IFLA_LINKINFO,
	IFLA_MACVLAN_MODE,
	IFLA_MASTER,
	IFLA_MTU,
	IFLA_NET_NS_FD,
	IFLA_TXQLEN,
	IFLA_VLAN_ID,
	IFLA_VXLAN_GROUP,
	IFLA_VXLAN_GROUP6,
	IFLA_VXLAN_ID,
	IFLA_VXLAN_LINK,
	IFLA_VXLAN_LOCAL,
	IFLA_VXLAN_LOCAL6,
	IFLA_VXLAN_PORT,
	IPV4_DEVCONF_ARP_NOTIFY,
	ifinfomsg,
	macvlanModes,
	RTM_DELLINK,
	RTM_NEWLINK,
	RTM_SETLINK,
	VETH_INFO_PEER,
} from "./link.ts";

/** What a link is to be, or to become; what is not given stays as it is. */
export interface LinkSettings {
	name?: string;
	up?: boolean;
	mtu?: number;
	/** 6 bytes. */
	address?: Uint8Array;
	/** The index of its bridge; 0 to leave it. */
	master?: number;
	/** Moves it there: a descriptor of a network namespace. */
	netns?: number;
	alias?: string;
	txqlen?: number;
	promisc?: boolean;
	/** Announces its IPv4 addresses when it comes up (gratuitous ARP). */
	arpNotify?: boolean;
}

const linkAttributeNames: Record<number, string> = {
	[IFLA_ADDRESS]: "IFLA_ADDRESS",
	[IFLA_IFNAME]: "IFLA_IFNAME",
	[IFLA_MTU]: "IFLA_MTU",
	[IFLA_LINK]: "IFLA_LINK",
	[IFLA_MASTER]: "IFLA_MASTER",
	[IFLA_LINKINFO]: "IFLA_LINKINFO",
	[IFLA_NET_NS_FD]: "IFLA_NET_NS_FD",
	[IFLA_AF_SPEC]: "IFLA_AF_SPEC",
};

const attributeName = (path: number[]) => {
	const name = linkAttributeNames[path[0] as number];
	return name && [name, ...path.slice(1)].join(".");
};

function flagsOf({ up, promisc }: LinkSettings): { ifi_flags: number; ifi_change: number } {
	const bits = (on: boolean | undefined, bit: number) => (on ? bit : 0);
	return {
		ifi_flags: bits(up, IFF_UP) | bits(promisc, IFF_PROMISC),
		ifi_change: (up === undefined ? 0 : IFF_UP) | (promisc === undefined ? 0 : IFF_PROMISC),
	};
}

function settingsAttributes(settings: LinkSettings): Attribute[] {
	const list: Attribute[] = [];
	if (settings.name !== undefined) list.push([IFLA_IFNAME, settings.name]);
	if (settings.mtu !== undefined) list.push([IFLA_MTU, u32(settings.mtu)]);
	if (settings.address !== undefined) list.push([IFLA_ADDRESS, settings.address]);
	if (settings.master !== undefined) list.push([IFLA_MASTER, u32(settings.master)]);
	if (settings.netns !== undefined) list.push([IFLA_NET_NS_FD, u32(settings.netns)]);
	if (settings.alias !== undefined) list.push([IFLA_IFALIAS, settings.alias]);
	if (settings.txqlen !== undefined) list.push([IFLA_TXQLEN, u32(settings.txqlen)]);
	if (settings.arpNotify) list.push([IFLA_AF_SPEC, [[AF_INET, [[IFLA_INET_CONF, [[IPV4_DEVCONF_ARP_NOTIFY, u32(1)]]]]]]]);
	return list;
}

/** The settings in the words of ip(8). */
function settingsText(settings: LinkSettings): string {
	const words: string[] = [];
	if (settings.address !== undefined) words.push(`address ${formatHardware(settings.address)}`);
	if (settings.mtu !== undefined) words.push(`mtu ${settings.mtu}`);
	if (settings.master !== undefined) words.push(settings.master === 0 ? "nomaster" : `master ${settings.master}`);
	if (settings.netns !== undefined) words.push(`netns /proc/self/fd/${settings.netns}`);
	if (settings.alias !== undefined) words.push(`alias ${JSON.stringify(settings.alias)}`);
	if (settings.txqlen !== undefined) words.push(`txqueuelen ${settings.txqlen}`);
	if (settings.promisc !== undefined) words.push(`promisc ${settings.promisc ? "on" : "off"}`);
	if (settings.arpNotify) words.push("arp_notify on");
	if (settings.up !== undefined) words.push(settings.up ? "up" : "down");
	return words.map((word) => ` ${word}`).join("");
}

/** What a new link is, besides its settings: the kind, its data (IFLA_INFO_DATA), and how ip(8) writes these. */
export interface LinkKind {
	kind: string;
	/** The index of the lower interface. */
	link?: number;
	data?: readonly (Attribute | Uint8Array)[];
	text?: string;
}

/** The kind of a veth pair: the settings of its other end, which may be born in another namespace (`netns`). */
export function vethKind(peer: LinkSettings): LinkKind {
	const { ifi_flags, ifi_change } = flagsOf(peer);
	return {
		kind: "veth",
		data: [[VETH_INFO_PEER, [ifinfomsg.pack({ ifi_flags, ifi_change }), ...settingsAttributes(peer)]]],
		text: ` peer name ${peer.name ?? ""}${settingsText(peer)}`,
	};
}

/** `forward_delay` in hundredths of a second; `stp_state`, `vlan_filtering`, `mcast_snooping` 0 or 1. */
export function bridgeKind(
	values: { forward_delay?: number; stp_state?: number; vlan_filtering?: number; mcast_snooping?: number } = {},
): LinkKind {
	const data: Attribute[] = [];
	if (values.forward_delay !== undefined) data.push([IFLA_BR_FORWARD_DELAY, u32(values.forward_delay)]);
	if (values.stp_state !== undefined) data.push([IFLA_BR_STP_STATE, u32(values.stp_state)]);
	if (values.vlan_filtering !== undefined) data.push([IFLA_BR_VLAN_FILTERING, u8(values.vlan_filtering)]);
	if (values.mcast_snooping !== undefined) data.push([IFLA_BR_MCAST_SNOOPING, u8(values.mcast_snooping)]);
	return {
		kind: "bridge",
		data,
		text: Object.entries(values)
			.map(([name, value]) => ` ${name} ${value}`)
			.join(""),
	};
}

export function vlanKind(link: number, id: number): LinkKind {
	return { kind: "vlan", link, data: [[IFLA_VLAN_ID, u16(id)]], text: ` id ${id}` };
}

/** `mode`: a key of `macvlanModes`. */
export function macvlanKind(link: number, mode: string): LinkKind {
	return { kind: "macvlan", link, data: [[IFLA_MACVLAN_MODE, u32(macvlanModes[mode] ?? 0)]], text: ` mode ${mode}` };
}

/** `remote`: a multicast group or the other end, `local`: the source; 4 or 16 bytes. `link`: the interface to go out of, 0 for any. */
export function vxlanKind(
	id: number,
	port: number,
	{ remote, local, link }: { remote?: Uint8Array; local?: Uint8Array; link?: number },
): LinkKind {
	const data: Attribute[] = [
		[IFLA_VXLAN_ID, u32(id)],
		[IFLA_VXLAN_PORT, new Uint8Array([port >> 8, port & 0xff])],
	];
	if (remote) data.push([remote.length === 4 ? IFLA_VXLAN_GROUP : IFLA_VXLAN_GROUP6, remote]);
	if (local) data.push([local.length === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, local]);
	if (link) data.push([IFLA_VXLAN_LINK, u32(link)]);
	return { kind: "vxlan", data, text: ` id ${id} dstport ${port}` };
}

const linkText = (name: string | undefined, index: number) => name ?? `#${index}`;

/** RTM_NEWLINK of a link that must not be there yet: to be given to `change` or `changeAll`. */
export function linkAdd(settings: LinkSettings & { name: string }, { kind, link, data, text = "" }: LinkKind): Request {
	const attributes = settingsAttributes(settings);
	if (link !== undefined) attributes.push([IFLA_LINK, u32(link)]);
	attributes.push([
		IFLA_LINKINFO,
		data
			? [
					[IFLA_INFO_KIND, kind],
					[IFLA_INFO_DATA, data],
				]
			: [[IFLA_INFO_KIND, kind]],
	]);
	return {
		type: RTM_NEWLINK,
		flags: NLM_F_CREATE | NLM_F_EXCL,
		header: ifinfomsg.pack(flagsOf(settings)),
		attributes,
		name: "RTM_NEWLINK",
		object: settings.name,
		step: () => `ip link add ${settings.name}${settingsText(settings)}${link === undefined ? "" : ` link ${link}`} type ${kind}${text}`,
		attributeName,
	};
}

/** RTM_SETLINK, by the index; `called` is what an error names. A new name is among the settings. */
export function linkSet(index: number, settings: LinkSettings, called?: string): Request {
	return {
		type: RTM_SETLINK,
		header: ifinfomsg.pack({ ifi_index: index, ...flagsOf(settings) }),
		attributes: settingsAttributes(settings),
		name: "RTM_SETLINK",
		object: linkText(called, index),
		step: () =>
			`ip link set ${linkText(called, index)}${settings.name === undefined ? "" : ` name ${settings.name}`}${settingsText(settings)}`,
		attributeName,
	};
}

/** How a bridge treats one of its ports. */
export interface PortSettings {
	hairpin?: boolean;
	/** Isolated ports do not reach each other, only those that are not. */
	isolated?: boolean;
	learning?: boolean;
	flood?: boolean;
}

/** By the index, or with an index of 0 by the name. */
export function portSet(index: number, port: PortSettings, called?: string): Request {
	const data: Attribute[] = [];
	const put = (type: number, on: boolean | undefined) => {
		if (on !== undefined) data.push([type, u8(on ? 1 : 0)]);
	};
	put(IFLA_BRPORT_MODE, port.hairpin);
	put(IFLA_BRPORT_ISOLATED, port.isolated);
	put(IFLA_BRPORT_LEARNING, port.learning);
	put(IFLA_BRPORT_UNICAST_FLOOD, port.flood);
	const words = Object.entries(port).map(([name, on]) => ` ${name} ${on ? "on" : "off"}`);
	return {
		type: RTM_NEWLINK,
		header: ifinfomsg.pack({ ifi_index: index }),
		attributes: [
			...(index === 0 && called !== undefined ? [[IFLA_IFNAME, called] as const] : []),
			[
				IFLA_LINKINFO,
				[
					[IFLA_INFO_SLAVE_KIND, "bridge"],
					[IFLA_INFO_SLAVE_DATA, data],
				],
			],
		],
		name: "RTM_NEWLINK",
		object: linkText(called, index),
		step: () => `ip link set ${linkText(called, index)} type bridge_slave${words.join("")}`,
		attributeName,
	};
}

export function linkDelete(index: number, called?: string): Request {
	return {
		type: RTM_DELLINK,
		header: ifinfomsg.pack({ ifi_index: index }),
		attributes: [],
		name: "RTM_DELLINK",
		object: linkText(called, index),
		step: () => `ip link delete ${linkText(called, index)}`,
	};
}
