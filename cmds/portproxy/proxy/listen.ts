/** Opening the sockets that clients come to. The bind is the allocation of a port: who has the socket has the port. */
import { EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from "../../../native/linux/errno.ts";
import { close } from "../../../native/linux/fd.ts";
import { AF_INET, AF_INET6, inetSocketAddress, type SocketAddress } from "../../../native/linux/sockaddr.ts";
import {
	bind,
	getsockname,
	IP_PKTINFO,
	IPPROTO_IP,
	IPPROTO_IPV6,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPV6_RECVPKTINFO,
	IPV6_V6ONLY,
	listen,
	SO_KEEPALIVE,
	SO_REUSEADDR,
	SOCK_DGRAM,
	SOCK_NONBLOCK,
	SOCK_STREAM,
	SOL_SOCKET,
	setsockopt,
	socket,
	TCP_NODELAY,
} from "../../../native/linux/socket.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { holderOf } from "../holder.ts";
import type { Protocol } from "./port.ts";

/** As many connections as net.core.somaxconn allows may wait to be accepted. */
const BACKLOG = 4096;

/** Opens a socket at an address ("" for all of both families) and port (0: the kernel chooses). Fails by saying who has the port. */
export function openListener(proto: Protocol, address: string, port: number): { fd: number; port: number } {
	if (address !== "") return openAt(proto, inetSocketAddress(address, port), true);
	try {
		return openAt(proto, inetSocketAddress("::", port), false);
	} catch (error) {
		/* A kernel or namespace without IPv6. */
		if (!(error instanceof SysError && (error.errno === EAFNOSUPPORT || error.errno === EADDRNOTAVAIL))) throw error;
		return openAt(proto, inetSocketAddress("0.0.0.0", port), true);
	}
}

function openAt(proto: Protocol, address: SocketAddress, isV6Only: boolean): { fd: number; port: number } {
	const fd = make(proto, address.family);
	try {
		if (address.family === AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, isV6Only ? 1 : 0, "IPV6_V6ONLY");
		if (proto === "udp") prepareDatagrams(fd, address);
		else prepareStream(fd, proto);
		bind(fd, address);
		if (proto !== "udp") listen(fd, BACKLOG);
		return { fd, port: (getsockname(fd) as { port: number }).port };
	} catch (error) {
		close(fd);
		if (error instanceof SysError && error.errno === EADDRINUSE) {
			const { address: host, port } = address as { address: string; port: number };
			const holder = holderOf(proto, port);
			fail(`${proto} port ${port}${host === "::" && !isV6Only ? "" : ` of ${host}`}: already in use${holder ? ` by ${holder}` : ""}`);
		}
		throw error;
	}
}

function make(proto: Protocol, family: number): number {
	if (proto === "udp") return socket(family, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP);
	if (proto === "tcp") return socket(family, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP);
	try {
		return socket(family, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_SCTP);
	} catch (error) {
		if (error instanceof SysError && (error.errno === EPROTONOSUPPORT || error.errno === ESOCKTNOSUPPORT))
			fail("sctp: this kernel does not have it", "it is in the module sctp: modprobe sctp");
		throw error;
	}
}

/** What the connections of a listening socket inherit. */
function prepareStream(fd: number, proto: Protocol) {
	/* Connections of before that linger in TIME_WAIT do not keep us from the port. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
	if (proto === "tcp") setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
}

/** A socket of several addresses has to be told which of them a datagram was sent to, to answer from there. */
function prepareDatagrams(fd: number, address: SocketAddress) {
	if (address.family === AF_INET) setsockopt(fd, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO");
	else setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO");
}
