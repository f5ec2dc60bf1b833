/** The ids that network namespaces have for each other: linux/net_namespace.h, man 8 ip-netns. */
import { close, O_CLOEXEC, read } from "../../native/linux/fs.ts";
import { SYS_sendto, SYS_socket } from "../../native/linux/nr.ts";
import { struct } from "../../native/linux/struct.ts";
import { call } from "../../native/linux/syscall.ts";
import { ignoreErrors } from "./ls-errors.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
const NLM_F_REQUEST = 1;
const RTM_NEWNSID = 88;
const RTM_GETNSID = 90;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;

/** struct nlmsghdr, struct rtgenmsg (padded), and one attribute of 32 bits: the request, and the beginning of the answer. */
const message = struct([
	["nlmsg_len", "u32"],
	["nlmsg_type", "u16"],
	["nlmsg_flags", "u16"],
	["nlmsg_seq", "u32"],
	["nlmsg_pid", "u32"],
	["rtgen_family", "u32"],
	["rta_len", "u16"],
	["rta_type", "u16"],
	["value", "s32"],
]);

/** The id by which our network namespace knows the one that is open at `fd`, or "unassigned". Undefined if it cannot be told. */
export function netnsid(fd: number): string | undefined {
	const socket = ignoreErrors(() => call("socket", SYS_socket, AF_NETLINK, SOCK_RAW | O_CLOEXEC, NETLINK_ROUTE));
	if (socket === undefined) return undefined;
	const request = message.pack({
		nlmsg_len: message.size,
		nlmsg_type: RTM_GETNSID,
		nlmsg_flags: NLM_F_REQUEST,
		rta_len: 8,
		rta_type: NETNSA_FD,
		value: fd,
	});
	const bytes = new Uint8Array(256);
	const length = ignoreErrors(() => {
		call("sendto", SYS_sendto, socket, request, request.length, 0, null, 0);
		return read(socket, bytes);
	});
	close(socket);
	const answer = message.unpack(bytes.subarray(0, length ?? 0));
	if (answer.nlmsg_type !== RTM_NEWNSID || answer.rta_type !== NETNSA_NSID) return undefined;
	return answer.value < 0 ? "unassigned" : String(answer.value);
}
