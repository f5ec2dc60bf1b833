/**
 * The modes of a sandbox that is on no network of its own: none, the host's, another sandbox's. In which network namespace a process
 * is, is settled when it is made; what is asked for here is checked, and lo set up.
 */
import { close } from "../../../native/linux/fd.ts";
import { namespaceInode } from "../../../native/linux/namespace.ts";
import { changeAll, NETLINK_ROUTE, withNetlink } from "../../../native/linux/netlink/request.ts";
import { linkSet } from "../../../native/linux/route/link-change.ts";
import { fail } from "../../common/errors.ts";
import { operandTargets, type Target } from "../../common/record.ts";
import { inNetns, openNetns } from "../netns.ts";

const inode = (pid: number | "self") => namespaceInode(pid, "net");

/** lo alone, and up. */
export function joinNone({ pid }: Target) {
	if (inode(pid) === inode("self")) fail(`${pid}: shares our network namespace`, "make the sandbox with --net");
	const netns = openNetns(String(pid));
	try {
		inNetns(netns, () => withNetlink(NETLINK_ROUTE, (netlink) => changeAll(netlink, [linkSet(1, { up: true }, "lo")])));
	} finally {
		close(netns);
	}
	return { network: { name: "none" } };
}

export function joinHost({ pid }: Target) {
	if (inode(pid) !== inode("self"))
		fail(`${pid}: has a network namespace of its own`, "a process cannot be put into another's: make the sandbox without --net");
	return { network: { name: "host" } };
}

/** `which`: the id or PID of the other sandbox. */
export function joinOther({ pid }: Target, which: string) {
	if (which === "") fail("join container: no sandbox named");
	const [other] = operandTargets([which]) as [Target];
	close(other.pidfd);
	if (inode(pid) !== inode(other.pid))
		fail(
			`${pid}: is not in the network namespace of ${which}`,
			`a process cannot be put into another's: make the sandbox with --join net=${other.pid}`,
		);
	return { network: { name: `container:${which}`, ...(other.record?.network as object | undefined) } };
}
