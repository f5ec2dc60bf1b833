/** What a network gets that its maker has not said: a subnet that collides with nothing, and an MTU. */

import type { Netlink } from "../../../native/linux/netlink/request.ts";
import { getrandom } from "../../../native/linux/process.ts";
import { addresses } from "../../../native/linux/route/address.ts";
import { findLink } from "../../../native/linux/route/link.ts";
import { type Route, routes } from "../../../native/linux/route/route.ts";
import { AF_INET, AF_INET6 } from "../../../native/linux/sockaddr.ts";
import { fail } from "../../common/errors.ts";
import { formatSubnet, overlap, parseSubnet, type Subnet } from "../subnet.ts";
import { allNetworks, subnetsOf } from "./network.ts";

/** Where subnets are taken from, in this order: 172.17 to 172.31, /16, and 192.168, /20. */
function candidates(): Subnet[] {
	const large = Array.from({ length: 15 }, (_, i) => `172.${17 + i}.0.0/16`);
	const small = Array.from({ length: 16 }, (_, i) => `192.168.${16 * i}.0/20`);
	return [...large, ...small].map((text) => parseSubnet(text) as Subnet);
}

/** The subnets that this machine has routes or addresses in, and those of other networks; with what each is. */
export function usedSubnets(netlink: Netlink): { subnet: Subnet; by: string }[] {
	const routed = [...routes(netlink, AF_INET, 0), ...routes(netlink, AF_INET6, 0)]
		.filter((route): route is Route & { destination: Uint8Array } => route.destination !== undefined && route.prefix > 0)
		/* Multicast and link-local routes are there on any machine. */
		.filter(
			({ destination, type }) => type !== "multicast" && destination[0] !== 0xff && !(destination[0] === 0xfe && destination.length === 16),
		)
		.map(({ destination, prefix }) => ({ subnet: { address: destination, prefix }, by: "a route of this machine" }));
	const own = addresses(netlink).map(({ address }) => ({
		subnet: { address, prefix: 8 * address.length },
		by: "an address of this machine",
	}));
	const networks = allNetworks().flatMap((network) => subnetsOf(network).map((subnet) => ({ subnet, by: `the network ${network.name}` })));
	return [...networks, ...routed, ...own];
}

/** Fails if a subnet overlaps one that is in use. */
export function checkSubnet(netlink: Netlink, subnet: Subnet) {
	const other = usedSubnets(netlink).find((used) => overlap(used.subnet, subnet));
	if (other)
		fail(`${formatSubnet(subnet)}: overlaps ${other.by}${other.by.startsWith("the network") ? "" : `, ${formatSubnet(other.subnet)}`}`);
}

export function chooseSubnet(netlink: Netlink): string {
	const used = usedSubnets(netlink);
	const free = candidates().find((candidate) => !used.some(({ subnet }) => overlap(subnet, candidate)));
	return free ? formatSubnet(free) : fail("no private subnet is free", "give one: --subnet 10.99.0.0/16");
}

/** A unique local subnet (RFC 4193): fd, 40 random bits, a subnet number of 0. */
export function chooseSubnet6(): string {
	const address = new Uint8Array(16);
	address.set([0xfd, ...getrandom(5)]);
	return formatSubnet({ address, prefix: 64 });
}

export function defaultRoute(netlink: Netlink): Route | undefined {
	return routes(netlink, AF_INET).find(({ destination, prefix, oif }) => (destination === undefined || prefix === 0) && oif !== undefined);
}

/** The MTU of the interface by which this machine reaches the world, if it is not the usual one. */
export function chooseMtu(netlink: Netlink): number | undefined {
	const oif = defaultRoute(netlink)?.oif;
	const mtu = oif === undefined ? undefined : findLink(netlink, oif)?.mtu;
	return mtu === undefined || mtu === 1500 ? undefined : Math.max(68, Math.min(mtu, 65535));
}
