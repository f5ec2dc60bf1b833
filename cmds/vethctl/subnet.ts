/** Subnets: what is in them, which overlap. Pure. */
import { formatInet, parseInet } from "../../native/linux/sockaddr.ts";
import { notA } from "../common/command-line/options.ts";

export interface Subnet {
	/** The network's own address, all host bits 0: 4 or 16 bytes. */
	address: Uint8Array;
	prefix: number;
}

export function isV4({ address }: Subnet): boolean {
	return address.length === 4;
}

/** `172.18.0.0/16`, also with host bits: the subnet that an address is in, and the address. Undefined if it is neither. */
export function parseInterface(text: string): { address: Uint8Array; subnet: Subnet } | undefined {
	const [first = "", length] = text.split("/");
	const address = parseInet(first);
	if (!address || (length !== undefined && !/^\d{1,3}$/.test(length)) || text.split("/").length > 2) return undefined;
	const prefix = length === undefined ? 8 * address.length : Number(length);
	if (prefix > 8 * address.length) return undefined;
	return { address, subnet: { address: address.map((byte, i) => byte & ~hostBits(prefix, i)), prefix } };
}

/** The host's bits in a byte of an address. */
function hostBits(prefix: number, i: number): number {
	return 0xff >> Math.max(0, Math.min(8, prefix - 8 * i));
}

/** A subnet, with its host bits 0. */
export function parseSubnet(text: string): Subnet | undefined {
	const read = text.includes("/") ? parseInterface(text) : undefined;
	return read && read.address.join() === read.subnet.address.join() ? read.subnet : undefined;
}

/** For an option table. */
export function subnet(text: string, option: string): string {
	if (parseSubnet(text)) return text;
	const meant = text.includes("/") ? parseInterface(text) : undefined;
	return notA(option, text, meant ? `a subnet: it should be ${formatSubnet(meant.subnet)}` : "a subnet (172.18.0.0/16, fd00:1::/64)");
}

/** For an option table: an address without a prefix. */
export function address(text: string, option: string): string {
	const bytes = parseInet(text);
	return bytes ? formatInet(bytes) : notA(option, text, "an IPv4 or IPv6 address");
}

export function formatSubnet({ address, prefix }: Subnet): string {
	return `${formatInet(address)}/${prefix}`;
}

export function contains({ address, prefix }: Subnet, other: Uint8Array): boolean {
	return other.length === address.length && other.every((byte, i) => (byte & ~hostBits(prefix, i)) === address[i]);
}

export function overlap(a: Subnet, b: Subnet): boolean {
	return a.prefix <= b.prefix ? contains(a, b.address) : contains(b, a.address);
}

/** How many addresses can be told apart by number: all of an IPv4 subnet, the first 2^32 of an IPv6 one. */
export function sizeOf({ address, prefix }: Subnet): number {
	return 2 ** Math.min(32, 8 * address.length - prefix);
}

/** The n-th address of a subnet. */
export function addressAt({ address }: Subnet, n: number): Uint8Array {
	const bytes = address.slice();
	let carry = n;
	for (let i = bytes.length - 1; i >= 0 && carry > 0; i--) {
		carry += bytes[i] as number;
		bytes[i] = carry % 256;
		carry = Math.floor(carry / 256);
	}
	return bytes;
}

/** The number of an address in its subnet; beyond 2^32 not exact. */
export function numberOf({ address, prefix }: Subnet, other: Uint8Array): number {
	return other.reduce((sum, byte, i) => sum * 256 + (byte & hostBits(prefix, i)), 0) * (address.length === other.length ? 1 : Number.NaN);
}

/** True for the addresses that no host has: the network's own, and IPv4's broadcast address. */
export function isReserved(subnet: Subnet, n: number): boolean {
	const size = sizeOf(subnet);
	if (size <= 2) return false;
	return n === 0 || (isV4(subnet) && n === size - 1);
}
