/** The words of mount(8)'s -o that are for the mount, or for mount(8) itself, and not for the file system. */
import {
	MOUNT_ATTR__ATIME,
	MOUNT_ATTR_NOATIME,
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NODIRATIME,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_NOSYMFOLLOW,
	MOUNT_ATTR_RDONLY,
	MOUNT_ATTR_STRICTATIME,
	MS_NOATIME,
	MS_NODIRATIME,
	MS_NOSYMFOLLOW,
	MS_STRICTATIME,
} from "../../native/linux/mount.ts";

/** What a word sets and clears among the MOUNT_ATTR_*. */
const WORDS = new Map<string, [set: number, clear: number]>([
	["ro", [MOUNT_ATTR_RDONLY, 0]],
	["rw", [0, MOUNT_ATTR_RDONLY]],
	["nosuid", [MOUNT_ATTR_NOSUID, 0]],
	["suid", [0, MOUNT_ATTR_NOSUID]],
	["nodev", [MOUNT_ATTR_NODEV, 0]],
	["dev", [0, MOUNT_ATTR_NODEV]],
	["noexec", [MOUNT_ATTR_NOEXEC, 0]],
	["exec", [0, MOUNT_ATTR_NOEXEC]],
	["noatime", [MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME]],
	["relatime", [0, MOUNT_ATTR__ATIME]],
	["atime", [0, MOUNT_ATTR__ATIME]],
	["strictatime", [MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME]],
	["nodiratime", [MOUNT_ATTR_NODIRATIME, 0]],
	["diratime", [0, MOUNT_ATTR_NODIRATIME]],
	["nosymfollow", [MOUNT_ATTR_NOSYMFOLLOW, 0]],
	["symfollow", [0, MOUNT_ATTR_NOSYMFOLLOW]],
	["defaults", [0, 0]],
]);

/** For /etc/fstab and mount(8): man 8 mount, "FILESYSTEM-INDEPENDENT MOUNT OPTIONS". */
const OF_MOUNT = /^(_netdev|nofail|auto|noauto|user|nouser|users|owner|group|silent|loud|(x-|X-|comment).*)$/;

/** The attributes after a word; undefined if it is a word for the file system. */
export function withWord(attributes: number, name: string): number | undefined {
	const word = WORDS.get(name);
	if (word) return (attributes & ~word[1]) | word[0];
	return OF_MOUNT.test(name) ? attributes : undefined;
}

/** MOUNT_ATTR_* as MS_*, of which the first four are the same. */
export function mountFlags(attributes: number): number {
	return (
		(attributes & 15) |
		((attributes & MOUNT_ATTR_NOATIME) !== 0 ? MS_NOATIME : 0) |
		((attributes & MOUNT_ATTR_STRICTATIME) !== 0 ? MS_STRICTATIME : 0) |
		((attributes & MOUNT_ATTR_NODIRATIME) !== 0 ? MS_NODIRATIME : 0) |
		((attributes & MOUNT_ATTR_NOSYMFOLLOW) !== 0 ? MS_NOSYMFOLLOW : 0)
	);
}
