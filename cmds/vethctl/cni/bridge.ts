/** ADD, DEL and CHECK of a bridge network: what the plugins bridge, host-local and portmap do together. */
import { EEXIST } from "../../../native/linux/errno.ts";
import { close } from "../../../native/linux/fd.ts";
import { changeAll, isErrno, type Netlink, tryChange } from "../../../native/linux/netlink/request.ts";
import { startTime } from "../../../native/linux/proc.ts";
import { getpid, getrandom } from "../../../native/linux/process.ts";
import { addressAdd, addresses as addressesOf } from "../../../native/linux/route/address.ts";
import { findLink, formatHardware, IFF_UP } from "../../../native/linux/route/link.ts";
import { bridgeKind, linkAdd, linkSet } from "../../../native/linux/route/link-change.ts";
import { routes as routesOf } from "../../../native/linux/route/route.ts";
import { AF_INET, AF_INET6, formatInet, parseInet } from "../../../native/linux/sockaddr.ts";
import { addElements, firewallEntries, removeElements } from "../../common/firewall/change.ts";
import type { Element } from "../../common/firewall/elements.ts";
import { writeEndpoint } from "../endpoint/endpoint.ts";
import { randomHardware } from "../hardware.ts";
import { configure, makeVeth, removeLink } from "../join/attach.ts";
import { vethName } from "../join/join.ts";
import { bootId } from "../lease/leases.ts";
import { inNetns, openNetns, withRoute } from "../netns.ts";
import { enableForwarding } from "../network/forwarding.ts";
import { withNetwork } from "../network/network.ts";
import { formatSubnet, parseInterface } from "../subnet.ts";
import {
	type Attachment,
	attachmentName,
	attachmentsOf,
	forgetAttachment,
	networkName,
	readAttachment,
	takeAddresses,
} from "./attachment.ts";
import type { Config, Range, Result, Route } from "./config.ts";
import type { Call } from "./environment.ts";
import { CniError, codes } from "./error.ts";
import { addPorts } from "./ports.ts";

interface Taken {
	address: Uint8Array;
	range: Range;
}

/** An open namespace, which may be a file of the runtime's or /proc/PID/ns/net. */
export function openCniNetns(path: string): number {
	try {
		return openNetns(path.includes("/") ? path : `./${path}`);
	} catch (error) {
		throw new CniError(codes.unknownContainer, `CNI_NETNS: ${(error as Error).message}`);
	}
}

export function add(config: Config, call: Call): Result {
	const netns = openCniNetns(call.netns as string);
	const undo: (() => void)[] = [];
	try {
		return withRoute((netlink) => attach(netlink, netns, config, call, undo));
	} catch (error) {
		for (const step of undo.reverse()) step();
		throw error;
	} finally {
		close(netns);
	}
}

function attach(netlink: Netlink, netns: number, config: Config, call: Call, undo: (() => void)[]): Result {
	const network = networkName(config);
	const name = attachmentName(call);
	const veth = vethName();
	const mac = config.mac ?? randomHardware();
	const { taken, attachment } = withNetwork(network, () => {
		const before = readAttachment(config, call);
		if (before && before.boot === bootId() && findLink(netlink, before.veth ?? ""))
			throw new CniError(codes.failed, `${call.container} has been attached as ${call.ifname} already`);
		if (before) forgetAttachment(before);
		const taken = takeAddresses(config, name);
		const attachment: Attachment = {
			name,
			network,
			container: call.container,
			veth,
			ifname: call.ifname,
			mac: formatHardware(mac),
			addresses: taken.map(({ address, range }) => `${formatInet(address)}/${range.subnet.prefix}`),
			aliases: [],
			joining: { pid: getpid(), start: startTime(getpid()) ?? 0 },
			boot: bootId(),
		};
		writeEndpoint(attachment);
		return { taken, attachment };
	});
	undo.push(() => withNetwork(network, () => forgetAttachment(attachment)));
	const bridge = ensureCniBridge(netlink, config, taken);
	const gateways = config.isDefaultGateway ? taken.map(({ range }) => range.gateway) : [];
	const given = {
		netns,
		ifname: call.ifname,
		hardware: mac,
		addresses: taken.map(({ address, range }) => ({ address, prefix: range.subnet.prefix })),
		gateways,
		routes: routesFor(config, taken),
		...(config.mtu !== undefined && { mtu: config.mtu }),
	};
	const port = { ...(config.hairpin && { hairpin: true }), ...(config.isolated && { isolated: true }) };
	try {
		makeVeth(netlink, veth, bridge, given, port);
	} catch (error) {
		removeLink(netlink, veth);
		if (isErrno(error, EEXIST)) throw new CniError(codes.failed, `${call.ifname}: is in the container already`);
		throw error;
	}
	undo.push(() => removeLink(netlink, veth));
	configure(given);
	putNetworkElements(config, taken);
	undo.push(() => withNetwork(network, () => dropIfLast(config, name)));
	const ports = addPorts(
		config,
		attachment.addresses,
		`cni-ports.${[...getrandom(8)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`,
	);
	if (ports !== undefined) undo.push(() => removeElements(ports));
	const { joining: _, ...done } = { ...attachment, ...(ports !== undefined && { ports }) };
	withNetwork(network, () => writeEndpoint(done));
	return resultOf(netlink, config, call, done, taken);
}

