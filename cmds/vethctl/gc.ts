/** gc: clears what a kill has left, and what belongs to sandboxes that have ended. */
import type { Netlink } from "../../native/linux/netlink/request.ts";
import { links } from "../../native/linux/route/link.ts";
import { isDryRun } from "../../native/linux/syscall.ts";
import { print } from "../common/command-line/tool.ts";
import { collectElements, firewallEntries, removeElements } from "../common/firewall/change.ts";
import { removeHalfWritten } from "../common/sandbox-state.ts";
import { isAlive, listState, runFolder } from "../common/state.ts";
import { type Endpoint, endpointsOf, isCurrent, removeEndpoint } from "./endpoint/endpoint.ts";
import { removeLink } from "./join/attach.ts";
import { collectLeases, leasedAddresses, readLease, releaseLease } from "./lease/leases.ts";
import { updateHosts } from "./names/hosts.ts";
import { withRoute } from "./netns.ts";
import { restoreForwarding } from "./network/forwarding.ts";
import { allNetworks, findNetwork, type Network, networksFolder, stateFolder, withNetwork, withNetworks } from "./network/network.ts";
import { removeIfUnused, removeNetwork, removeStateOf } from "./network/remove.ts";

export function gc() {
	const say = (text: string) => print(`${text}\n`);
	withRoute((netlink) => {
		/* Before the endpoints: whoever makes an interface has written down its name first. */
		const found = links(netlink).filter(({ name }) => /^tsv[0-9a-f]{8}$/.test(name));
		const networks = allNetworks();
		for (const network of networks) collectNetwork(netlink, network, say);
		/* Those of CNI networks, too, which have state only. */
		const others = stateNames().filter((name) => !networks.some((network) => network.name === name));
		for (const name of others.filter((one) => one.startsWith("cni."))) collectNetwork(netlink, { name }, say);
		const known = [...networks.map(({ name }) => name), ...others].flatMap(endpointsOf).map(({ veth }) => veth);
		for (const { name } of found) {
			if (known.includes(name)) continue;
			removeLink(netlink, name);
			say(`link ${name}`);
		}
		for (const { name } of networks) removeIfUnused(netlink, name);
		withNetworks(() => {
			for (const network of allNetworks()) {
				if (!network.making || isAlive(network.making)) continue;
				removeNetwork(netlink, network);
				say(`network ${network.name}`);
			}
		});
	});
	collectFirewall(say);
	if (isDryRun()) return;
	collectHalfWritten(say);
	collectStates(say);
}

const stateNames = () => listState(`${runFolder()}/networks`);

function collectNetwork(netlink: Netlink, { name }: Pick<Network, "name">, say: (text: string) => void) {
	const isStale = (endpoint: Endpoint) => !isCurrent(endpoint);
	const stale = endpointsOf(name).filter(isStale);
	for (const { veth, ports } of stale) {
		if (veth !== undefined) removeLink(netlink, veth);
		if (ports !== undefined) removeElements(ports);
	}
	withNetwork(name, () => {
		for (const endpoint of endpointsOf(name).filter(isStale)) {
			removeEndpoint(endpoint);
			say(`endpoint ${name} ${endpoint.name}`);
		}
		for (const address of collectLeases(name)) say(`lease ${name} ${address}`);
		/* A lease in force whose endpoint was never written: its taker has died, but for CNI's, which are written last. */
		const names = endpointsOf(name).map((endpoint) => endpoint.name);
		for (const address of leasedAddresses(name)) {
			const lease = readLease(name, address);
			if (!lease || names.includes(lease.endpoint)) continue;
			releaseLease(name, address);
			say(`lease ${name} ${address}`);
		}
		if (stale.length > 0) updateHosts(name);
	});
}

/** Files whose writer died over them. */
function collectHalfWritten(say: (text: string) => void) {
	const folders = [`${runFolder()}/firewall`, runFolder(), networksFolder()];
	for (const name of stateNames()) folders.push(`${stateFolder(name)}/endpoints`, `${stateFolder(name)}/leases`);
	for (const folder of folders) if (removeHalfWritten(folder) > 0) say(`half-written ${folder}`);
}

function collectFirewall(say: (text: string) => void) {
	for (const name of collectElements()) say(`firewall ${name}`);
	withNetworks(() => {
		for (const { name } of firewallEntries()) {
			const network = /^network\.(.*)$/.exec(name)?.[1];
			if (network === undefined || findNetwork(network)) continue;
			removeElements(name);
			say(`firewall ${name}`);
		}
		if (!allNetworks().some(({ driver }) => driver === "bridge")) restoreForwarding();
	});
}

/** Folders of state of networks that there are no more. */
function collectStates(say: (text: string) => void) {
	withNetworks(() => {
		for (const name of stateNames()) {
			if (findNetwork(name) || (name.startsWith("cni.") && endpointsOf(name).length > 0)) continue;
			removeStateOf(name);
			say(`state ${name}`);
		}
	});
}
