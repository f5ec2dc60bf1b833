/**
 * Sockets: man 2 socket, bind, listen, accept4, connect, getsockopt, send, recv; man 7 socket, ip, ipv6, tcp, udp.
 *
 * Addresses are in sockaddr.ts, messages with control data and batches of them in sockmsg.ts. The functions called `try…`
 * return what the kernel returned, -errno included, and allocate nothing: they are for what is done a million times.
 */
import { EAGAIN, EISCONN } from "./errno.ts";
import * as nr from "./nr.ts";
import { decodeAddress, encodeAddress, formatAddress, SOCKADDR_STORAGE_SIZE, type SocketAddress } from "./sockaddr.ts";
import { struct } from "./struct.ts";
import { call, SysError, tryCall } from "./syscall.ts";

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

export const IPPROTO_IP = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_SCTP = 132;

export const SOL_SOCKET = 1;
export const SOL_PACKET = 263;
export const SOL_NETLINK = 270;

export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_ERROR = 4;
export const SO_BROADCAST = 6;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_KEEPALIVE = 9;
export const SO_LINGER = 13;
export const SO_REUSEPORT = 15;
export const SO_PASSCRED = 16;
export const SO_PEERCRED = 17;
export const SO_BINDTODEVICE = 25;
export const SO_ACCEPTCONN = 30;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;

export const IP_PKTINFO = 8;
export const IP_RECVERR = 11;
export const IP_FREEBIND = 15;
export const IP_TRANSPARENT = 19;
export const IP_BIND_ADDRESS_NO_PORT = 24;
export const IPV6_V6ONLY = 26;
export const IPV6_RECVERR = 25;
export const IPV6_RECVPKTINFO = 49;
export const IPV6_PKTINFO = 50;
export const IPV6_TRANSPARENT = 75;
export const IPV6_FREEBIND = 78;

export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_DEFER_ACCEPT = 9;
export const TCP_QUICKACK = 12;
export const TCP_USER_TIMEOUT = 18;
export const TCP_FASTOPEN_CONNECT = 30;

export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;

export const MSG_PEEK = 2;
export const MSG_CTRUNC = 8;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_EOR = 0x80;
export const MSG_WAITALL = 0x100;
export const MSG_ERRQUEUE = 0x2000;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_MORE = 0x8000;
export const MSG_WAITFORONE = 0x10000;
export const MSG_CMSG_CLOEXEC = 0x40000000;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

/** include/uapi/linux/sockios.h: opens the network namespace of a socket. Linux 4.10; needs CAP_NET_ADMIN in it. */
export const SIOCGSKNS = 0x894c;
/** How many bytes are in a socket's or a pipe's queue: unread, and not yet acknowledged (SIOCINQ and SIOCOUTQ of man 7 tcp). */
export const FIONREAD = 0x541b;
export const TIOCOUTQ = 0x5411;

/** man 7 socket, SO_LINGER: on with 0 seconds, a close resets the connection. */
export const linger = /* @__PURE__ */ struct([
	["l_onoff", "s32"],
	["l_linger", "s32"],
]);

/** man 7 unix, SO_PEERCRED and SCM_CREDENTIALS. */
export const ucred = /* @__PURE__ */ struct([
	["pid", "s32"],
	["uid", "u32"],
	["gid", "u32"],
]);

/** socket(2), closed by an exec; `type` may have SOCK_NONBLOCK. */
export function socket(family: number, type: number, protocol = 0): number {
	return call("socket", nr.SYS_socket, family, type | SOCK_CLOEXEC, protocol);
}

/** Two connected sockets, closed by an exec: man 2 socketpair. */
export function socketpair(family: number, type: number, protocol = 0): [number, number] {
	const ends = new Int32Array(2);
	call("socketpair", nr.SYS_socketpair, family, type | SOCK_CLOEXEC, protocol, ends);
	return [ends[0] as number, ends[1] as number];
}

/** Throws SysError whose object is the address. */
export function bind(fd: number, address: SocketAddress) {
	const result = tryBind(fd, encodeAddress(address));
	if (result < 0) throw new SysError("bind", -result, formatAddress(address));
}

/** bind(2): 0 or -errno. `address` as `encodeAddress` made it. */
export function tryBind(fd: number, address: Uint8Array): number {
	return tryCall("bind", nr.SYS_bind, fd, address, address.length);
}

/** `backlog`: how many connections wait to be accepted, at most net.core.somaxconn. */
export function listen(fd: number, backlog: number) {
	call("listen", nr.SYS_listen, fd, backlog);
}

/** connect(2): 0, or -EINPROGRESS where a nonblocking socket has begun to. `address` as `encodeAddress` made it. */
export function tryConnect(fd: number, address: Uint8Array): number {
	return tryCall("connect", nr.SYS_connect, fd, address, address.length);
}

/** Waits until it is connected. Throws SysError whose object is the address. */
export function connect(fd: number, address: SocketAddress) {
	const result = tryConnect(fd, encodeAddress(address));
	/* A call that a signal interrupted goes on by itself; made again, it says that it is done. */
	if (result < 0 && result !== -EISCONN) throw new SysError("connect", -result, formatAddress(address));
}

/** Dissolves what connect(2) made of a datagram socket. */
export function disconnect(fd: number) {
	call("connect", nr.SYS_connect, fd, new Uint8Array(16), 16);
}

/**
 * accept4(2): the new descriptor, or -errno. `name`, where given, takes the peer's address; `nameLength[0]` must be its
 * room before, and is the address's length after.
 */
