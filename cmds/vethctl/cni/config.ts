/** A network configuration, as a runtime gives it on standard input. All that it says is looked at before anything is done. */
import { parseHardware } from "../../../native/linux/route/link.ts";
import { parseInet } from "../../../native/linux/sockaddr.ts";
import { addressAt, contains, isReserved, numberOf, parseInterface, parseSubnet, type Subnet, sizeOf } from "../subnet.ts";
import { CniError, codes, invalid } from "./error.ts";

export const versions = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/** A range of addresses of a subnet. */
export interface Range {
	subnet: Subnet;
	first: number;
	last: number;
	gateway: Uint8Array;
}

export interface Route {
	destination: Uint8Array;
	prefix: number;
	gateway?: Uint8Array;
}

export interface PortMapping {
	protocol: "tcp" | "udp" | "sctp";
	hostIp?: string;
	hostPort: number;
	containerPort: number;
}

export interface Ipam {
	type: string;
	/** One address is taken of each; a set's ranges are alternatives. */
	ranges: Range[][];
	routes: Route[];
	dns: object;
}

export interface Config {
	cniVersion: string;
	name: string;
	type: string;
	bridge: string;
	isGateway: boolean;
	isDefaultGateway: boolean;
	ipMasq: boolean;
	mtu?: number;
	hairpin: boolean;
	promisc: boolean;
	isolated: boolean;
	mac?: Uint8Array;
	ipam?: Ipam;
	/** Addresses that are wanted, by the capability `ips` or CNI_ARGS. */
	ips: Uint8Array[];
	ports: PortMapping[];
	dns: object;
	prevResult?: Result;
	valid: { containerID: string; ifname: string }[];
}

