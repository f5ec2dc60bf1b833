/** The ids by which one network namespace knows another: man 8 ip-netns, "list-id"; linux/net_namespace.h. */
import { EINVAL } from "../errno.ts";
import { u32 } from "../netlink/attribute.ts";
import { attributesOf } from "../netlink/message.ts";
import { get, NETLINK_ROUTE, type Netlink, withNetlink } from "../netlink/request.ts";
import { struct } from "../struct.ts";
import { SysError } from "../syscall.ts";

export const RTM_NEWNSID = 88;
export const RTM_GETNSID = 90;
export const NETNSA_NSID = 1;
export const NETNSA_FD = 3;

/** linux/rtnetlink.h; with the padding behind it. */
export const rtgenmsg = /* @__PURE__ */ struct([["rtgen_family", "u8"]]);

/** The same for the namespace of a socket. */
export function netnsidOf(netlink: Netlink, fd: number): number {
	const message = get(netlink, { type: RTM_GETNSID, header: new Uint8Array(4), attributes: [[NETNSA_FD, u32(fd)]], name: "RTM_GETNSID" });
	const id = message.type === RTM_NEWNSID ? attributesOf(message, 4).s32(NETNSA_NSID) : undefined;
	if (id === undefined) throw new SysError("RTM_GETNSID", EINVAL);
	return id;
}

/**
 * The id by which our network namespace knows the one that is open at `fd`; -1 if it has none. Throws SysError; EINVAL if
 * the kernel gives no id for an answer.
 */
export function getNetnsid(fd: number): number {
	return withNetlink(NETLINK_ROUTE, (netlink) => netnsidOf(netlink, fd));
}
