/** The ends of a connection: the client, as accept4(2) and recvmmsg(2) tell of it, and the sockets that go to the server. */
import { close } from "../../../native/linux/fd.ts";
import { AF_INET, AF_INET6, encodeAddress, inetSocketAddress, sockaddrIn, sockaddrIn6 } from "../../../native/linux/sockaddr.ts";
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
import { clientAddress } from "./client-address.ts";
import type { Port, Protocol } from "./port.ts";
import { proxyHeader } from "./proxy-protocol.ts";

const PROTOCOLS: Record<Protocol, number> = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP, sctp: IPPROTO_SCTP };

export interface PeerSettings {
	/** Clients that are let in; none given: all. */
	allow: Network[];
	proxyProtocol?: 1 | 2 | undefined;
	/** Servers see the client's address in place of the proxy's. */
	transparent: boolean;
}

/** What all ports of a proxy share. */
export interface Peers {
	/** Where the client's address is written, if anybody wants to know it. */
	readonly name: Uint8Array | null;
	/** Its room, for the next accept4(2). */
	resetNameLength(): Uint32Array | null;
	/** Whether the client in `name` is let in. */
	admits(): boolean;
	/** A socket for a server of the port; -errno where there is none. */
	take(port: Port): number;
	/** One that was not used. */
	keep(port: Port, fd: number): void;
	/** Binds it to the client's address, where that is asked for, and connects it to the server: 0, -EINPROGRESS or another -errno. */
	connect(port: Port, fd: number): number;
	/** What the server wants to see before the client's bytes; `client`: the accepted socket. */
	header(client: number): Uint8Array | undefined;
}

export function peers({ allow, proxyProtocol, transparent }: PeerSettings): Peers {
	const wantsName = allow.length > 0 || proxyProtocol !== undefined || transparent;
	const name = wantsName ? new Uint8Array(sockaddrIn6.size) : null;
	const nameLength = wantsName ? new Uint32Array(1) : null;
	/** Servers' addresses as connect(2) takes them; the port is written in before each. */
	const targets = new Map<string, Uint8Array>();
	/** A socket that was made before it was known that nobody comes. */
	let spare = -1;
	let spareOf: Port["mapping"] | undefined;

	function targetOf({ mapping }: Port): Uint8Array {
		let target = targets.get(mapping.address);
		if (!target) {
			target = encodeAddress(inetSocketAddress(mapping.address, 0));
			targets.set(mapping.address, target);
		}
		target[2] = mapping.port >> 8;
		target[3] = mapping.port;
		return target;
	}

	function make(proto: Protocol, family: number): number {
		const type = (proto === "udp" ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK;
		try {
			const made = socket(family, type, PROTOCOLS[proto]);
			/* Small segments go at once, as they came. */
			if (proto === "tcp") setsockopt(made, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
			return made;
		} catch (error) {
			if (error instanceof SysError) return -error.errno;
			throw error;
		}
	}

	return {
		name,
		resetNameLength() {
			if (nameLength) nameLength[0] = sockaddrIn6.size;
			return nameLength;
		},
		admits: () => allow.length === 0 || name === null || isIn(allow, clientAddress(name)),
		take(port) {
			const { mapping } = port;
			if (spare >= 0) {
				const taken = spare;
				const fits = spareOf === mapping || (spareOf?.proto === mapping.proto && spareOf.address === mapping.address);
				spare = -1;
				if (fits) return taken;
				close(taken);
			}
			return make(mapping.proto, targetOf(port)[0] as number);
		},
		keep({ mapping }, fd) {
			if (spare >= 0) close(spare);
			spare = fd;
			spareOf = mapping;
		},
		connect(port, fd) {
			const target = targetOf(port);
			const bound = transparent && name ? bindTo(fd, name, target[0] as number) : 0;
			return bound < 0 ? bound : tryConnect(fd, target);
		},
		header: (client) => (proxyProtocol && name ? proxyHeader(proxyProtocol, name, client) : undefined),
	};
}

/** Binds to the client's own address and port: man 7 ip, IP_TRANSPARENT. */
function bindTo(server: number, name: Uint8Array, family: number): number {
	const address = clientAddress(name);
	const isIPv4 = address.length === 4;
	/* A client of one family cannot be the source of a connection of the other. */
	if (isIPv4 !== (family === AF_INET)) return 0;
	try {
		if (isIPv4) setsockopt(server, IPPROTO_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT");
		else setsockopt(server, IPPROTO_IPV6, IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT");
	} catch (error) {
		if (error instanceof SysError) return -error.errno;
		throw error;
	}
	const bytes = new Uint8Array(isIPv4 ? sockaddrIn.size : sockaddrIn6.size);
	bytes[0] = isIPv4 ? AF_INET : AF_INET6;
	bytes.set(name.subarray(2, 4), 2);
	bytes.set(address, isIPv4 ? sockaddrIn.offset.sin_addr : sockaddrIn6.offset.sin6_addr);
	return tryBind(server, bytes);
}
