/** Block devices, and the file systems on them: linux/fs.h, man 4 sd; Documentation/filesystems/ext4, xfs. */

import * as host from "#host";
import { ENOTTY, EOPNOTSUPP } from "./errno.ts";
import { ioctl } from "./fd.ts";
import * as nr from "./nr.ts";
import { readlinkIfAny } from "./stat.ts";
import { getU64, putU64, struct } from "./struct.ts";
import { call, change, dryRun, isDryRun, SysError, tryChange } from "./syscall.ts";

/** A device number as the kernel takes it: new_encode_dev(), man 3 makedev. */
export function encodeDev(major: number, minor: number): number {
	return major * 256 + (minor & 0xff) + Math.floor(minor / 256) * 2 ** 20;
}

export function decodeDev(dev: number): { major: number; minor: number } {
	return { major: (dev >>> 8) & 0xfff, minor: (dev & 0xff) | ((dev >>> 12) & 0xfff00) };
}

/** man 2 open: past the page cache, with aligned memory, offset and length. */
export const O_DIRECT = process.arch === "arm64" ? 0o200000 : 0o40000;

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

/** Memory at an address that is a multiple of 4096, as O_DIRECT needs it. */
export function alignedBytes(length: number): Uint8Array {
	const bytes = new Uint8Array(length + 4096);
	const from = -host.addressOf(bytes) % 4096;
	return bytes.subarray(from < 0 ? from + 4096 : from, (from < 0 ? from + 4096 : from) + length);
}

/** pread(2): the number of bytes that came. */
export function readAt(fd: number, into: Uint8Array, offset: number): number {
	return call("pread64", nr.SYS_pread64, fd, into, into.length, offset);
}

/** pwrite(2) of all the bytes. */
export function writeAt(fd: number, bytes: Uint8Array, offset: number) {
	for (let at = 0; at < bytes.length; ) {
		const rest = bytes.subarray(at);
		const written = change("pwrite64", nr.SYS_pwrite64, fd, rest, rest.length, offset + at);
		if (isDryRun()) return;
		at += written;
	}
}

/** Sets the size of a file; what is new is a hole. */
export function truncateFile(fd: number, size: number) {
	change("ftruncate", nr.SYS_ftruncate, fd, size);
}

/** The name of a block device in /sys: `dm-3`, `sda`. Undefined where there is none of the number. */
export function blockName(major: number, minor: number): string | undefined {
	return readlinkIfAny(`/sys/dev/block/${major}:${minor}`)?.replace(/^.*\//, "");
}
