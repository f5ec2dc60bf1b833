/** Mounts: man 2 mount, umount2, pivot_root, open_tree, move_mount, mount_setattr, fsopen; man 5 proc on mountinfo. */
import * as host from "#host";
import type { Argument } from "../host/host.d.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, readFile } from "./fd.ts";
import * as nr from "./nr.ts";
import { struct } from "./struct.ts";
import { call, change, isDryRun, SysError, tryCall, tryChange } from "./syscall.ts";

export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_SYNCHRONOUS = 16;
export const MS_REMOUNT = 32;
export const MS_NOSYMFOLLOW = 256;
export const MS_NOATIME = 1024;
export const MS_NODIRATIME = 2048;
export const MS_BIND = 4096;
export const MS_MOVE = 8192;
export const MS_REC = 16384;
export const MS_SILENT = 32768;
export const MS_UNBINDABLE = 1 << 17;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;
export const MS_RELATIME = 1 << 21;
export const MS_STRICTATIME = 1 << 24;

/** mount(2). Throws SysError on the target; source and type may be null as the manual allows. */
export function mount(source: string | null, target: string, type: string | null, flags: number, data: string | null = null) {
	const result = tryChange("mount", nr.SYS_mount, source, target, type, flags, data);
	if (result < 0) throw new SysError("mount", -result, target);
}

export const MNT_FORCE = 1;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

export function umount(target: string, flags = 0) {
	change("umount2", nr.SYS_umount2, target, flags);
}

/** pivot_root(2): `newRoot` becomes /, the old root is put at `putOld`. With both "." the old root ends up on top. */
export function pivotRoot(newRoot: string, putOld: string) {
	change("pivot_root", nr.SYS_pivot_root, newRoot, putOld);
}

export function chroot(path: string) {
	change("chroot", nr.SYS_chroot, path);
}

export const OPEN_TREE_CLONE = 1;
export const OPEN_TREE_CLOEXEC = 0o2000000;

/** open_tree(2): a descriptor of the mount at a path, with OPEN_TREE_CLONE of a detached copy. Linux 5.2. */
export function openTree(dirfd: number, path: string, flags: number): number {
	return call("open_tree", nr.SYS_open_tree, dirfd, path, flags | OPEN_TREE_CLOEXEC | (path === "" ? AT_EMPTY_PATH : 0));
}

export const MOVE_MOUNT_F_EMPTY_PATH = 4;
export const MOVE_MOUNT_T_EMPTY_PATH = 0x40;

