/** Network namespaces: named as ip(8) names them, by PID or by file; and work that is done in one. */
import { close, O_RDONLY, open } from "../../native/linux/fd.ts";
import { CLONE_NEWNET, namespaceType, setns } from "../../native/linux/namespace.ts";
import { NETLINK_ROUTE, type Netlink, withNetlink } from "../../native/linux/netlink/request.ts";
import { statIfAny } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { fail, show } from "../common/errors.ts";

/** Opens a namespace by PID, file (a name with a slash) or name. */
export function openNetns(which: string): number {
	if (which === "") fail("--netns: no namespace given");
	const path = /^\d+$/.test(which) ? `/proc/${which}/ns/net` : which.includes("/") ? which : `/run/netns/${which}`;
	let fd: number;
	try {
		fd = open(path, O_RDONLY);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		if (statIfAny(path) === undefined && /^\d+$/.test(which)) return fail(`${which}: no such process`);
		if (statIfAny(path) === undefined && !which.includes("/"))
			return fail(`${show(which)}: no such network namespace`, "`tsvethctl netns ls` shows those that have a name");
		throw error;
	}
	if (namespaceType(fd) !== CLONE_NEWNET) {
		close(fd);
		fail(`${show(which)}: not a network namespace`);
	}
	return fd;
}

/** Works in the network namespace that is open at `fd`. */
export function inNetns<T>(fd: number, work: () => T): T {
	const own = open("/proc/self/ns/net", O_RDONLY);
	try {
		setns(fd, CLONE_NEWNET);
		try {
			return work();
		} finally {
			setns(own, CLONE_NEWNET);
		}
	} finally {
		close(own);
	}
}

/** Works in a namespace that is named as for `openNetns`; without a name, in our own. */
export function inNamed<T>(which: string | undefined, work: () => T): T {
	if (which === undefined) return work();
	const fd = openNetns(which);
	try {
		return inNetns(fd, work);
	} finally {
		close(fd);
	}
}

/** Works with a routing socket of the namespace that we are in. */
export function withRoute<T>(work: (netlink: Netlink) => T): T {
	return withNetlink(NETLINK_ROUTE, work);
}
