/**
 * docker-proxy's protocol with dockerd: once the port is open, "0" and a newline on descriptor 3; where it cannot be, "1", a
 * newline and the reason, and the exit status 1. With -use-listen-fd descriptor 4 is a socket that dockerd has bound.
 * Descriptor 3 need not be there: then a person has started it.
 */
import { EADDRINUSE } from "../../native/linux/errno.ts";
import { close, isOpen, setCloseOnExec, setNonblocking, write } from "../../native/linux/fd.ts";
import type { SocketAddress } from "../../native/linux/sockaddr.ts";
import { getsockname, getsockopt, listen, SO_ACCEPTCONN, SO_TYPE, SOCK_DGRAM, SOL_SOCKET } from "../../native/linux/socket.ts";
import { S_IFIFO, S_IFMT, S_IFSOCK, statIfAny } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import type { Values } from "../common/command-line/options.ts";
import { fail, ToolError, UsageError } from "../common/errors.ts";
import { type dockerOptions, type proxyOptions, settingsOf } from "./options.ts";
import { openListener } from "./proxy/listen.ts";
import { makeProxy } from "./proxy/loop.ts";
import type { Mapping, Protocol } from "./proxy/port.ts";
import { reportStats } from "./proxy/stats.ts";

const STATUS_FD = 3;
const LISTEN_FD = 4;

type Given = Values<typeof dockerOptions> & Values<typeof proxyOptions>;

/** Serves one port until a signal ends it. */
export function serveLikeDockerProxy(given: Given) {
	const hasParent = isStatusPipe();
	let proxy: ReturnType<typeof makeProxy>;
	try {
		const mapping = mappingOf(given);
		proxy = makeProxy(settingsOf(given));
		const { fd, port } = given.useListenFd ? inherited(mapping.proto) : openListener(mapping.proto, mapping.hostAddress, mapping.hostPort);
		proxy.add({ ...mapping, hostPort: port }, fd);
	} catch (error) {
		if (hasParent && (error instanceof ToolError || error instanceof UsageError || error instanceof SysError)) {
			write(STATUS_FD, `1\n${error.message}`);
			close(STATUS_FD);
		}
		throw error;
	}
	if (hasParent) {
		write(STATUS_FD, "0\n");
		close(STATUS_FD);
	}
	const report = () => reportStats(proxy, given.stats);
	proxy.run(report);
	if (given.stats) report();
}

/** dockerd gives us a pipe; a file that a shell has left open there is not ours to write to. */
function isStatusPipe(): boolean {
	if (!isOpen(STATUS_FD)) return false;
	const type = (statIfAny("", STATUS_FD)?.mode ?? 0) & S_IFMT;
	return type === S_IFIFO || type === S_IFSOCK;
}

function mappingOf(given: Given): Mapping {
	const { proto = "tcp", hostIp = "", hostPort, containerIp, containerPort } = given;
	if (containerIp === undefined) throw new UsageError("-container-ip: not given");
	if (containerPort === undefined) throw new UsageError("-container-port: not given");
	if (hostPort === undefined && !given.useListenFd) throw new UsageError("-host-port: not given");
	return { proto, hostAddress: hostIp, hostPort: hostPort ?? 0, address: containerIp, port: containerPort };
}

/** The socket that we were given: bound, and for a stream perhaps not yet listening. */
function inherited(proto: Protocol): { fd: number; port: number } {
	let address: SocketAddress | undefined;
	try {
		address = getsockname(LISTEN_FD);
		if ((getsockopt(LISTEN_FD, SOL_SOCKET, SO_TYPE) === SOCK_DGRAM) !== (proto === "udp"))
			fail(`descriptor ${LISTEN_FD}: not a ${proto} socket`);
		if (proto !== "udp" && getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN) === 0) listen(LISTEN_FD, 4096);
	} catch (error) {
		if (error instanceof SysError && error.errno !== EADDRINUSE)
			fail(`descriptor ${LISTEN_FD}: not a socket`, "-use-listen-fd wants a bound one there");
		throw error;
	}
	setCloseOnExec(LISTEN_FD, true);
	setNonblocking(LISTEN_FD, true);
	return { fd: LISTEN_FD, port: (address as { port?: number } | undefined)?.port ?? 0 };
}
