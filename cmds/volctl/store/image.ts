/** Limited volumes where there are no project quotas: an ext4 in a sparse file, on a loop device as long as it is mounted. */

import { growExt4, truncateFile } from "../../../native/linux/blockdev.ts";
import { EPERM } from "../../../native/linux/errno.ts";
import { close, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, open } from "../../../native/linux/fd.ts";
import { attachLoop, updateLoopCapacity } from "../../../native/linux/loop.ts";
import { mount } from "../../../native/linux/mount.ts";
import { lstatIfAny, rmdir, stat } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { needProgram } from "../../common/run-program.ts";
import { formatSize } from "../../common/units.ts";

const LEAST = 1 << 20;
const BLOCK = 4096;
const MIB = 1 << 20;

/** What the file is larger than what can be written to it: the journal (MiB), tables of inodes (a 64th), bitmaps. */
function layout(size: number): { journal: number; length: number } {
	const journal = size < 256 * MIB ? 4 : size < 4096 * MIB ? 16 : 64;
	return { journal, length: Math.ceil((size + Math.ceil(size / 64) + (journal + 0.7) * MIB) / BLOCK) * BLOCK };
}

export function makeImage(path: string, size: number) {
	if (size < LEAST)
		fail(
			`a volume of ${formatSize(size)}: too small for a file system of its own`,
			`${formatSize(LEAST)} at least, where there are no project quotas`,
		);
	const fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
	const { journal, length } = layout(size);
	truncateFile(fd, length);
	close(fd);
	/* No room for root alone: the size is what can be written. */
	needProgram(["mkfs.ext4", "-q", "-F", "-b", String(BLOCK), "-m", "0", "-J", `size=${journal}`, "-E", "nodiscard", path], "e2fsprogs");
}

export function hasImage(folder: string): boolean {
	return lstatIfAny(`${folder}/image`) !== undefined;
}

/** Mounts a volume's image on its _data. */
export function mountImage(folder: string, flags: number) {
	const file = open(`${folder}/image`, O_RDWR);
	try {
		const device = attachLoop(file, `${folder}/image`);
		try {
			mount(`/dev/loop${device.number}`, `${folder}/_data`, "ext4", flags, null);
		} finally {
			/* The mount keeps it from here on, and with the mount it goes. */
			close(device.fd);
		}
	} finally {
		close(file);
	}
	/* For fsck, which makes it anew; to Docker a volume with it is not empty. */
	if (lstatIfAny(`${folder}/_data/lost+found`)?.size === 16384) removeEmpty(`${folder}/_data/lost+found`);
}

function removeEmpty(path: string) {
	try {
		rmdir(path);
	} catch {
		/* Something was found, and is kept. */
	}
}

/** Makes a mounted image larger. */
export function growImage(folder: string, size: number) {
	const file = open(`${folder}/image`, O_RDWR);
	const { length } = layout(size);
	try {
		const old = stat("", file).size;
		if (old > length) fail("a volume's image cannot be made smaller", "`tsvolctl clone --opt size=SIZE` copies it to a smaller one");
		truncateFile(file, length);
		const data = open(`${folder}/_data`, O_RDONLY);
		try {
			updateLoopCapacity(Number(stat("", data).dev.split(":")[1]));
			growExt4(data, Math.floor(length / BLOCK));
		} catch (error) {
			truncateFile(file, old);
			if (error instanceof SysError && error.errno === EPERM)
				fail("the volume's image cannot be grown while it is mounted", "this needs CAP_SYS_RESOURCE");
			throw error;
		} finally {
			close(data);
		}
	} finally {
		close(file);
	}
}
