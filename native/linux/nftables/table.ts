/** Tables and chains of nf_tables. Numbers are in network byte order. */
import { type Attribute, be32 } from "../netlink/attribute.ts";

import { attributesOf, NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import type { Netlink, Request } from "../netlink/request.ts";
import { commentData, type Family, familyName, nfgenmsg, nftDump, nftRequest, readComment } from "./transaction.ts";
import { NF_ACCEPT, NF_DROP } from "./verdict.ts";

export const NFT_MSG_NEWTABLE = 0;
export const NFT_MSG_GETTABLE = 1;
export const NFT_MSG_DELTABLE = 2;
export const NFT_MSG_NEWCHAIN = 3;
export const NFT_MSG_GETCHAIN = 4;
export const NFT_MSG_DELCHAIN = 5;

export const NFTA_TABLE_NAME = 1;
export const NFTA_TABLE_FLAGS = 2;
export const NFTA_TABLE_HANDLE = 4;
export const NFTA_TABLE_USERDATA = 6;

export const NFTA_CHAIN_TABLE = 1;
export const NFTA_CHAIN_HANDLE = 2;
export const NFTA_CHAIN_NAME = 3;
export const NFTA_CHAIN_HOOK = 4;
export const NFTA_CHAIN_POLICY = 5;
export const NFTA_CHAIN_TYPE = 7;
export const NFTA_HOOK_HOOKNUM = 1;
export const NFTA_HOOK_PRIORITY = 2;
export const NFTA_HOOK_DEV = 3;

export const NF_INET_PRE_ROUTING = 0;
export const NF_INET_LOCAL_IN = 1;
export const NF_INET_FORWARD = 2;
export const NF_INET_LOCAL_OUT = 3;
export const NF_INET_POST_ROUTING = 4;

/** The hooks of the families ip, ip6 and inet, in the order of NF_INET_*. */
const hooks = ["prerouting", "input", "forward", "output", "postrouting"] as const;
export type Hook = (typeof hooks)[number];

export interface Table {
	family: Family;
	name: string;
	comment?: string;
}

/** A chain; a base chain has type, hook, priority and policy. */
export interface Chain {
	family: Family;
	table: string;
	name: string;
	type?: string;
	hook?: string;
	priority?: number;
	policy?: "accept" | "drop";
}

const named = ({ family, name }: { family: Family; name: string }) => `${family} ${name}`;

/** `exclusive`: it must not be there yet. */
export function tableAdd(table: Table, exclusive = false): Request {
	const attributes: Attribute[] = [[NFTA_TABLE_NAME, table.name]];
	if (table.comment !== undefined) attributes.push([NFTA_TABLE_USERDATA, commentData(table.comment)]);
	return nftRequest(NFT_MSG_NEWTABLE, "NFT_MSG_NEWTABLE", table.family, attributes, {
		flags: NLM_F_CREATE | (exclusive ? NLM_F_EXCL : 0),
		object: named(table),
		step: () => `nft ${exclusive ? "create" : "add"} table ${named(table)}`,
	});
}

/** With all that is in it. */
export function tableDelete(family: Family, name: string): Request {
	return nftRequest(NFT_MSG_DELTABLE, "NFT_MSG_DELTABLE", family, [[NFTA_TABLE_NAME, name]], {
		object: `${family} ${name}`,
		step: () => `nft delete table ${family} ${name}`,
	});
}

export function tables(netlink: Netlink, family?: Family): Table[] {
	return nftDump(netlink, NFT_MSG_GETTABLE, "NFT_MSG_GETTABLE", family).map((message) => {
		const attributes = attributesOf(message, nfgenmsg.size);
		const comment = readComment(attributes.payload(NFTA_TABLE_USERDATA));
		return {
			family: familyName(message.payload[0] as number),
			name: attributes.string(NFTA_TABLE_NAME) ?? "",
			...(comment !== undefined && { comment }),
		};
	});
}

export function chainAdd(chain: Chain): Request {
	const { family, table, name, type, hook, priority = 0, policy = "accept" } = chain;
	const attributes: Attribute[] = [
		[NFTA_CHAIN_TABLE, table],
		[NFTA_CHAIN_NAME, name],
	];
	if (type !== undefined && hook !== undefined) {
		attributes.push([
			NFTA_CHAIN_HOOK,
			[
				[NFTA_HOOK_HOOKNUM, be32(hooks.indexOf(hook as Hook))],
				[NFTA_HOOK_PRIORITY, be32(priority)],
			],
		]);
		attributes.push([NFTA_CHAIN_POLICY, be32(policy === "drop" ? NF_DROP : NF_ACCEPT)], [NFTA_CHAIN_TYPE, type]);
	}
	const base = hook === undefined ? "" : ` { type ${type} hook ${hook} priority ${priority}; policy ${policy}; }`;
	return nftRequest(NFT_MSG_NEWCHAIN, "NFT_MSG_NEWCHAIN", family, attributes, {
		flags: NLM_F_CREATE,
		object: `${family} ${table} ${name}`,
		step: () => `nft add chain ${family} ${table} ${name}${base}`,
	});
}

export function chainDelete(family: Family, table: string, name: string): Request {
	const attributes: Attribute[] = [
		[NFTA_CHAIN_TABLE, table],
		[NFTA_CHAIN_NAME, name],
	];
	return nftRequest(NFT_MSG_DELCHAIN, "NFT_MSG_DELCHAIN", family, attributes, {
		object: `${family} ${table} ${name}`,
		step: () => `nft delete chain ${family} ${table} ${name}`,
	});
}

/** All chains, of every table of a family, or of all families. */
export function chains(netlink: Netlink, family?: Family): Chain[] {
	return nftDump(netlink, NFT_MSG_GETCHAIN, "NFT_MSG_GETCHAIN", family).map((message) => {
		const attributes = attributesOf(message, nfgenmsg.size);
		const hook = attributes.nested(NFTA_CHAIN_HOOK);
		const number = hook?.be32(NFTA_HOOK_HOOKNUM);
		const type = attributes.string(NFTA_CHAIN_TYPE);
		const policy = attributes.be32(NFTA_CHAIN_POLICY);
		return {
			family: familyName(message.payload[0] as number),
			table: attributes.string(NFTA_CHAIN_TABLE) ?? "",
			name: attributes.string(NFTA_CHAIN_NAME) ?? "",
			...(type !== undefined && { type }),
			...(number !== undefined && { hook: hooks[number] ?? String(number), priority: (hook?.be32(NFTA_HOOK_PRIORITY) ?? 0) | 0 }),
			...(policy !== undefined && { policy: policy === NF_DROP ? ("drop" as const) : ("accept" as const) }),
		};
	});
}
