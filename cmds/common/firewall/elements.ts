/** Elements of the firewall's sets and maps, in words: `["172.18.0.2", "tcp", "8000-8010"]`. */

import type { DataType, Field, SetElement } from "../../../native/linux/nftables/set.ts";
import { parseInet } from "../../../native/linux/sockaddr.ts";
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from "../../../native/linux/socket.ts";
import { fail, show } from "../errors.ts";
import { type FirewallFamily, isSetName, type SetName, setOf } from "./layout.ts";

/** An element of a set, or with a value of a map. Parts of addresses and ports may be ranges, `A-B`, or networks, `A/N`. */
export interface Element {
	family: FirewallFamily;
	set: SetName;
	key: string[];
	/** A map's value: parts, or one verdict, `goto NAME`. */
	value?: string[];
}

const protocols: Record<string, number> = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP, sctp: IPPROTO_SCTP };

function wrong(text: string, noun: string): never {
	return fail(`firewall: ${show(text)} is not ${noun}`);
}

function address(text: string, length: number): Uint8Array {
	const bytes = parseInet(text);
	return bytes?.length === length ? bytes : wrong(text, length === 4 ? "an IPv4 address" : "an IPv6 address");
}

/** The first and the last address of a network. */
export function networkRange(bytes: Uint8Array, prefix: number): { from: Uint8Array; to: Uint8Array } {
	const mask = (i: number) => 0xff >> Math.max(0, Math.min(8, prefix - 8 * i));
	return { from: bytes.map((byte, i) => byte & ~mask(i)), to: bytes.map((byte, i) => byte | mask(i)) };
}

function addressField(text: string, length: number): Field {
	const slash = text.indexOf("/");
	if (slash >= 0) {
		const prefix = Number(text.slice(slash + 1));
		if (!/^\d+$/.test(text.slice(slash + 1)) || prefix > 8 * length) wrong(text, "a network");
		return networkRange(address(text.slice(0, slash), length), prefix);
	}
	const [first = "", last] = text.split("-");
	return last === undefined ? { from: address(first, length) } : { from: address(first, length), to: address(last, length) };
}

function port(text: string): Uint8Array {
	const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
	return number >= 0 && number <= 65535 ? new Uint8Array([number >> 8, number & 0xff]) : wrong(text, "a port");
}

function interfaceName(text: string): Uint8Array {
	if (text === "" || text.length > 15) wrong(text, "an interface's name (1 to 15 letters)");
	const bytes = new Uint8Array(16);
	for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
	return bytes;
}

function field(type: DataType, text: string): Field {
	if (type === "ipv4_addr") return addressField(text, 4);
	if (type === "ipv6_addr") return addressField(text, 16);
	if (type === "ifname") return { from: interfaceName(text) };
	if (type === "inet_proto") return { from: new Uint8Array([protocols[text] ?? wrong(text, "a protocol (tcp, udp, sctp)")]) };
	const [first = "", last] = text.split("-");
	return last === undefined ? { from: port(first) } : { from: port(first), to: port(last) };
}

/** An element as the kernel takes it. Fails on one that does not fit its set. */
export function elementOf({ family, set, key, value }: Element): SetElement {
	if (!isSetName(set)) return wrong(set, "a set of the firewall");
	const { key: types, data } = setOf(family, set);
	if (key.length !== types.length) wrong(key.join(" . "), `a key of ${set}`);
	const text = `${key.join(" . ")}${value === undefined ? "" : ` : ${value.join(" . ")}`}`;
	const fields = types.map((type, i) => field(type, key[i] as string));
	if (data === undefined || value === undefined) return { key: fields, text };
	if (data === "verdict") return { key: fields, data: value[0] as string, text };
	return { key: fields, data: data.map((type, i) => field(type, value[i] ?? "").from), text };
}
