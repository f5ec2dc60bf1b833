/** The disk that a person means: for the rate limits of blkio and io, which know whole disks by their numbers. */
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { mountinfo } from "../../../native/linux/mount.ts";
import { S_IFBLK, S_IFMT, statIfAny } from "../../../native/linux/stat.ts";
import { fail, show } from "../../common/errors.ts";

/** The number (`8:0`) of a disk, given as a number, a node (/dev/sda1) or a mount point. A partition means its disk. */
export function diskNumber(text: string): string {
	const number = /^\d+:\d+$/.test(text) ? text : numberOf(text);
	const folder = `/sys/dev/block/${number}`;
	const partition = readFileIfAny(`${folder}/partition`) !== undefined;
	return partition ? (readFileIfAny(`${folder}/../dev`) ?? number).trim() : number;
}

function numberOf(path: string): string {
	const found = statIfAny(path) ?? fail(`${show(path)}: no such device or mount point`);
	if ((found.mode & S_IFMT) === S_IFBLK) return found.rdev;
	if (!found.dev.startsWith("0:")) return found.dev;
	/* btrfs and overlay have a device number that is no disk's; what is mounted may be a node. */
	const source = mountinfo().find((mounted) => mounted.id === found.mountId)?.source ?? "";
	const node = source.startsWith("/dev/") ? statIfAny(source) : undefined;
	if (node && (node.mode & S_IFMT) === S_IFBLK) return node.rdev;
	return fail(`${show(path)}: its file system is on no disk`, "give the disk that it is on: /dev/sda, or 8:0; lsblk lists them");
}

/** The node's name (sda) of a disk's number. */
export function diskName(number: string): string | undefined {
	const match = /^DEVNAME=(.*)$/m.exec(readFileIfAny(`/sys/dev/block/${number}/uevent`) ?? "");
	return match?.[1];
}
