/** Routes: man 7 rtnetlink, RTM_NEWROUTE; linux/rtnetlink.h. */
import { type Attribute, u32 } from "../netlink/attribute.ts";
import { attributesOf, type Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../netlink/message.ts";
import { dump, get, type Netlink, type Request } from "../netlink/request.ts";
import { AF_INET6, formatInet } from "../sockaddr.ts";
import { struct } from "../struct.ts";
import { familyOf, scopeName } from "./address.ts";

export const rtmsg = /* @__PURE__ */ struct([
	["rtm_family", "u8"],
	["rtm_dst_len", "u8"],
	["rtm_src_len", "u8"],
	["rtm_tos", "u8"],
	["rtm_table", "u8"],
	["rtm_protocol", "u8"],
	["rtm_scope", "u8"],
	["rtm_type", "u8"],
	["rtm_flags", "u32"],
]);

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

export const RTA_DST = 1;
export const RTA_SRC = 2;
export const RTA_IIF = 3;
export const RTA_OIF = 4;
export const RTA_GATEWAY = 5;
export const RTA_PRIORITY = 6;
export const RTA_PREFSRC = 7;
export const RTA_METRICS = 8;
export const RTA_TABLE = 15;
export const RTA_MARK = 16;
export const RTA_VIA = 18;

export const RT_TABLE_UNSPEC = 0;
export const RT_TABLE_DEFAULT = 253;
export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;
export const RTN_UNSPEC = 0;
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTPROT_UNSPEC = 0;
export const RTPROT_BOOT = 3;
export const RTPROT_STATIC = 4;
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
export const RT_SCOPE_NOWHERE = 255;
export const RTM_F_CLONED = 512;
export const RTNH_F_ONLINK = 4;
export const RTNH_F_LINKDOWN = 16;
export const RTNH_F_DEAD = 1;

/** The kinds of a route and who made it, in the order of RTN_* and by RTPROT_*; ip-route(8) has the same words. */
const kinds = ["unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw", "nat"];
const protocols: Record<number, string> = { 0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 9: "ra", 16: "dhcp" };

/** A route as the kernel tells of it, and as it is to be made. */
export interface Route {
	family: "inet" | "inet6";
	/** 4 or 16 bytes; undefined for a default route. */
	destination?: Uint8Array;
	prefix: number;
	gateway?: Uint8Array;
	/** The index of the interface. */
	oif?: number;
	/** The source address of what leaves by it. */
	prefsrc?: Uint8Array;
	metric?: number;
	table: number;
	protocol: string;
	scope: string;
	/** `unicast`, `local`, `blackhole` ... */
	type: string;
	flags: string[];
}

/** Reads an RTM_NEWROUTE. Throws SysError EBADMSG. */
export function readRoute(message: Message): Route {
	const attributes = attributesOf(message, rtmsg.size);
	const info = rtmsg.unpack(message.payload);
	const flags: string[] = [];
	if ((info.rtm_flags & RTNH_F_DEAD) !== 0) flags.push("dead");
	if ((info.rtm_flags & RTNH_F_ONLINK) !== 0) flags.push("onlink");
	if ((info.rtm_flags & RTNH_F_LINKDOWN) !== 0) flags.push("linkdown");
	const destination = attributes.payload(RTA_DST);
	const via = attributes.payload(RTA_VIA);
	const gateway = attributes.payload(RTA_GATEWAY) ?? via?.subarray(2);
	const oif = attributes.u32(RTA_OIF);
	const prefsrc = attributes.payload(RTA_PREFSRC);
	const metric = attributes.u32(RTA_PRIORITY);
	return {
		family: info.rtm_family === AF_INET6 ? "inet6" : "inet",
		...(destination && { destination }),
		prefix: info.rtm_dst_len,
		...(gateway && { gateway }),
		...(oif !== undefined && { oif }),
		...(prefsrc && { prefsrc }),
		...(metric !== undefined && { metric }),
		table: attributes.u32(RTA_TABLE) ?? info.rtm_table,
		protocol: protocols[info.rtm_protocol] ?? String(info.rtm_protocol),
		scope: scopeName(info.rtm_scope),
		type: kinds[info.rtm_type] ?? String(info.rtm_type),
		flags,
	};
}

/** All routes of a family (AF_INET, AF_INET6) in one table, 0 for all tables; without the kernel's cache. */
export function routes(netlink: Netlink, family: number, table = RT_TABLE_MAIN): Route[] {
	const header = rtmsg.pack({ rtm_family: family });
	return dump(netlink, { type: RTM_GETROUTE, header, attributes: [], name: "RTM_GETROUTE" })
		.filter(({ payload }) => (rtmsg.unpack(payload).rtm_flags & RTM_F_CLONED) === 0)
		.map(readRoute)
		.filter((route) => table === 0 || route.table === table);
}

/** The way that a packet to an address would take, as `ip route get` asks. Throws NetlinkError with ENETUNREACH for none. */
export function routeTo(netlink: Netlink, address: Uint8Array): Route {
	const header = rtmsg.pack({ rtm_family: familyOf(address), rtm_dst_len: 8 * address.length });
	return readRoute(
		get(netlink, { type: RTM_GETROUTE, header, attributes: [[RTA_DST, address]], name: "RTM_GETROUTE", object: formatInet(address) }),
	);
}

/** What a route is made of; a default route has no destination. */
export type RouteSpec = Pick<Route, "family"> &
	Partial<Pick<Route, "destination" | "gateway" | "oif" | "prefsrc" | "metric" | "table" | "type">> & { prefix?: number; onlink?: boolean };

/** `192.0.2.0/24`, `default`. */
export function destinationText({ destination, prefix = 0 }: { destination?: Uint8Array; prefix?: number }): string {
	if (!destination || prefix === 0) return "default";
	return prefix === 8 * destination.length ? formatInet(destination) : `${formatInet(destination)}/${prefix}`;
}

function routeRequest(type: number, name: string, spec: RouteSpec, scope: number, protocol: number): Request {
	const attributes: Attribute[] = [];
	const table = spec.table ?? RT_TABLE_MAIN;
	if (spec.destination && spec.prefix) attributes.push([RTA_DST, spec.destination]);
	if (spec.gateway) attributes.push([RTA_GATEWAY, spec.gateway]);
	if (spec.oif !== undefined) attributes.push([RTA_OIF, u32(spec.oif)]);
	if (spec.prefsrc) attributes.push([RTA_PREFSRC, spec.prefsrc]);
	if (spec.metric !== undefined) attributes.push([RTA_PRIORITY, u32(spec.metric)]);
	if (table > 255) attributes.push([RTA_TABLE, u32(table)]);
	const kind = spec.type === undefined ? RTN_UNICAST : Math.max(0, kinds.indexOf(spec.type));
	return {
		type,
		header: rtmsg.pack({
			rtm_family: spec.family === "inet6" ? AF_INET6 : 2,
			rtm_dst_len: spec.destination ? (spec.prefix ?? 0) : 0,
			rtm_table: table > 255 ? RT_TABLE_UNSPEC : table,
			rtm_protocol: protocol,
			rtm_scope: scope,
			rtm_type: kind,
			rtm_flags: spec.onlink ? RTNH_F_ONLINK : 0,
		}),
		attributes,
		name,
		object: destinationText(spec),
	};
}

function stepText(verb: string, spec: RouteSpec, called?: string): string {
	const words = [`ip route ${verb}`];
	if (spec.type !== undefined && spec.type !== "unicast") words.push(spec.type);
	words.push(destinationText(spec));
	if (spec.gateway) words.push(`via ${formatInet(spec.gateway)}`);
	if (spec.oif !== undefined) words.push(`dev ${called ?? `#${spec.oif}`}`);
	if (spec.prefsrc) words.push(`src ${formatInet(spec.prefsrc)}`);
	if (spec.metric !== undefined) words.push(`metric ${spec.metric}`);
	if (spec.table !== undefined && spec.table !== RT_TABLE_MAIN) words.push(`table ${spec.table}`);
	return words.join(" ");
}

/** RTM_NEWROUTE; `replace`: in place of one with the same destination and metric. `called`: the link's name, for people. */
export function routeAdd(spec: RouteSpec, { replace = false, called }: { replace?: boolean; called?: string } = {}): Request {
	const isDirect = !spec.gateway && spec.family === "inet" && (spec.type === undefined || spec.type === "unicast");
	const scope = isDirect ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	return {
		...routeRequest(RTM_NEWROUTE, "RTM_NEWROUTE", spec, scope, RTPROT_BOOT),
		flags: NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL),
		step: () => stepText(replace ? "replace" : "add", spec, called),
	};
}

/** RTM_DELROUTE of the first route that has all that is given. */
export function routeDelete(spec: RouteSpec, called?: string): Request {
	const request = routeRequest(RTM_DELROUTE, "RTM_DELROUTE", spec, RT_SCOPE_NOWHERE, RTPROT_UNSPEC);
	if (spec.type === undefined) request.header[rtmsg.offset.rtm_type] = RTN_UNSPEC;
	return { ...request, step: () => stepText("del", spec, called) };
}
