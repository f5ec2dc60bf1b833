/** Namespaces: man 7 namespaces, man 2 unshare, setns, ioctl_ns. */
import * as host from "#host";
import { AT_FDCWD, ioctl, O_CLOEXEC, writeKernelFile } from "./fd.ts";
import * as nr from "./nr.ts";
import { fileSystemType, NSFS_MAGIC, readlinkIfAny } from "./stat.ts";
import { getU64, struct } from "./struct.ts";
import { call, SysError, tryCall, tryChange } from "./syscall.ts";

export const CLONE_NEWTIME = 0x00000080;
export const CLONE_NEWNS = 0x00020000;
export const CLONE_NEWCGROUP = 0x02000000;
export const CLONE_NEWUTS = 0x04000000;
export const CLONE_NEWIPC = 0x08000000;
export const CLONE_NEWUSER = 0x10000000;
export const CLONE_NEWPID = 0x20000000;
export const CLONE_NEWNET = 0x40000000;

/** A kind of namespace by its name in /proc/PID/ns: its flag, and the flag's name. */
export interface NamespaceKind {
	name: string;
	flag: number;
	clone: string;
}

/** In the order in which util-linux joins them: the user namespace first, since it grants the rights for the others. */
export const NAMESPACES: readonly NamespaceKind[] = [
	{ name: "user", flag: CLONE_NEWUSER, clone: "CLONE_NEWUSER" },
	{ name: "cgroup", flag: CLONE_NEWCGROUP, clone: "CLONE_NEWCGROUP" },
	{ name: "ipc", flag: CLONE_NEWIPC, clone: "CLONE_NEWIPC" },
	{ name: "uts", flag: CLONE_NEWUTS, clone: "CLONE_NEWUTS" },
	{ name: "net", flag: CLONE_NEWNET, clone: "CLONE_NEWNET" },
	{ name: "pid", flag: CLONE_NEWPID, clone: "CLONE_NEWPID" },
	{ name: "mnt", flag: CLONE_NEWNS, clone: "CLONE_NEWNS" },
	{ name: "time", flag: CLONE_NEWTIME, clone: "CLONE_NEWTIME" },
];

/** The names of a set of CLONE_NEW* flags: `CLONE_NEWNS|CLONE_NEWPID`. */
export function cloneFlagNames(flags: number): string {
	return NAMESPACES.filter(({ flag }) => (flags & flag) !== 0)
		.map(({ clone }) => clone)
		.join("|");
}

/** unshare(2). Throws SysError named with the flags, `unshare(CLONE_NEWPID)`. */
export function unshare(flags: number) {
	const result = tryChange("unshare", nr.SYS_unshare, flags);
	if (result < 0) throw new SysError(`unshare(${cloneFlagNames(flags)})`, -result);
}

/** setns(2) on a namespace's file, or on a pidfd with several flags (Linux 5.8). `object` is what an error names. */
export function setns(fd: number, flags: number, object?: string) {
	const result = tryChange("setns", nr.SYS_setns, fd, flags);
	if (result < 0) throw new SysError(`setns(${cloneFlagNames(flags)})`, -result, object);
}

const NS_GET_USERNS = 0xb701;
const NS_GET_PARENT = 0xb702;
const NS_GET_NSTYPE = 0xb703;
const NS_GET_OWNER_UID = 0xb704;

/** The CLONE_NEW* flag of an open namespace file; undefined if the file is none. */
export function namespaceType(fd: number): number | undefined {
	if (fileSystemType(fd) !== NSFS_MAGIC) return undefined;
	const type = tryCall("ioctl", nr.SYS_ioctl, fd, NS_GET_NSTYPE);
	return type < 0 ? undefined : type;
}

const FD_NSFS_ROOT = -10003;
const FILEID_NSFS = 0xf1;
const NS_GET_ID = 0x8008b70d;

/** linux/fcntl.h's struct file_handle, with linux/nsfs.h's struct nsfs_file_handle in it. */
export const nsfsFileHandle = /* @__PURE__ */ struct([
	["handle_bytes", "u32"],
	["handle_type", "s32"],
	["ns_id", "u64"],
	["ns_type", "u32"],
	["ns_inum", "u32"],
]);

