/** What a proxy has done, as JSON: at SIGUSR1, on the control socket, and at the end. */
import { close, O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY, open, write } from "../../../native/linux/fd.ts";
import { getpid } from "../../../native/linux/process.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import type { PortProxy } from "./loop.ts";
import type { Port } from "./port.ts";

function portStats(port: Port) {
	const { mapping, open, accepted, refused, denied, timedOut, resets, bytesIn, bytesOut, datagramsIn, datagramsOut, dropped } = port;
	const counts = { open, accepted, refused, denied, timedOut, bytesIn, bytesOut };
	return mapping.proto === "udp" ? { ...mapping, ...counts, datagramsIn, datagramsOut, dropped } : { ...mapping, ...counts, resets };
}

export function statsOf(proxy: PortProxy) {
	return { pid: getpid(), connections: proxy.connections(), flows: proxy.flows(), ports: proxy.ports.map(portStats) };
}

/** Writes a line of statistics to a file, or to standard error. A proxy does not end because nobody can read them. */
export function reportStats(proxy: PortProxy, file: string | true | undefined) {
	const line = `${JSON.stringify(statsOf(proxy))}\n`;
	try {
		if (typeof file !== "string") return write(2, line);
		const fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0o644);
		try {
			write(fd, line);
		} finally {
			close(fd);
		}
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
}
