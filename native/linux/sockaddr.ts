/** Socket addresses: man 7 ip, ipv6, unix, netlink, packet, vsock; and internet addresses as people write them. */
import * as host from "#host";
import { struct } from "./struct.ts";

export const AF_UNSPEC = 0;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const AF_VSOCK = 40;

export const sockaddrIn = /* @__PURE__ */ struct([
	["sin_family", "u16"],
	["sin_port", "be16"],
	["sin_addr", "u8[4]"],
	["sin_zero", "u8[8]"],
]);

export const sockaddrIn6 = /* @__PURE__ */ struct([
	["sin6_family", "u16"],
	["sin6_port", "be16"],
	["sin6_flowinfo", "be32"],
	["sin6_addr", "u8[16]"],
	["sin6_scope_id", "u32"],
]);

export const sockaddrUn = /* @__PURE__ */ struct([
	["sun_family", "u16"],
	["sun_path", "u8[108]"],
]);

export const sockaddrNl = /* @__PURE__ */ struct([
	["nl_family", "u16"],
	["nl_pad", "u16"],
	["nl_pid", "u32"],
	["nl_groups", "u32"],
]);

export const sockaddrLl = /* @__PURE__ */ struct([
	["sll_family", "u16"],
	["sll_protocol", "be16"],
	["sll_ifindex", "s32"],
	["sll_hatype", "u16"],
	["sll_pkttype", "u8"],
	["sll_halen", "u8"],
	["sll_addr", "u8[8]"],
]);

export const sockaddrVm = /* @__PURE__ */ struct([
	["svm_family", "u16"],
	["svm_reserved1", "u16"],
	["svm_port", "u32"],
	["svm_cid", "u32"],
	["svm_flags", "u8"],
	["svm_zero", "u8[3]"],
]);

/** The longest sockaddr there is: struct sockaddr_storage. */
export const SOCKADDR_STORAGE_SIZE = 128;

/** An address of a socket, by its family. */
export type SocketAddress =
	| { family: typeof AF_INET; address: string; port: number }
	/** `scope`: the index of the interface that a link-local address is on. */
	| { family: typeof AF_INET6; address: string; port: number; scope?: number; flowinfo?: number }
	/** `path`: "" for a socket without a name; a first NUL makes it a name of the abstract namespace. */
	| { family: typeof AF_UNIX; path: string }
	/** `pid`: the port id, 0 for the kernel. `groups`: a bit mask of the first 32 multicast groups. */
	| { family: typeof AF_NETLINK; pid: number; groups: number }
	/** `protocol`: an ETH_P_*; `address`: the hardware address, up to 8 bytes. */
	| { family: typeof AF_PACKET; protocol: number; ifindex: number; hatype?: number; pkttype?: number; address?: Uint8Array }
	| { family: typeof AF_VSOCK; cid: number; port: number };

/** The address as the kernel takes it. Throws RangeError on one that cannot be: a malformed or too long one. */
export function encodeAddress(address: SocketAddress): Uint8Array {
	switch (address.family) {
		case AF_INET:
			return sockaddrIn.pack({ sin_family: AF_INET, sin_port: address.port, sin_addr: inetBytes(address.address, 4) });
		case AF_INET6:
			return sockaddrIn6.pack({
				sin6_family: AF_INET6,
				sin6_port: address.port,
				sin6_flowinfo: address.flowinfo ?? 0,
				sin6_addr: inetBytes(address.address, 16),
				sin6_scope_id: address.scope ?? 0,
			});
		case AF_UNIX: {
			const path = new Uint8Array(host.encode(address.path));
			const isAbstract = path[0] === 0;
			if (!isAbstract && path.includes(0)) throw new RangeError("a socket's path with a NUL in it");
			/* The kernel closes a path by itself; an abstract name is as long as it is given. */
			if (path.length > sockaddrUn.size - 2) throw new RangeError(`a socket's path of more than ${sockaddrUn.size - 2} bytes`);
			return sockaddrUn.pack({ sun_family: AF_UNIX, sun_path: path }).subarray(0, 2 + path.length);
		}
		case AF_NETLINK:
			return sockaddrNl.pack({ nl_family: AF_NETLINK, nl_pid: address.pid, nl_groups: address.groups });
		case AF_PACKET:
			return sockaddrLl.pack({
				sll_family: AF_PACKET,
				sll_protocol: address.protocol,
				sll_ifindex: address.ifindex,
				sll_hatype: address.hatype ?? 0,
				sll_pkttype: address.pkttype ?? 0,
				sll_halen: address.address?.length ?? 0,
				sll_addr: address.address ?? new Uint8Array(0),
			});
		case AF_VSOCK:
			return sockaddrVm.pack({ svm_family: AF_VSOCK, svm_port: address.port, svm_cid: address.cid });
	}
}

