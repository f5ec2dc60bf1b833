/** A container that connects to its own published port: the packet goes back through the bridge's port that it came by. */
import { readFileIfAny } from "../../native/linux/fd.ts";
import { change, NETLINK_ROUTE, withNetlink } from "../../native/linux/netlink/request.ts";
import { findLink } from "../../native/linux/route/link.ts";
import { portSet } from "../../native/linux/route/link-change.ts";
import { isDryRun } from "../../native/linux/syscall.ts";
import type { Destination } from "./destination.ts";

/**
 * Lets the bridge do that. It is needed where bridged packets pass iptables (br_netfilter): these are then translated while they
 * are in the bridge, which by itself sends nothing back to where it came from. A record may name any interface: only a veth on
 * the bridge is meant.
 */
export function allowHairpin({ veth, bridge }: Destination) {
	if (veth === undefined || bridge === undefined || isDryRun()) return;
	if (readFileIfAny("/proc/sys/net/bridge/bridge-nf-call-iptables")?.trim() !== "1") return;
	withNetlink(NETLINK_ROUTE, (netlink) => {
		const link = findLink(netlink, veth);
		const master = findLink(netlink, bridge);
		if (link?.kind !== "veth" || master?.kind !== "bridge" || link.master !== master.index || link.port?.hairpin) return;
		change(netlink, portSet(link.index, { hairpin: true }, veth));
	});
}
