/**
 * The expressions that rules of nf_tables are made of: linux/netfilter/nf_tables.h.
 *
 * They load into registers, compare and change them, and decide. Registers of 4 bytes (NFT_REG32_00 ...) lie behind each other, so
 * that fields loaded one after the other are a concatenation.
 */
import { type Attribute, be32 } from "../netlink/attribute.ts";
import { NFTA_DATA_VALUE, NFTA_LIST_ELEM } from "./set.ts";
import { verdictData } from "./verdict.ts";

export const NFTA_EXPR_NAME = 1;
export const NFTA_EXPR_DATA = 2;
export const NFT_REG_VERDICT = 0;
export const NFT_REG32_00 = 8;

export const NFTA_META_DREG = 1;
export const NFTA_META_KEY = 2;
export const NFT_META_L4PROTO = 16;
export const NFT_META_IIFNAME = 6;
export const NFT_META_OIFNAME = 7;
export const NFT_META_MARK = 3;

export const NFTA_PAYLOAD_DREG = 1;
export const NFTA_PAYLOAD_BASE = 2;
export const NFTA_PAYLOAD_OFFSET = 3;
export const NFTA_PAYLOAD_LEN = 4;
export const NFT_PAYLOAD_NETWORK_HEADER = 1;
export const NFT_PAYLOAD_TRANSPORT_HEADER = 2;

export const NFTA_CMP_SREG = 1;
export const NFTA_CMP_OP = 2;
export const NFTA_CMP_DATA = 3;
export const NFT_CMP_EQ = 0;
export const NFT_CMP_NEQ = 1;

export const NFTA_BITWISE_SREG = 1;
export const NFTA_BITWISE_DREG = 2;
export const NFTA_BITWISE_LEN = 3;
export const NFTA_BITWISE_MASK = 4;
export const NFTA_BITWISE_XOR = 5;

export const NFTA_CT_DREG = 1;
export const NFTA_CT_KEY = 2;
export const NFT_CT_STATE = 0;
export const NFT_CT_STATUS = 2;
export const IPS_DST_NAT = 32;

export const NFTA_LOOKUP_SET = 1;
export const NFTA_LOOKUP_SREG = 2;
export const NFTA_LOOKUP_DREG = 3;
export const NFTA_LOOKUP_FLAGS = 5;
export const NFT_LOOKUP_F_INV = 1;

export const NFTA_FIB_DREG = 1;
export const NFTA_FIB_RESULT = 2;
export const NFTA_FIB_FLAGS = 3;
export const NFT_FIB_RESULT_ADDRTYPE = 3;
export const NFTA_FIB_F_DADDR = 2;

export const NFTA_NAT_TYPE = 1;
export const NFTA_NAT_FAMILY = 2;
export const NFTA_NAT_REG_ADDR_MIN = 3;
export const NFTA_NAT_REG_PROTO_MIN = 5;
export const NFT_NAT_SNAT = 0;
export const NFT_NAT_DNAT = 1;

export const NFTA_IMMEDIATE_DREG = 1;
export const NFTA_IMMEDIATE_DATA = 2;
export const NFTA_REDIR_REG_PROTO_MIN = 1;

export type Expression = Attribute;

/** The n-th register of 4 bytes. */
export const register = (n: number) => NFT_REG32_00 + n;

function expression(name: string, attributes: Attribute[]): Expression {
	return [
		NFTA_LIST_ELEM,
		[
			[NFTA_EXPR_NAME, name],
			[NFTA_EXPR_DATA, attributes],
		],
	];
}

const data = (bytes: Uint8Array): Attribute[] => [[NFTA_DATA_VALUE, bytes]];

/** Loads a fact of the packet (NFT_META_*) into a register. */
export function meta(key: number, to: number): Expression {
	return expression("meta", [
		[NFTA_META_KEY, be32(key)],
		[NFTA_META_DREG, be32(to)],
	]);
}

/** Loads bytes of a header (NFT_PAYLOAD_*_HEADER). */
export function payload(base: number, offset: number, length: number, to: number): Expression {
	return expression("payload", [
		[NFTA_PAYLOAD_DREG, be32(to)],
		[NFTA_PAYLOAD_BASE, be32(base)],
		[NFTA_PAYLOAD_OFFSET, be32(offset)],
		[NFTA_PAYLOAD_LEN, be32(length)],
	]);
}