/** A result, as far as plugins read each other's. */
export interface Result {
	interfaces: { name: string; mac?: string; sandbox?: string }[];
	ips: { address: string; gateway?: string; interface?: number }[];
	routes: { dst: string; gw?: string }[];
	dns: object;
	[other: string]: unknown;
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

function object(value: unknown, where: string): Json {
	if (value === undefined || value === null) return {};
	return isObject(value) ? value : invalid(`${where}: not an object`);
}

function list(value: unknown, where: string): unknown[] {
	if (value === undefined || value === null) return [];
	return Array.isArray(value) ? value : invalid(`${where}: not a list`);
}

function text(value: unknown, where: string): string {
	return typeof value === "string" ? value : invalid(`${where}: not a string`);
}

function optional(value: unknown, where: string): string | undefined {
	return value === undefined || value === null || value === "" ? undefined : text(value, where);
}

function flag(config: Json, key: string): boolean {
	const value = config[key];
	return value === undefined || value === null ? false : typeof value === "boolean" ? value : invalid(`${key}: not true or false`);
}

function whole(value: unknown, where: string, least: number, most: number): number {
	return Number.isInteger(value) && (value as number) >= least && (value as number) <= most
		? (value as number)
		: invalid(`${where}: not a number from ${least} to ${most}`);
}

function inet(value: unknown, where: string): Uint8Array {
	return parseInet(text(value, where)) ?? invalid(`${where}: ${JSON.stringify(value)} is not an address`);
}

/** Reads it all. `command`: GC and STATUS need less than ADD. Throws CniError 1, 6 and 7. */
export function readConfig(input: string, command: string): Config {
	let parsed: unknown;
	try {
		parsed = JSON.parse(input);
	} catch {
		throw new CniError(codes.decodeFailure, "the network configuration is not JSON");
	}
	if (!isObject(parsed)) throw new CniError(codes.decodeFailure, "the network configuration is not an object");
	const cniVersion = optional(parsed.cniVersion, "cniVersion") ?? "0.1.0";
	if (!versions.includes(cniVersion))
		throw new CniError(
			codes.incompatibleVersion,
			`cniVersion ${JSON.stringify(cniVersion)} is not supported`,
			`there are ${versions.join(", ")}`,
		);
	const name = text(parsed.name, "name");
	if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,119}$/.test(name)) invalid(`name: ${JSON.stringify(name)} is not a network's name`);
	const runtime = object(parsed.runtimeConfig, "runtimeConfig");
	const bridge = optional(parsed.bridge, "bridge") ?? "cni0";
	if (!/^[\x21-\x7e]{1,15}$/.test(bridge) || /[/:%]/.test(bridge))
		invalid(`bridge: ${JSON.stringify(bridge)} is not an interface's name (1 to 15 letters)`);
	if (parsed.vlan !== undefined && parsed.vlan !== 0) throw new CniError(codes.unsupportedField, "vlan: not supported");
	const mac =
		optional(runtime.mac, "runtimeConfig.mac") ?? optional(object(object(parsed.args, "args").cni, "args.cni").mac, "args.cni.mac");
	const isDefaultGateway = flag(parsed, "isDefaultGateway");
	const config: Config = {
		cniVersion,
		name,
		type: optional(parsed.type, "type") ?? "tsvethctl",
		bridge,
		isGateway: flag(parsed, "isGateway") || isDefaultGateway,
		isDefaultGateway,
		ipMasq: flag(parsed, "ipMasq"),
		hairpin: flag(parsed, "hairpinMode"),
		promisc: flag(parsed, "promiscMode"),
		isolated: flag(parsed, "portIsolation"),
		ips: [...list(runtime.ips, "runtimeConfig.ips"), ...list(object(object(parsed.args, "args").cni, "args.cni").ips, "args.cni.ips")].map(
			(value) => {
				const read = parseInterface(text(value, "ips"));
				return read ? read.address : invalid(`ips: ${JSON.stringify(value)} is not an address`);
			},
		),
		ports: list(runtime.portMappings, "runtimeConfig.portMappings").map(portMapping),
		dns: object(parsed.dns, "dns"),
		valid: list(parsed["cni.dev/valid-attachments"], "cni.dev/valid-attachments").map((entry) => {
			const { containerID, ifname } = object(entry, "cni.dev/valid-attachments");
			return { containerID: text(containerID, "containerID"), ifname: text(ifname, "ifname") };
		}),
	};
	if (config.hairpin && config.promisc) invalid("hairpinMode, promiscMode: not both");
	if (parsed.mtu !== undefined && parsed.mtu !== 0) config.mtu = whole(parsed.mtu, "mtu", 68, 65535);
	if (mac !== undefined) config.mac = parseHardware(mac) ?? invalid(`mac: ${JSON.stringify(mac)} is not a hardware address`);
	if (parsed.ipam !== undefined && isObject(parsed.ipam) && Object.keys(parsed.ipam).length > 0)
		config.ipam = readIpam(parsed.ipam, list(runtime.ipRanges, "runtimeConfig.ipRanges"), command);
	else if (parsed.ipam !== undefined && !isObject(parsed.ipam)) invalid("ipam: not an object");
	if (parsed.prevResult !== undefined) config.prevResult = readResult(parsed.prevResult);
	return config;
}

function portMapping(value: unknown): PortMapping {
	const { hostPort, containerPort, protocol, hostIP } = object(value, "portMappings");
	const named = (optional(protocol, "portMappings.protocol") ?? "tcp").toLowerCase();
	if (named !== "tcp" && named !== "udp" && named !== "sctp") return invalid(`portMappings: ${JSON.stringify(protocol)} is not a protocol`);
	const host = optional(hostIP, "portMappings.hostIP");
	if (host !== undefined) inet(host, "portMappings.hostIP");
	return {
		protocol: named,
		hostPort: whole(hostPort, "portMappings.hostPort", 1, 65535),
		containerPort: whole(containerPort, "portMappings.containerPort", 1, 65535),
		...(host !== undefined && { hostIp: host }),
	};
}

