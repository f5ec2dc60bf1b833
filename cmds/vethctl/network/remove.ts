/** network rm, prune: with its bridge, its rules and its state. */
import type { Netlink } from "../../../native/linux/netlink/request.ts";
import { rmdir, unlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { removeElements } from "../../common/firewall/change.ts";
import { removeStateFolder } from "../../common/state.ts";
import { endpointsOf, isCurrent, removeEndpoint } from "../endpoint/endpoint.ts";
import { entryName } from "../firewall/network-elements.ts";
import { withRoute } from "../netns.ts";
import { removeBridge } from "./bridge.ts";
import { restoreForwarding } from "./forwarding.ts";
import { allNetworks, findNetwork, getNetwork, type Network, networkPath, stateFolder, withNetwork, withNetworks } from "./network.ts";

/** Removes a network on which nobody is. To be called under the lock of the networks. */
export function removeNetwork(netlink: Netlink, network: Network) {
	if (!isDryRun()) unlinkIfAny(networkPath(network.name));
	if (network.driver === "bridge") {
		removeBridge(netlink, network);
		removeElements(entryName(network.name));
	}
	if (!allNetworks().some(({ driver, name }) => driver === "bridge" && name !== network.name)) restoreForwarding();
	if (!isDryRun()) removeStateOf(network.name);
}

/** The folder of a network's state, with all that is in it. */
export function removeStateOf(name: string) {
	const folder = stateFolder(name);
	try {
		for (const part of ["endpoints", "leases"]) removeStateFolder(`${folder}/${part}`);
		removeStateFolder(folder);
		rmdir(folder);
	} catch (error) {
		/* Somebody has begun to join: he finds out that there is no such network. */
		if (!(error instanceof SysError)) throw error;
	}
}

/** The endpoints that are in the way: those whose owner has ended are cleared. To be called under the lock of the network. */
function occupants(network: string): string[] {
	return endpointsOf(network).flatMap((endpoint) => {
		if (isCurrent(endpoint)) return [endpoint.name];
		removeEndpoint(endpoint);
		return [];
	});
}

/** Removes a network if nobody is on it; else says who. Nobody can come on it meanwhile. To be called under the lock of the networks. */
function removeIfFree(netlink: Netlink, network: Network): string[] {
	return withNetwork(network.name, () => {
		const there = occupants(network.name);
		if (there.length === 0) removeNetwork(netlink, network);
		return there;
	});
}

export function rm({ options, operands }: { options: { force?: true }; operands: string[] }) {
	if (operands.length === 0) throw new UsageError("network rm: no NAME given");
	withRoute((netlink) => {
		for (const name of operands) {
			const isRemoved = withNetworks(() => {
				const network = options.force ? findNetwork(name) : getNetwork(name);
				if (!network) return false;
				const there = removeIfFree(netlink, network);
				if (there.length > 0)
					fail(
						`${name}: in use by ${there.slice(0, 10).join(", ")}${there.length > 10 ? ` and ${there.length - 10} more` : ""}`,
						"`tsvethctl leave ID` takes a sandbox off it, `tsvethctl endpoint rm` an endpoint that was reserved",
					);
				return true;
			});
			if (isRemoved && !isDryRun()) print(`${name}\n`);
		}
	});
}

/** Removes the networks on which nobody is. */
export function prune() {
	withRoute((netlink) => {
		withNetworks(() => {
			for (const network of allNetworks()) if (removeIfFree(netlink, network).length === 0) print(`${network.name}\n`);
		});
	});
}

/** Once nobody is on it, a network that was made by itself goes by itself. */
export function removeIfUnused(netlink: Netlink, name: string) {
	if (!findNetwork(name)?.automatic) return;
	withNetworks(() => {
		const network = findNetwork(name);
		if (network?.automatic) removeIfFree(netlink, network);
	});
}
