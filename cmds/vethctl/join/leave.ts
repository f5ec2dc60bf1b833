/** leave: takes sandboxes off their networks, with interface, addresses and names. What is gone already is fine. */

import { close } from "../../../native/linux/fd.ts";
import type { Netlink } from "../../../native/linux/netlink/request.ts";
import { startTime } from "../../../native/linux/proc.ts";
import { pidfdOpen } from "../../../native/linux/process.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { inputLines, parseLine } from "../../common/record.ts";
import { isName } from "../../common/state.ts";
import { type Endpoint, endpointsOf, removeEndpoint } from "../endpoint/endpoint.ts";
import { updateHosts } from "../names/hosts.ts";
import { openNetns, withRoute } from "../netns.ts";
import { allNetworks, withNetwork } from "../network/network.ts";
import { removeIfUnused } from "../network/remove.ts";
import { removeLink, removeLinkInside } from "./attach.ts";

export function leave({ options, operands }: { options: { network?: string }; operands: string[] }) {
	const ids =
		operands.length > 0 ? operands : [...inputLines()].map(parseLine).map((line) => (typeof line === "number" ? String(line) : line.id));
	if (ids.length === 0) throw new UsageError("leave: no sandbox given");
	for (const id of ids) if (!isName(id)) fail(`${show(id)}: not a PID or a sandbox's id`);
	withRoute((netlink) => {
		for (const id of ids) leaveAll(netlink, (endpoint) => isOf(endpoint, id), options.network);
	});
}

function isOf({ name, sandbox }: Endpoint, id: string): boolean {
	if (/^\d+$/.test(id)) return sandbox?.pid === Number(id);
	return sandbox?.id === id || (name === id && sandbox !== undefined);
}

/** Takes the endpoints that `isWanted` says off their networks; returns how many there were. */
export function leaveAll(netlink: Netlink, isWanted: (endpoint: Endpoint) => boolean, network?: string): number {
	let count = 0;
	for (const { name, driver } of allNetworks().filter((one) => network === undefined || one.name === network)) {
		const there = endpointsOf(name).filter(isWanted);
		if (there.length === 0) continue;
		for (const endpoint of there) removeInterface(netlink, endpoint, driver === "macvlan");
		withNetwork(name, () => {
			for (const endpoint of there) removeEndpoint(endpoint);
			updateHosts(name);
		});
		removeIfUnused(netlink, name);
		count += there.length;
	}
	return count;
}

/** The veth pair by its end here; a macvlan is inside, as long as the sandbox lives. */
function removeInterface(netlink: Netlink, { veth, sandbox, ifname }: Endpoint, isInside: boolean) {
	if (veth !== undefined) return removeLink(netlink, veth);
	if (!isInside || !sandbox || ifname === undefined) return;
	try {
		const pidfd = pidfdOpen(sandbox.pid);
		try {
			if (startTime(sandbox.pid) !== sandbox.start) return;
			const netns = openNetns(String(sandbox.pid));
			removeLinkInside(netns, ifname);
			close(netns);
		} finally {
			close(pidfd);
		}
	} catch (error) {
		/* It has ended, and its interface with it. */
		if (!(error instanceof SysError)) throw error;
	}
}
