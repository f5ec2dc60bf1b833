/** network create: what is wrong with it is found before anything is done. */

import { CLOCK_REALTIME, clockGettime } from "../../../native/linux/clock.ts";
import { closeNetlink, NETLINK_ROUTE, type Netlink, openNetlink } from "../../../native/linux/netlink/request.ts";
import { startTime } from "../../../native/linux/proc.ts";
import { getpid } from "../../../native/linux/process.ts";
import { findLink, formatHardware, macvlanModes } from "../../../native/linux/route/link.ts";
import { formatInet, parseInet } from "../../../native/linux/sockaddr.ts";
import { unlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { isName, writeState } from "../../common/state.ts";
import { randomHardware } from "../hardware.ts";
import { addressAt, contains, isReserved, numberOf, overlap, parseSubnet, type Subnet } from "../subnet.ts";
import { makeBridge } from "./bridge.ts";
import { checkSubnet, chooseMtu, chooseSubnet, chooseSubnet6, defaultRoute } from "./choose.ts";
import {
	type Driver,
	defaultNetwork,
	drivers,
	findNetwork,
	type GatewayMode,
	gatewayModes,
	type Network,
	networkPath,
	withNetworks,
} from "./network.ts";

export interface CreateOptions {
	driver?: string;
	subnet?: string[];
	gateway?: string[];
	ipRange?: string;
	ipv6?: true;
	subnet6?: string;
	gateway6?: string;
	internal?: true;
	mtu?: number;
	vlan?: number;
	parent?: string;
	mode?: string;
	bridge?: string;
	noMasquerade?: true;
	icc?: boolean;
	gatewayMode?: string;
	trusted?: string[];
	label?: string[];
}

export function create({ options, operands }: { options: CreateOptions; operands: string[] }) {
	const [name, ...rest] = operands;
	if (name === undefined || rest.length > 0) throw new UsageError("network create: give one NAME");
	if (!isName(name))
		throw new UsageError(`network create: ${show(name)}: not a name (letters, digits, _ . -; the first a letter or digit)`);
	if (/^\d+$/.test(name) || ["host", "none", "container"].includes(name) || name.startsWith("cni."))
		throw new UsageError(`network create: ${name}: has a meaning of its own in \`join\``);
	const netlink = openNetlink(NETLINK_ROUTE);
	try {
		withNetworks(() => {
			if (findNetwork(name)) fail(`${name}: there is a network of this name`);
			makeNetwork(netlink, readNetwork(netlink, name, options));
		});
	} finally {
		closeNetlink(netlink);
	}
	if (!isDryRun()) print(`${name}\n`);
}

/**
 * Writes the network's file, and makes its bridge: in this order, so that a kill leaves what `gc` finds. To be called under the lock
 * of the networks.
 */
export function makeNetwork(netlink: Netlink, network: Network) {
	const path = networkPath(network.name);
	const write = (one: Network) => {
		if (!isDryRun()) writeState(path, `${JSON.stringify(one)}\n`, 0o644);
	};
	if (network.driver === "bridge") {
		write({ ...network, making: { pid: getpid(), start: startTime(getpid()) ?? 0 } });
		try {
			makeBridge(netlink, network);
		} catch (error) {
			if (!isDryRun()) unlinkIfAny(path);
			throw error;
		}
	}
	write(network);
}

/** The network that is made when somebody joins without having made one. */
export function automaticNetwork(netlink: Netlink): Network {
	return { ...readNetwork(netlink, defaultNetwork, {}), automatic: true };
}

/** An interface's name as the kernel takes it. */
export function interfaceName(text: string, what: string): string {
	if (text === "" || text.length > 15) throw new UsageError(`${what}: ${show(text)}: an interface's name has 1 to 15 letters`);
	if (text === "." || text === ".." || /[\s/:%]/.test(text) || !/^[\x21-\x7e]+$/.test(text))
		throw new UsageError(`${what}: ${show(text)}: an interface's name has no space, slash, colon or percent sign`);
	return text;
}

function readNetwork(netlink: Netlink, name: string, options: CreateOptions): Network {
	const driver = (options.driver ?? "bridge") as Driver;
	if (!drivers.includes(driver)) throw new UsageError(`--driver: ${show(driver)}: there are ${drivers.join(", ")}`);
	const gatewayMode = (options.gatewayMode ?? "nat") as GatewayMode;
	if (!gatewayModes.includes(gatewayMode))
		throw new UsageError(`--gateway-mode: ${show(gatewayMode)}: there are ${gatewayModes.join(", ")}`);
	if (gatewayMode === "isolated" && !options.internal) throw new UsageError("--gateway-mode isolated: is for an --internal network");
	checkDriver(driver, options);

	const network: Network = {
		name,
		driver,
		internal: options.internal === true,
		masquerade: !options.noMasquerade,
		icc: options.icc !== false,
		gatewayMode,
		trusted: (options.trusted ?? []).map((one) => interfaceName(one, "--trusted-interface")),
		labels: readLabels(options.label ?? []),
		created: Math.round(clockGettime(CLOCK_REALTIME)),
	};
	if (driver === "none" || driver === "host") return network;
	if (driver === "bridge")
		Object.assign(network, { bridge: bridgeName(netlink, name, options.bridge), mac: formatHardware(randomHardware()) });
	else Object.assign(network, macvlanParent(netlink, options));
	const mtu = options.mtu ?? chooseMtu(netlink);
	if (mtu !== undefined) network.mtu = mtu;
	return { ...network, ...readSubnets(netlink, options, driver) };
}

function checkDriver(driver: Driver, options: CreateOptions) {
	const only = (wanted: Driver[], ...given: (keyof CreateOptions)[]) => {
		for (const option of given)
			if (options[option] !== undefined && !wanted.includes(driver))
				throw new UsageError(`--${option.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}: not for the driver ${driver}`);
	};
	only(["bridge"], "bridge", "noMasquerade", "icc", "gatewayMode", "trusted");
	only(["macvlan"], "parent", "mode", "vlan");
	only(["bridge", "macvlan"], "subnet", "gateway", "ipRange", "ipv6", "subnet6", "gateway6", "mtu", "internal");
	if (options.mode !== undefined && !(options.mode in macvlanModes))
		throw new UsageError(`--mode: ${show(options.mode)}: there are ${Object.keys(macvlanModes).join(", ")}`);
}

function bridgeName(netlink: Netlink, name: string, given: string | undefined): string {
	if (given === undefined && name.length > 15)
		throw new UsageError(`network create: ${name}: longer than an interface's name, 15 letters`, "name the bridge: --bridge NAME");
	const bridge = interfaceName(given ?? name, given === undefined ? "network create" : "--bridge");
	if (findLink(netlink, bridge)) fail(`${bridge}: there is an interface of this name`, "name the bridge: --bridge NAME");
	return bridge;
}

function macvlanParent(netlink: Netlink, { parent, vlan, mode }: CreateOptions): Partial<Network> {
	const oif = parent === undefined ? defaultRoute(netlink)?.oif : undefined;
	const name = parent ?? (oif === undefined ? undefined : findLink(netlink, oif)?.name);
	if (name === undefined) return fail("macvlan: there is no default route to tell the interface", "give one: --parent IF");
	if (!findLink(netlink, interfaceName(name, "--parent"))) fail(`${name}: no such interface`);
	return { parent: name, macvlanMode: mode ?? "bridge", ...(vlan !== undefined && { vlan }) };
}

function readLabels(texts: string[]): Record<string, string> {
	const labels: Record<string, string> = {};
	for (const text of texts) {
		const equals = text.indexOf("=");
		if (equals === 0 || text === "") throw new UsageError(`--label: ${show(text)}: is not KEY=VALUE`);
		labels[equals < 0 ? text : text.slice(0, equals)] = equals < 0 ? "" : text.slice(equals + 1);
	}
	return labels;
}

/** Each subnet with its gateway. --subnet and --gateway take addresses of both families, as docker's do. */
function readSubnets(netlink: Netlink, options: CreateOptions, driver: Driver): Partial<Network> {
	const subnets = [...(options.subnet ?? []), ...(options.subnet6 === undefined ? [] : [options.subnet6])];
	const gateways = [...(options.gateway ?? []), ...(options.gateway6 === undefined ? [] : [options.gateway6])];
	const is6 = (text: string) => text.includes(":");
	const pick = (texts: string[], six: boolean, what: string) => {
		const found = texts.filter((text) => is6(text) === six);
		if (found.length > 1) throw new UsageError(`${what}: one of each family`);
		return found[0];
	};
	if (driver === "macvlan" && subnets.length === 0)
		throw new UsageError("--subnet: a macvlan network is in the subnet of its interface: give it");
	const given4 = pick(subnets, false, "--subnet");
	const given6 = pick(subnets, true, "--subnet");
	const only6 = given4 === undefined && given6 !== undefined && subnets.length > 0 && !options.ipv6;
	const subnet = given4 ?? (driver === "macvlan" || only6 ? undefined : chooseSubnet(netlink));
	const subnet6 = given6 ?? (options.ipv6 ? chooseSubnet6() : undefined);
	if (subnet === undefined && (options.ipRange !== undefined || pick(gateways, false, "--gateway") !== undefined))
		throw new UsageError("--gateway: needs a --subnet that it is in");
	if (subnet6 === undefined && pick(gateways, true, "--gateway") !== undefined)
		throw new UsageError("--gateway: needs a --subnet6 that it is in");
	const read: Partial<Network> = {};
	if (subnet !== undefined) {
		read.subnet = subnet;
		read.gateway = gatewayOf(netlink, subnet, pick(gateways, false, "--gateway"), given4 !== undefined && driver === "bridge");
	}
	if (subnet6 !== undefined) {
		read.subnet6 = subnet6;
		read.gateway6 = gatewayOf(netlink, subnet6, pick(gateways, true, "--gateway"), given6 !== undefined && driver === "bridge");
	}
	if (options.ipRange !== undefined) read.ipRange = rangeOf(options.ipRange, subnet as string);
	return read;
}

function gatewayOf(netlink: Netlink, text: string, given: string | undefined, isChecked: boolean): string {
	const subnet = parseSubnet(text) as Subnet;
	if (8 * subnet.address.length - subnet.prefix < 2) throw new UsageError(`--subnet: ${text}: has no room for a gateway and a container`);
	if (isChecked) checkSubnet(netlink, subnet);
	if (given === undefined) return formatInet(addressAt(subnet, 1));
	const bytes = parseInet(given) as Uint8Array;
	if (!contains(subnet, bytes) || isReserved(subnet, numberOf(subnet, bytes)))
		throw new UsageError(`--gateway: ${given}: no host's address of ${text}`);
	return formatInet(bytes);
}

function rangeOf(text: string, subnet: string): string {
	const range = parseSubnet(text);
	const whole = parseSubnet(subnet) as Subnet;
	if (!range || !overlap(whole, range) || range.prefix < whole.prefix) throw new UsageError(`--ip-range: ${text}: not a part of ${subnet}`);
	return text;
}
