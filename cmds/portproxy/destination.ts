/** Where the ports of a sandbox are: at its address on a network of ours, or, where it has none, inside its network namespace. */
import { namespaceInode } from "../../native/linux/namespace.ts";
import { parseInet } from "../../native/linux/sockaddr.ts";
import { fail } from "../common/errors.ts";
import type { Target } from "../common/record.ts";

export interface Destination {
	/** Its IPv4 and IPv6 address; from inside, 127.0.0.1. */
	address?: string;
	address6?: string;
	/** The bridge that it is on. */
	bridge?: string;
	/** The bridge's port that it is behind. */
	veth?: string;
	/** It is connected to from inside its network namespace. */
	inside: boolean;
}

interface NetworkMember {
	name?: unknown;
	bridge?: unknown;
	veth?: unknown;
	address?: unknown;
	address6?: unknown;
}

/** An address of a record, without its prefix length: a record may say anything. */
function addressOf(text: unknown, length: number): string | undefined {
	if (typeof text !== "string") return undefined;
	const address = text.replace(/\/\d+$/, "");
	return parseInet(address)?.length === length ? address : undefined;
}

/** `to`: addresses that were given on the command line. */
export function destinationOf({ pid, record }: Target, to: string[]): Destination {
	const given = { address: to.find((text) => parseInet(text)?.length === 4), address6: to.find((text) => parseInet(text)?.length === 16) };
	if (to.length > 0) return clean({ ...given, inside: false });
	const networks = [record?.network, ...(Array.isArray(record?.networks) ? record.networks : [])] as (NetworkMember | undefined)[];
	for (const network of networks) {
		const address = addressOf(network?.address, 4);
		const address6 = addressOf(network?.address6 ?? network?.address, 16);
		const bridge = [network?.bridge, network?.name].find((name): name is string => typeof name === "string");
		if (address !== undefined || address6 !== undefined) {
			const veth = typeof network?.veth === "string" ? network.veth : undefined;
			return clean({ address, address6, bridge, veth, inside: false });
		}
	}
	const own = namespaceInode("self", "net");
	const its = namespaceInode(pid, "net");
	if (its === undefined) fail(`${record?.id ?? pid}: its network namespace cannot be seen`, "it has ended, or this needs root");
	if (its === own)
		fail(
			`${record?.id ?? pid}: uses this machine's own network`,
			"its ports are this machine's already; --to ADDRESS publishes those of another one",
		);
	return { address: "127.0.0.1", address6: "::1", inside: true };
}

function clean({ address, address6, bridge, veth, inside }: { [K in keyof Destination]: Destination[K] | undefined }): Destination {
	return {
		...(address && { address }),
		...(address6 && { address6 }),
		...(bridge && { bridge }),
		...(veth && { veth }),
		inside: inside === true,
	};
}

/** The address that the proxy connects to for a port of this machine's address: of its family, if there is one. */
export function proxyAddress({ address, address6, inside }: Destination, hostAddress: string): string {
	const isIPv6 = hostAddress.includes(":");
	return (isIPv6 && !inside ? (address6 ?? address) : (address ?? address6)) as string;
}
