/** Block devices, and the file systems on them: linux/fs.h, man 4 sd; Documentation/filesystems/ext4, xfs. */
import { ENOTTY, EOPNOTSUPP } from "./errno.ts";
import { ioctl } from "./fd.ts";
import * as nr from "./nr.ts";
import { readlinkIfAny } from "./stat.ts";
import { getU64, putU64, struct } from "./struct.ts";
import { change, dryRun, SysError, tryChange } from "./syscall.ts";

export const BLKGETSIZE64 = 0x80081272;
export const BLKDISCARD = 0x1277;
export const BLKFLSBUF = 0x1261;
export const FITRIM = 0xc0185879;
export const EXT4_IOC_RESIZE_FS = 0x40086610;
export const XFS_IOC_FSGROWFSDATA = 0x4010586e;

/** The size of an open block device in bytes. */
export function blockSize(fd: number): number {
	const bytes = new Uint8Array(8);
	ioctl(fd, BLKGETSIZE64, bytes);
	return getU64(new DataView(bytes.buffer), 0);
}

/** Tells a block device that bytes are no longer needed. False where it knows no discard. */
export function blockDiscard(fd: number, start: number, length: number): boolean {
	if (dryRun(`BLKDISCARD ${start} ${length}`)) return true;
	const range = new Uint8Array(16);
	putU64(new DataView(range.buffer), 0, start);
	putU64(new DataView(range.buffer), 8, length);
	const result = tryChange("ioctl", nr.SYS_ioctl, fd, BLKDISCARD, range);
	if (result === -EOPNOTSUPP) return false;
	if (result < 0) throw new SysError("BLKDISCARD", -result);
	return true;
}

export const fstrimRange = /* @__PURE__ */ struct([
	["start", "u64"],
	["len", "u64"],
	["minlen", "u64"],
]);

/** Discards what a mounted file system has free: man 8 fstrim. Returns the bytes, undefined where it cannot. */
export function trimFileSystem(fd: number): number | undefined {
	const range = fstrimRange.pack({ len: -1 });
	const result = tryChange("ioctl", nr.SYS_ioctl, fd, FITRIM, range);
	if (result === -EOPNOTSUPP || result === -ENOTTY) return undefined;
	if (result < 0) throw new SysError("FITRIM", -result);
	return fstrimRange.unpack(range).len;
}

/** Grows a mounted ext4 to so many of its blocks. */
export function growExt4(fd: number, blocks: number) {
	const bytes = new Uint8Array(8);
	putU64(new DataView(bytes.buffer), 0, blocks);
	change("ioctl", nr.SYS_ioctl, fd, EXT4_IOC_RESIZE_FS, bytes);
}

/** struct xfs_growfs_data of xfs_fs.h. */
const xfsGrowfsData = /* @__PURE__ */ struct([
	["newblocks", "u64"],
	["imaxpct", "u32"],
]);

/** Grows a mounted xfs to so many of its blocks. `imaxpct` is the share of inodes that it has. */
export function growXfs(fd: number, blocks: number, imaxpct: number) {
	change("ioctl", nr.SYS_ioctl, fd, XFS_IOC_FSGROWFSDATA, xfsGrowfsData.pack({ newblocks: blocks, imaxpct }));
}

/** The name of a block device in /sys: `dm-3`, `sda`. Undefined where there is none of the number. */
export function blockName(major: number, minor: number): string | undefined {
	return readlinkIfAny(`/sys/dev/block/${major}:${minor}`)?.replace(/^.*\//, "");
}
