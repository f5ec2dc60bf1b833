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

/** All elements of a list of published ports. */
export function elementsFor(ports: Published[], destination: Destination): Element[] {
	return ports.flatMap((published) => {
		const elements = translatedFamilies(published, destination).flatMap((family) => translation(family, published, destination));
		return isLoopback(published.hostAddress) && !destination.inside ? [...elements, guard(published)] : elements;
	});
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
	const allowed: Element = { family, set: "published", key: [to, proto, formatRange(port, count)] };
	/* The port stays: one element, however many there are. */
	if (hostPort === port) return [{ family, set: "dnat-address", key: [at, proto, formatRange(hostPort, count)], value: [to] }, allowed];
	const single = Array.from(
		{ length: count },
		(_, i): Element => ({ family, set: "dnat-port", key: [at, proto, String(hostPort + i)], value: [to, String(port + i)] }),
	);
	return [...single, allowed];
}
