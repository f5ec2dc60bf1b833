/**
 * join: puts sandboxes on a network. A filter of sandbox records.
 *
 * What it does is written down before it is done (the lease, then the endpoint): a kill at any point leaves what `gc` finds. What it
 * has done is undone, last first, when a later step fails.
 */

import { EEXIST } from "../../../native/linux/errno.ts";
import { close } from "../../../native/linux/fd.ts";
import { isErrno, type Netlink } from "../../../native/linux/netlink/request.ts";
import { startTime } from "../../../native/linux/proc.ts";
import { getpid, getrandom, pidfdSendSignal } from "../../../native/linux/process.ts";
import { findLink, formatHardware, IFF_UP, parseHardware } from "../../../native/linux/route/link.ts";
import { formatInet, parseInet } from "../../../native/linux/sockaddr.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { allRecords, filterRecords, type SandboxRecord, type Target } from "../../common/record.ts";
import { isOfSandbox, registerLeave } from "../../common/sandbox-state.ts";
import { isName, type Owner } from "../../common/state.ts";
import { type Endpoint, readEndpoint, removeEndpoint, writeEndpoint } from "../endpoint/endpoint.ts";
import { randomHardware } from "../hardware.ts";
import { bootId, releaseLease, takeAddress } from "../lease/leases.ts";
import { checkNames, giveNames } from "../names/give.ts";
import { updateHosts } from "../names/hosts.ts";
import { openNetns, withRoute } from "../netns.ts";
import { ensureBridge } from "../network/bridge.ts";
import { automaticNetwork, interfaceName, makeNetwork } from "../network/create.ts";
import { defaultNetwork, findNetwork, getNetwork, type Network, withNetwork, withNetworks } from "../network/network.ts";
import { contains, parseSubnet, type Subnet } from "../subnet.ts";
import { type Attachment, configure, freeName, makeMacvlan, makeVeth, removeLink, removeLinkInside } from "./attach.ts";
import { joinHost, joinNone, joinOther } from "./modes.ts";

export interface JoinOptions {
	ip?: string[];
	mac?: string;
	ifname?: string;
	alias?: string[];
	endpoint?: string;
	hostname?: string;
	dns?: string[];
	dnsSearch?: string[];
	dnsOption?: string[];
	addHost?: string[];
	noNames?: true;
}

export function join({ options, operands }: { options: JoinOptions; operands: string[] }) {
	const [name, ...targets] = operands;
	if (name === undefined || name === "") throw new UsageError("join: no NETWORK given");
	const hardware = readHardware(options.mac);
	if (options.ifname !== undefined) interfaceName(options.ifname, "--ifname");
	for (const alias of options.alias ?? []) if (!isName(alias)) throw new UsageError(`--alias: ${JSON.stringify(alias)} is not a name`);
	if (options.hostname !== undefined && !isName(options.hostname))
		throw new UsageError(`--hostname: ${JSON.stringify(options.hostname)} is not a name`);
	if (options.dns ?? options.dnsSearch ?? options.dnsOption ?? options.addHost) checkNames(options);
	withRoute((netlink) => {
		filterRecords(targets, (target) => {
			if (name === "none") return joinNone(target);
			if (name === "host") return joinHost(target);
			if (name.startsWith("container:")) return joinOther(target, name.slice(10));
			return joinNetwork(netlink, name, withRecord(target), hardware, options);
		});
	});
}

/** `auto`: made of the address, as Docker does it; undefined: a random one. */
function readHardware(text: string | undefined): Uint8Array | "auto" | undefined {
	if (text === undefined || text === "auto") return text;
	const bytes = parseHardware(text);
	if (!bytes || (bytes[0] as number) & 1)
		throw new UsageError(`--mac: ${JSON.stringify(text)} is not the address of one station (02:42:ac:12:00:02), or auto`);
	return bytes;
}

/** A bare PID may be that of a sandbox that has an id. */
function withRecord(target: Target): Target {
	if (target.record) return target;
	const record = allRecords().find(({ pid }) => pid === target.pid);
	return record && record.start === startTime(target.pid) ? { ...target, record } : target;
}

/** How a sandbox is called here: by its id, if it is one; a record may say anything. */
export function nameOf({ pid, record }: Target): string {
	return record && isOfSandbox(record.id, pid, record.start) ? record.id : `pid-${pid}`;
}

function ownerOf({ pid, record }: Target): Owner {
	const start = record?.start ?? startTime(pid);
	return start === undefined ? fail(`${pid}: has ended`) : { pid, start };
}

