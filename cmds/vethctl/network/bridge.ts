/** A network's bridge, with its addresses, rules and what the kernel must be told: made when it is created, or missing. */
import { EEXIST } from "../../../native/linux/errno.ts";
import { changeAll, type Netlink, tryChange } from "../../../native/linux/netlink/request.ts";
import { addressAdd } from "../../../native/linux/route/address.ts";
import { findLink, IFF_UP, type Link, parseHardware } from "../../../native/linux/route/link.ts";
import { bridgeKind, linkAdd, linkDelete, linkSet } from "../../../native/linux/route/link-change.ts";
import { parseInet } from "../../../native/linux/sockaddr.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { addElements, firewallEntries, removeElements } from "../../common/firewall/change.ts";
import { entryName, networkElements } from "../firewall/network-elements.ts";
import { randomHardware } from "../hardware.ts";
import { parseSubnet } from "../subnet.ts";
import { enableForwarding } from "./forwarding.ts";
import type { Network } from "./network.ts";

function bridgeAddresses({ gateway, subnet, gateway6, subnet6 }: Network): { address: Uint8Array; prefix: number }[] {
	const pair = (address: string | undefined, subnet: string | undefined) => {
		const bytes = address === undefined ? undefined : parseInet(address);
		const net = subnet === undefined ? undefined : parseSubnet(subnet);
		return bytes && net ? [{ address: bytes, prefix: net.prefix }] : [];
	};
	return [...pair(gateway, subnet), ...pair(gateway6, subnet6)];
}

/**
 * Makes the bridge, its addresses, its part of the firewall; turns forwarding on. What it has made goes again if a later
 * step fails. To be called under the lock of the networks.
 */
export function makeBridge(netlink: Netlink, network: Network) {
	const name = network.bridge as string;
	/* With an address of its own the bridge keeps it; without one it would take the lowest of its ports', and change it. */
	changeAll(netlink, [
		linkAdd(
			{
				name,
				up: true,
				address: parseHardware(network.mac ?? "") ?? randomHardware(),
				...(network.mtu !== undefined && { mtu: network.mtu }),
			},
			bridgeKind({ forward_delay: 0 }),
		),
	]);
	try {
		const index = isDryRun() ? 0 : ((findLink(netlink, name) as Link).index ?? 0);
		if (network.gatewayMode !== "isolated")
			changeAll(
				netlink,
				bridgeAddresses(network).map(({ address, prefix }) => addressAdd(index, address, prefix, { nodad: true, called: name })),
			);
		putElements(network);
		try {
			if (!network.internal && network.gatewayMode !== "isolated") {
				if (network.subnet !== undefined) enableForwarding("ip");
				if (network.subnet6 !== undefined) enableForwarding("ip6");
			}
		} catch (error) {
			removeElements(entryName(network.name));
			throw error;
		}
	} catch (error) {
		removeBridge(netlink, network);
		throw error;
	}
}

/** The network's elements; what a killed predecessor left is put in place of. */
export function putElements(network: Network) {
	const name = entryName(network.name);
	if (!isDryRun() && firewallEntries().some((entry) => entry.name === name)) removeElements(name);
	addElements(name, networkElements(network));
}

export function removeBridge(netlink: Netlink, { bridge }: Network) {
	const link = bridge === undefined ? undefined : findLink(netlink, bridge);
	if (link?.kind === "bridge") changeAll(netlink, [linkDelete(link.index, bridge)]);
}

/**
 * The bridge of a network that is in use: made anew where it is missing (after a reboot), set up with its addresses where it is down.
 * Its index. To be called under the lock of the networks.
 */
export function ensureBridge(netlink: Netlink, network: Network): number {
	const name = network.bridge as string;
	const found = findLink(netlink, name);
	if (!found) {
		makeBridge(netlink, network);
		return isDryRun() ? 0 : (findLink(netlink, name)?.index ?? fail(`${name}: the bridge is gone`));
	}
	if (found.kind !== "bridge") fail(`${name}: an interface of this name is there, and is no bridge`);
	if ((found.flags & IFF_UP) === 0) changeAll(netlink, [linkSet(found.index, { up: true }, name)]);
	if (network.gatewayMode !== "isolated")
		for (const { address, prefix } of bridgeAddresses(network))
			tryChange(netlink, addressAdd(found.index, address, prefix, { nodad: true, called: name }), EEXIST);
	return found.index;
}
