/** What the errors of namespaces, their id maps and a new root mean here, and the remedy. Loaded once a call has failed. */
import { geteuid } from "../../native/linux/credential.ts";
import { EBUSY, EINVAL, ENOSPC, ENOSYS, EPERM, ERANGE } from "../../native/linux/errno.ts";
import { readFileIfAny } from "../../native/linux/fd.ts";
import { statusField } from "../../native/linux/proc.ts";
import type { SysError } from "../../native/linux/syscall.ts";

function sysctl(path: string): string | undefined {
	return readFileIfAny(`/proc/sys/${path}`)?.trim();
}

/** user.max_*_namespaces, by the flag that a call names. */
const LIMITS: [flag: string, kind: string][] = [
	["CLONE_NEWUSER", "user"],
	["CLONE_NEWPID", "pid"],
	["CLONE_NEWNET", "net"],
	["CLONE_NEWNS", "mnt"],
	["CLONE_NEWUTS", "uts"],
	["CLONE_NEWIPC", "ipc"],
	["CLONE_NEWCGROUP", "cgroup"],
	["CLONE_NEWTIME", "time"],
];

function namespaceHint(call: string, errno: number): string | undefined {
	if (errno === ENOSPC) {
		for (const [flag, kind] of LIMITS) {
			const limit = call.includes(flag) ? sysctl(`user/max_${kind}_namespaces`) : undefined;
			if (limit === "0") return `/proc/sys/user/max_${kind}_namespaces is 0 here; raise it to allow ${kind} namespaces`;
		}
		return "a limit of /proc/sys/user/max_*_namespaces is reached, or user or pid namespaces are nested 32 deep";
	}
	if (errno === EINVAL && call.includes("CLONE_NEWTIME")) return "this kernel has no time namespaces (CONFIG_TIME_NS, Linux 5.6)";
	if (errno === EINVAL) return "this kernel lacks one of these namespaces: see ls /proc/self/ns";
	if (errno !== EPERM) return undefined;
	const seccomp = statusField("self", "Seccomp");
	if (call.includes("CLONE_NEWUSER")) {
		if (sysctl("kernel/unprivileged_userns_clone") === "0" && geteuid() !== 0)
			return "/proc/sys/kernel/unprivileged_userns_clone is 0 here; 1 allows user namespaces to ordinary users";
		if (sysctl("kernel/apparmor_restrict_unprivileged_userns") === "1" && geteuid() !== 0)
			return "AppArmor restricts user namespaces (/proc/sys/kernel/apparmor_restrict_unprivileged_userns is 1): give this program a profile with `userns,`, or set it to 0";
		if (seccomp === "2") return "a seccomp filter is in force on this process, perhaps a container's; it may forbid unshare";
		return "the process may be in a chroot, or its user or group has no mapping in its user namespace";
	}
	if (geteuid() !== 0) return "this needs CAP_SYS_ADMIN; -r (--map-root-user) makes a user namespace in which you have it";
	if (seccomp === "2") return "a seccomp filter is in force on this process, perhaps a container's; it may forbid this call";
	return "this process lacks CAP_SYS_ADMIN: see CapEff in /proc/self/status";
}

function setnsHint(call: string, errno: number): string | undefined {
	if (errno === EINVAL && call.includes("CLONE_NEWUSER")) return "this process is in that user namespace already";
	if (errno === EINVAL && call.includes("CLONE_NEWPID")) return "only this PID namespace and those below it can be entered";
	if (errno !== EPERM) return undefined;
	if (call.includes("CLONE_NEWUSER")) return "a user namespace can be entered by its owner, and with CAP_SYS_ADMIN in it";
	return "this needs CAP_SYS_ADMIN in the user namespace that owns it: enter that, too (-U), or be root";
}

/** The hint for a failed system call, or undefined. */
export function unshareHint(error: SysError): string | undefined {
	const { call, errno, object } = error;
	if (call.startsWith("unshare(") || (call === "clone3" && errno !== ENOSYS)) return namespaceHint(call, errno);
	if (call.startsWith("setns(")) return setnsHint(call, errno);
	if (call === "chroot" && errno === EPERM)
		return "chroot(2) needs CAP_SYS_CHROOT; -r (--map-root-user) makes a user namespace in which you have it";
	if (call === "mount" && errno === EPERM && geteuid() !== 0)
		return "mounting needs CAP_SYS_ADMIN in the mount namespace's user namespace; -r -m makes both";
	if (object?.endsWith("/timens_offsets") && errno === ERANGE) return "neither clock can be set to less than 0, or to more than 146 years";
	if (object?.endsWith("/setgroups") && errno === EPERM)
		return "setgroups(2) is denied in the parent user namespace, or this one has its gid_map already";
	if (call === "setgroups" && errno === EPERM) return "setgroups(2) is denied in this user namespace, or it has no gid_map yet";
	if ((call === "setresuid" || call === "setresgid") && errno === EINVAL) return "the id has no mapping in this user namespace";
	if (call === "pivot_root" && errno === EINVAL)
		return "the new root must be a mount point, and neither it nor its parent mount may be shared";
	if (call === "pivot_root" && errno === EBUSY) return "the new root must be another mount than the present one";
	if (object?.endsWith("/uid_map") && errno === EPERM)
		return "an ordinary user may map one id, its own; ranges need newuidmap and /etc/subuid, or root";
	if (object?.endsWith("/gid_map") && errno === EPERM)
		return "an ordinary user must first write deny to /proc/PID/setgroups (--setgroups deny), and may map one group, its own";
	if (object?.endsWith("_map") && errno === EINVAL) return "ranges may not overlap, and at most 340 are allowed";
	return undefined;
}
