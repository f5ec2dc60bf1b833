/** A published port as the proxy knows it: where it listens, where it leads to, and what has come through it. Data only: there may be thousands. */

export type Protocol = "tcp" | "udp" | "sctp";

/** One port, as it is published. */
export interface Mapping {
	proto: Protocol;
	/** "" for all addresses of both families. */
	hostAddress: string;
	hostPort: number;
	/** Where connections are made to. */
	address: string;
	port: number;
}

export interface Port {
	readonly mapping: Mapping;
	/** The listening socket; -1 once it is closed. */
	fd: number;
	/** Its number in the loop. */
	readonly number: number;
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

export function makePort(mapping: Mapping, fd: number, number: number): Port {
	const counters = { open: 0, accepted: 0, refused: 0, denied: 0, timedOut: 0, resets: 0, bytesIn: 0, bytesOut: 0 };
	return { mapping, fd, number, ...counters, datagramsIn: 0, datagramsOut: 0, dropped: 0 };
}

/** `tcp 0.0.0.0:8080 -> 172.18.0.2:80` */
export function formatMapping({ proto, hostAddress, hostPort, address, port }: Mapping): string {
	const at = (host: string, number: number) => `${host.includes(":") ? `[${host}]` : host || "*"}:${number}`;
	return `${proto} ${at(hostAddress, hostPort)} -> ${at(address, port)}`;
}
