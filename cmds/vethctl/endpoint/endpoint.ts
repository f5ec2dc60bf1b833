/**
 * Endpoints: who is, or may come, on a network. A file each, RUN/networks/NETWORK/endpoints/NAME; the name is the sandbox's id,
 * `pid-4242` for a process without one.
 */
import { formatInet, parseInet } from "../../../native/linux/sockaddr.ts";
import { unlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { isAlive, isName, listState, type Owner, readState } from "../../common/state.ts";
import { writeQuickly } from "../files.ts";
import { bootId, releaseLease } from "../lease/leases.ts";
import { allNetworks, stateFolder } from "../network/network.ts";

export interface Endpoint {
	name: string;
	network: string;
	/** Without a sandbox it was reserved by `endpoint create`, or made by CNI. */
	sandbox?: Owner & { id?: string };
	/** While it is being made: by whom. */
	joining?: Owner;
	/** CNI: what the runtime calls it. */
	container?: string;
	/** CNI: the name of its published ports in the firewall. */
	ports?: string;
	/** The host's end of the veth pair. */
	veth?: string;
	/** The name inside. */
	ifname?: string;
	address?: string;
	address6?: string;
	mac?: string;
	aliases: string[];
	/** The container's own files: its folder. */
	files?: string;
	/** Further lines of its hosts file, `ADDRESS NAME`. */
	hosts?: string[];
	hostname?: string;
	boot: string;
}

const folderOf = (network: string) => `${stateFolder(network)}/endpoints`;
const pathOf = (network: string, name: string) => `${folderOf(network)}/${name}`;

export function readEndpoint(network: string, name: string): Endpoint | undefined {
	if (!isName(name)) fail(`${show(name)}: not an endpoint's name`);
	try {
		return readState<Endpoint>(pathOf(network, name));
	} catch {
		return undefined;
	}
}

export function endpointsOf(network: string): Endpoint[] {
	return listState(folderOf(network)).flatMap((name) => {
		const endpoint = readEndpoint(network, name);
		return endpoint ? [endpoint] : [];
	});
}

export function allEndpoints(): Endpoint[] {
	return allNetworks().flatMap(({ name }) => endpointsOf(name));
}

export function writeEndpoint(endpoint: Endpoint) {
	if (!isDryRun()) writeQuickly(pathOf(endpoint.network, endpoint.name), `${JSON.stringify(endpoint)}\n`);
}

/** Removes an endpoint and its leases. */
export function removeEndpoint(endpoint: Endpoint) {
	for (const address of [endpoint.address, endpoint.address6]) if (address !== undefined) releaseLease(endpoint.network, bare(address));
	if (!isDryRun()) unlinkIfAny(pathOf(endpoint.network, endpoint.name));
}

/** An address without its prefix, as leases have it. */
export function bare(address: string): string {
	const text = address.split("/")[0] as string;
	const bytes = parseInet(text);
	return bytes ? formatInet(bytes) : text;
}

/** False once whoever it was made for has ended, or who was making it has died over it. */
export function isCurrent({ sandbox, joining, boot }: Endpoint): boolean {
	if (boot !== bootId()) return false;
	if (joining && !isAlive(joining)) return false;
	return sandbox === undefined || isAlive(sandbox);
}
