/** Verdicts of nf_tables: in rules and in verdict maps. */
import { type Attribute, type Attributes, be32 } from "../netlink/attribute.ts";

export const NFTA_DATA_VERDICT = 2;
export const NFTA_VERDICT_CODE = 1;
export const NFTA_VERDICT_CHAIN = 2;
export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NFT_CONTINUE = -1;
export const NFT_BREAK = -2;
export const NFT_JUMP = -3;
export const NFT_GOTO = -4;
export const NFT_RETURN = -5;

const codes: Record<string, number> = {
	drop: NF_DROP,
	accept: NF_ACCEPT,
	continue: NFT_CONTINUE,
	jump: NFT_JUMP,
	goto: NFT_GOTO,
	return: NFT_RETURN,
};

/** What is in NFTA_SET_ELEM_DATA or NFTA_IMMEDIATE_DATA for `accept`, `drop`, `return`, `jump CHAIN`, `goto CHAIN`. */
export function verdictData(text: string): Attribute[] {
	const [word = "", chain] = text.split(" ");
	const code = codes[word];
	if (code === undefined) throw new RangeError(`${text}: not a verdict`);
	const attributes: Attribute[] = [[NFTA_VERDICT_CODE, be32(code)]];
	if (chain !== undefined) attributes.push([NFTA_VERDICT_CHAIN, chain]);
	return [[NFTA_DATA_VERDICT, attributes]];
}

/** The verdict of such data, in the same words. */
export function readVerdict(data: Attributes): string {
	const verdict = data.nested(NFTA_DATA_VERDICT);
	const code = (verdict?.be32(NFTA_VERDICT_CODE) ?? 0) | 0;
	const word = Object.keys(codes).find((name) => codes[name] === code) ?? String(code);
	const chain = verdict?.string(NFTA_VERDICT_CHAIN);
	return chain === undefined ? word : `${word} ${chain}`;
}
