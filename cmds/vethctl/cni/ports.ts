/** Published ports of a container: the capability portMappings. */
import { flushConntrack } from "../../../native/linux/conntrack.ts";
import { closeNetlink } from "../../../native/linux/netlink/request.ts";
import { openNetfilter } from "../../../native/linux/nftables/transaction.ts";
import { addElements, isTaken } from "../../common/firewall/change.ts";
import type { Element } from "../../common/firewall/elements.ts";
import type { Config, PortMapping } from "./config.ts";
import { CniError, codes } from "./error.ts";

const everywhere = { ip: "0.0.0.0-255.255.255.255", ip6: "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" };

function elementsFor({ protocol, hostIp, hostPort, containerPort }: PortMapping, address: string): Element[] {
	const family = address.includes(":") ? "ip6" : "ip";
	if (hostIp !== undefined && hostIp.includes(":") !== (family === "ip6")) return [];
	const isAny = hostIp === undefined || hostIp === "0.0.0.0" || hostIp === "::";
	const key = [isAny ? everywhere[family] : hostIp, protocol, String(hostPort)];
	const published: Element = { family, set: "published", key: [address, protocol, String(containerPort)] };
	if (hostPort === containerPort) return [published, { family, set: "dnat-address", key, value: [address] }];
	return [published, { family, set: "dnat-port", key, value: [address, String(containerPort)] }];
}

/** Publishes the ports of a configuration on a container's addresses, under a name in the firewall; undefined where there are none. */
export function addPorts({ ports }: Config, addresses: string[], name: string): string | undefined {
	const all = ports.flatMap((mapping) => addresses.flatMap((address) => elementsFor(mapping, address.split("/")[0] as string)));
	/* A port of the container may be published more than once. */
	const elements = all.filter((one, i) => all.findIndex((other) => JSON.stringify(other) === JSON.stringify(one)) === i);
	if (elements.length === 0) return undefined;
	try {
		addElements(name, elements);
	} catch (error) {
		if (isTaken(error)) throw new CniError(codes.failed, `portMappings: a port is published already: ${(error as Error).message}`);
		throw error;
	}
	flushUdp(ports, addresses);
	return name;
}

/** What is tracked of a flow to the port goes on to where it went before. */
function flushUdp(ports: PortMapping[], addresses: string[]) {
	const udp = ports.filter(({ protocol }) => protocol === "udp");
	if (udp.length === 0) return;
	const netlink = openNetfilter();
	try {
		for (const family of ["ip", "ip6"] as const)
			if (addresses.some((address) => address.includes(":") === (family === "ip6")))
				for (const { hostPort } of udp) flushConntrack(netlink, { family, protocol: 17, port: hostPort });
	} finally {
		closeNetlink(netlink);
	}
}
