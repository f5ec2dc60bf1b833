/** reload: all that the kernel should have of our networks, again: after somebody has flushed the firewall or taken a bridge away. */
import { changeAll, type Netlink } from "../../../native/linux/netlink/request.ts";
import { findLink } from "../../../native/linux/route/link.ts";
import { linkSet, portSet } from "../../../native/linux/route/link-change.ts";
import { restoreElements } from "../../common/firewall/change.ts";
import { endpointsOf } from "../endpoint/endpoint.ts";
import { withRoute } from "../netns.ts";
import { ensureBridge, putElements } from "../network/bridge.ts";
import { enableForwarding } from "../network/forwarding.ts";
import { allNetworks, type Network, withNetworks } from "../network/network.ts";

export function reload() {
	withRoute((netlink) => {
		withNetworks(() => {
			restoreElements();
			for (const network of allNetworks()) {
				if (network.driver !== "bridge") continue;
				const bridge = ensureBridge(netlink, network);
				putElements(network);
				attachPorts(netlink, network, bridge);
				if (network.internal || network.gatewayMode === "isolated") continue;
				if (network.subnet !== undefined) enableForwarding("ip");
				if (network.subnet6 !== undefined) enableForwarding("ip6");
			}
		});
	});
}

/** The sandboxes' ends that are not on the bridge any more. */
function attachPorts(netlink: Netlink, { name, icc }: Network, bridge: number) {
	for (const { veth } of endpointsOf(name)) {
		const link = veth === undefined ? undefined : findLink(netlink, veth);
		if (!link || link.master === bridge) continue;
		const port = icc ? [] : [portSet(link.index, { isolated: true }, link.name)];
		changeAll(netlink, [linkSet(link.index, { master: bridge, up: true }, link.name), ...port]);
	}
}
