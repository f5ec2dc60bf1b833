/** System calls as strace(1) writes them: the names of flags in place of their numbers. */
import type { Argument } from "../host/host.d.ts";
import { errnoName } from "./strerror.ts";

/** A value of `bits` as `A|B|0x100`, `none` for 0. */
function flags(prefix: string, bits: Record<string, number>, none = "0") {
	return (value: number) => {
		let rest = value;
		const names: string[] = [];
		for (const name in bits) {
			const bit = bits[name] as number;
			if (bit !== 0 && Math.floor(rest / bit) % 2 === 1 && (bit & (bit - 1)) === 0) {
				names.push(prefix + name);
				rest -= bit;
			}
		}
		if (rest !== 0) names.push(hex(rest));
		return names.join("|") || none;
	};
}

function hex(value: number): string {
	return value < 0 ? String(value) : `0x${value.toString(16)}`;
}

const octal = (value: number) => `0${value.toString(8)}`;
const dirfd = (value: number) => (value === -100 ? "AT_FDCWD" : String(value));

const CLONE = {
	NEWTIME: 0x80,
	NEWNS: 0x20000,
	NEWCGROUP: 0x2000000,
	NEWUTS: 0x4000000,
	NEWIPC: 0x8000000,
	NEWUSER: 0x10000000,
	NEWPID: 0x20000000,
	NEWNET: 0x40000000,
};
const MS = {
	RDONLY: 1,
	NOSUID: 2,
	NODEV: 4,
	NOEXEC: 8,
	SYNCHRONOUS: 16,
	REMOUNT: 32,
	MANDLOCK: 64,
	DIRSYNC: 128,
	NOSYMFOLLOW: 256,
	NOATIME: 1024,
	NODIRATIME: 2048,
	BIND: 4096,
	MOVE: 8192,
	REC: 16384,
	SILENT: 32768,
	UNBINDABLE: 1 << 17,
	PRIVATE: 1 << 18,
	SLAVE: 1 << 19,
	SHARED: 1 << 20,
	RELATIME: 1 << 21,
	STRICTATIME: 1 << 24,
	LAZYTIME: 1 << 25,
};
const O = {
	WRONLY: 1,
	RDWR: 2,
	CREAT: 0o100,
	EXCL: 0o200,
	NOCTTY: 0o400,
	TRUNC: 0o1000,
	APPEND: 0o2000,
	NONBLOCK: 0o4000,
	DIRECTORY: 0o200000,
	NOFOLLOW: 0o400000,
	CLOEXEC: 0o2000000,
	PATH: 0o10000000,
};
const UMOUNT = { MNT_FORCE: 1, MNT_DETACH: 2, MNT_EXPIRE: 4, UMOUNT_NOFOLLOW: 8 };
const AT = { SYMLINK_NOFOLLOW: 0x100, REMOVEDIR: 0x200, SYMLINK_FOLLOW: 0x400, EMPTY_PATH: 0x1000, RECURSIVE: 0x8000 };
/** enum bpf_cmd, those that bpf.ts uses. */
const BPF: Record<number, string> = {
	5: "BPF_PROG_LOAD",
	8: "BPF_PROG_ATTACH",
	9: "BPF_PROG_DETACH",
	13: "BPF_PROG_GET_FD_BY_ID",
	15: "BPF_OBJ_GET_INFO_BY_FD",
	16: "BPF_PROG_QUERY",
};

/** enum fsconfig_command. */
const FSCONFIG: Record<number, string> = {
	0: "FSCONFIG_SET_FLAG",
	1: "FSCONFIG_SET_STRING",
	5: "FSCONFIG_SET_FD",
	6: "FSCONFIG_CMD_CREATE",
	7: "FSCONFIG_CMD_RECONFIGURE",
};
const MOUNT_ATTR = {
	RDONLY: 0x01,
	NOSUID: 0x02,
	NODEV: 0x04,
	NOEXEC: 0x08,
	NOATIME: 0x10,
	STRICTATIME: 0x20,
	NODIRATIME: 0x80,
	IDMAP: 0x100000,
	NOSYMFOLLOW: 0x200000,
};

type Formatter = ((value: number) => string) | null;

/** How to print the number arguments, by position; null and absent ones are decimal. */
const formatters: Record<string, Formatter[]> = {
	unshare: [flags("CLONE_", CLONE)],
	setns: [null, flags("CLONE_", CLONE)],
	mount: [null, null, null, flags("MS_", MS)],
	umount2: [null, flags("", UMOUNT)],
	openat: [dirfd, null, flags("O_", O, "O_RDONLY"), octal],
	openat2: [dirfd],
	mkdirat: [dirfd, null, octal],
	mknodat: [dirfd, null, octal],
	unlinkat: [dirfd, null, flags("AT_", AT)],
	fchmodat: [dirfd, null, octal],
	fchownat: [dirfd],
	symlinkat: [null, dirfd],
	linkat: [dirfd, null, dirfd],
	renameat2: [dirfd, null, dirfd],
	readlinkat: [dirfd],
	faccessat2: [dirfd],
	statx: [dirfd, null, flags("AT_", AT), hex],
	execveat: [dirfd],
	open_tree: [dirfd, null, hex],
	move_mount: [dirfd, null, dirfd, null, hex],
	fsopen: [null, flags("FSOPEN_", { CLOEXEC: 1 })],
	fsconfig: [null, (command) => FSCONFIG[command] ?? String(command)],
	fsmount: [null, flags("FSMOUNT_", { CLOEXEC: 1 }), flags("MOUNT_ATTR_", MOUNT_ATTR)],
	mount_setattr: [dirfd, null, flags("AT_", AT)],
	ioctl: [null, hex, hex],
	mmap: [hex, null, hex, hex],
	umask: [octal],
	bpf: [(cmd) => BPF[cmd] ?? String(cmd)],
};

/** What is only to be made (a dry run) is shown whole, so that it can be checked. */
function argument(value: Argument, format: Formatter | undefined, whole: boolean): string {
	if (value === null) return "NULL";
	if (typeof value === "string") return JSON.stringify(value.length > 200 && !whole ? `${value.slice(0, 200)}...` : value);
	if (typeof value === "number") return format ? format(value) : String(value);
	return `[${value.byteLength} bytes]`;
}

/** `mount("proc", "/proc", "proc", MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL) = 0`; without the result if there is none yet. */
export function formatCall(name: string, args: Argument[], result?: number): string {
	const list = args.map((value, i) => argument(value, formatters[name]?.[i], result === undefined)).join(", ");
	const end =
		result === undefined ? "" : result < 0 && result > -4096 ? ` = -1 ${errnoName(-result)}` : ` = ${result > 1e9 ? hex(result) : result}`;
	return `${name}(${list})${end}`;
}