/** move_mount(2): attaches the mount of `from` on the open path `to`. Linux 5.2. */
export function moveMount(from: number, to: number, object?: string) {
	const result = tryChange("move_mount", nr.SYS_move_mount, from, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	if (result < 0) throw new SysError("move_mount", -result, object);
}

export const MOUNT_ATTR_RDONLY = 0x01;
export const MOUNT_ATTR_NOSUID = 0x02;
export const MOUNT_ATTR_NODEV = 0x04;
export const MOUNT_ATTR_NOEXEC = 0x08;
export const MOUNT_ATTR__ATIME = 0x70;
export const MOUNT_ATTR_NOATIME = 0x10;
export const MOUNT_ATTR_STRICTATIME = 0x20;
export const MOUNT_ATTR_NODIRATIME = 0x80;
export const MOUNT_ATTR_NOSYMFOLLOW = 0x200000;
export const MOUNT_ATTR_IDMAP = 0x100000;

export const mountAttr = struct([
	["attr_set", "u64"],
	["attr_clr", "u64"],
	["propagation", "u64"],
	["userns_fd", "u64"],
]);

/** mount_setattr(2) on the mount of a descriptor, or of a path; `recursive`: and on all below it. Linux 5.12. */
export function mountSetattr(
	where: number | string,
	set: number,
	options: { clear?: number; propagation?: number; recursive?: boolean; usernsFd?: number } = {},
) {
	const attr = mountAttr.pack({
		attr_set: set,
		attr_clr: options.clear ?? 0,
		propagation: options.propagation ?? 0,
		userns_fd: options.usernsFd ?? 0,
	});
	const flags = options.recursive ? AT_RECURSIVE : 0;
	const at: Argument[] = typeof where === "number" ? [where, "", flags | AT_EMPTY_PATH] : [AT_FDCWD, where, flags];
	change("mount_setattr", nr.SYS_mount_setattr, ...at, attr, attr.length);
}

export const FSOPEN_CLOEXEC = 1;
export const FSMOUNT_CLOEXEC = 1;
export const FSCONFIG_SET_FLAG = 0;
export const FSCONFIG_SET_STRING = 1;
export const FSCONFIG_SET_FD = 5;
export const FSCONFIG_CMD_CREATE = 6;

/** What `fsopen` of a dry run stands for. */
const someFd = 3;

/** fsopen(2): the context of a new file system of a type. Linux 5.2. */
export function fsopen(type: string): number {
	const context = change("fsopen", nr.SYS_fsopen, type, FSOPEN_CLOEXEC);
	return isDryRun() ? someFd : context;
}

/**
 * fsconfig(2): sets an option of a context: a flag (`true`), a text, or an open file (a number; of an overlay's layer
 * since Linux 6.13). Returns 0, or -errno: it is EINVAL for a text of more than 255 bytes, too.
 */
export function tryFsconfig(context: number, key: string, value: string | number | true): number {
	const call = (command: number, text: string | null, aux: number) =>
		tryChange("fsconfig", nr.SYS_fsconfig, context, command, key, text, aux);
	if (value === true) return call(FSCONFIG_SET_FLAG, null, 0);
	return typeof value === "string" ? call(FSCONFIG_SET_STRING, value, 0) : call(FSCONFIG_SET_FD, null, value);
}

/** FSCONFIG_CMD_CREATE: makes the file system as the context has it. Returns 0 or -errno. */
export function tryCreate(context: number): number {
	return tryChange("fsconfig", nr.SYS_fsconfig, context, FSCONFIG_CMD_CREATE, null, null, 0);
}

/** fsmount(2): the file system that a context has made, as a detached mount with MOUNT_ATTR_* `attributes`. */
export function fsmountContext(context: number, attributes = 0): number {
	const mounted = change("fsmount", nr.SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
	return isDryRun() ? someFd + 1 : mounted;
}

/** What the kernel has to say of a context, oldest first: `e overlay: Unknown parameter 'x'` (e error, w warning, i information). */
export function contextLog(context: number): string[] {
	const lines: string[] = [];
	const bytes = new Uint8Array(1024);
	for (;;) {
		const length = tryCall("read", nr.SYS_read, context, bytes, bytes.length);
		if (length <= 0) return lines;
		lines.push(host.decode(bytes, 0, length).trim());
	}
}

/** fsopen(2), fsconfig(2), fsmount(2): a new file system as a detached mount, which is returned. Linux 5.2. */
export function fsmount(type: string, options: Record<string, string | true>, attributes = 0): number {
	const context = call("fsopen", nr.SYS_fsopen, type, FSOPEN_CLOEXEC);
	for (const key in options) {
		const value = options[key];
		if (value === true) call("fsconfig", nr.SYS_fsconfig, context, FSCONFIG_SET_FLAG, key, null, 0);
		else call("fsconfig", nr.SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value as string, 0);
	}
	call("fsconfig", nr.SYS_fsconfig, context, FSCONFIG_CMD_CREATE, null, null, 0);
	const mounted = call("fsmount", nr.SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
	call("close", nr.SYS_close, context);
	return mounted;
}

/** A line of /proc/PID/mountinfo. */
export interface MountInfo {
	id: number;
	parent: number;
	/** `major:minor` of the file system. */
	device: string;
	/** The folder of the file system that is the root of this mount. */
	root: string;
	target: string;
	options: string;
	/** `shared:N`, `master:N`, `propagate_from:N`, `unbindable`. */
	optional: string[];
	type: string;
	source: string;
	superOptions: string;
	/** The same, each by itself: a comma within one is no end of it. */
	superOptionList: string[];
}

/** man 5 proc_pid_mountinfo: fields are separated by spaces; a space, tab, newline or backslash in one is \ooo. */
export function parseMountinfo(text: string): MountInfo[] {
	const plain = (field = "") =>
		!field.includes("\\") ? field : field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
	return text
		.split("\n")
		.filter((line) => line !== "")
		.map((line) => {
			const fields = line.split(" ");
			const dash = fields.indexOf("-", 6);
			return {
				id: Number(fields[0]),
				parent: Number(fields[1]),
				device: fields[2] ?? "",
				root: plain(fields[3]),
				target: plain(fields[4]),
				options: fields[5] ?? "",
				optional: fields.slice(6, dash),
				type: fields[dash + 1] ?? "",
				source: plain(fields[dash + 2]),
				superOptions: plain(fields[dash + 3]),
				superOptionList: (fields[dash + 3] ?? "").split(",").map(plain),
			};
		});
}

export function mountinfo(pid: number | "self" = "self"): MountInfo[] {
	return parseMountinfo(readFile(`/proc/${pid}/mountinfo`));
}
