/** The file systems of volumes: made by mkfs, mounted, grown and trimmed by the kernel. */

import { blockSize, growExt4, growXfs, readAt, trimFileSystem } from "../../../native/linux/blockdev.ts";
import { close, O_DIRECTORY, O_RDONLY, open } from "../../../native/linux/fd.ts";
import {
	fsmount,
	MS_NOATIME,
	MS_NODEV,
	MS_NODIRATIME,
	MS_NOEXEC,
	MS_NOSUID,
	MS_RDONLY,
	MS_RELATIME,
	MS_STRICTATIME,
	MS_SYNCHRONOUS,
	mount,
} from "../../../native/linux/mount.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { notA } from "../../common/command-line/options.ts";
import { fail } from "../../common/errors.ts";
import { lastLine, needProgram, runProgram } from "../../common/run-program.ts";
import { textOf } from "../store/text.ts";

export type FileSystem = "ext4" | "xfs";

/** For an option table. */
export function fileSystem(text: string, option: string): FileSystem {
	return text === "ext4" || text === "xfs" ? text : notA(option, text, "ext4 or xfs");
}

/**
 * Makes a file system on a new volume. All of it reads as zeros until it is written, so that nothing needs to be zeroed or
 * discarded, then or by ext4's lazy initialization later, in each snapshot anew.
 */
export function makeFileSystem(device: string, type: FileSystem, more: string[] = []) {
	if (type === "xfs") return needProgram(["mkfs.xfs", "-q", "-K", ...more, device], "xfsprogs");
	const zeroed = ["mkfs.ext4", "-q", "-F", "-E", "nodiscard,assume_storage_prezeroed=1", ...more, device];
	const result = runProgram(zeroed);
	if (!result) fail("mkfs.ext4: not found", "Debian's package e2fsprogs has it");
	if (result.status === 0) return;
	/* Before e2fsprogs 1.46.6. */
	if (!result.output.includes("assume_storage_prezeroed")) fail(`mkfs.ext4 ${device}: status ${result.status}: ${lastLine(result.output)}`);
	needProgram(["mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", ...more, device], "e2fsprogs");
}

const FLAGS = new Map(
	Object.entries({
		ro: MS_RDONLY,
		nosuid: MS_NOSUID,
		nodev: MS_NODEV,
		noexec: MS_NOEXEC,
		sync: MS_SYNCHRONOUS,
		noatime: MS_NOATIME,
		nodiratime: MS_NODIRATIME,
		relatime: MS_RELATIME,
		strictatime: MS_STRICTATIME,
		rw: 0,
		defaults: 0,
	}),
);

/** Mounts a volume's device; `options` as mount(8) takes them, without those that are its own. */
export function mountFileSystem(device: string, target: string, type: string, options: string | undefined) {
	let flags = 0;
	/* A snapshot has the uuid of its origin, and xfs mounts each once only. */
	const data: string[] = type === "xfs" ? ["nouuid"] : [];
	for (const option of (options ?? "").split(",").filter((word) => word !== "")) {
		const flag = FLAGS.get(option);
		if (flag === undefined) data.push(option);
		else flags |= flag;
	}
	mount(device, target, type, flags, data.length > 0 ? data.join(",") : null);
}

/** Works in the root of a device's file system, mounted nowhere: a process that is killed leaves no mount. */
export function withFileSystem<T>(device: string, type: string, work: (fd: number) => T): T {
	const tree = fsmount(type, type === "xfs" ? { source: device, nouuid: true } : { source: device });
	try {
		const root = open(".", O_RDONLY | O_DIRECTORY, 0, tree);
		try {
			return work(root);
		} finally {
			close(root);
		}
	} finally {
		close(tree);
	}
}

/** What a device holds: its type, and the size of the file system's blocks. */
export function probe(device: string): { type: FileSystem; block: number; imaxpct: number; size: number } | undefined {
	const fd = open(device, O_RDONLY);
	try {
		const bytes = new Uint8Array(4096);
		readAt(fd, bytes, 0);
		const view = new DataView(bytes.buffer);
		const size = blockSize(fd);
		if (textOf(bytes.subarray(0, 4)) === "XFSB") return { type: "xfs", block: view.getUint32(4), imaxpct: bytes[127] ?? 25, size };
		if (view.getUint16(1080, true) === 0xef53) return { type: "ext4", block: 1024 << (view.getUint32(1048, true) & 7), imaxpct: 0, size };
		return undefined;
	} finally {
		close(fd);
	}
}

/** Makes the file system as large as its device. False where it is none that can be grown. */
export function growFileSystem(device: string): boolean {
	if (isDryRun()) return true;
	const found = probe(device);
	if (!found) return false;
	const blocks = Math.floor(found.size / found.block);
	withFileSystem(device, found.type, (fd) => (found.type === "ext4" ? growExt4(fd, blocks) : growXfs(fd, blocks, found.imaxpct)));
	return true;
}

/** Gives back to the pool what the file system has free. The bytes; undefined where there is none that can. */
export function trimDevice(device: string): number | undefined {
	if (isDryRun()) return 0;
	const found = probe(device);
	return found && withFileSystem(device, found.type, (fd) => trimFileSystem(fd));
}