function joinNetwork(netlink: Netlink, name: string, target: Target, hardware: Uint8Array | "auto" | undefined, options: JoinOptions) {
	const id = nameOf(target);
	const isSandbox = id === target.record?.id;
	const netns = openNetns(String(target.pid));
	const undo: (() => void)[] = [];
	try {
		/* While the pidfd's process lives, its PID names no other: the namespace is its. */
		if (!isDryRun() && !pidfdSendSignal(target.pidfd, 0)) fail(`${target.pid}: has ended`);
		if (isSandbox && !isDryRun()) registerLeave(id, "tsvethctl");
		/* The usual name is tried before the sandbox is looked into. */
		const ifname = options.ifname ?? (Array.isArray(target.record?.networks) ? freeName(netns) : "eth0");
		const reserved = reserve(netlink, name, target, id, ifname, hardware, options);
		const { network, bridge } = reserved;
		const attachment: Attachment = { ...reserved.attachment, netns };
		let { endpoint } = reserved;
		undo.push(() => {
			withNetwork(name, () => {
				removeEndpoint(endpoint);
				if (isNamed(endpoint)) updateHosts(name);
			});
		});
		try {
			attach(netlink, network, endpoint, bridge, attachment);
		} catch (error) {
			if (!isErrno(error, EEXIST)) throw error;
			if (options.ifname !== undefined) fail(`${ifname}: the sandbox has an interface of this name`, "give another: --ifname eth1");
			attachment.ifname = freeName(netns);
			endpoint = { ...endpoint, ifname: attachment.ifname };
			attach(netlink, network, endpoint, bridge, attachment);
		}
		undo.push(() => detach(netlink, endpoint, attachment));
		configure(attachment);
		if (!options.noNames && isSandbox) endpoint = giveNames(endpoint, network, target, options);
		const { joining: _, ...done } = endpoint;
		endpoint = done;
		withNetwork(name, () => {
			writeEndpoint(endpoint);
			if (isNamed(endpoint)) updateHosts(name);
		});
		return members(target.record, network, endpoint, attachment.ifname);
	} catch (error) {
		for (const step of undo.reverse()) step();
		throw error;
	} finally {
		close(netns);
	}
}

/** Makes the interface; what is half made goes again. Throws NetlinkError, EEXIST where the sandbox has one of the name. */
function attach(netlink: Netlink, network: Network, endpoint: Endpoint, bridge: number, attachment: Attachment) {
	if (network.driver === "macvlan")
		makeMacvlan(netlink, network.parent as string, network.vlan, network.macvlanMode ?? "bridge", attachment);
	else {
		const veth = endpoint.veth as string;
		try {
			makeVeth(netlink, veth, bridge, attachment, network.icc ? {} : { isolated: true });
		} catch (error) {
			removeLink(netlink, veth);
			throw error;
		}
	}
}

function detach(netlink: Netlink, { veth }: Endpoint, { netns, ifname }: Attachment) {
	if (veth === undefined) removeLinkInside(netns, ifname);
	else removeLink(netlink, veth);
}

/** True where it has files of its own, or others may look for it: not a bare process. */
function isNamed({ sandbox, files, aliases }: Endpoint): boolean {
	return sandbox?.id !== undefined || files !== undefined || aliases.length > 0;
}

/** The network to join; the default one is made when it is first used. */
function networkFor(netlink: Netlink, name: string): Network {
	if (name !== defaultNetwork) return getNetwork(name);
	return (
		findNetwork(name) ??
		withNetworks(() => {
			const there = findNetwork(name);
			if (there) return there;
			const made = automaticNetwork(netlink);
			makeNetwork(netlink, made);
			return made;
		})
	);
}

interface Reserved {
	network: Network;
	endpoint: Endpoint;
	bridge: number;
	attachment: Omit<Attachment, "netns">;
}

/** Under the network's lock: checks that the sandbox is not on it, leases addresses, writes the endpoint. */
function reserve(
	netlink: Netlink,
	name: string,
	target: Target,
	id: string,
	ifname: string,
	hardware: Uint8Array | "auto" | undefined,
	options: JoinOptions,
): Reserved {
	for (;;) {
		const network = networkFor(netlink, name);
		if (network.driver === "none" || network.driver === "host")
			return fail(`${name}: a network without endpoints`, `join ${network.driver} instead`);
		const bridge = network.driver === "bridge" ? (isDryRun() ? 0 : withBridge(netlink, network)) : 0;
		const made = withNetwork(name, () => {
			/* Removed since it was looked at. */
			if (!isDryRun() && !findNetwork(name)) return undefined;
			return makeEndpoint(network, target, id, ifname, hardware, options);
		});
		if (made) return { network, bridge, ...made };
		if (name !== defaultNetwork) fail(`${name}: has been removed`);
	}
}

/** The bridge's index; where it is missing it is made, by one of those who find it so. */
function withBridge(netlink: Netlink, network: Network): number {
	const found = findLink(netlink, network.bridge as string);
	if (found?.kind === "bridge" && (found.flags & IFF_UP) !== 0) return found.index;
	return withNetworks(() => ensureBridge(netlink, network));
}

