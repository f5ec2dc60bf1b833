/**
 * The firewall of tsbox: a table `tsbox` in each of the families ip and ip6, of one make.
 *
 * The rules are made once and never change. What networks and published ports need are elements of sets and maps: an
 * interface, a subnet, a port. So each change is one transaction of a few elements, whatever there is already.
 *
 *     raw          what must not come from another machine: to a container's address, and to ports published on 127.0.0.1
 *     dnat         published ports (destination NAT), for what comes and for what this machine sends
 *     forward      networks are kept apart; to a container go answers and published ports
 *     postrouting  masquerade: what leaves a network, and what comes back to it through a published port (hairpin)
 */
import { u32 } from "../../../native/linux/netlink/attribute.ts";
import type { Request } from "../../../native/linux/netlink/request.ts";
import {
	bitwiseAnd,
	cmp,
	ct,
	type Expression,
	fibDestinationType,
	IPS_DST_NAT,
	lookup,
	masquerade,
	meta,
	NFT_CMP_EQ,
	NFT_CMP_NEQ,
	NFT_CT_STATE,
	NFT_CT_STATUS,
	NFT_META_IIFNAME,
	NFT_META_L4PROTO,
	NFT_META_OIFNAME,
	NFT_NAT_DNAT,
	NFT_PAYLOAD_NETWORK_HEADER,
	NFT_PAYLOAD_TRANSPORT_HEADER,
	NFT_REG_VERDICT,
	nat,
	payload,
	register,
	verdict,
} from "../../../native/linux/nftables/expression.ts";
import { ruleAdd } from "../../../native/linux/nftables/rule.ts";
import { type DataType, type SetDeclaration, setAdd } from "../../../native/linux/nftables/set.ts";
import { chainAdd, tableAdd } from "../../../native/linux/nftables/table.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6 } from "../../../native/linux/nftables/transaction.ts";
import { RTN_LOCAL } from "../../../native/linux/route/route.ts";
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from "../../../native/linux/socket.ts";

export type FirewallFamily = "ip" | "ip6";
export const firewallFamilies: readonly FirewallFamily[] = ["ip", "ip6"];
export const tableName = "tsbox";

type Shape = { key: readonly ("addr" | DataType)[]; interval?: boolean; data?: readonly ("addr" | DataType)[] | "verdict" };

/** The sets and maps; `addr` is an address of the table's family. */
const shapes = {
	/** Subnets whose containers may not be reached from outside but by their published ports. */
	protected: { key: ["addr"], interval: true },
	/** Subnet and bridge of each network. */
	own: { key: ["addr", "ifname"], interval: true },
	/** Subnet, and the interface from which its addresses may be reached: its bridge, a trusted one. */
	direct: { key: ["addr", "ifname"], interval: true },
	/** Subnets whose traffic takes this machine's address when it leaves. */
	masqueraded: { key: ["addr"], interval: true },
	/** Interfaces between which all may pass: in, out. */
	allowed: { key: ["ifname", "ifname"] },
	/** What happens to that which comes from, and goes to, an interface. */
	"from-interface": { key: ["ifname"], data: "verdict" },
	"to-interface": { key: ["ifname"], data: "verdict" },
	/** A container's address and its published ports. */
	published: { key: ["addr", "inet_proto", "inet_service"], interval: true },
	/** This machine's address and port of a published port: the container's address; the port stays. */
	"dnat-address": { key: ["addr", "inet_proto", "inet_service"], interval: true, data: ["addr"] },
	/** The same with another port in the container. */
	"dnat-port": { key: ["addr", "inet_proto", "inet_service"], interval: true, data: ["addr", "inet_service"] },
	/** Ports published on 127.0.0.1 or ::1. */
	loopback: { key: ["inet_proto", "inet_service"], interval: true },
} satisfies Record<string, Shape>;

export type SetName = keyof typeof shapes;

export const isSetName = (name: string): name is SetName => name in shapes;

