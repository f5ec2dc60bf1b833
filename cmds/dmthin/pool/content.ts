/** What a device holds: whether it may be made a pool. */

import { blockSize, readAt } from "../../../native/linux/blockdev.ts";
import { EBUSY } from "../../../native/linux/errno.ts";
import { close, O_EXCL, O_RDONLY, open, readdir } from "../../../native/linux/fd.ts";
import { S_IFBLK, S_IFMT, stat } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { textOf } from "../store/text.ts";
import { holdersOf } from "../volume/holders.ts";
import { readSignature } from "./signature.ts";

/** Signatures, by where they are. */
const KNOWN: [what: string, at: number, magic: string][] = [
	["ext2, ext3 or ext4", 1080, "\x53\xef"],
	["xfs", 0, "XFSB"],
	["btrfs", 65600, "_BHRfS_M"],
	["a volume of LVM", 512, "LABELONE"],
	["swap", 4086, "SWAPSPACE2"],
	["LUKS", 0, "LUKS\xba\xbe"],
	["a table of partitions (GPT)", 512, "EFI PART"],
	["a table of partitions (MBR)", 510, "\x55\xaa"],
	["squashfs", 0, "hsqs"],
	["RAID (md)", 4096, "\xfc\x4e\x2b\xa9"],
	["the metadata of a thin pool", 32, "\x12\x53\x9c\x01"],
	["iso9660", 32769, "CD001"],
	["f2fs", 1024, "\x10\x20\xf5\xf2"],
];

/** Of what is at the start and the end, so much is looked at. */
const START = 128 * 1024;
const END = 64 * 1024;

function isZero(bytes: Uint8Array): boolean {
	const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
	for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
	return true;
}

/** What an open device holds, in words; undefined for nothing but zeros where it would begin and end. */
export function contentOf(fd: number): string | undefined {
	const ours = readSignature(fd);
	if (ours) return `the pool ${show(ours.pool.name)}`;
	const start = new Uint8Array(START);
	readAt(fd, start, 0);
	for (const [what, at, magic] of KNOWN) if (textOf(start.subarray(at, at + magic.length)) === magic) return what;
	const end = new Uint8Array(END);
	readAt(fd, end, Math.max(0, blockSize(fd) - END));
	return isZero(start) && isZero(end) ? undefined : "data of an unknown kind";
}

/** Checks that a device may be made a pool's, and returns its size in sectors. With `force` what it holds does not count. */
export function checkDevice(path: string, force: boolean): number {
	const found = stat(path);
	if ((found.mode & S_IFMT) !== S_IFBLK) fail(`${show(path)}: not a block device`, "--loop makes a pool of files");
	const fd = openAlone(path, found.rdev);
	try {
		const folder = `/sys/dev/block/${found.rdev}`;
		const partitions = readdir(folder).filter((name) => isThere(`${folder}/${name}/partition`));
		if (partitions.length > 0) fail(`${show(path)}: has partitions: ${partitions.join(", ")}`, "name one of them, or remove them");
		const content = contentOf(fd);
		if (content !== undefined && !force) fail(`${show(path)}: holds ${content}`, "--force overwrites it");
		return Math.floor(blockSize(fd) / 512);
	} finally {
		close(fd);
	}
}

function isThere(path: string): boolean {
	try {
		stat(path);
		return true;
	} catch (error) {
		if (error instanceof SysError) return false;
		throw error;
	}
}

/** O_EXCL on a block device: EBUSY while it is mounted or part of something (man 2 open). */
function openAlone(path: string, rdev: string): number {
	try {
		return open(path, O_RDONLY | O_EXCL);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EBUSY)) throw error;
		const [major, minor] = rdev.split(":").map(Number) as [number, number];
		const holders = holdersOf(major, minor);
		return fail(`${show(path)}: is in use${holders.length > 0 ? `: ${holders.join("; ")}` : ""}`);
	}
}
