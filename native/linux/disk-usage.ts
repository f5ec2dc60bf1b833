/** How much is stored: man 1 du, man 2 statfs. */
import { ENOENT } from "./errno.ts";
import { AT_SYMLINK_NOFOLLOW, close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open, readdirOf } from "./fd.ts";
import * as nr from "./nr.ts";
import { S_IFDIR, S_IFMT, statxStruct } from "./stat.ts";
import { struct } from "./struct.ts";
import { call, SysError, tryCall } from "./syscall.ts";

const STATX_BASIC_STATS = 0x7ff;

/** The bytes of the blocks of all that is below an open folder; what has several names counts once. Other file systems do not. */
export function diskUsage(folder: number): number {
	const seen: Record<string, true> = Object.create(null);
	let total = 0;
	const bytes = new Uint8Array(statxStruct.size);
	const walk = (fd: number, device: string) => {
		for (const name of readdirOf(fd)) {
			if (tryCall("statx", nr.SYS_statx, fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, bytes) < 0) continue;
			const node = statxStruct.unpack(bytes);
			const own = `${node.stx_dev_major}:${node.stx_dev_minor}`;
			if (device !== "" && own !== device) continue;
			const isFolder = (node.stx_mode & S_IFMT) === S_IFDIR;
			if (!isFolder && node.stx_nlink > 1) {
				if (seen[node.stx_ino]) continue;
				seen[node.stx_ino] = true;
			}
			total += node.stx_blocks * 512;
			if (isFolder) within(fd, name, (below) => walk(below, own));
		}
	};
	walk(folder, "");
	return total;
}

function within(fd: number, name: string, work: (fd: number) => void) {
	let below: number;
	try {
		below = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, fd);
	} catch (error) {
		if (error instanceof SysError && error.errno === ENOENT) return;
		throw error;
	}
	try {
		work(below);
	} finally {
		close(below);
	}
}

/** asm-generic/statfs.h, as the 64-bit kernels have it. */
export const statfs = /* @__PURE__ */ struct([
	["f_type", "s64"],
	["f_bsize", "s64"],
	["f_blocks", "u64"],
	["f_bfree", "u64"],
	["f_bavail", "u64"],
	["f_files", "u64"],
	["f_ffree", "u64"],
	["f_fsid", "u8[8]"],
	["f_namelen", "s64"],
	["f_frsize", "s64"],
	["f_flags", "s64"],
	["f_spare", "u8[32]"],
]);

/** How large the file system of an open file is, and how much of it is used, in bytes. */
export function fileSystemSpace(fd: number): { size: number; used: number } {
	const bytes = new Uint8Array(statfs.size);
	call("fstatfs", nr.SYS_fstatfs, fd, bytes);
	const { f_bsize, f_blocks, f_bfree } = statfs.unpack(bytes);
	return { size: f_blocks * f_bsize, used: (f_blocks - f_bfree) * f_bsize };
}
