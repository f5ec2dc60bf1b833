/** resolv.conf and the lines that --add-host adds: what a container's own files say. Pure but for the reading of the host's. */
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { parseInet } from "../../../native/linux/sockaddr.ts";
import { UsageError } from "../../common/errors.ts";
import { isName } from "../../common/state.ts";

export interface ResolvOptions {
	dns?: string[];
	dnsSearch?: string[];
	dnsOption?: string[];
}

/** Where systemd-resolved has the resolvers that it asks itself; /etc/resolv.conf then names only a loopback address. */
const RESOLVED = "/run/systemd/resolve/resolv.conf";

const isLoopback = (address: string) =>
	/^127\./.test(address) || parseInet(address.replace(/%.*/, ""))?.join() === [...new Array(15).fill(0), 1].join();

/** Checks what was given. Throws UsageError. */
export function checkResolv({ dns = [], dnsSearch = [], dnsOption = [] }: ResolvOptions) {
	for (const server of dns) if (!parseInet(server)) throw new UsageError(`--dns: ${JSON.stringify(server)} is not an IPv4 or IPv6 address`);
	for (const domain of dnsSearch)
		if (domain !== "." && !/^[a-zA-Z0-9_]([a-zA-Z0-9_.-]*[a-zA-Z0-9_.])?$/.test(domain))
			throw new UsageError(`--dns-search: ${JSON.stringify(domain)} is not a domain`);
	for (const option of dnsOption)
		if (!/^[a-z0-9-]+(:\d+)?$/.test(option))
			throw new UsageError(`--dns-option: ${JSON.stringify(option)} is not an option of resolv.conf(5)`);
}

/** The text of a container's resolv.conf, made of the host's and of what was given; and what was left out of the host's. */
export function resolvText(hosts: string, given: ResolvOptions): { text: string; leftOut: string[] } {
	const read = { nameserver: [] as string[], search: [] as string[], options: [] as string[] };
	for (const line of hosts.split("\n")) {
		const [word, ...values] = line
			.replace(/[#;].*/, "")
			.trim()
			.split(/\s+/);
		if (word === "nameserver" && values[0]) read.nameserver.push(values[0]);
		else if (word === "search" || word === "domain") read.search = values;
		else if (word === "options") read.options.push(...values);
	}
	const leftOut = given.dns ? [] : read.nameserver.filter(isLoopback);
	const servers = given.dns ?? read.nameserver.filter((address) => !isLoopback(address));
	const search = (given.dnsSearch ?? read.search).filter((domain) => domain !== ".");
	const options = given.dnsOption ?? read.options;
	const lines = [
		...servers.map((address) => `nameserver ${address}`),
		...(search.length > 0 ? [`search ${search.join(" ")}`] : []),
		...(options.length > 0 ? [`options ${options.join(" ")}`] : []),
	];
	return { text: lines.map((line) => `${line}\n`).join(""), leftOut };
}

/** The host's resolv.conf; where it names systemd-resolved alone, those that this asks. */
export function hostResolv(): string {
	const text = readFileIfAny("/etc/resolv.conf") ?? "";
	if (!/^nameserver\s+127\.0\.0\.53\s*$/m.test(text)) return text;
	return readFileIfAny(RESOLVED) ?? text;
}

/** `NAME:ADDRESS`, or `NAME:host-gateway`, as lines of a hosts file. Throws UsageError. */
export function hostLines(given: string[], gateway: string | undefined): string[] {
	return given.map((text) => {
		const [, name = "", address = ""] = /^([^:=]*)[:=](.*)$/.exec(text) ?? [];
		if (!isName(name)) throw new UsageError(`--add-host: ${JSON.stringify(text)} is not NAME:ADDRESS`);
		const bare = address.replace(/^\[(.*)\]$/, "$1");
		if (bare === "host-gateway") {
			if (gateway === undefined) throw new UsageError("--add-host: host-gateway: the network has no gateway");
			return `${gateway}\t${name}`;
		}
		if (!parseInet(bare)) throw new UsageError(`--add-host: ${JSON.stringify(address)} is not an address, or host-gateway`);
		return `${bare}\t${name}`;
	});
}
