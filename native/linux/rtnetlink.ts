/** Routing netlink: man 7 netlink, rtnetlink. */
import { EINVAL } from "./errno.ts";
import { close, O_CLOEXEC, read } from "./fs.ts";
import { SYS_sendto, SYS_socket } from "./nr.ts";
import { struct } from "./struct.ts";
import { call, SysError } from "./syscall.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
const NLM_F_REQUEST = 1;
const RTM_NEWNSID = 88;
const RTM_GETNSID = 90;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;

export const nlmsghdr = /* @__PURE__ */ struct([
	["nlmsg_len", "u32"],
	["nlmsg_type", "u16"],
	["nlmsg_flags", "u16"],
	["nlmsg_seq", "u32"],
	["nlmsg_pid", "u32"],
]);

export const rtattr = /* @__PURE__ */ struct([
	["rta_len", "u16"],
	["rta_type", "u16"],
]);

/* Request and answer alike: struct nlmsghdr, struct rtgenmsg with its padding, struct rtattr, s32. */
const ATTRIBUTE = 20;
const VALUE = 24;
const LENGTH = 28;

/**
 * The id by which our network namespace knows the one that is open at `fd`; -1 if it has none (man 8 ip-netns, "list-id").
 * Throws SysError; EINVAL if the kernel gives no id for an answer.
 */
export function getNetnsid(fd: number): number {
	const socket = call("socket", SYS_socket, AF_NETLINK, SOCK_RAW | O_CLOEXEC, NETLINK_ROUTE);
	try {
		const request = new Uint8Array(LENGTH);
		request.set(nlmsghdr.pack({ nlmsg_len: LENGTH, nlmsg_type: RTM_GETNSID, nlmsg_flags: NLM_F_REQUEST }));
		request.set(rtattr.pack({ rta_len: LENGTH - ATTRIBUTE, rta_type: NETNSA_FD }), ATTRIBUTE);
		new DataView(request.buffer).setInt32(VALUE, fd, true);
		call("sendto", SYS_sendto, socket, request, LENGTH, 0, null, 0);
		const answer = new Uint8Array(256);
		read(socket, answer);
		const { nlmsg_type } = nlmsghdr.unpack(answer);
		if (nlmsg_type !== RTM_NEWNSID || rtattr.unpack(answer, ATTRIBUTE).rta_type !== NETNSA_NSID) throw new SysError("RTM_GETNSID", EINVAL);
		return new DataView(answer.buffer).getInt32(VALUE, true);
	} finally {
		close(socket);
	}
}
