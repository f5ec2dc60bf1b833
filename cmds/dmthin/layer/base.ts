/** `base`: the volume that all images stand on, and the root folder in each layer's file system. */

import { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open } from "../../../native/linux/fd.ts";
import { chmod, mkdir } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { checkName, readPool } from "../store/pool.ts";
import { type FileSystem, withFileSystem } from "../volume/filesystem.ts";
import { checkSize, makeVolume, takeOperands } from "../volume/manage.ts";

/** Docker's: 10 GB. */
const BASE_SIZE = "10g";

/** The folder of a layer's file system that is its root: beside it is lost+found, and nothing that a container reaches. */
export const ROOTFS = "rootfs";

export interface BaseOptions {
	size?: string;
	fs?: FileSystem;
	mkfsOption?: string[];
	name?: string;
}

export function base(operands: string[], options: BaseOptions) {
	const [poolName] = takeOperands(operands, "POOL");
	const pool = readPool(poolName);
	const name = checkName(options.name ?? "base", "NAME");
	const size = checkSize(options.size ?? BASE_SIZE);
	const { fs = "ext4", mkfsOption } = options;
	makeVolume(pool, name, size, { fs, noActivate: true, ...(mkfsOption && { mkfsOption }) }, { layer: true }, (device) => {
		if (isDryRun()) return;
		withFileSystem(device, fs, (root) => {
			mkdir(ROOTFS, 0o755, root);
			chmod(ROOTFS, 0o755, root);
		});
	});
	print(`${name}\n`);
}

/** Opens the root of a layer in its file system's. Throws where that is no folder: ENOTDIR, ELOOP. */
export function openRootfs(fileSystem: number): number {
	return open(ROOTFS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, fileSystem);
}