function makeEndpoint(
	network: Network,
	target: Target,
	id: string,
	ifname: string,
	hardware: Uint8Array | "auto" | undefined,
	options: JoinOptions,
) {
	const owner = ownerOf(target);
	const reservedName = options.endpoint;
	const reserved =
		reservedName === undefined
			? undefined
			: (readEndpoint(network.name, reservedName) ?? fail(`${reservedName}: no such endpoint on ${network.name}`));
	if (reserved?.sandbox) fail(`${reserved.name}: in use by ${reserved.sandbox.id ?? reserved.sandbox.pid}`);
	const before = readEndpoint(network.name, reserved?.name ?? id);
	if (before && !reserved) {
		if (before.sandbox?.pid === owner.pid && before.sandbox.start === owner.start) fail(`${id}: is on ${network.name} already`);
		removeEndpoint(before);
	}
	const wanted = (options.ip ?? []).map((text) => parseInet(text) as Uint8Array);
	const lease = { endpoint: reserved?.name ?? id, owner };
	const taken: string[] = [];
	const addresses: { address: Uint8Array; prefix: number }[] = [];
	try {
		for (const [text, gateway, old, range] of [
			[network.subnet, network.gateway, reserved?.address, network.ipRange],
			[network.subnet6, network.gateway6, reserved?.address6, undefined],
		]) {
			const subnet = text === undefined ? undefined : parseSubnet(text);
			if (!subnet) continue;
			const address =
				old === undefined
					? takeFrom(network, subnet, gateway, range, wanted, lease)
					: (parseInet(old.split("/")[0] as string) as Uint8Array);
			if (old === undefined) taken.push(formatInet(address));
			addresses.push({ address, prefix: subnet.prefix });
		}
		for (const address of wanted)
			if (!addresses.some((one) => one.address.join() === address.join())) fail(`${formatInet(address)}: in no subnet of ${network.name}`);
	} catch (error) {
		for (const address of taken) releaseLease(network.name, address);
		throw error;
	}
	const mac = reserved?.mac === undefined ? hardwareFor(hardware, addresses[0]?.address) : (parseHardware(reserved.mac) as Uint8Array);
	const at = (length: number) => addresses.find(({ address }) => address.length === length);
	const text = (length: number) => {
		const found = at(length);
		return found && `${formatInet(found.address)}/${found.prefix}`;
	};
	const [v4, v6] = [text(4), text(16)];
	const endpoint: Endpoint = {
		name: reserved?.name ?? id,
		network: network.name,
		sandbox: { ...owner, ...(id === target.record?.id && { id }) },
		joining: { pid: getpid(), start: startTime(getpid()) ?? 0 },
		...(network.driver === "bridge" && { veth: vethName() }),
		ifname,
		...(v4 !== undefined && { address: v4 }),
		...(v6 !== undefined && { address6: v6 }),
		mac: formatHardware(mac),
		aliases: [...(reserved?.aliases ?? []), ...(options.alias ?? [])],
		...(options.hostname !== undefined && { hostname: options.hostname }),
		boot: bootId(),
	};
	try {
		writeEndpoint(endpoint);
	} catch (error) {
		for (const address of taken) releaseLease(network.name, address);
		throw error;
	}
	const isClosed = network.internal || network.gatewayMode === "isolated";
	const gateways = isClosed
		? []
		: [network.gateway, network.gateway6].flatMap((gateway) => (gateway === undefined ? [] : [parseInet(gateway) as Uint8Array]));
	return { endpoint, attachment: { ifname, hardware: mac, addresses, gateways, ...(network.mtu !== undefined && { mtu: network.mtu }) } };
}

function takeFrom(
	network: Network,
	subnet: Subnet,
	gateway: string | undefined,
	range: string | undefined,
	wanted: Uint8Array[],
	lease: { endpoint: string; owner: Owner },
): Uint8Array {
	const part = range === undefined ? undefined : parseSubnet(range);
	const own = network.gatewayMode === "isolated" || gateway === undefined ? [] : [gateway];
	return takeAddress(network.name, subnet, {
		...(part && { range: part }),
		wanted: wanted.find((address) => contains(subnet, address)),
		taken: own,
		lease,
	});
}

function hardwareFor(given: Uint8Array | "auto" | undefined, address: Uint8Array | undefined): Uint8Array {
	if (given === undefined) return randomHardware();
	if (given !== "auto") return given;
	return address ? Uint8Array.from([0x02, 0x42, ...address.subarray(-4)]) : randomHardware();
}

/** `tsv` and 32 random bits: by its form `gc` knows what is ours. */
export function vethName(): string {
	return `tsv${[...getrandom(4)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function members(record: SandboxRecord | undefined, network: Network, endpoint: Endpoint, ifname: string) {
	const one = {
		name: network.name,
		interface: ifname,
		...(endpoint.address !== undefined && { address: endpoint.address }),
		...(network.gateway !== undefined && { gateway: network.gateway }),
		...(endpoint.address6 !== undefined && { address6: endpoint.address6 }),
		...(network.gateway6 !== undefined && { gateway6: network.gateway6 }),
		mac: endpoint.mac,
		...(endpoint.veth !== undefined && { veth: endpoint.veth }),
		...(network.bridge !== undefined && { bridge: network.bridge }),
	};
	const others = Array.isArray(record?.networks) ? (record.networks as unknown[]) : [];
	return { network: record?.network ?? one, networks: [...others, one] };
}
