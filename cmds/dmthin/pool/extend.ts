/** `pool extend`: larger files, or more pieces of the devices; then the pool's table with the new length. */

import { truncateFile } from "../../../native/linux/blockdev.ts";
import { dmLoad, dmSuspend } from "../../../native/linux/devmapper.ts";
import { DM_NOFLUSH_FLAG } from "../../../native/linux/dm-ioctl.ts";
import { close, fsync, O_NOFOLLOW, O_RDWR, open } from "../../../native/linux/fd.ts";
import { getrandom } from "../../../native/linux/process.ts";
import { stat } from "../../../native/linux/stat.ts";
import { dryRun, isDryRun } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { formatSize } from "../../common/units.ts";
import { dmPool, type PoolRecord, readPool, type Segment, withPool, writePool } from "../store/pool.ts";
import { hex } from "../store/text.ts";
import { resumeDevice } from "../udev/device.ts";
import { activeParts, growBacking, poolTable } from "./backing.ts";
import { checkDevice } from "./content.ts";
import { RESERVED, writeSignatures } from "./signature.ts";
import { MOST_METADATA, newSize } from "./sizes.ts";
import { type PoolStatus, poolStatus } from "./status.ts";

export interface ExtendOptions {
	dataSize?: string;
	metadataSize?: string;
	device?: string;
	force?: true;
}

export function extendPool(operands: string[], options: ExtendOptions) {
	const pool = readPool(operands[0]);
	if (options.dataSize === undefined && options.metadataSize === undefined && options.device === undefined)
		throw new UsageError("one of --data-size, --metadata-size and --device is needed");
	withPool(pool.name, () => {
		/* Not recover(): a pool that is full can be unable to take a message. */
		if (!isDryRun()) poolStatus(pool);
		if (options.device !== undefined) addPoolDevice(pool, options.device, options.force === true);
		const now = sizesOf(pool);
		const data = options.dataSize === undefined ? now.data : newSize(options.dataSize, "--data-size", now.data);
		const metadata = options.metadataSize === undefined ? now.metadata : newSize(options.metadataSize, "--metadata-size", now.metadata);
		grow(pool, { data, metadata });
	});
	const { data, metadata } = poolStatus(pool);
	print(`${pool.name}: data ${formatSize(data.total * pool.block_size * 512)}, metadata ${formatSize(metadata.total * 4096)}\n`);
}

interface Sizes {
	data: number;
	metadata: number;
}

const sum = (segments: Segment[] = []) => segments.reduce((total, { length }) => total + length, 0) * 512;

/** In bytes. */
export function sizesOf(pool: PoolRecord): Sizes {
	if (isDryRun() && pool.loop) return { data: 0, metadata: 0 };
	return pool.loop
		? { data: stat(pool.loop.data).size, metadata: stat(pool.loop.metadata).size }
		: { data: sum(pool.data), metadata: sum(pool.metadata) };
}

/** Makes a pool so large, under its lock. A size that it has already is left; a smaller one is refused. */
export function grow(pool: PoolRecord, wanted: Sizes) {
	const now = sizesOf(pool);
	const target = { data: wanted.data, metadata: Math.min(wanted.metadata, Math.max(MOST_METADATA, now.metadata)) };
	for (const what of ["data", "metadata"] as const)
		if (target[what] < now[what]) fail(`${pool.name}: ${what} has ${formatSize(now[what])}; it cannot be made smaller`);
	if (pool.loop) {
		for (const what of ["data", "metadata"] as const) if (target[what] > now[what]) growFile(pool.loop[what], target[what]);
	} else {
		/* The record first: with more than the kernel knows of, the pool is activated and grows then. */
		for (const what of ["metadata", "data"] as const) cut(pool, what, target[what] - now[what]);
		writeSignatures(pool);
		writePool(pool);
	}
	const parts = isDryRun() ? { metadata: "0:0", data: "0:0" } : activeParts(pool);
	const sectors = growBacking(pool);
	const name = dmPool(pool.name);
	dmLoad(name, poolTable(pool, parts.metadata, parts.data, sectors));
	dmSuspend(name, DM_NOFLUSH_FLAG);
	resumeDevice(name);
}