function readIpam(ipam: Json, more: unknown[], command: string): Ipam {
	const type = text(ipam.type, "ipam.type");
	if (type !== "host-local" && type !== "tsvethctl") {
		if (command === "GC" || command === "STATUS") return { type, ranges: [], routes: [], dns: {} };
		throw new CniError(codes.unsupportedField, `ipam.type: ${JSON.stringify(type)}: host-local is the one that there is`);
	}
	const sets = [...list(ipam.ranges, "ipam.ranges"), ...more].map((set) => list(set, "ipam.ranges").map(readRange));
	if (ipam.subnet !== undefined) sets.unshift([readRange(ipam)]);
	if (sets.length === 0 || sets.some((set) => set.length === 0)) invalid("ipam: no subnet, and no ranges");
	return {
		type,
		ranges: sets,
		routes: list(ipam.routes, "ipam.routes").map((entry) => {
			const { dst, gw } = object(entry, "ipam.routes");
			const read = parseInterface(text(dst, "ipam.routes.dst")) ?? invalid(`ipam.routes: ${JSON.stringify(dst)} is not a network`);
			return {
				destination: read.subnet.address,
				prefix: read.subnet.prefix,
				...(optional(gw, "ipam.routes.gw") !== undefined && { gateway: inet(gw, "ipam.routes.gw") }),
			};
		}),
		dns: {},
	};
}

function readRange(value: unknown): Range {
	const { subnet: subnetText, rangeStart, rangeEnd, gateway } = object(value, "ipam.ranges");
	const written = text(subnetText, "subnet");
	const subnet = parseSubnet(written) ?? invalid(`subnet: ${JSON.stringify(written)} is not a subnet`);
	if (sizeOf(subnet) < 4) invalid(`subnet: ${written} is too small`);
	const inside = (one: unknown, where: string): Uint8Array => {
		const bytes = inet(one, where);
		return contains(subnet, bytes) ? bytes : invalid(`${where}: ${String(one)} is not in ${written}`);
	};
	const first = optional(rangeStart, "rangeStart") === undefined ? 1 : numberOf(subnet, inside(rangeStart, "rangeStart"));
	const last = optional(rangeEnd, "rangeEnd") === undefined ? sizeOf(subnet) - 2 : numberOf(subnet, inside(rangeEnd, "rangeEnd"));
	if (first > last || isReserved(subnet, first)) invalid(`rangeStart, rangeEnd: nothing is between them in ${written}`);
	return { subnet, first, last, gateway: optional(gateway, "gateway") === undefined ? addressAt(subnet, 1) : inet(gateway, "gateway") };
}

/** Throws CniError 7 for one that no plugin can have made. */
function readResult(value: unknown): Result {
	const result = object(value, "prevResult");
	return {
		...result,
		interfaces: list(result.interfaces, "prevResult.interfaces").map((entry) => {
			const { name, mac, sandbox, ...rest } = object(entry, "prevResult.interfaces");
			return {
				...rest,
				name: text(name, "prevResult.interfaces.name"),
				...(optional(mac, "mac") !== undefined && { mac: mac as string }),
				...(optional(sandbox, "sandbox") !== undefined && { sandbox: sandbox as string }),
			};
		}),
		ips: list(result.ips, "prevResult.ips").map((entry) => {
			const { address, gateway, interface: number, ...rest } = object(entry, "prevResult.ips");
			if (!parseInterface(text(address, "prevResult.ips.address"))) invalid(`prevResult.ips: ${JSON.stringify(address)} is not an address`);
			return {
				...rest,
				address: address as string,
				...(optional(gateway, "gateway") !== undefined && { gateway: gateway as string }),
				...(number !== undefined && number !== null && { interface: whole(number, "prevResult.ips.interface", 0, 1000) }),
			};
		}),
		routes: list(result.routes, "prevResult.routes").map((entry) => {
			const { dst, gw, ...rest } = object(entry, "prevResult.routes");
			if (!parseInterface(text(dst, "prevResult.routes.dst"))) invalid(`prevResult.routes: ${JSON.stringify(dst)} is not a network`);
			return { ...rest, dst: dst as string, ...(optional(gw, "gw") !== undefined && { gw: gw as string }) };
		}),
		dns: object(result.dns, "prevResult.dns"),
	};
}
