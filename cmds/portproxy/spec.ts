/** What is to be published, as people write it: `[IP:][PORT[-PORT]]:PORT[-PORT][/tcp|udp|sctp]`, docker's -p. */
import { parseInet } from "../../native/linux/sockaddr.ts";
import { show, UsageError } from "../common/errors.ts";
import type { Protocol } from "./proxy/port.ts";

export interface Spec {
	proto: Protocol;
	/** "" for all addresses. */
	hostAddress: string;
	/** The first and last port of this machine; 0 where the kernel chooses. */
	hostFrom: number;
	hostTo: number;
	from: number;
	to: number;
}

/** Ports that follow each other on both sides: this machine's from `hostPort` on lead to those from `port` on. */
export interface Published {
	proto: Protocol;
	hostAddress: string;
	hostPort: number;
	port: number;
	count: number;
}

const NOUN = "ports to publish ([IP:][PORT[-PORT]]:PORT[-PORT][/tcp|udp|sctp])";

/** Throws UsageError where the text is none. */
export function parseSpec(text: string): Spec {
	const wrong = (why: string): never => {
		throw new UsageError(`${show(text)}: ${why}`);
	};
	const [, ports = "", word = "tcp"] = /^([^/]*)(?:\/(tcp|udp|sctp))?$/.exec(text) ?? wrong(`not ${NOUN}`);
	const match = /^(?:(?:(\[[^\]]*\]|[0-9.]+):)?(?:(\d+)(?:-(\d+))?)?:)?(\d+)(?:-(\d+))?$/.exec(ports) ?? wrong(`not ${NOUN}`);
	const [, host = "", hostFirst, hostLast, first, last] = match;
	const port = (digits: string | undefined, other: number, least: number) => {
		const number = digits === undefined ? other : Number(digits);
		return number >= least && number <= 65535 ? number : wrong(`${digits} is not a port number (1-65535)`);
	};
	const hostAddress = host.replace(/^\[|\]$/g, "");
	if (host !== "" && !parseInet(hostAddress)) wrong(`${show(hostAddress)} is not an IP address`);
	const hostFrom = port(hostFirst, 0, 0);
	if (hostFrom === 0 && hostLast !== undefined) wrong("0 is not a port number (1-65535)");
	const from = port(first, 0, 1);
	const spec = {
		proto: word as Protocol,
		hostAddress,
		hostFrom,
		hostTo: port(hostLast, hostFrom, 0),
		from,
		to: port(last, from, 1),
	};
	const length = spec.to - from;
	const hostLength = spec.hostTo - hostFrom;
	if (length < 0 || hostLength < 0) wrong("a range from a higher to a lower port");
	/* One port inside may take any of a range outside. */
	if (hostFrom !== 0 && hostLength !== length && length !== 0) wrong("ranges of different length");
	return spec;
}

/** The ports that a spec names: sets of which each has the ports that may be taken for the one inside. */
export function choicesOf({ hostFrom, hostTo, from, to }: Spec): { port: number; hostPorts: number[] }[] {
	const all = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
	if (from === to) return [{ port: from, hostPorts: all(hostFrom, hostTo) }];
	return all(from, to).map((port) => ({ port, hostPorts: [hostFrom === 0 ? 0 : hostFrom + port - from] }));
}

/** Joins single ports that follow each other to ranges. */
export function joinRanges(ports: Omit<Published, "count">[]): Published[] {
	const ranges: Published[] = [];
	for (const next of ports) {
		const last = ranges[ranges.length - 1];
		if (
			last &&
			last.proto === next.proto &&
			last.hostAddress === next.hostAddress &&
			last.hostPort + last.count === next.hostPort &&
			last.port + last.count === next.port
		)
			last.count++;
		else ranges.push({ ...next, count: 1 });
	}
	return ranges;
}

/** `8080`, `8080-8090` */
export function formatRange(port: number, count: number): string {
	return count === 1 ? String(port) : `${port}-${port + count - 1}`;
}

/** `0.0.0.0:8080`, `[::1]:80-90`, `*:53` */
export function formatHost({ hostAddress, hostPort, count }: Published): string {
	const host = hostAddress.includes(":") ? `[${hostAddress}]` : hostAddress || "*";
	return `${host}:${formatRange(hostPort, count)}`;
}
