/** What is called by the names of other plugins: loopback, host-local, portmap, firewall. */
import { close } from "../../../native/linux/fd.ts";
import { change } from "../../../native/linux/netlink/request.ts";
import { findLink, IFF_UP } from "../../../native/linux/route/link.ts";
import { linkSet } from "../../../native/linux/route/link-change.ts";
import { formatInet } from "../../../native/linux/sockaddr.ts";
import { removeElements } from "../../common/firewall/change.ts";
import { writeEndpoint } from "../endpoint/endpoint.ts";
import { bootId } from "../lease/leases.ts";
import { inNetns, withRoute } from "../netns.ts";
import { withNetwork } from "../network/network.ts";
import {
	type Attachment,
	attachmentName,
	attachmentsOf,
	forgetAttachment,
	networkName,
	readAttachment,
	takeAddresses,
} from "./attachment.ts";
import { openCniNetns } from "./bridge.ts";
import type { Config, Result } from "./config.ts";
import type { Call } from "./environment.ts";
import { CniError, codes, invalid } from "./error.ts";
import { addPorts } from "./ports.ts";

export interface Role {
	add(config: Config, call: Call): Result | undefined;
	del(config: Config, call: Call): void;
	check(config: Config, call: Call): void;
	/** Undoes all but the attachments that are valid. */
	gc?(config: Config): void;
}

const emptyResult = (): Result => ({ interfaces: [], ips: [], routes: [], dns: {} });

function setLoopback({ netns }: Call, up: boolean) {
	const fd = openCniNetns(netns as string);
	try {
		inNetns(fd, () => withRoute((netlink) => change(netlink, linkSet(1, { up }, "lo"))));
	} finally {
		close(fd);
	}
}

export const loopback: Role = {
	add(config, call) {
		setLoopback(call, true);
		if (config.prevResult) return config.prevResult;
		return {
			...emptyResult(),
			interfaces: [{ name: "lo", mac: "00:00:00:00:00:00", sandbox: call.netns as string }],
			ips: [
				{ interface: 0, address: "127.0.0.1/8" },
				{ interface: 0, address: "::1/128" },
			],
		};
	},
	del() {
		/* The namespace, and lo with it, is about to go. */
	},
	check(_, call) {
		const fd = openCniNetns(call.netns as string);
		try {
			const flags = inNetns(fd, () => withRoute((netlink) => findLink(netlink, 1)?.flags ?? 0));
			if ((flags & IFF_UP) === 0) throw new CniError(codes.checkFailed, "lo: is down");
		} finally {
			close(fd);
		}
	},
};

/** The name under which the state of a role is kept, apart from that of a bridge of the same network. */
const named = (config: Config, role: string): Config => ({ ...config, name: `${config.name}.${role}` });

function record(config: Config, call: Call, addresses: string[], ports?: string) {
	const attachment: Attachment = {
		name: attachmentName(call),
		network: networkName(config),
		container: call.container,
		ifname: call.ifname,
		addresses,
		aliases: [],
		boot: bootId(),
		...(ports !== undefined && { ports }),
	};
	writeEndpoint(attachment);
}

function collect(config: Config, release: (attachment: Attachment) => void) {
	const isValid = ({ container, ifname }: Attachment) => config.valid.some((one) => one.containerID === container && one.ifname === ifname);
	for (const attachment of attachmentsOf(config)) if (!isValid(attachment)) release(attachment);
}

export const hostLocal: Role = {
	add(given, call) {
		const config = named(given, "ipam");
		const taken = withNetwork(networkName(config), () => {
			const before = readAttachment(config, call);
			if (before) forgetAttachment(before);
			const found = takeAddresses(config, attachmentName(call));
			record(
				config,
				call,
				found.map(({ address, range }) => `${formatInet(address)}/${range.subnet.prefix}`),
			);
			return found;
		});
		return {
			...emptyResult(),
			ips: taken.map(({ address, range }) => ({
				address: `${formatInet(address)}/${range.subnet.prefix}`,
				gateway: formatInet(range.gateway),
			})),
			routes: (config.ipam?.routes ?? []).map(({ destination, prefix, gateway }) => ({
				dst: `${formatInet(destination)}/${prefix}`,
				...(gateway && { gw: formatInet(gateway) }),
			})),
		};
	},
	del(given, call) {
		const config = named(given, "ipam");
		withNetwork(networkName(config), () => {
			const attachment = readAttachment(config, call);
			if (attachment) forgetAttachment(attachment);
		});
	},
	check(given, call) {
		if (!readAttachment(named(given, "ipam"), call)) throw new CniError(codes.checkFailed, `${call.container} has no address`);
	},
	gc(given) {
		const config = named(given, "ipam");
		withNetwork(networkName(config), () => collect(config, forgetAttachment));
	},
};

/** The container's own addresses in what the plugins before have made. */
function containerAddresses({ prevResult }: Config): string[] {
	const result = prevResult ?? invalid("prevResult: is missing: portmap stands behind a plugin that makes an interface");
	const inside = result.ips.filter(({ interface: number }) => number === undefined || result.interfaces[number]?.sandbox !== undefined);
	return inside.map(({ address }) => address);
}

function dropPorts(config: Config, attachment: Attachment) {
	if (attachment.ports !== undefined) removeElements(attachment.ports);
	withNetwork(networkName(config), () => forgetAttachment({ ...attachment, addresses: [] }));
}

export const portmap: Role = {
	add(given, call) {
		const config = named(given, "ports");
		const addresses = containerAddresses(config);
		const before = readAttachment(config, call);
		if (before) dropPorts(config, before);
		const ports = addPorts(config, addresses, `cni-ports.${config.name}.${attachmentName(call)}`.slice(0, 128));
		if (ports !== undefined) withNetwork(networkName(config), () => record(config, call, addresses, ports));
		return config.prevResult;
	},
	del(given, call) {
		const config = named(given, "ports");
		const attachment = readAttachment(config, call);
		if (attachment) dropPorts(config, attachment);
	},
	check(given, call) {
		if (given.ports.length > 0 && !readAttachment(named(given, "ports"), call))
			throw new CniError(codes.checkFailed, `${call.container}: its ports are not published`);
	},
	gc(given) {
		const config = named(given, "ports");
		collect(config, (attachment) => dropPorts(config, attachment));
	},
};

/** Our tables drop nothing of a CNI network: there is nothing to let through. */
export const firewall: Role = {
	add(config) {
		return config.prevResult ?? invalid("prevResult: is missing: firewall stands behind a plugin that makes an interface");
	},
	del() {
		/* Nothing was done. */
	},
	check() {
		/* Nothing was done. */
	},
};