function growFile(path: string, size: number) {
	if (dryRun(`truncate ${path} ${size}`)) return;
	const fd = open(path, O_RDWR | O_NOFOLLOW);
	try {
		truncateFile(fd, Math.floor(size / 4096) * 4096);
		fsync(fd);
	} finally {
		close(fd);
	}
}

/** What is free at the end of a device, behind all that is cut from it. */
export function freeOn(pool: PoolRecord, device: number): { start: number; length: number } {
	const used = [...(pool.data ?? []), ...(pool.metadata ?? [])].filter((segment) => segment.device === device);
	const start = Math.max(RESERVED, ...used.map((segment) => segment.start + segment.length));
	return { start, length: Math.max(0, (pool.devices?.[device]?.sectors ?? 0) - start) };
}

/** Adds bytes to data or metadata, from the devices' free ends. A piece that goes on where the last one ends becomes part of it. */
export function cut(pool: PoolRecord, what: "data" | "metadata", bytes: number) {
	const unit = what === "data" ? pool.block_size : 8;
	let wanted = Math.ceil(bytes / 512 / unit) * unit;
	const segments = pool[what] ?? [];
	for (let device = 0; device < (pool.devices?.length ?? 0) && wanted > 0; device++) {
		const free = freeOn(pool, device);
		const length = Math.min(wanted, Math.floor(free.length / unit) * unit);
		if (length <= 0) continue;
		const last = segments[segments.length - 1];
		if (last && last.device === device && last.start + last.length === free.start) last.length += length;
		else segments.push({ device, start: free.start, length });
		wanted -= length;
	}
	pool[what] = segments;
	if (wanted > 0)
		fail(
			`${pool.name}: the devices have ${formatSize(bytes - wanted * 512)} free, of ${formatSize(bytes)} that ${what} is to get`,
			`\`tsdmthin pool extend ${pool.name} --device DEV\` adds a device`,
		);
}

function addPoolDevice(pool: PoolRecord, path: string, force: boolean) {
	if (!pool.devices) fail(`${pool.name}: is a pool of files; it takes no device`);
	const sectors = isDryRun() ? 0 : checkDevice(path, force);
	if (sectors < RESERVED + pool.block_size && !isDryRun()) fail(`${show(path)}: too small`);
	pool.devices?.push({ path, uuid: hex(getrandom(16)), sectors });
}

/** Extends by the pool's own rule where data or metadata are fuller than its threshold. Says what was done. */
export function autoextend(pool: PoolRecord, status: PoolStatus): string[] {
	const said: string[] = [];
	const now = sizesOf(pool);
	const wanted = { ...now };
	for (const what of ["data", "metadata"] as const) {
		const { used, total } = status[what];
		if ((100 * used) / total < pool.autoextend.threshold || pool.autoextend.threshold >= 100) continue;
		let more = (now[what] * pool.autoextend.percent) / 100;
		if (!pool.loop) {
			/* The rest of the devices is better than nothing. */
			const unit = what === "data" ? pool.block_size : 8;
			const free = (pool.devices ?? []).reduce((all, _, i) => all + Math.floor(freeOn(pool, i).length / unit) * unit * 512, 0);
			more = Math.min(more, free);
		}
		if (more < (what === "data" ? pool.block_size * 512 : 4096)) {
			said.push(`${pool.name}: ${what} is ${((100 * used) / total).toFixed(0)}% full, and the devices have nothing left`);
			continue;
		}
		wanted[what] = now[what] + more;
		said.push(`${pool.name}: ${what} was ${((100 * used) / total).toFixed(0)}% full, extended by ${formatSize(more)}`);
	}
	if (wanted.data > now.data || wanted.metadata > now.metadata) grow(pool, wanted);
	return said;
}
