/** Rules that choose the routing table: man 8 ip-rule; linux/fib_rules.h. */
import { type Attribute, u32 } from "../netlink/attribute.ts";
import { attributesOf, type Message, NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import { dump, type Netlink, type Request } from "../netlink/request.ts";
import { AF_INET, AF_INET6, formatInet } from "../sockaddr.ts";
import { struct } from "../struct.ts";
import { formatBytes } from "./address.ts";

export const fibRuleHdr = /* @__PURE__ */ struct([
	["family", "u8"],
	["dst_len", "u8"],
	["src_len", "u8"],
	["tos", "u8"],
	["table", "u8"],
	["res1", "u8"],
	["res2", "u8"],
	["action", "u8"],
	["flags", "u32"],
]);

export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;
export const RTM_GETRULE = 34;
export const FRA_DST = 1;
export const FRA_SRC = 2;
export const FRA_IIFNAME = 3;
export const FRA_PRIORITY = 6;
export const FRA_FWMARK = 10;
export const FRA_FWMASK = 16;
export const FRA_TABLE = 15;
export const FRA_OIFNAME = 17;
export const FR_ACT_TO_TBL = 1;
export const FIB_RULE_INVERT = 2;

/** FR_ACT_*. */
const actions = ["unspec", "lookup", "goto", "nop", "3", "4", "blackhole", "unreachable", "prohibit"];

export interface Rule {
	family: "inet" | "inet6";
	priority: number;
	/** `192.0.2.0/24`, or undefined for all. */
	from?: string;
	to?: string;
	iif?: string;
	oif?: string;
	mark?: number;
	not?: boolean;
	action: string;
	table: number;
}

/** Reads an RTM_NEWRULE. Throws SysError EBADMSG. */
export function readRule(message: Message): Rule {
	const attributes = attributesOf(message, fibRuleHdr.size);
	const info = fibRuleHdr.unpack(message.payload);
	const network = (type: number, prefix: number) => {
		const bytes = attributes.payload(type);
		return bytes && `${formatBytes(bytes)}/${prefix}`;
	};
	const from = network(FRA_SRC, info.src_len);
	const to = network(FRA_DST, info.dst_len);
	const iif = attributes.string(FRA_IIFNAME);
	const oif = attributes.string(FRA_OIFNAME);
	const mark = attributes.u32(FRA_FWMARK);
	return {
		family: info.family === AF_INET6 ? "inet6" : "inet",
		priority: attributes.u32(FRA_PRIORITY) ?? 0,
		...(from !== undefined && { from }),
		...(to !== undefined && { to }),
		...(iif !== undefined && { iif }),
		...(oif !== undefined && { oif }),
		...(mark !== undefined && { mark }),
		...((info.flags & FIB_RULE_INVERT) !== 0 && { not: true }),
		action: actions[info.action] ?? String(info.action),
		table: attributes.u32(FRA_TABLE) ?? info.table,
	};
}

export function rules(netlink: Netlink, family: number): Rule[] {
	const header = fibRuleHdr.pack({ family });
	return dump(netlink, { type: RTM_GETRULE, header, attributes: [], name: "RTM_GETRULE" }).map(readRule);
}

/** What a rule is made of: networks as bytes and prefix. */
export interface RuleSpec {
	family: "inet" | "inet6";
	priority?: number;
	from?: { address: Uint8Array; prefix: number };
	to?: { address: Uint8Array; prefix: number };
	iif?: string;
	oif?: string;
	mark?: number;
	table: number;
}

function ruleRequest(type: number, name: string, spec: RuleSpec): Request {
	const attributes: Attribute[] = [[FRA_TABLE, u32(spec.table)]];
	if (spec.priority !== undefined) attributes.push([FRA_PRIORITY, u32(spec.priority)]);
	if (spec.from) attributes.push([FRA_SRC, spec.from.address]);
	if (spec.to) attributes.push([FRA_DST, spec.to.address]);
	if (spec.iif !== undefined) attributes.push([FRA_IIFNAME, spec.iif]);
	if (spec.oif !== undefined) attributes.push([FRA_OIFNAME, spec.oif]);
	if (spec.mark !== undefined) attributes.push([FRA_FWMARK, u32(spec.mark)]);
	return {
		type,
		header: fibRuleHdr.pack({
			family: spec.family === "inet6" ? AF_INET6 : AF_INET,
			dst_len: spec.to?.prefix ?? 0,
			src_len: spec.from?.prefix ?? 0,
			table: spec.table < 256 ? spec.table : 0,
			action: FR_ACT_TO_TBL,
		}),
		attributes,
		name,
		object: ruleText(spec),
	};
}

function ruleText(spec: RuleSpec): string {
	const words: string[] = [];
	const network = (word: string, net: { address: Uint8Array; prefix: number } | undefined) => {
		if (net) words.push(`${word} ${formatInet(net.address)}/${net.prefix}`);
	};
	network("from", spec.from);
	network("to", spec.to);
	if (spec.iif !== undefined) words.push(`iif ${spec.iif}`);
	if (spec.oif !== undefined) words.push(`oif ${spec.oif}`);
	if (spec.mark !== undefined) words.push(`fwmark ${spec.mark}`);
	if (words.length === 0) words.push("from all");
	words.push(`lookup ${spec.table}`);
	if (spec.priority !== undefined) words.push(`priority ${spec.priority}`);
	return words.join(" ");
}

export function ruleAdd(spec: RuleSpec): Request {
	return {
		...ruleRequest(RTM_NEWRULE, "RTM_NEWRULE", spec),
		flags: NLM_F_CREATE | NLM_F_EXCL,
		step: () => `ip rule add ${ruleText(spec)}`,
	};
}

export function ruleDelete(spec: RuleSpec): Request {
	return { ...ruleRequest(RTM_DELRULE, "RTM_DELRULE", spec), step: () => `ip rule del ${ruleText(spec)}` };
}
