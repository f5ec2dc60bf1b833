/** A published port as the proxy knows it: where it listens, where it leads to, and what has come through it. */

import { close } from "../../../native/linux/fd.ts";
import {
	AF_INET,
	AF_INET6,
	encodeAddress,
	inetSocketAddress,
	type SocketAddress,
	sockaddrIn,
	sockaddrIn6,
} from "../../../native/linux/sockaddr.ts";
import {
	IP_TRANSPARENT,
	IPPROTO_IP,
	IPPROTO_IPV6,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPV6_TRANSPARENT,
	SOCK_DGRAM,
	SOCK_NONBLOCK,
	SOCK_STREAM,
	setsockopt,
	socket,
	TCP_NODELAY,
	tryBind,
	tryConnect,
} from "../../../native/linux/socket.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { isIn, type Network } from "../networks.ts";
import { proxyHeader } from "./proxy-protocol.ts";

export type Protocol = "tcp" | "udp" | "sctp";

const PROTOCOLS: Record<Protocol, number> = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP, sctp: IPPROTO_SCTP };

/** One port, as it is published: an entry of the record's `ports` in the parts that the proxy needs. */
export interface Mapping {
	proto: Protocol;
	/** "" for all addresses of both families. */
	hostAddress: string;
	hostPort: number;
	/** Where connections are made to. */
	address: string;
	port: number;
}

export interface PortSettings {
	/** Clients that are let in; none given: all. */
	allow: Network[];
	proxyProtocol?: 1 | 2 | undefined;
	/** Servers see the client's address in place of the proxy's. */
	transparent: boolean;
}

export interface Port {
	readonly mapping: Mapping;
	/** `tcp 0.0.0.0:8080 -> 172.18.0.2:80` */
	readonly text: string;
	/** The listening socket. */
	fd: number;
	/** Where accept4(2) writes the client's address, if anybody wants it. */
	readonly name: Uint8Array | null;
	resetNameLength(): Uint32Array | null;
	/** Whether the client whose address is in `name` is let in. */
	admits(): boolean;
	/** A socket to connect with; -errno where there is none. */
	takeSocket(): number;
	/** One that was not used. */
	keepSocket(fd: number): void;
	/** Binds a socket to the client's address, where that is asked for: 0, or -errno. */
	prepare(fd: number): number;
	/** Connects it to the server: 0, -EINPROGRESS, or another -errno. */
	connect(fd: number): number;
	/** The header that the server wants to see before the client's bytes. */
	header: ((client: number) => Uint8Array) | undefined;
	pause(): void;
	resume(): void;
	/** Gives back what was kept for the next connection. */
	close(): void;
	/** Connections or flows: now, and since the start; those refused by the server, not let in, idle too long, reset. */
	open: number;
	accepted: number;
	refused: number;
	denied: number;
	timedOut: number;
	resets: number;
	/** Bytes from clients, and to them. */
	bytesIn: number;
	bytesOut: number;
	/** Datagrams from clients, to them, and those that could not be passed on. */
	datagramsIn: number;
	datagramsOut: number;
	dropped: number;
}

export function formatMapping({ proto, hostAddress, hostPort, address, port }: Mapping): string {
	const at = (host: string, number: number) => `${host.includes(":") ? `[${host}]` : host || "*"}:${number}`;
	return `${proto} ${at(hostAddress, hostPort)} -> ${at(address, port)}`;
}

/** `watch` is called with true or false as the port is to be listened to or not. */
export function makePort(mapping: Mapping, fd: number, settings: PortSettings, watch: (on: boolean) => void): Port {
	const to = inetSocketAddress(mapping.address, mapping.port);
	const target = encodeAddress(to);
	const type = (mapping.proto === "udp" ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK;
	const protocol = PROTOCOLS[mapping.proto];
	const wantsName = settings.allow.length > 0 || settings.proxyProtocol !== undefined || settings.transparent;
	const name = wantsName ? new Uint8Array(sockaddrIn6.size) : null;
	const nameLength = wantsName ? new Uint32Array(1) : null;
	/** A socket that was made before it was known that nobody comes. */
	let spare = -1;
	return {
		mapping,
		text: formatMapping(mapping),
		fd,
		name,
		resetNameLength() {
			if (nameLength) nameLength[0] = sockaddrIn6.size;
			return nameLength;
		},
		admits: () => settings.allow.length === 0 || name === null || isIn(settings.allow, clientAddress(name)),
		takeSocket() {
			if (spare >= 0) {
				const taken = spare;
				spare = -1;
				return taken;
			}
			try {
				const made = socket(to.family, type, protocol);
				/* Small segments go at once, as they came. */
				if (protocol === IPPROTO_TCP) setsockopt(made, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
				return made;
			} catch (error) {
				if (error instanceof SysError) return -error.errno;
				throw error;
			}
		},
		keepSocket(unused) {
			if (spare >= 0) close(spare);
			spare = unused;
		},
		prepare: (server) => (settings.transparent && name ? bindTo(server, name, to) : 0),
		connect: (server) => tryConnect(server, target),
		header: settings.proxyProtocol && name ? (client) => proxyHeader(settings.proxyProtocol as 1 | 2, name, client) : undefined,
		pause: () => watch(false),
		resume: () => watch(true),
		close() {
			if (spare >= 0) close(spare);
			spare = -1;
		},
		open: 0,
		accepted: 0,
		refused: 0,
		denied: 0,
		timedOut: 0,
		resets: 0,
		bytesIn: 0,
		bytesOut: 0,
		datagramsIn: 0,
		datagramsOut: 0,
		dropped: 0,
	};
}

/** The address in a sockaddr, an IPv4-mapped one as IPv4. */
export function clientAddress(name: Uint8Array): Uint8Array {
	if (name[0] === AF_INET) return name.subarray(sockaddrIn.offset.sin_addr, sockaddrIn.offset.sin_addr + 4);
	const at = sockaddrIn6.offset.sin6_addr;
	const address = name.subarray(at, at + 16);
	return isMapped(address) ? address.subarray(12) : address;
}

function isMapped(address: Uint8Array): boolean {
	for (let i = 0; i < 10; i++) if (address[i] !== 0) return false;
	return address[10] === 255 && address[11] === 255;
}

/** Binds to the client's own address and port: man 7 ip, IP_TRANSPARENT. */
function bindTo(server: number, name: Uint8Array, to: SocketAddress): number {
	const address = clientAddress(name);
	const isIPv4 = address.length === 4;
	/* A client of one family cannot be the source of a connection of the other. */
	if (isIPv4 !== (to.family === AF_INET)) return 0;
	if (isIPv4) setsockopt(server, IPPROTO_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT");
	else setsockopt(server, IPPROTO_IPV6, IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT");
	const bytes = new Uint8Array(isIPv4 ? sockaddrIn.size : sockaddrIn6.size);
	bytes[0] = isIPv4 ? AF_INET : AF_INET6;
	bytes.set(name.subarray(2, 4), 2);
	bytes.set(address, isIPv4 ? sockaddrIn.offset.sin_addr : sockaddrIn6.offset.sin6_addr);
	return tryBind(server, bytes);
}