/** The rule goes on if the register is (NFT_CMP_EQ) or is not (NFT_CMP_NEQ) the bytes. */
export function cmp(register: number, operation: number, bytes: Uint8Array): Expression {
	return expression("cmp", [
		[NFTA_CMP_SREG, be32(register)],
		[NFTA_CMP_OP, be32(operation)],
		[NFTA_CMP_DATA, data(bytes)],
	]);
}

/** The register's bytes `& mask`. */
export function bitwiseAnd(register: number, mask: Uint8Array): Expression {
	return expression("bitwise", [
		[NFTA_BITWISE_SREG, be32(register)],
		[NFTA_BITWISE_DREG, be32(register)],
		[NFTA_BITWISE_LEN, be32(mask.length)],
		[NFTA_BITWISE_MASK, data(mask)],
		[NFTA_BITWISE_XOR, data(new Uint8Array(mask.length))],
	]);
}

/** Loads a fact of the packet's connection (NFT_CT_*). */
export function ct(key: number, to: number): Expression {
	return expression("ct", [
		[NFTA_CT_KEY, be32(key)],
		[NFTA_CT_DREG, be32(to)],
	]);
}

/**
 * Looks for the key that begins in a register; the rule goes on if it is (or, `inverted`, is not) in the set. `to`: where a
 * map's value goes, NFT_REG_VERDICT for a verdict map.
 */
export function lookup(set: string, register: number, { to, inverted = false }: { to?: number; inverted?: boolean } = {}): Expression {
	const attributes: Attribute[] = [
		[NFTA_LOOKUP_SET, set],
		[NFTA_LOOKUP_SREG, be32(register)],
	];
	if (to !== undefined) attributes.push([NFTA_LOOKUP_DREG, be32(to)]);
	if (inverted) attributes.push([NFTA_LOOKUP_FLAGS, be32(NFT_LOOKUP_F_INV)]);
	return expression("lookup", attributes);
}

/** Loads the kind (RTN_*) that the routing table has for the destination. */
export function fibDestinationType(to: number): Expression {
	return expression("fib", [
		[NFTA_FIB_DREG, be32(to)],
		[NFTA_FIB_RESULT, be32(NFT_FIB_RESULT_ADDRTYPE)],
		[NFTA_FIB_FLAGS, be32(NFTA_FIB_F_DADDR)],
	]);
}

/** `accept`, `drop`, `return`, `jump CHAIN`, `goto CHAIN`. */
export function verdict(text: string): Expression {
	return expression("immediate", [
		[NFTA_IMMEDIATE_DREG, be32(NFT_REG_VERDICT)],
		[NFTA_IMMEDIATE_DATA, verdictData(text)],
	]);
}

/** Loads bytes. */
export function immediate(bytes: Uint8Array, to: number): Expression {
	return expression("immediate", [
		[NFTA_IMMEDIATE_DREG, be32(to)],
		[NFTA_IMMEDIATE_DATA, data(bytes)],
	]);
}

/** Translates the destination (NFT_NAT_DNAT) or source (NFT_NAT_SNAT) to the address, and port if given, in registers. `family`: NFPROTO_IPV4 or _IPV6. */
export function nat(kind: number, family: number, address: number, port?: number): Expression {
	const attributes: Attribute[] = [
		[NFTA_NAT_TYPE, be32(kind)],
		[NFTA_NAT_FAMILY, be32(family)],
		[NFTA_NAT_REG_ADDR_MIN, be32(address)],
	];
	if (port !== undefined) attributes.push([NFTA_NAT_REG_PROTO_MIN, be32(port)]);
	return expression("nat", attributes);
}

export function masquerade(): Expression {
	return expression("masq", []);
}

/** To this machine's own address, at the port in a register. */
export function redirect(port: number): Expression {
	return expression("redir", [[NFTA_REDIR_REG_PROTO_MIN, be32(port)]]);
}

export function counter(): Expression {
	return expression("counter", []);
}
