/** What the kernel remembers of flows to published ports (conntrack). */
import { flushConnections } from "../../native/linux/conntrack.ts";
import { closeNetlink } from "../../native/linux/netlink/request.ts";
import { openNetfilter } from "../../native/linux/nftables/transaction.ts";
import { IPPROTO_UDP } from "../../native/linux/socket.ts";
import { SysError } from "../../native/linux/syscall.ts";
import type { Published } from "./spec.ts";

/** A flow of UDP that was there before goes on to the old place, for as long as it is talked on. */
export function forgetFlows(ports: Published[]) {
	const udp = ports.filter(({ proto }) => proto === "udp");
	if (udp.length === 0) return;
	const netlink = openNetfilter();
	try {
		const isPublished = (port: number) => udp.some(({ hostPort, count }) => port >= hostPort && port < hostPort + count);
		for (const family of ["ip", "ip6"] as const)
			flushConnections(netlink, family, ({ original }) => original.protocol === IPPROTO_UDP && isPublished(original.destinationPort));
	} catch (error) {
		/* A kernel without connection tracking has nothing to forget. */
		if (!(error instanceof SysError)) throw error;
	} finally {
		closeNetlink(netlink);
	}
}