/** The bridge, made if need be, with the gateways' addresses. */
function ensureCniBridge(netlink: Netlink, config: Config, taken: Taken[]): number {
	const { bridge, mtu } = config;
	if (!findLink(netlink, bridge))
		tryChange(
			netlink,
			linkAdd({ name: bridge, up: true, address: randomHardware(), ...(mtu !== undefined && { mtu }) }, bridgeKind({ forward_delay: 0 })),
			EEXIST,
		);
	const found = findLink(netlink, bridge);
	if (found?.kind !== "bridge") throw new CniError(codes.failed, `${bridge}: is an interface, and no bridge`);
	if ((found.flags & IFF_UP) === 0 || config.promisc)
		changeAll(netlink, [linkSet(found.index, { up: true, ...(config.promisc && { promisc: true }) }, bridge)]);
	if (!config.isGateway) return found.index;
	for (const { range } of taken)
		tryChange(netlink, addressAdd(found.index, range.gateway, range.subnet.prefix, { nodad: true, called: bridge }), EEXIST);
	for (const { address } of taken) enableForwarding(address.length === 4 ? "ip" : "ip6");
	return found.index;
}

/** The routes of the configuration, their next hop the gateway where none is given. */
function routesFor(config: Config, taken: Taken[]): Route[] {
	const isDefault = ({ prefix }: Route) => prefix === 0;
	return (config.ipam?.routes ?? [])
		.filter((route) => !(config.isDefaultGateway && isDefault(route)))
		.flatMap((route) => {
			const range = taken.find(({ address }) => address.length === route.destination.length)?.range;
			const gateway = route.gateway ?? range?.gateway;
			return gateway ? [{ ...route, gateway }] : [];
		});
}

/** Hairpin and masquerade of the network's subnets: there as long as anybody is attached. */
function putNetworkElements(config: Config, taken: Taken[]) {
	const name = networkName(config);
	const known = firewallEntries().find((entry) => entry.name === name)?.elements ?? [];
	const wanted = taken.flatMap(({ range }): Element[] => {
		const family = range.subnet.address.length === 4 ? "ip" : "ip6";
		const subnet = formatSubnet(range.subnet);
		return [
			{ family, set: "own", key: [subnet, config.bridge] },
			...(config.ipMasq ? [{ family, set: "masqueraded", key: [subnet] } as Element] : []),
		];
	});
	const missing = wanted.filter(
		(one) => !known.some((other) => other.set === one.set && other.family === one.family && other.key.join() === one.key.join()),
	);
	if (missing.length === 0) return;
	try {
		addElements(name, missing);
	} catch (error) {
		/* Another network of the same subnet has it. */
		if (!isErrno(error, EEXIST)) throw error;
	}
}

function dropIfLast(config: Config, name: string) {
	if (!attachmentsOf(config).some((one) => one.name !== name)) removeElements(networkName(config));
}