/** An address from the kernel, of `length` bytes at `at`; undefined where it is none, or of a family that is not above. */
export function decodeAddress(bytes: Uint8Array, length = bytes.length, at = 0): SocketAddress | undefined {
	if (length < 2 || at + length > bytes.length) return undefined;
	const family = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
	const known = bytes.subarray(at, at + length);
	if (family === AF_INET && length >= sockaddrIn.size) {
		const { sin_port, sin_addr } = sockaddrIn.unpack(known);
		return { family, address: formatInet(sin_addr), port: sin_port };
	}
	if (family === AF_INET6 && length >= sockaddrIn6.size - 4) {
		const { sin6_port, sin6_addr, sin6_scope_id, sin6_flowinfo } = sockaddrIn6.unpack(known);
		return { family, address: formatInet(sin6_addr), port: sin6_port, scope: sin6_scope_id, flowinfo: sin6_flowinfo };
	}
	if (family === AF_UNIX) {
		let end = length;
		/* A path may come with its NUL or without; an abstract name may have any byte in it. */
		if (length > 2 && known[2] !== 0) while (end > 2 && known[end - 1] === 0) end--;
		return { family, path: host.decode(known, 2, end) };
	}
	if (family === AF_NETLINK && length >= sockaddrNl.size) {
		const { nl_pid, nl_groups } = sockaddrNl.unpack(known);
		return { family, pid: nl_pid, groups: nl_groups };
	}
	if (family === AF_PACKET && length >= sockaddrLl.offset.sll_addr) {
		/* Cut to what was given: the hardware address may be shorter than the field. */
		const whole = new Uint8Array(sockaddrLl.size);
		whole.set(known.subarray(0, whole.length));
		const s = sockaddrLl.unpack(whole);
		return {
			family,
			protocol: s.sll_protocol,
			ifindex: s.sll_ifindex,
			hatype: s.sll_hatype,
			pkttype: s.sll_pkttype,
			address: s.sll_addr.slice(0, s.sll_halen),
		};
	}
	if (family === AF_VSOCK && length >= sockaddrVm.size) {
		const { svm_cid, svm_port } = sockaddrVm.unpack(known);
		return { family, cid: svm_cid, port: svm_port };
	}
	return undefined;
}

/** For people: `10.0.0.1:80`, `[fe80::1%2]:80`, a path, `@abstract`, `netlink:PID`, `packet:IFINDEX`, `vsock:CID:PORT`. */
export function formatAddress(address: SocketAddress): string {
	switch (address.family) {
		case AF_INET:
			return `${address.address}:${address.port}`;
		case AF_INET6:
			return `[${address.address}${address.scope ? `%${address.scope}` : ""}]:${address.port}`;
		case AF_UNIX:
			return address.path.startsWith("\0") ? `@${address.path.slice(1)}` : address.path;
		case AF_NETLINK:
			return `netlink:${address.pid}`;
		case AF_PACKET:
			return `packet:${address.ifindex}`;
		case AF_VSOCK:
			return `vsock:${address.cid}:${address.port}`;
	}
}

/** The socket address of an internet address and a port. Throws RangeError where it is no address. */
export function inetSocketAddress(address: string, port: number): SocketAddress {
	const bytes = parseInet(address);
	if (!bytes) throw new RangeError(`"${address}" is not an internet address`);
	return bytes.length === 4 ? { family: AF_INET, address, port } : { family: AF_INET6, address, port };
}

function inetBytes(text: string, length: 4 | 16): Uint8Array {
	const bytes = parseInet(text);
	if (bytes?.length !== length) throw new RangeError(`"${text}" is not an IPv${length === 4 ? 4 : 6} address`);
	return bytes;
}

/** The 4 or 16 bytes of an internet address as inet_pton(3) reads it; undefined if it is none. No zone, no leading zeros. */
export function parseInet(text: string): Uint8Array | undefined {
	return text.includes(":") ? parseInet6(text) : parseInet4(text);
}

function parseInet4(text: string): Uint8Array | undefined {
	const parts = text.split(".");
	/* inet_pton(3) refuses leading zeros too: to some programs they make an octal number. */
	if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return undefined;
	return Uint8Array.from(parts, Number);
}

function parseInet6(text: string): Uint8Array | undefined {
	const halves = text.split("::");
	if (halves.length > 2) return undefined;
	const [before, after] = halves.map((half, i) => groupsOf(half, i === halves.length - 1));
	if (!before || (halves.length === 2 && !after)) return undefined;
	const count = before.length + (after?.length ?? 0);
	/* "::" stands for one group of zeros at least. */
	if (halves.length === 2 ? count > 7 : count !== 8) return undefined;
	const groups = [...before, ...new Array<number>(8 - count).fill(0), ...(after ?? [])];
	return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** The 16-bit groups of a part of an IPv6 address; the last part may end in an IPv4 address. */
function groupsOf(text: string, isLast: boolean): number[] | undefined {
	if (text === "") return [];
	const words = text.split(":");
	const groups: number[] = [];
	for (let i = 0; i < words.length; i++) {
		const word = words[i] as string;
		if (/^[0-9a-f]{1,4}$/i.test(word)) groups.push(Number.parseInt(word, 16));
		else {
			const inner = isLast && i === words.length - 1 ? parseInet4(word) : undefined;
			if (!inner) return undefined;
			groups.push(((inner[0] as number) << 8) | (inner[1] as number), ((inner[2] as number) << 8) | (inner[3] as number));
		}
	}
	return groups;
}

/** 4 or 16 bytes as an internet address, IPv6 as RFC 5952 has it and inet_ntop(3) writes it. */
export function formatInet(bytes: Uint8Array): string {
	if (bytes.length === 4) return bytes.join(".");
	const groups: number[] = [];
	for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] as number) << 8) | (bytes[i + 1] as number));
	/* IPv4-mapped and IPv4-compatible ones are written with their IPv4 address. */
	const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
	const isCompatible = groups.slice(0, 6).every((group) => group === 0) && groups[6] !== 0;
	if (isMapped || isCompatible) return `::${isMapped ? "ffff:" : ""}${bytes.slice(12).join(".")}`;
	/* The longest run of zeros, the first of equal ones, two groups at least, becomes "::". */
	let best = 0;
	let bestLength = 1;
	for (let i = 0; i < 8; i++) {
		let length = 0;
		while (i + length < 8 && groups[i + length] === 0) length++;
		if (length > bestLength) {
			best = i;
			bestLength = length;
		}
		i += length;
	}
	const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
	return bestLength < 2 ? hex(groups) : `${hex(groups.slice(0, best))}::${hex(groups.slice(best + bestLength))}`;
}
