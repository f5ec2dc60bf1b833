/** Rules of nf_tables. */
import { type Attribute, be64 } from "../netlink/attribute.ts";
import { attributesOf, NLM_F_APPEND, NLM_F_CREATE } from "../netlink/message.ts";
import type { Netlink, Request } from "../netlink/request.ts";
import { type Expression, NFTA_EXPR_DATA, NFTA_EXPR_NAME } from "./expression.ts";
import { commentData, type Family, familyName, nfgenmsg, nftDump, nftRequest, readComment } from "./transaction.ts";

export const NFT_MSG_NEWRULE = 6;
export const NFT_MSG_GETRULE = 7;
export const NFT_MSG_DELRULE = 8;
export const NFTA_RULE_TABLE = 1;
export const NFTA_RULE_CHAIN = 2;
export const NFTA_RULE_HANDLE = 3;
export const NFTA_RULE_EXPRESSIONS = 4;
export const NFTA_RULE_USERDATA = 7;

export interface Rule {
	family: Family;
	table: string;
	chain: string;
	/** The kernel's number for it. */
	handle: number;
	comment?: string;
	/** The names of its expressions, and their attributes as they are. */
	expressions: { name: string; data: Uint8Array }[];
}

/** A rule at the end of its chain; `text` as nft(8) writes it, `comment` for people and to find it again. */
export function ruleAdd(
	family: Family,
	table: string,
	chain: string,
	expressions: readonly Expression[],
	text: string,
	comment?: string,
): Request {
	const attributes: Attribute[] = [
		[NFTA_RULE_TABLE, table],
		[NFTA_RULE_CHAIN, chain],
		[NFTA_RULE_EXPRESSIONS, expressions],
	];
	if (comment !== undefined) attributes.push([NFTA_RULE_USERDATA, commentData(comment)]);
	return nftRequest(NFT_MSG_NEWRULE, "NFT_MSG_NEWRULE", family, attributes, {
		flags: NLM_F_CREATE | NLM_F_APPEND,
		object: `${family} ${table} ${chain}`,
		step: () => `nft add rule ${family} ${table} ${chain} ${text}${comment === undefined ? "" : ` comment ${JSON.stringify(comment)}`}`,
	});
}

/** Without a handle, all rules of the chain. */
export function ruleDelete(family: Family, table: string, chain: string, handle?: number): Request {
	const attributes: Attribute[] = [
		[NFTA_RULE_TABLE, table],
		[NFTA_RULE_CHAIN, chain],
	];
	if (handle !== undefined) attributes.push([NFTA_RULE_HANDLE, be64(handle)]);
	return nftRequest(NFT_MSG_DELRULE, "NFT_MSG_DELRULE", family, attributes, {
		object: `${family} ${table} ${chain}`,
		step: () =>
			handle === undefined ? `nft flush chain ${family} ${table} ${chain}` : `nft delete rule ${family} ${table} ${chain} handle ${handle}`,
	});
}

/** The rules of all tables of a family, or of all families. */
export function rules(netlink: Netlink, family?: Family): Rule[] {
	return nftDump(netlink, NFT_MSG_GETRULE, "NFT_MSG_GETRULE", family).map((message) => {
		const attributes = attributesOf(message, nfgenmsg.size);
		const comment = readComment(attributes.payload(NFTA_RULE_USERDATA));
		return {
			family: familyName(message.payload[0] as number),
			table: attributes.string(NFTA_RULE_TABLE) ?? "",
			chain: attributes.string(NFTA_RULE_CHAIN) ?? "",
			handle: attributes.be64(NFTA_RULE_HANDLE) ?? 0,
			...(comment !== undefined && { comment }),
			expressions: (attributes.nested(NFTA_RULE_EXPRESSIONS)?.each() ?? []).map((entry) => {
				const one = entry.nested();
				return { name: one.string(NFTA_EXPR_NAME) ?? "", data: one.payload(NFTA_EXPR_DATA) ?? new Uint8Array(0) };
			}),
		};
	});
}