export function tryAccept(fd: number, flags: number, name: Uint8Array | null = null, nameLength: Uint32Array | null = null): number {
	return tryCall("accept4", nr.SYS_accept4, fd, name, nameLength, flags | SOCK_CLOEXEC);
}

/** The next connection with its peer's address; undefined where a nonblocking socket has none. `flags`: SOCK_NONBLOCK. */
export function accept(fd: number, flags = 0): { fd: number; address: SocketAddress | undefined } | undefined {
	const name = new Uint8Array(SOCKADDR_STORAGE_SIZE);
	const length = new Uint32Array([name.length]);
	const accepted = tryAccept(fd, flags, name, length);
	if (accepted === -EAGAIN) return undefined;
	if (accepted < 0) throw new SysError("accept4", -accepted);
	return { fd: accepted, address: decodeAddress(name, length[0]) };
}

export function tryShutdown(fd: number, how: number): number {
	return tryCall("shutdown", nr.SYS_shutdown, fd, how);
}

export function shutdown(fd: number, how: number) {
	call("shutdown", nr.SYS_shutdown, fd, how);
}

function optionError(call: string, result: number, name: string | undefined): SysError {
	return new SysError(name === undefined ? call : `${call}(${name})`, -result);
}

/** Sets an option to an int, or to the bytes of a struct. Throws SysError, `setsockopt(NAME)` where `name` is given. */
export function setsockopt(fd: number, level: number, option: number, value: number | Uint8Array, name?: string) {
	const bytes = typeof value === "number" ? new Int32Array([value]) : value;
	const result = tryCall("setsockopt", nr.SYS_setsockopt, fd, level, option, bytes, bytes.byteLength);
	if (result < 0) throw optionError("setsockopt", result, name);
}

/** An option that is an int. */
export function getsockopt(fd: number, level: number, option: number, name?: string): number {
	return new DataView(getsockoptBytes(fd, level, option, 4, name).buffer).getInt32(0, true);
}

/** An option of `length` bytes at most, as many as the kernel gave. */
export function getsockoptBytes(fd: number, level: number, option: number, length: number, name?: string): Uint8Array {
	const bytes = new Uint8Array(length);
	const size = new Uint32Array([length]);
	const result = tryCall("getsockopt", nr.SYS_getsockopt, fd, level, option, bytes, size);
	if (result < 0) throw optionError("getsockopt", result, name);
	return bytes.subarray(0, Math.min(length, size[0] as number));
}

/** SO_ERROR: the errno of what went wrong in a socket since it was last asked, 0 for nothing. */
export function socketError(fd: number): number {
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, "SO_ERROR");
}

/** Who is at the other end of a unix socket, as it was when it connected. */
export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } {
	return ucred.unpack(getsockoptBytes(fd, SOL_SOCKET, SO_PEERCRED, ucred.size, "SO_PEERCRED"));
}

function name(what: "getsockname" | "getpeername", number: number, fd: number): SocketAddress | undefined {
	const bytes = new Uint8Array(SOCKADDR_STORAGE_SIZE);
	const length = new Uint32Array([bytes.length]);
	call(what, number, fd, bytes, length);
	return decodeAddress(bytes, Math.min(bytes.length, length[0] as number));
}

/** The socket's own address; undefined where its family is none of `SocketAddress`. */
export function getsockname(fd: number): SocketAddress | undefined {
	return name("getsockname", nr.SYS_getsockname, fd);
}

/** Throws SysError with ENOTCONN where there is no peer. */
export function getpeername(fd: number): SocketAddress | undefined {
	return name("getpeername", nr.SYS_getpeername, fd);
}

/** sendto(2), without a SIGPIPE: how many bytes were sent. */
export function sendto(fd: number, bytes: Uint8Array, flags = 0, address?: SocketAddress): number {
	const to = address && encodeAddress(address);
	const result = tryCall("sendto", nr.SYS_sendto, fd, bytes, bytes.length, flags | MSG_NOSIGNAL, to ?? null, to?.length ?? 0);
	if (result < 0) throw new SysError("sendto", -result, address && formatAddress(address));
	return result;
}

/** recvfrom(2): how many bytes came (with MSG_TRUNC the datagram's whole length), and from whom; undefined for EAGAIN. */
export function recvfrom(fd: number, into: Uint8Array, flags = 0): { length: number; address: SocketAddress | undefined } | undefined {
	const from = new Uint8Array(SOCKADDR_STORAGE_SIZE);
	const size = new Uint32Array([from.length]);
	const length = tryCall("recvfrom", nr.SYS_recvfrom, fd, into, into.length, flags, from, size);
	if (length === -EAGAIN) return undefined;
	if (length < 0) throw new SysError("recvfrom", -length);
	return { length, address: decodeAddress(from, Math.min(from.length, size[0] as number)) };
}

/** recv(2) into bytes of the caller's: their number, 0 at the end, or -errno. */
export function tryRecv(fd: number, into: Uint8Array, flags: number): number {
	return tryCall("recvfrom", nr.SYS_recvfrom, fd, into, into.length, flags, null, null);
}

/** send(2), without a SIGPIPE: the number of bytes, or -errno. */
export function trySend(fd: number, bytes: Uint8Array, flags: number): number {
	return tryCall("sendto", nr.SYS_sendto, fd, bytes, bytes.length, flags | MSG_NOSIGNAL, null, 0);
}
