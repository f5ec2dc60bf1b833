/** What a network has in the firewall (common/firewall/layout.ts). Pure. */
import type { Element } from "../../common/firewall/elements.ts";
import { type FirewallFamily, firewallFamilies } from "../../common/firewall/layout.ts";
import type { Network } from "../network/network.ts";

export const entryName = (network: string) => `network.${network}`;

export function networkElements(network: Network): Element[] {
	const { bridge, subnet, subnet6, gatewayMode, internal, masquerade, icc, trusted } = network;
	if (network.driver !== "bridge" || bridge === undefined) return [];
	const isClosed = internal || gatewayMode === "isolated";
	const elements: Element[] = [];
	const put = (family: FirewallFamily, set: Element["set"], key: string[], value?: string[]) => {
		elements.push({ family, set, key, ...(value && { value }) });
	};
	for (const family of firewallFamilies) {
		/* Also where the network has no subnet of this family: what is closed is closed to both. */
		if (isClosed) put(family, "from-interface", [bridge], ["goto internal"]);
		if (isClosed) put(family, "to-interface", [bridge], ["goto internal"]);
		else if (gatewayMode !== "nat-unprotected") put(family, "to-interface", [bridge], ["goto to-nat"]);
		if (icc) put(family, "allowed", [bridge, bridge]);
		for (const name of trusted) put(family, "allowed", [name, bridge]);
		const own = family === "ip" ? subnet : subnet6;
		if (own === undefined) continue;
		put(family, "own", [own, bridge]);
		if (gatewayMode === "nat" || isClosed) {
			put(family, "protected", [own]);
			for (const name of [bridge, ...trusted]) put(family, "direct", [own, name]);
		}
		if (masquerade && !isClosed && gatewayMode !== "routed") put(family, "masqueraded", [own]);
	}
	return elements;
}