/** A set as it is declared in the table of a family. */
export function setOf(family: FirewallFamily, name: SetName): SetDeclaration {
	const { key, interval, data }: Shape = shapes[name];
	const typed = (fields: readonly ("addr" | DataType)[]): DataType[] =>
		fields.map((field) => (field === "addr" ? (family === "ip" ? "ipv4_addr" : "ipv6_addr") : field));
	return {
		family,
		table: tableName,
		name,
		key: typed(key),
		...(interval && { interval }),
		...(data && { data: typeof data === "string" ? data : typed(data) }),
	};
}

/** An interface's name as it is compared. */
function ifname(name: string): Uint8Array {
	const bytes = new Uint8Array(16);
	for (let i = 0; i < name.length; i++) bytes[i] = name.charCodeAt(i);
	return bytes;
}

const isSeveral = (given: Expression | Expression[]): given is Expression[] => typeof given[0] !== "number";
const several = (given: Expression | Expression[]): Expression[] => (isSeveral(given) ? given : [given]);

/** All that makes the table of a family: given to one transaction. `exclusive`: it must not be there yet. */
export function tableRequests(family: FirewallFamily, exclusive: boolean): Request[] {
	const isV4 = family === "ip";
	const [length, offsetOfSource, offsetOfDestination] = isV4 ? [4, 12, 16] : [16, 8, 24];
	/* Where what is loaded behind an address begins. */
	const behind = length / 4;
	const source = payload(NFT_PAYLOAD_NETWORK_HEADER, offsetOfSource, length, register(0));
	const destination = payload(NFT_PAYLOAD_NETWORK_HEADER, offsetOfDestination, length, register(0));
	const service = (at: number) => [meta(NFT_META_L4PROTO, register(at)), payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, register(at + 1))];
	const isLocal = (operation: number) => [fibDestinationType(register(0)), cmp(register(0), operation, u32(RTN_LOCAL))];
	const isLoopback = (operation: number) =>
		isV4
			? [payload(NFT_PAYLOAD_NETWORK_HEADER, offsetOfDestination, 1, register(0)), cmp(register(0), operation, new Uint8Array([127]))]
			: [destination, cmp(register(0), operation, Uint8Array.from([...new Array(15).fill(0), 1]))];
	const loopbackText = isV4 ? "127.0.0.0/8" : "::1";
	const isAnswer = [ct(NFT_CT_STATE, register(0)), bitwiseAnd(register(0), u32(6)), cmp(register(0), NFT_CMP_NEQ, u32(0))];
	const isTranslated = [ct(NFT_CT_STATUS, register(0)), bitwiseAnd(register(0), u32(IPS_DST_NAT)), cmp(register(0), NFT_CMP_NEQ, u32(0))];
	const pair = [meta(NFT_META_IIFNAME, register(0)), meta(NFT_META_OIFNAME, register(4)), lookup("allowed", register(0))];

	const chain = (name: string, base?: { type: string; hook: string; priority: number }) =>
		chainAdd({ family, table: tableName, name, ...base });
	const rule = (name: string, text: string, ...expressions: (Expression | Expression[])[]) =>
		ruleAdd(family, tableName, name, expressions.flatMap(several), text);
	const answers = (name: string) => rule(name, "ct state established,related accept", isAnswer, verdict("accept"));
	const pairs = (name: string) => rule(name, "iifname . oifname @allowed accept", pair, verdict("accept"));

	return [
		tableAdd({ family, name: tableName, comment: "made by tsbox; tsvethctl reload restores it" }, exclusive),
		...(Object.keys(shapes) as SetName[]).map((name) => setAdd(setOf(family, name))),
		chain("to-nat"),
		chain("internal"),
		chain("to-published"),
		chain("raw", { type: "filter", hook: "prerouting", priority: -300 }),
		chain("prerouting", { type: "nat", hook: "prerouting", priority: -100 }),
		chain("output", { type: "nat", hook: "output", priority: -100 }),
		chain("forward", { type: "filter", hook: "forward", priority: 0 }),
		chain("postrouting", { type: "nat", hook: "postrouting", priority: 100 }),

		rule(
			"raw",
			`${family} daddr ${loopbackText} iifname != "lo" meta l4proto . th dport @loopback drop`,
			isLoopback(NFT_CMP_EQ),
			meta(NFT_META_IIFNAME, register(0)),
			cmp(register(0), NFT_CMP_NEQ, ifname("lo")),
			service(0),
			lookup("loopback", register(0)),
			verdict("drop"),
		),
		rule(
			"raw",
			`${family} daddr @protected ${family} daddr . iifname != @direct fib daddr type != local drop`,
			destination,
			lookup("protected", register(0)),
			meta(NFT_META_IIFNAME, register(behind)),
			lookup("direct", register(0), { inverted: true }),
			isLocal(NFT_CMP_NEQ),
			verdict("drop"),
		),

		rule("prerouting", "fib daddr type local jump to-published", isLocal(NFT_CMP_EQ), verdict("jump to-published")),
		/* What this machine sends to 127.0.0.1 would have to leave with that source: the userland proxy takes it. */
		rule(
			"output",
			`${family} daddr != ${loopbackText} fib daddr type local jump dnat`,
			isLoopback(NFT_CMP_NEQ),
			isLocal(NFT_CMP_EQ),
			verdict("jump to-published"),
		),
		/* A rule for each: nft(8) reads a translation of ports only behind a match of the protocol. */
		...Object.entries({ tcp: IPPROTO_TCP, udp: IPPROTO_UDP, sctp: IPPROTO_SCTP }).map(([protocol, number]) =>
			rule(
				"to-published",
				`meta l4proto ${protocol} dnat ${family} to ${family} daddr . meta l4proto . th dport map @dnat-port`,
				meta(NFT_META_L4PROTO, register(0)),
				cmp(register(0), NFT_CMP_EQ, new Uint8Array([number])),
				destination,
				service(behind),
				lookup("dnat-port", register(0), { to: register(0) }),
				nat(NFT_NAT_DNAT, isV4 ? NFPROTO_IPV4 : NFPROTO_IPV6, register(0), register(behind)),
			),
		),
		rule(
			"to-published",
			`dnat ${family} to ${family} daddr . meta l4proto . th dport map @dnat-address`,
			destination,
			service(behind),
			lookup("dnat-address", register(0), { to: register(0) }),
			nat(NFT_NAT_DNAT, isV4 ? NFPROTO_IPV4 : NFPROTO_IPV6, register(0)),
		),

		rule(
			"forward",
			"iifname vmap @from-interface",
			meta(NFT_META_IIFNAME, register(0)),
			lookup("from-interface", register(0), { to: NFT_REG_VERDICT }),
		),
		rule(
			"forward",
			"oifname vmap @to-interface",
			meta(NFT_META_OIFNAME, register(0)),
			lookup("to-interface", register(0), { to: NFT_REG_VERDICT }),
		),
		answers("to-nat"),
		pairs("to-nat"),
		rule(
			"to-nat",
			`${family} daddr . meta l4proto . th dport @published accept`,
			destination,
			service(behind),
			lookup("published", register(0)),
			verdict("accept"),
		),
		rule("to-nat", "drop", verdict("drop")),
		answers("internal"),
		pairs("internal"),
		rule("internal", "drop", verdict("drop")),

		rule(
			"postrouting",
			`${family} saddr . oifname @own ct status dnat masquerade`,
			source,
			meta(NFT_META_OIFNAME, register(behind)),
			lookup("own", register(0)),
			isTranslated,
			masquerade(),
		),
		rule(
			"postrouting",
			`${family} saddr @masqueraded ${family} saddr . oifname != @own masquerade`,
			source,
			lookup("masqueraded", register(0)),
			meta(NFT_META_OIFNAME, register(behind)),
			lookup("own", register(0), { inverted: true }),
			masquerade(),
		),
	];
}
