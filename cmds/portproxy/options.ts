/** The option tables: docker-proxy's names, and ours. */
import { parseInet } from "../../native/linux/sockaddr.ts";
import { notA, options, type Values } from "../common/command-line/options.ts";
import { duration, integer } from "../common/units.ts";
import { network } from "./networks.ts";
import type { Settings } from "./proxy/loop.ts";
import type { Protocol } from "./proxy/port.ts";

const proxying = "Proxying";

function choice<const T extends string>(words: readonly T[]) {
	return (text: string, option: string): T => {
		const found = words.find((word) => word === text);
		return found ?? notA(option, text, words.join(", ").replace(/, (\w+)$/, " or $1"));
	};
}

export const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "sctp"];
export const portNumber = integer(1, 65535, "a port number");

export function address(text: string, option: string): string {
	return parseInet(text) ? text : notA(option, text, "an IP address");
}

/** "" is docker-proxy's word for all addresses. */
function addressOrAll(text: string, option: string): string {
	return text === "" ? text : address(text, option);
}

/** What each proxy takes, however it was started. */
export const proxyOptions = options([
	{
		long: "allow",
		value: "CIDR",
		repeat: true,
		parse: network,
		group: proxying,
		help: "let in clients of this network only (may be given several times)",
	},
	{
		long: "max-connections",
		value: "N",
		parse: integer(1, 1_000_000, "a number of connections"),
		group: proxying,
		help: "connections, and UDP flows, at a time (16384); others wait",
	},
	{
		long: "idle-timeout",
		value: "TIME",
		parse: duration,
		group: proxying,
		help: "reset connections that move nothing for so long (never)",
	},
	{
		long: "udp-timeout",
		value: "TIME",
		parse: duration,
		group: proxying,
		help: "forget UDP clients that send and get nothing for so long (90s)",
	},
	{ long: "drain", value: "TIME", parse: duration, group: proxying, help: "at SIGTERM, give connections so long to end by themselves (0)" },
	{
		long: "proxy-protocol",
		value: "1|2",
		parse: choice(["1", "2"]),
		group: proxying,
		help: "tell the server who the client is, by the PROXY protocol of this version",
	},
	{ long: "transparent", group: proxying, help: "keep the client's address as the source (needs a route back through here)" },
	{
		long: "stats",
		value: "FILE",
		optional: "long",
		group: proxying,
		help: "write statistics (JSON) to FILE or stderr at the end; SIGUSR1: now",
	},
]);

/** docker-proxy's own. */
export const dockerOptions = options([
	{ long: "proto", value: "PROTO", parse: choice(PROTOCOLS), help: "tcp (the default), udp or sctp" },
	{ long: "host-ip", value: "IP", parse: addressOrAll, help: "the address to listen at (all of both families)" },
	{ long: "host-port", value: "PORT", parse: portNumber, help: "the port to listen at" },
	{ long: "container-ip", value: "IP", parse: address, help: "the address to connect to, of either family" },
	{ long: "container-port", value: "PORT", parse: portNumber, help: "the port to connect to" },
	{ long: "use-listen-fd", help: "listen at descriptor 4, which is bound already" },
]);

const DEFAULT_CONNECTIONS = 16384;
/** docker-proxy's. */
const UDP_TIMEOUT = 90;

export function settingsOf(given: Values<typeof proxyOptions>): Settings {
	return {
		allow: given.allow ?? [],
		maxConnections: given.maxConnections ?? DEFAULT_CONNECTIONS,
		idleTimeout: given.idleTimeout ?? 0,
		udpTimeout: given.udpTimeout ?? UDP_TIMEOUT,
		drain: given.drain ?? 0,
		proxyProtocol: given.proxyProtocol === undefined ? undefined : given.proxyProtocol === "1" ? 1 : 2,
		transparent: given.transparent === true,
	};
}

export const publishOptions = options([
	{ long: "target", short: "t", value: "ID|PID", help: "publish ports of this sandbox, in place of records of standard input" },
	{ long: "all", short: "P", help: "publish all the ports that the record says its image exposes, too" },
	{ long: "to", value: "IP", repeat: true, parse: address, help: "the container's address (from the record's network)" },
	{
		long: "nat",
		value: "nft|iptables|none",
		parse: choice(["nft", "iptables", "none"]),
		help: "who translates: nf_tables (the default), rules of the iptables program, or nobody: all goes through the proxy",
	},
	...proxyOptions,
]);

export const runOptions = options([
	{ long: "to", value: "IP", parse: address, help: "the address to connect to (127.0.0.1 with --netns)" },
	{ long: "netns", value: "PID|FILE", help: "connect from inside this network namespace" },
	...proxyOptions,
]);

export type PublishGiven = Values<typeof publishOptions>;
export type RunGiven = Values<typeof runOptions>;
