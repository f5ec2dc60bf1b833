/**
 * An interface for a sandbox, made in one go: the host's end of a veth pair on its bridge, the other end born in the sandbox's
 * namespace (to move it there would wait for a grace period of RCU), addresses, routes, lo.
 */
import { EEXIST, ENODEV, EOPNOTSUPP } from "../../../native/linux/errno.ts";
import { readFileIfAny, writeKernelFile } from "../../../native/linux/fd.ts";
import {
	change,
	changeAll,
	NETLINK_ROUTE,
	type Netlink,
	type Request,
	tryChange,
	withNetlink,
} from "../../../native/linux/netlink/request.ts";
import { addressAdd } from "../../../native/linux/route/address.ts";
import { findLink, links } from "../../../native/linux/route/link.ts";
import {
	linkAdd,
	linkDelete,
	linkSet,
	macvlanKind,
	type PortSettings,
	portSet,
	vethKind,
	vlanKind,
} from "../../../native/linux/route/link-change.ts";
import { routeAdd } from "../../../native/linux/route/route.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { inNetns } from "../netns.ts";

export interface Attachment {
	/** The open network namespace of the sandbox. */
	netns: number;
	ifname: string;
	hardware: Uint8Array;
	mtu?: number;
	addresses: { address: Uint8Array; prefix: number }[];
	/** Of default routes, unless there are any. */
	gateways: Uint8Array[];
	/** Further routes. */
	routes?: { destination: Uint8Array; prefix: number; gateway?: Uint8Array }[];
}

/** Makes the pair, the host's end up on the bridge. `port`: how the bridge is to treat it. */
export function makeVeth(
	netlink: Netlink,
	veth: string,
	bridge: number,
	{ netns, ifname, hardware, mtu }: Attachment,
	port: PortSettings = {},
) {
	const size = mtu === undefined ? {} : { mtu };
	const settings = { ...port, ...(seesBridged() && { hairpin: true }) };
	changeAll(netlink, [
		linkAdd({ name: veth, up: true, master: bridge, ...size }, vethKind({ name: ifname, address: hardware, netns, ...size })),
		...(Object.keys(settings).length > 0 ? [portSet(0, settings, veth)] : []),
	]);
}

/**
 * True where the firewall sees what is bridged (br_netfilter): what a container sends to its own published port is then sent
 * back to it by the bridge, which does that only where the port is in hairpin mode.
 */
function seesBridged(): boolean {
	return ["iptables", "ip6tables"].some((name) => readFileIfAny(`/proc/sys/net/bridge/bridge-nf-call-${name}`)?.trim() === "1");
}

/** Makes a macvlan in the sandbox, of an interface of ours; with `vlan`, of a VLAN of it, which is made if it is not there. */
export function makeMacvlan(
	netlink: Netlink,
	parent: string,
	vlan: number | undefined,
	mode: string,
	{ netns, ifname, hardware, mtu }: Attachment,
) {
	const lower = vlan === undefined ? parent : `${parent}.${vlan}`;
	if (vlan !== undefined && !findLink(netlink, lower)) {
		const index = findLink(netlink, parent)?.index ?? fail(`${parent}: no such interface`);
		tryChange(netlink, linkAdd({ name: lower, up: true }, vlanKind(index, vlan)), EEXIST);
	}
	const index = findLink(netlink, lower)?.index ?? (isDryRun() ? 0 : fail(`${lower}: no such interface`));
	change(netlink, linkAdd({ name: ifname, address: hardware, netns, ...(mtu !== undefined && { mtu }) }, macvlanKind(index, mode)));
}

/** Inside: lo and the interface up, with its addresses and routes. Its peers are told of it (gratuitous ARP, unsolicited NA). */
export function configure({ netns, ifname, addresses, gateways, routes = [] }: Attachment) {
	inNetns(netns, () => {
		withNetlink(NETLINK_ROUTE, (netlink) => {
			const index = isDryRun() ? 0 : (findLink(netlink, ifname)?.index ?? fail(`${ifname}: is not in the sandbox`));
			if (addresses.some(({ address }) => address.length === 16)) announce6(ifname);
			const requests: Request[] = [linkSet(1, { up: true }, "lo")];
			for (const { address, prefix } of addresses) requests.push(addressAdd(index, address, prefix, { nodad: true, called: ifname }));
			requests.push(linkSet(index, { arpNotify: true }, ifname), linkSet(index, { up: true }, ifname));
			changeAll(netlink, requests);
			/* A sandbox that is on a network already keeps its way to the world. */
			for (const gateway of gateways)
				tryChange(netlink, routeAdd({ family: gateway.length === 4 ? "inet" : "inet6", gateway, oif: index }, { called: ifname }), EEXIST);
			for (const route of routes)
				change(netlink, routeAdd({ family: route.destination.length === 4 ? "inet" : "inet6", oif: index, ...route }, { called: ifname }));
		});
	});
}

/** Once it is up, the kernel sends an unsolicited neighbour advertisement: net.ipv6.conf.IF.ndisc_notify. */
function announce6(ifname: string) {
	try {
		writeKernelFile(`/proc/sys/net/ipv6/conf/${ifname.replace(/\./g, "/")}/ndisc_notify`, "1");
	} catch (error) {
		/* Without it the neighbours find out by themselves. */
		if (!(error instanceof SysError)) throw error;
	}
}

/** A name `eth0`, `eth1` ... that the sandbox has not yet. */
export function freeName(netns: number, base = "eth"): string {
	return inNetns(netns, () =>
		withNetlink(NETLINK_ROUTE, (netlink) => {
			const names = links(netlink).map(({ name }) => name);
			for (let n = 0; ; n++) if (!names.includes(`${base}${n}`)) return `${base}${n}`;
		}),
	);
}

/** Removes an interface by its name, here or in a namespace; one that is gone already is fine. */
export function removeLink(netlink: Netlink, name: string) {
	const link = findLink(netlink, name);
	if (link) tryChange(netlink, linkDelete(link.index, name), ENODEV, EOPNOTSUPP);
}

export function removeLinkInside(netns: number, name: string) {
	inNetns(netns, () => withNetlink(NETLINK_ROUTE, (netlink) => removeLink(netlink, name)));
}
