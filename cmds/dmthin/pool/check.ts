/** `pool check` and `pool repair`: the metadata of a pool that is not active. */

import { O_DIRECT, readAt, truncateFile, writeAt } from "../../../native/linux/blockdev.ts";
import { dmInfo } from "../../../native/linux/devmapper.ts";
import { close, fsync, O_CREAT, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC, open } from "../../../native/linux/fd.ts";
import { rename, stat } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail } from "../../common/errors.ts";
import { runProgram } from "../../common/run-program.ts";
import { dmPool, type PoolRecord, poolFolder, readPool, withPool } from "../store/pool.ts";
import { beginTransactions, readTransaction } from "../store/transaction.ts";
import { listVolumes } from "../store/volume.ts";
import { closeBacking, openBacking } from "./backing.ts";
import { METADATA_BLOCK, parseSuperblock, readBlock, type Superblock } from "./superblock.ts";

const PACKAGE = "Debian's package thin-provisioning-tools has it";

/** Works on the devices of a pool that is not active. */
function withMetadata<T>(pool: PoolRecord, work: (path: string) => T): T {
	if (!isDryRun() && dmInfo(dmPool(pool.name)))
		fail(`${pool.name}: the pool is active`, `\`tsdmthin pool deactivate --volumes ${pool.name}\``);
	const backing = openBacking(pool);
	try {
		return work(backing.metadata.path);
	} finally {
		backing.release();
		closeBacking(pool);
	}
}

export function superblockOf(path: string): Superblock | undefined {
	const fd = open(path, O_RDONLY | O_DIRECT);
	try {
		return parseSuperblock(readBlock(fd, 0));
	} finally {
		close(fd);
	}
}

export function checkPool(operands: string[], options: { autoRepair?: true }) {
	const pool = readPool(operands[0]);
	withPool(pool.name, () =>
		withMetadata(pool, (path) => {
			const found = checkSuperblock(pool, path);
			const said = runProgram(["thin_check", path]);
			if (!said) fail("thin_check: not found; only the superblock was checked, and it is whole", PACKAGE);
			if (said.status === 0 && !found.needsCheck) return print(`${pool.name}: the metadata is whole\n`);
			if (said.status === 0) {
				if (!options.autoRepair)
					fail(
						`${pool.name}: the metadata is whole, but marked needs_check: the kernel gave up a change of it, for an I/O error or because it was full`,
						`\`tsdmthin pool check --auto-repair ${pool.name}\` takes the mark off; then activate the pool and, if it was full, extend its metadata`,
					);
				const cleared = runProgram(["thin_check", "--clear-needs-check-flag", path]);
				if (cleared?.status !== 0) fail(`${pool.name}: thin_check: ${cleared?.output.trim()}`);
				return print(`${pool.name}: the metadata is whole; needs_check is cleared\n`);
			}
			if (!options.autoRepair)
				fail(`${pool.name}: the metadata is damaged: ${said.output.trim()}`, `\`tsdmthin pool repair ${pool.name}\``);
			/* thin_check of 1.x mends what is harmless: leaked blocks. */
			const mended = runProgram(["thin_check", "--auto-repair", path]);
			if (mended?.status !== 0)
				fail(`${pool.name}: the metadata is damaged: ${said.output.trim()}`, `\`tsdmthin pool repair ${pool.name}\``);
			print(`${pool.name}: the metadata is mended\n`);
		}),
	);
}

function checkSuperblock(pool: PoolRecord, path: string): Superblock {
	const found = isDryRun() ? undefined : superblockOf(path);
	if (!found)
		return fail(`${pool.name}: there is no metadata of a thin pool in ${path}`, `\`tsdmthin pool repair ${pool.name}\` tries to mend it`);
	if (!found.isChecksumRight)
		fail(`${pool.name}: the superblock's checksum is wrong`, `\`tsdmthin pool repair ${pool.name}\` tries to mend it`);
	return found;
}

/** `pool repair`: thin_repair into a copy, which is checked, and takes the place of the metadata; what was there is kept. */
export function repairPool(operands: string[], options: { store?: true }) {
	const pool = readPool(operands[0]);
	withPool(pool.name, () => {
		withMetadata(pool, (path) => (options.store ? adoptTransaction(pool, path) : repair(pool, path)));
	});
}

/** Makes the store follow the pool's transaction id: after one of the two was brought back from a backup. */
function adoptTransaction(pool: PoolRecord, path: string) {
	const { transactionId } = checkSuperblock(pool, path);
	const last = readTransaction(pool);
	const nextId = Math.max(last.next_device_id, ...listVolumes(pool.name).map((volume) => volume.device_id + 1));
	beginTransactions(pool, transactionId, nextId);
	print(`${pool.name}: the store is at transaction ${transactionId} now; \`tsdmthin gc\` forgets volumes that the pool does not have\n`);
}

function repair(pool: PoolRecord, path: string) {
	const copy = `${poolFolder(pool.name)}/metadata.repaired`;
	const before = `${poolFolder(pool.name)}/metadata.before-repair`;
	const size = pool.loop ? stat(pool.loop.metadata).size : (pool.metadata ?? []).reduce((sum, { length }) => sum + length, 0) * 512;
	const fd = open(copy, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
	try {
		truncateFile(fd, size);
		const said = runProgram(["thin_repair", "-i", path, "-o", copy]);
		if (!said) fail("thin_repair: not found", PACKAGE);
		if (said.status !== 0) fail(`${pool.name}: thin_repair: ${said.output.trim()}`);
		const checked = runProgram(["thin_check", copy]);
		if (checked?.status !== 0) fail(`${pool.name}: what thin_repair made of the metadata is not whole: ${checked?.output.trim()}`);
		copyInto(path, before, size);
		fsync(fd);
		if (pool.loop) rename(copy, pool.loop.metadata);
		else copyInto(copy, path, size);
	} finally {
		close(fd);
	}
	print(`${pool.name}: the metadata is repaired; what was there before is kept as ${before}\n`);
}

/** Copies all but zeros. */
function copyInto(from: string, to: string, size: number) {
	const source = open(from, O_RDONLY);
	const isDevice = to.startsWith("/dev/");
	const target = open(to, isDevice ? O_RDWR : O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
	try {
		if (!isDevice) truncateFile(target, size);
		const chunk = new Uint8Array(64 * METADATA_BLOCK);
		const words = new Uint32Array(chunk.buffer);
		for (let at = 0; at < size; ) {
			const got = readAt(source, chunk, at);
			if (got === 0) break;
			if (isDevice || words.some((word) => word !== 0)) writeAt(target, chunk.subarray(0, got), at);
			at += got;
		}
		fsync(target);
	} finally {
		close(source);
		close(target);
	}
}
