/**
 * What is attached by the way of CNI: kept like the endpoints of our own networks, RUN/networks/cni.NAME/endpoints/CONTAINER.IFNAME.
 * An attachment has no process that owns it: it ends with DEL, by GC, or with this boot of the machine.
 */
import { formatInet } from "../../../native/linux/sockaddr.ts";
import { type Endpoint, endpointsOf, isCurrent, readEndpoint, removeEndpoint } from "../endpoint/endpoint.ts";
import { isInForce, leasedAddresses, readLease, releaseLease, writeLease } from "../lease/leases.ts";
import { addressAt, isReserved, numberOf } from "../subnet.ts";
import type { Config, Range } from "./config.ts";
import type { Call } from "./environment.ts";
import { CniError, codes } from "./error.ts";

export interface Attachment extends Endpoint {
	container: string;
	addresses: string[];
}

export const networkName = ({ name }: Pick<Config, "name">) => `cni.${name}`;
export const attachmentName = ({ container, ifname }: Pick<Call, "container" | "ifname">) =>
	`${container}.${ifname.replace(/[^a-zA-Z0-9_.-]/g, "_")}`;

export function readAttachment(config: Config, call: Call): Attachment | undefined {
	return readEndpoint(networkName(config), attachmentName(call)) as Attachment | undefined;
}

export function attachmentsOf(config: Config): Attachment[] {
	return endpointsOf(networkName(config)) as Attachment[];
}

/** Removes an attachment's file and leases. */
export function forgetAttachment(attachment: Attachment) {
	for (const address of attachment.addresses ?? []) releaseLease(attachment.network, address.split("/")[0] as string);
	removeEndpoint(attachment);
}

/** Leases an address of each set of ranges; to be called under the network's lock. Throws CniError 11 where none is left. */
export function takeAddresses(config: Config, endpoint: string): { address: Uint8Array; range: Range }[] {
	const network = networkName(config);
	const taken: { address: Uint8Array; range: Range }[] = [];
	const wanted = [...config.ips];
	try {
		for (const set of config.ipam?.ranges ?? []) {
			const found = takeOne(network, set, wanted);
			writeLease(network, formatInet(found.address), { endpoint });
			taken.push(found);
		}
		if (wanted.length > 0) throw new CniError(codes.invalidConfig, `ips: ${formatInet(wanted[0] as Uint8Array)} is in no range`);
	} catch (error) {
		for (const { address } of taken) releaseLease(network, formatInet(address));
		throw error;
	}
	return taken;
}

const inRange = ({ subnet, first, last }: Range, address: Uint8Array) => {
	const n = address.length === subnet.address.length ? numberOf(subnet, address) : Number.NaN;
	return n >= first && n <= last && addressAt(subnet, n).join() === address.join();
};

function takeOne(network: string, set: Range[], wanted: Uint8Array[]): { address: Uint8Array; range: Range } {
	for (const range of set) {
		const at = wanted.findIndex((address) => inRange(range, address));
		if (at < 0) continue;
		const [address] = wanted.splice(at, 1) as [Uint8Array];
		const lease = readLease(network, formatInet(address));
		if (isInForce(lease)) throw new CniError(codes.failed, `${formatInet(address)}: in use by ${lease?.endpoint}`);
		return { address, range };
	}
	const used = leasedAddresses(network);
	for (const range of set) {
		const free = (isTaken: (text: string) => boolean) => {
			for (let n = range.first; n <= range.last; n++) {
				if (isReserved(range.subnet, n)) continue;
				const address = addressAt(range.subnet, n);
				if (address.join() !== range.gateway.join() && !isTaken(formatInet(address))) return address;
			}
			return undefined;
		};
		const address = free((text) => used.includes(text)) ?? free((text) => used.includes(text) && isInForce(readLease(network, text)));
		if (address) return { address, range };
	}
	throw new CniError(codes.tryAgainLater, "no address is left in the ranges");
}

/** True for one of before a reboot. */
export const isGone = (attachment: Attachment) => !isCurrent(attachment);