function resultOf(netlink: Netlink, config: Config, call: Call, attachment: Attachment, taken: Taken[]): Result {
	const macOf = (name: string) => findLink(netlink, name)?.address ?? "";
	const veth = attachment.veth as string;
	const routes = [
		...(config.isDefaultGateway
			? taken.map(({ range }) => ({ dst: range.gateway.length === 4 ? "0.0.0.0/0" : "::/0", gw: formatInet(range.gateway) }))
			: []),
		...(config.ipam?.routes ?? [])
			.filter(({ prefix }) => !(config.isDefaultGateway && prefix === 0))
			.map(({ destination, prefix, gateway }) => ({
				dst: `${formatInet(destination)}/${prefix}`,
				...(gateway && { gw: formatInet(gateway) }),
			})),
	];
	return {
		interfaces: [
			{ name: config.bridge, mac: macOf(config.bridge) },
			{ name: veth, mac: macOf(veth) },
			{ name: call.ifname, mac: attachment.mac as string, sandbox: call.netns as string },
		],
		ips: taken.map(({ address, range }) => ({
			interface: 2,
			address: `${formatInet(address)}/${range.subnet.prefix}`,
			gateway: formatInet(range.gateway),
		})),
		routes,
		dns: config.dns,
	};
}

/** What is gone already is fine, the namespace too. */
export function del(config: Config, call: Call) {
	const attachment = readAttachment(config, call);
	if (!attachment) return;
	release(config, attachment);
}

/** Undoes an attachment. */
export function release(config: Config, attachment: Attachment) {
	if (attachment.ports !== undefined) removeElements(attachment.ports);
	withRoute((netlink) => {
		if (attachment.veth !== undefined) removeLink(netlink, attachment.veth);
	});
	withNetwork(attachment.network, () => {
		forgetAttachment(attachment);
		dropIfLast(config, attachment.name);
	});
}

/** Fails where the container's interface, addresses or routes are not as the result of ADD says. */
export function check(config: Config, call: Call) {
	const result = config.prevResult ?? fail("prevResult: is missing");
	const attachment = readAttachment(config, call) ?? fail(`${call.container} is not attached as ${call.ifname}`);
	const netns = openCniNetns(call.netns as string);
	try {
		withRoute((netlink) => {
			if (!findLink(netlink, config.bridge)) fail(`${config.bridge}: the bridge is gone`);
			if (attachment.veth !== undefined && !findLink(netlink, attachment.veth))
				fail(`${attachment.veth}: the host's end of the veth pair is gone`);
		});
		inNetns(netns, () => withRoute((netlink) => checkInside(netlink, call, result)));
	} finally {
		close(netns);
	}
}

function fail(message: string): never {
	throw new CniError(codes.checkFailed, message);
}

function checkInside(netlink: Netlink, { ifname }: Call, result: Result) {
	const link = findLink(netlink, ifname) ?? fail(`${ifname}: is not in the container`);
	if ((link.flags & IFF_UP) === 0) fail(`${ifname}: is down`);
	const inside = result.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox !== undefined);
	const mac = result.interfaces[inside]?.mac;
	if (mac !== undefined && mac !== link.address) fail(`${ifname}: its hardware address is ${link.address ?? "none"}, not ${mac}`);
	const own = addressesOf(netlink).filter(({ index }) => index === link.index);
	for (const { address, interface: number } of result.ips) {
		if (number !== undefined && inside >= 0 && number !== inside) continue;
		const wanted = parseInterface(address);
		if (!own.some((one) => one.address.join() === wanted?.address.join() && one.prefix === wanted.subnet.prefix))
			fail(`${ifname}: has not the address ${address}`);
	}
	const there = [...routesOf(netlink, AF_INET), ...routesOf(netlink, AF_INET6)];
	for (const { dst, gw } of result.routes) {
		const wanted = parseInterface(dst)?.subnet;
		const via = gw === undefined ? undefined : parseInet(gw);
		const isIt = (route: (typeof there)[number]) =>
			route.prefix === wanted?.prefix &&
			(route.family === "inet6") === (wanted.address.length === 16) &&
			(wanted.prefix === 0 || route.destination?.join() === wanted.address.join()) &&
			(via === undefined || route.gateway?.join() === via.join());
		if (!there.some(isIt)) fail(`${ifname}: the route to ${dst} is gone`);
	}
}
