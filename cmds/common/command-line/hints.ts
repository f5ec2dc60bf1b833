/** Where errno misleads: what it means for any tool. What only one tool knows is its own `hint`. Loaded once a call has failed. */
import { geteuid } from "../../../native/linux/credential.ts";
import { EACCES, ENOSPC, ENOSYS, EPERM } from "../../../native/linux/errno.ts";
import type { SysError } from "../../../native/linux/syscall.ts";

/** The hint for a failed system call, or undefined. */
export function hintFor({ call, errno, object }: SysError): string | undefined {
	if (call === "open" && (errno === EACCES || errno === EPERM) && object?.startsWith("/proc/"))
		return "it is another user's process, or one that has more rights: this needs CAP_SYS_PTRACE";
	if (call === "mount" && errno === ENOSPC) return "no disk is full: /proc/sys/fs/mount-max is the limit on a namespace's mounts";
	if (call === "mount" && errno === EPERM && geteuid() !== 0)
		return "mounting needs CAP_SYS_ADMIN in the user namespace that owns the mount namespace";
	if (errno === ENOSYS) return `this kernel does not have ${call}`;
	return undefined;
}
