/**
 * Leases of addresses: a file each, `leases/172.18.0.2`, that one can list and read.
 *
 *     {"endpoint":"web","owner":{"pid":4242,"start":881234},"boot":"…"}
 *
 * It is in force as long as its owner lives, in this boot of the machine; one without an owner (CNI, `endpoint create`) until it
 * is released, or the machine boots. All is done under the lock of the network (network/network.ts).
 */
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { formatInet, parseInet } from "../../../native/linux/sockaddr.ts";
import { unlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { isAlive, listState, type Owner, readState } from "../../common/state.ts";
import { writeQuickly } from "../files.ts";
import { stateFolder } from "../network/network.ts";
import { addressAt, contains, formatSubnet, isReserved, numberOf, type Subnet, sizeOf } from "../subnet.ts";

export interface Lease {
	endpoint: string;
	owner?: Owner;
	boot: string;
}

let boot: string | undefined;

/** The id of this boot of the machine: /proc/sys/kernel/random/boot_id. */
export function bootId(): string {
	boot ??= (readFileIfAny("/proc/sys/kernel/random/boot_id") ?? "").trim();
	return boot;
}

/* A file's name cannot have the colons of an IPv6 address on every system, but here it can: names are checked by isName. */
const leasesFolder = (network: string) => `${stateFolder(network)}/leases`;
const fileName = (address: string) => address.replace(/:/g, "_");
const addressName = (file: string) => file.replace(/_/g, ":");
const pathOf = (network: string, address: string) => `${leasesFolder(network)}/${hidden(fileName(address))}`;

/** A name begins with a letter or digit; `::1` does not. */
function hidden(name: string): string {
	return name.startsWith("_") ? `0${name}` : name;
}

/** The addresses that are taken, by their text. */
export function leasedAddresses(network: string): string[] {
	return listState(leasesFolder(network)).map((file) => {
		const bytes = parseInet(addressName(file));
		return bytes ? formatInet(bytes) : file;
	});
}

export function readLease(network: string, address: string): Lease | undefined {
	try {
		return readState<Lease>(pathOf(network, address));
	} catch {
		/* Half written by one who was killed: nobody writes under our lock. */
		return undefined;
	}
}

/** True while a lease is in force. */
export function isInForce(lease: Lease | undefined): boolean {
	if (!lease || lease.boot !== bootId()) return false;
	return lease.owner === undefined || isAlive(lease.owner);
}

export function writeLease(network: string, address: string, lease: Omit<Lease, "boot">) {
	if (!isDryRun()) writeQuickly(pathOf(network, address), `${JSON.stringify({ ...lease, boot: bootId() })}\n`);
}

export function releaseLease(network: string, address: string) {
	if (!isDryRun()) unlinkIfAny(pathOf(network, address));
}

/** Removes the leases that are no longer in force; returns their addresses. */
export function collectLeases(network: string): string[] {
	const dead = leasedAddresses(network).filter((address) => !isInForce(readLease(network, address)));
	for (const address of dead) releaseLease(network, address);
	return dead;
}

/**
 * Takes an address of a subnet: `wanted`, or the first that is free in the range. `taken`: those that are nobody's to lease, the
 * gateway's. Fails where it is in use, not in the subnet, or none is left.
 */
export function takeAddress(
	network: string,
	subnet: Subnet,
	{
		range = subnet,
		wanted,
		taken,
		lease,
	}: { range?: Subnet; wanted?: Uint8Array | undefined; taken: string[]; lease: Omit<Lease, "boot"> },
): Uint8Array {
	if (wanted) {
		const text = formatInet(wanted);
		if (!contains(subnet, wanted)) fail(`${text}: not in the subnet of ${network}, ${formatSubnet(subnet)}`);
		if (isReserved(subnet, numberOf(subnet, wanted)))
			fail(`${text}: the address of the network ${formatSubnet(subnet)} itself, or of all in it`);
		if (taken.includes(text)) fail(`${text}: the gateway of ${network} has it`);
		const held = readLease(network, text);
		if (isInForce(held)) fail(`${text}: in use on ${network} by ${(held as Lease).endpoint}`);
		writeLease(network, text, lease);
		return wanted;
	}
	const found =
		firstFree(network, subnet, range, taken) ?? (collectLeases(network).length > 0 ? firstFree(network, subnet, range, taken) : undefined);
	if (!found)
		return fail(
			`${network}: no address is left in ${formatSubnet(range)}`,
			"`tsvethctl endpoint ls` shows who has them; a larger --subnet has more",
		);
	writeLease(network, formatInet(found), lease);
	return found;
}

function firstFree(network: string, subnet: Subnet, range: Subnet, taken: string[]): Uint8Array | undefined {
	const used = new Set([...taken, ...leasedAddresses(network)]);
	const first = numberOf(subnet, range.address);
	for (let n = first; n < first + sizeOf(range); n++) {
		if (isReserved(subnet, n)) continue;
		const address = addressAt(subnet, n);
		if (!used.has(formatInet(address))) return address;
	}
	return undefined;
}
