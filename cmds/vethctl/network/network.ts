/**
 * Networks: a file each below the data, and what is in use of them below the run-time state.
 *
 *     DATA/networks/NAME              the network as it was created, JSON; it stays over a reboot
 *     RUN/networks/NAME/endpoints/ID  who is on it (endpoint/endpoint.ts)
 *     RUN/networks/NAME/leases/ADDR   an address that is taken (lease/leases.ts)
 *
 * Who changes what is below RUN/networks/NAME holds the lock of that folder; who makes or removes networks, that of RUN/networks.
 */
import { exists, mkdirAll } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { dataFolder, isName, listState, makeStateFolder, type Owner, readState, runFolder, withLock } from "../../common/state.ts";
import { parseSubnet, type Subnet } from "../subnet.ts";

export type Driver = "bridge" | "macvlan" | "none" | "host";
export const drivers: readonly string[] = ["bridge", "macvlan", "none", "host"];
export type GatewayMode = "nat" | "nat-unprotected" | "routed" | "isolated";
export const gatewayModes: readonly string[] = ["nat", "nat-unprotected", "routed", "isolated"];

export interface Network {
	name: string;
	driver: Driver;
	/** The bridge's name, or the interface below a macvlan. */
	bridge?: string;
	/** The bridge's hardware address: one that is made anew is to be known to those who knew the old one. */
	mac?: string;
	parent?: string;
	macvlanMode?: string;
	vlan?: number;
	subnet?: string;
	gateway?: string;
	/** The part of the subnet that addresses are leased from. */
	ipRange?: string;
	subnet6?: string;
	gateway6?: string;
	mtu?: number;
	internal: boolean;
	masquerade: boolean;
	/** Containers of the network reach each other. */
	icc: boolean;
	gatewayMode: GatewayMode;
	/** Interfaces from which container addresses may be reached directly. */
	trusted: string[];
	labels: Record<string, string>;
	/** While it is being made: by whom. */
	making?: Owner;
	/** Made when it was first used: it goes with its last endpoint. */
	automatic?: true;
	/** Seconds since 1970. */
	created: number;
}

export const defaultNetwork = "tsbr0";

export const networksFolder = () => `${dataFolder()}/networks`;
export const networkPath = (name: string) => `${networksFolder()}/${name}`;
export const stateFolder = (name: string) => `${runFolder()}/networks/${name}`;

export function findNetwork(name: string): Network | undefined {
	if (!isName(name)) fail(`${show(name)}: not a network's name`);
	return readState<Network>(networkPath(name));
}

export function getNetwork(name: string): Network {
	return findNetwork(name) ?? fail(`${name}: no such network`, "`tsvethctl network ls` shows those that there are");
}

export function allNetworks(): Network[] {
	return listState(networksFolder()).flatMap((name) => {
		const network = findNetwork(name);
		return network ? [network] : [];
	});
}

/** The subnets of a network, IPv4's first. */
export function subnetsOf({ subnet, subnet6 }: Pick<Network, "subnet" | "subnet6">): Subnet[] {
	return [subnet, subnet6].flatMap((text) => {
		const read = text === undefined ? undefined : parseSubnet(text);
		return read ? [read] : [];
	});
}

/** Runs a change of what networks there are. */
export function withNetworks<T>(change: () => T): T {
	if (isDryRun()) return change();
	makeStateFolder(runFolder());
	makeStateFolder(`${runFolder()}/networks`);
	mkdirAll(networksFolder(), 0o755);
	return withLock(`${runFolder()}/networks`, change);
}

const made: string[] = [];

/** Runs a change of who is on a network. */
export function withNetwork<T>(name: string, change: () => T): T {
	if (isDryRun()) return change();
	const folder = stateFolder(name);
	if (!made.includes(name) && !exists(`${folder}/leases`)) {
		makeStateFolder(runFolder());
		makeStateFolder(`${runFolder()}/networks`);
		for (const part of ["", "/endpoints", "/leases"]) makeStateFolder(`${folder}${part}`);
	}
	made.push(name);
	return withLock(folder, change);
}