/** Opens a namespace by its id (`namespaceId`). man 2 open_by_handle_at; Linux 6.19. */
export function openNamespaceById(id: number): number {
	const handle = nsfsFileHandle.pack({ handle_bytes: 16, handle_type: FILEID_NSFS, ns_id: id });
	const fd = tryCall("open_by_handle_at", nr.SYS_open_by_handle_at, FD_NSFS_ROOT, handle, O_CLOEXEC);
	if (fd < 0) throw new SysError("open_by_handle_at", -fd, `:${id}`);
	return fd;
}

/** The id of an open namespace, unlike its inode never used again until the next boot. Linux 6.18. */
export function namespaceId(fd: number): number {
	const id = new Uint8Array(8);
	ioctl(fd, NS_GET_ID, id);
	return getU64(new DataView(id.buffer), 0);
}

/** The user namespace that owns a namespace. Throws EPERM where it is outside of ours. */
export function owningUserNamespace(fd: number): number {
	return ioctl(fd, NS_GET_USERNS);
}

/** The parent of a user or PID namespace. Throws EPERM where it is outside of ours, EINVAL for other kinds. */
export function parentNamespace(fd: number): number {
	return ioctl(fd, NS_GET_PARENT);
}

/** linux/nsfs.h: _IOR(0xb7, 11 and 12, struct mnt_ns_info), whose first version has 16 bytes. */
const NS_MNT_GET_NEXT = 0x8010b70b;
const NS_MNT_GET_PREV = 0x8010b70c;

/**
 * Opens the mount namespace that the kernel lists after (or before) an open one. Throws ENOENT at the end of the list.
 * Linux 6.12, needs CAP_SYS_ADMIN.
 */
export function openAdjacentMountNamespace(fd: number, direction: "next" | "previous"): number {
	return ioctl(fd, direction === "next" ? NS_MNT_GET_NEXT : NS_MNT_GET_PREV);
}

/** The user who made a user namespace. */
export function namespaceOwner(fd: number): number {
	const uid = new Uint32Array(1);
	ioctl(fd, NS_GET_OWNER_UID, uid);
	return uid[0] as number;
}

/** The inode of a process's namespace, `pid_for_children` included: what lsns(8) and ls -l show. Undefined if it is gone or hidden. */
export function namespaceInode(pid: number | "self", name: string, dirfd = AT_FDCWD): number | undefined {
	const link = readlinkIfAny(`/proc/${pid}/ns/${name}`, dirfd);
	const inode = link && /\[(\d+)\]$/.exec(link);
	return inode ? Number(inode[1]) : undefined;
}

export function sethostname(name: string) {
	const bytes = host.encode(name);
	const result = tryChange("sethostname", nr.SYS_sethostname, name, bytes.byteLength);
	if (result < 0) throw new SysError("sethostname", -result, name);
}

export function setdomainname(name: string) {
	const bytes = host.encode(name);
	const result = tryChange("setdomainname", nr.SYS_setdomainname, name, bytes.byteLength);
	if (result < 0) throw new SysError("setdomainname", -result, name);
}

/** One line of a uid_map: `count` ids from `inner` on, inside, are those from `outer` on, outside. */
export interface IdRange {
	inner: number;
	outer: number;
	count: number;
}

/** Writes /proc/PID/uid_map or gid_map: one write(2) with all lines. man 7 user_namespaces. */
export function writeIdMap(pid: number | "self", file: "uid_map" | "gid_map", map: IdRange[]) {
	writeKernelFile(`/proc/${pid}/${file}`, map.map(({ inner, outer, count }) => `${inner} ${outer} ${count}\n`).join(""));
}

/** uname(2): the kernel's release, and the names of the UTS namespace. */
export function uname(): { nodename: string; release: string; machine: string; domainname: string } {
	const bytes = new Uint8Array(6 * 65);
	call("uname", nr.SYS_uname, bytes);
	const field = (i: number) => {
		const at = i * 65;
		return host.decode(bytes, at, bytes.indexOf(0, at));
	};
	return { nodename: field(1), release: field(2), machine: field(4), domainname: field(5) };
}
