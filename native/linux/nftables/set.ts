/**
 * Sets, maps and verdict maps of nf_tables, with intervals and concatenations.
 *
 * A key is a list of fields. In a concatenation each field is padded to 4 bytes. Its intervals have a first and a last key
 * (NFTA_SET_ELEM_KEY, _KEY_END, both in it; Linux 5.6); those of a single field are two elements: the first, and the one behind the
 * last with NFT_SET_ELEM_INTERVAL_END.
 */
import { type Attribute, be32 } from "../netlink/attribute.ts";
import { attributesOf, NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import type { Netlink, Request } from "../netlink/request.ts";
import { type Family, nfgenmsg, nftDump, nftRequest } from "./transaction.ts";
import { readVerdict, verdictData } from "./verdict.ts";

export const NFT_MSG_NEWSET = 9;
export const NFT_MSG_GETSET = 10;
export const NFT_MSG_DELSET = 11;
export const NFT_MSG_NEWSETELEM = 12;
export const NFT_MSG_GETSETELEM = 13;
export const NFT_MSG_DELSETELEM = 14;

export const NFTA_SET_TABLE = 1;
export const NFTA_SET_NAME = 2;
export const NFTA_SET_FLAGS = 3;
export const NFTA_SET_KEY_TYPE = 4;
export const NFTA_SET_KEY_LEN = 5;
export const NFTA_SET_DATA_TYPE = 6;
export const NFTA_SET_DATA_LEN = 7;
export const NFTA_SET_DESC = 9;
export const NFTA_SET_ID = 10;
export const NFTA_SET_USERDATA = 13;
export const NFTA_SET_DESC_CONCAT = 2;
export const NFTA_SET_FIELD_LEN = 1;

export const NFT_SET_INTERVAL = 4;
export const NFT_SET_MAP = 8;
export const NFT_SET_CONCAT = 128;
export const NFT_DATA_VERDICT = 4294967040;
export const NFTA_DATA_VALUE = 1;
export const NFTA_LIST_ELEM = 1;

export const NFTA_SET_ELEM_KEY = 1;
export const NFTA_SET_ELEM_DATA = 2;
export const NFTA_SET_ELEM_FLAGS = 3;
export const NFTA_SET_ELEM_KEY_END = 10;
export const NFT_SET_ELEM_INTERVAL_END = 1;

export const NFTA_SET_ELEM_LIST_TABLE = 1;
export const NFTA_SET_ELEM_LIST_SET = 2;
export const NFTA_SET_ELEM_LIST_ELEMENTS = 3;

/** The types of fields: their lengths in bytes, and the numbers by which nft(8) knows them (libnftables' enum datatypes). */
const types = {
	ipv4_addr: { length: 4, number: 7 },
	ipv6_addr: { length: 16, number: 8 },
	inet_proto: { length: 1, number: 12 },
	inet_service: { length: 2, number: 13 },
	ifname: { length: 16, number: 41 },
} as const;
export type DataType = keyof typeof types;

export interface SetDeclaration {
	family: Family;
	table: string;
	name: string;
	key: readonly DataType[];
	interval?: boolean;
	/** What a map gives: fields, or a verdict. */
	data?: readonly DataType[] | "verdict";
}

const padded = (length: number) => (length + 3) & ~3;

function lengthOf(fields: readonly DataType[]): number {
	if (fields.length === 1) return types[fields[0] as DataType].length;
	return fields.reduce((sum, field) => sum + padded(types[field].length), 0);
}

/** As nft(8) numbers a concatenation: 6 bits a type. */
const typeNumber = (fields: readonly DataType[]) => fields.reduce((number, field) => number * 64 + types[field].number, 0);

const typeText = ({ key, data }: SetDeclaration) =>
	`type ${key.join(" . ")}${data === undefined ? "" : ` : ${typeof data === "string" ? data : data.join(" . ")}`}`;

export function setAdd(set: SetDeclaration): Request {
	const { family, table, name, key, interval = false, data } = set;
	const isConcatenated = key.length > 1;
	const flags =
		(interval ? NFT_SET_INTERVAL : 0) | (data === undefined ? 0 : NFT_SET_MAP) | (isConcatenated && interval ? NFT_SET_CONCAT : 0);
	const attributes: Attribute[] = [
		[NFTA_SET_TABLE, table],
		[NFTA_SET_NAME, name],
		[NFTA_SET_FLAGS, be32(flags)],
		[NFTA_SET_KEY_TYPE, be32(typeNumber(key))],
		[NFTA_SET_KEY_LEN, be32(lengthOf(key))],
		[NFTA_SET_ID, be32(1)],
	];
	/* What nft(8) needs to show a key that is one name: libnftnl/udata.h, NFTNL_UDATA_SET_KEYBYTEORDER, 1 for the machine's. */
	attributes.push([NFTA_SET_USERDATA, new Uint8Array([0, 4, key.length === 1 && key[0] === "ifname" ? 1 : 2, 0, 0, 0])]);
	if (data === "verdict") attributes.push([NFTA_SET_DATA_TYPE, be32(NFT_DATA_VERDICT)]);
	else if (data) attributes.push([NFTA_SET_DATA_TYPE, be32(typeNumber(data))], [NFTA_SET_DATA_LEN, be32(lengthOf(data))]);
	if (isConcatenated && interval) {
		const fields = key.map((field): Attribute => [NFTA_LIST_ELEM, [[NFTA_SET_FIELD_LEN, be32(types[field].length)]]]);
		attributes.push([NFTA_SET_DESC, [[NFTA_SET_DESC_CONCAT, fields]]]);
	}
	return nftRequest(NFT_MSG_NEWSET, "NFT_MSG_NEWSET", family, attributes, {
		flags: NLM_F_CREATE,
		object: `${family} ${table} ${name}`,
		step: () =>
			`nft add ${data === undefined ? "set" : "map"} ${family} ${table} ${name} { ${typeText(set)};${interval ? " flags interval;" : ""} }`,
	});
}

/** One field of a key: its bytes, and those of the last of a range. */
export interface Field {
	from: Uint8Array;
	to?: Uint8Array;
}

export interface SetElement {
	key: readonly Field[];
	/** The fields of a map's value, or a verdict: `accept`, `drop`, `jump NAME`, `goto NAME`. */
	data?: readonly Uint8Array[] | string;
	/** How nft(8) writes it. */
	text: string;
}

function joinFields(fields: readonly Uint8Array[]): Uint8Array {
	if (fields.length === 1) return fields[0] as Uint8Array;
	const bytes = new Uint8Array(fields.reduce((sum, { length }) => sum + padded(length), 0));
	let at = 0;
	for (const field of fields) {
		bytes.set(field, at);
		at += padded(field.length);
	}
	return bytes;
}

/** The number behind that of the bytes; undefined behind the last. */
function next(bytes: Uint8Array): Uint8Array | undefined {
	const result = bytes.slice();
	for (let i = result.length - 1; i >= 0; i--) {
		result[i] = ((result[i] as number) + 1) & 0xff;
		if (result[i] !== 0) return result;
	}
	return undefined;
}

const value = (bytes: Uint8Array): Attribute[] => [[NFTA_DATA_VALUE, bytes]];

function elementAttributes(set: SetDeclaration, { key, data }: SetElement): Attribute[] {
	const first = joinFields(key.map(({ from }) => from));
	const last = joinFields(key.map(({ from, to }) => to ?? from));
	const body: Attribute[] = [[NFTA_SET_ELEM_KEY, value(first)]];
	const isPair = set.interval && key.length === 1;
	if (set.interval && !isPair) body.push([NFTA_SET_ELEM_KEY_END, value(last)]);
	if (typeof data === "string") body.push([NFTA_SET_ELEM_DATA, verdictData(data)]);
	else if (data) body.push([NFTA_SET_ELEM_DATA, value(joinFields(data))]);
	const list: Attribute[] = [[NFTA_LIST_ELEM, body]];
	const end = isPair ? next(last) : undefined;
	if (end)
		list.push([
			NFTA_LIST_ELEM,
			[
				[NFTA_SET_ELEM_KEY, value(end)],
				[NFTA_SET_ELEM_FLAGS, be32(NFT_SET_ELEM_INTERVAL_END)],
			],
		]);
	return list;
}

/* A list is one attribute, of 64 KiB at most. */
const chunk = 200;

function elementRequests(
	message: number,
	name: string,
	flags: number,
	verb: string,
	set: SetDeclaration,
	elements: readonly SetElement[],
): Request[] {
	const { family, table, name: setName } = set;
	const requests: Request[] = [];
	for (let from = 0; from < elements.length; from += chunk) {
		const part = elements.slice(from, from + chunk);
		const attributes: Attribute[] = [
			[NFTA_SET_ELEM_LIST_TABLE, table],
			[NFTA_SET_ELEM_LIST_SET, setName],
			[NFTA_SET_ELEM_LIST_ELEMENTS, part.flatMap((element) => elementAttributes(set, element))],
		];
		const text = () => part.map((element) => element.text).join(", ");
		requests.push(
			nftRequest(message, name, family, attributes, {
				flags,
				object: `${family} ${table} ${setName} { ${part.length > 3 ? `${part.length} elements` : text()} }`,
				step: () => `nft ${verb} element ${family} ${table} ${setName} { ${text()} }`,
			}),
		);
	}
	return requests;
}

/** Elements that must not be there yet, unless `exclusive` is false: then they may be, with the same value. */
export function elementsAdd(set: SetDeclaration, elements: readonly SetElement[], exclusive = true): Request[] {
	return elementRequests(
		NFT_MSG_NEWSETELEM,
		"NFT_MSG_NEWSETELEM",
		NLM_F_CREATE | (exclusive ? NLM_F_EXCL : 0),
		exclusive ? "create" : "add",
		set,
		elements,
	);
}

/** Elements that must be there: ENOENT. */
export function elementsDelete(set: SetDeclaration, elements: readonly SetElement[]): Request[] {
	const keys = elements.map(({ key, text }) => ({ key, text }));
	return elementRequests(NFT_MSG_DELSETELEM, "NFT_MSG_DELSETELEM", 0, "delete", set, keys);
}

/** An element as the kernel has it: key (and last key) as they are joined, value as bytes or verdict. */
export interface FoundElement {
	key: Uint8Array;
	keyEnd?: Uint8Array;
	isEnd: boolean;
	data?: Uint8Array | string;
}

/** What is in a set. Throws NetlinkError with ENOENT where there is no such set. */
export function elementsOf(netlink: Netlink, { family, table, name }: Pick<SetDeclaration, "family" | "table" | "name">): FoundElement[] {
	const attributes: Attribute[] = [
		[NFTA_SET_ELEM_LIST_TABLE, table],
		[NFTA_SET_ELEM_LIST_SET, name],
	];
	const found: FoundElement[] = [];
	for (const message of nftDump(netlink, NFT_MSG_GETSETELEM, "NFT_MSG_GETSETELEM", family, attributes, `${family} ${table} ${name}`)) {
		for (const entry of attributesOf(message, nfgenmsg.size).nested(NFTA_SET_ELEM_LIST_ELEMENTS)?.each() ?? []) {
			const element = entry.nested();
			const keyEnd = element.nested(NFTA_SET_ELEM_KEY_END)?.payload(NFTA_DATA_VALUE);
			const data = element.nested(NFTA_SET_ELEM_DATA);
			const bytes = data?.payload(NFTA_DATA_VALUE);
			found.push({
				key: element.nested(NFTA_SET_ELEM_KEY)?.payload(NFTA_DATA_VALUE) ?? new Uint8Array(0),
				...(keyEnd && { keyEnd }),
				isEnd: ((element.be32(NFTA_SET_ELEM_FLAGS) ?? 0) & NFT_SET_ELEM_INTERVAL_END) !== 0,
				...(data && { data: bytes ?? readVerdict(data) }),
			});
		}
	}
	return found;
}

/** True if an element is among those that were found. */
export function isAmong(set: SetDeclaration, { key }: SetElement, found: readonly FoundElement[]): boolean {
	const text = (bytes: Uint8Array) => bytes.join();
	const first = text(joinFields(key.map(({ from }) => from)));
	const last = text(joinFields(key.map(({ from, to }) => to ?? from)));
	const hasEnd = set.interval && key.length > 1;
	return found.some((one) => !one.isEnd && text(one.key) === first && (!hasEnd || text(one.keyEnd ?? one.key) === last));
}
