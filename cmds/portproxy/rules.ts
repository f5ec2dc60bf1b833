/** Published ports as elements of the firewall (cmds/common/firewall/layout.ts). */
import { parseInet } from "../../native/linux/sockaddr.ts";
import type { Element } from "../common/firewall/elements.ts";
import type { FirewallFamily } from "../common/firewall/layout.ts";
import type { Destination } from "./destination.ts";
import { formatRange, type Published } from "./spec.ts";

const ALL: Record<FirewallFamily, string> = {
	ip: "0.0.0.0-255.255.255.255",
	ip6: "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
};

/** Not reached by destination NAT: the answers of 127.0.0.1 and ::1 could not come back. */
export function isLoopback(address: string): boolean {
	const bytes = parseInet(address);
	return bytes !== undefined && (bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0)));
}

/** The families in which a published port is translated. */
export function translatedFamilies({ hostAddress }: Published, { address, address6, inside }: Destination): FirewallFamily[] {
	if (inside || isLoopback(hostAddress)) return [];
	const isWanted = (family: FirewallFamily) => hostAddress === "" || hostAddress.includes(":") === (family === "ip6");
	return (["ip", "ip6"] as const).filter((family) => isWanted(family) && (family === "ip" ? address : address6) !== undefined);
}

/** The elements that translate a list of published ports. */
export function elementsFor(ports: Published[], destination: Destination): Element[] {
	return ports.flatMap((published) => {
		const elements = translatedFamilies(published, destination).flatMap((family) => translation(family, published, destination));
		const isGuarded = ["127.0.0.1", "::1"].includes(published.hostAddress) && !destination.inside;
		return isGuarded ? [...elements, guard(published)] : elements;
	});
}

/**
 * The elements that let the ports of a container through, of those of its ports that `others` do not let through already: a
 * port may be published at several of this machine's, and elements of a set do not overlap.
 */
export function allowedFor(ports: Published[], others: Published[], destination: Destination): Element[] {
	const elements: Element[] = [];
	for (const family of ["ip", "ip6"] as const)
		for (const proto of ["tcp", "udp", "sctp"] as const) {
			const numbers = (list: Published[]) =>
				list
					.filter((published) => published.proto === proto && translatedFamilies(published, destination).includes(family))
					.flatMap(({ port, count }) => Array.from({ length: count }, (_, i) => port + i));
			const known = new Set(numbers(others));
			const wanted = [...new Set(numbers(ports))].filter((port) => !known.has(port)).sort((a, b) => a - b);
			const to = (family === "ip" ? destination.address : destination.address6) as string;
			for (const [first, count] of runsOf(wanted)) elements.push({ family, set: "published", key: [to, proto, formatRange(first, count)] });
		}
	return elements;
}

/** Sorted numbers as runs: the first, and how many follow each other. */
function runsOf(numbers: number[]): [first: number, count: number][] {
	const runs: [number, number][] = [];
	for (const number of numbers) {
		const last = runs[runs.length - 1];
		if (last && last[0] + last[1] === number) last[1]++;
		else runs.push([number, 1]);
	}
	return runs;
}

/** What is published at a loopback address must not come from a neighbour who writes that address on his packets. */
function guard({ proto, hostAddress, hostPort, count }: Published): Element {
	return { family: hostAddress.includes(":") ? "ip6" : "ip", set: "loopback", key: [proto, formatRange(hostPort, count)] };
}

function translation(family: FirewallFamily, published: Published, destination: Destination): Element[] {
	const { proto, hostAddress, hostPort, port, count } = published;
	const to = (family === "ip" ? destination.address : destination.address6) as string;
	const isAny = hostAddress === "" || hostAddress === "0.0.0.0" || hostAddress === "::";
	const at = isAny ? ALL[family] : hostAddress;
	/* The port stays: one element, however many there are. */
	if (hostPort === port) return [{ family, set: "dnat-address", key: [at, proto, formatRange(hostPort, count)], value: [to] }];
	return Array.from(
		{ length: count },
		(_, i): Element => ({ family, set: "dnat-port", key: [at, proto, String(hostPort + i)], value: [to, String(port + i)] }),
	);
}
