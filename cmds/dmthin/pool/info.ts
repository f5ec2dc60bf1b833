/** `status` of a pool in the lines of `docker info`, `pool ls`. */

import { dmVersion } from "../../../native/linux/devmapper.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { ToolError } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { formatSize } from "../../common/units.ts";
import { dmPool, listPools, type PoolRecord, readPool } from "../store/pool.ts";
import { readTransaction } from "../store/transaction.ts";
import { listVolumes, readVolumeIfAny } from "../store/volume.ts";
import { isUdevRunning } from "../udev/cookie.ts";
import { activeParts, describePart, loopFileOf } from "./backing.ts";
import { type PoolStatus, poolStatusIfActive, poolTrouble } from "./status.ts";

/** As Docker writes sizes: 65.54kB, of powers of 1000. */
export function decimalSize(bytes: number): string {
	const units = ["B", "kB", "MB", "GB", "TB", "PB"];
	let value = bytes;
	let power = 0;
	while (value >= 1000 && power < units.length - 1) {
		value /= 1000;
		power++;
	}
	return `${Number(value.toPrecision(4))}${units[power]}`;
}

interface Facts {
	name: string;
	active: boolean;
	pool_name: string;
	pool_blocksize: number;
	base_device_size: number | null;
	backing_filesystem: string | null;
	udev_sync_supported: boolean;
	udev_running: boolean;
	data_file: string | null;
	metadata_file: string | null;
	data_loop_file: string | null;
	metadata_loop_file: string | null;
	devices: string[];
	data_space: { used: number; total: number; available: number } | null;
	metadata_space: { used: number; total: number; available: number } | null;
	minimum_free_space: number | null;
	deferred_removal_enabled: boolean;
	deferred_deletion_enabled: boolean;
	deferred_deleted_device_count: number;
	library_version: string;
	mode: string | null;
	on_full: string;
	needs_check: boolean | null;
	transaction_id: number;
	autoextend: { threshold: number; percent: number };
	volumes: number;
	trouble: string | null;
}

declare const TSBOX_VERSION: string;

const space = ({ used, total }: { used: number; total: number }, unit: number) => ({
	used: used * unit,
	total: total * unit,
	available: (total - used) * unit,
});

function driverVersion(): string {
	try {
		return dmVersion();
	} catch (error) {
		if (error instanceof SysError) return "none";
		throw error;
	}
}

export function factsOf(pool: PoolRecord): Facts {
	let status: PoolStatus | undefined;
	let failure: string | undefined;
	const version = driverVersion();
	try {
		if (version !== "none") status = poolStatusIfActive(pool);
	} catch (error) {
		/* A pool that is out of service is shown with the others. */
		if (!(error instanceof ToolError)) throw error;
		failure = error.message;
	}
	const parts = status ? activeParts(pool) : undefined;
	const base = readVolumeIfAny(pool.name, "base");
	const block = pool.block_size * 512;
	const volumes = listVolumes(pool.name);
	return {
		name: pool.name,
		active: status !== undefined,
		pool_name: dmPool(pool.name),
		pool_blocksize: block,
		base_device_size: base?.size ?? null,
		backing_filesystem: base?.fs ?? null,
		udev_sync_supported: true,
		udev_running: isUdevRunning(),
		data_file: parts ? describePart(parts.data) : null,
		metadata_file: parts ? describePart(parts.metadata) : null,
		data_loop_file: pool.loop ? ((parts && loopFileOf(parts.data)) ?? pool.loop.data) : null,
		metadata_loop_file: pool.loop ? ((parts && loopFileOf(parts.metadata)) ?? pool.loop.metadata) : null,
		devices: (pool.devices ?? []).map(({ path }) => path),
		data_space: status ? space(status.data, block) : null,
		metadata_space: status ? space(status.metadata, 4096) : null,
		minimum_free_space: status ? Math.floor((status.data.total * pool.min_free) / 100) * block : null,
		deferred_removal_enabled: true,
		deferred_deletion_enabled: true,
		deferred_deleted_device_count: volumes.filter(({ deleted }) => deleted).length,
		library_version: `tsbox ${TSBOX_VERSION} (driver ${version})`,
		mode: status?.mode ?? (failure === undefined ? null : "failed"),
		on_full: status?.onFull ?? pool.on_full,
		needs_check: status?.needsCheck ?? null,
		transaction_id: status?.transactionId ?? readTransaction(pool).open_transaction_id,
		autoextend: pool.autoextend,
		volumes: volumes.filter(({ deleted }) => !deleted).length,
		trouble: failure ?? (status ? (poolTrouble(pool, status)?.what ?? null) : null),
	};
}

/** The lines of `docker info`, and those that Docker has no word for. */
function lines(facts: Facts): [string, string | number | boolean][] {
	const sizes = (what: string, { used, total, available }: { used: number; total: number; available: number }) =>
		[
			[`${what} Space Used`, decimalSize(used)],
			[`${what} Space Total`, decimalSize(total)],
			[`${what} Space Available`, decimalSize(available)],
		] as [string, string][];
	const optional = (name: string, value: string | number | null): [string, string | number][] => (value === null ? [] : [[name, value]]);
	return [
		["Pool Name", facts.pool_name],
		["Pool Blocksize", decimalSize(facts.pool_blocksize)],
		["Base Device Size", facts.base_device_size === null ? "none" : decimalSize(facts.base_device_size)],
		["Backing Filesystem", facts.backing_filesystem ?? "none"],
		["Udev Sync Supported", facts.udev_sync_supported],
		...optional("Data file", facts.data_file),
		...optional("Metadata file", facts.metadata_file),
		...optional("Data loop file", facts.data_loop_file),
		...optional("Metadata loop file", facts.metadata_loop_file),
		...(facts.data_space ? sizes("Data", facts.data_space) : []),
		...(facts.metadata_space ? sizes("Metadata", facts.metadata_space) : []),
		...optional("Thin Pool Minimum Free Space", facts.minimum_free_space === null ? null : decimalSize(facts.minimum_free_space)),
		["Deferred Removal Enabled", facts.deferred_removal_enabled],
		["Deferred Deletion Enabled", facts.deferred_deletion_enabled],
		["Deferred Deleted Device Count", facts.deferred_deleted_device_count],
		["Library Version", facts.library_version],
		["Active", facts.active],
		...optional("Mode", facts.mode),
		["On Full", facts.on_full],
		["Transaction", facts.transaction_id],
		["Volumes", facts.volumes],
	];
}

/** `status POOL`: says also what is wrong. */
export function showStatus(operands: string[], options: { json?: true }) {
	const facts = factsOf(readPool(operands[0]));
	if (options.json) return print(json(facts));
	print(
		lines(facts)
			.map(([name, value]) => `${name}: ${value}\n`)
			.join(""),
	);
	const pool = readPool(operands[0]);
	const status = poolStatusIfActive(pool);
	const trouble = status && poolTrouble(pool, status);
	if (trouble) {
		warn(trouble.what);
		warn(`hint: ${trouble.remedy}`);
	}
}

const share = (space: { used: number; total: number } | null) =>
	space && `${formatSize(space.used)} / ${formatSize(space.total)} (${((100 * space.used) / space.total).toFixed(1)}%)`;

/** `pool ls`. */
export function listAllPools(options: { json?: true; noheadings?: true }) {
	const all = listPools().map((name) => factsOf(readPool(name)));
	if (options.json) return print(json(all));
	print(
		table(
			all,
			[
				{ header: "POOL", value: ({ name }) => name },
				{ header: "STATE", value: ({ mode }) => mode ?? "inactive" },
				{ header: "DATA", value: ({ data_space }) => share(data_space) ?? undefined },
				{ header: "METADATA", value: ({ metadata_space }) => share(metadata_space) ?? undefined },
				{ header: "VOLUMES", value: ({ volumes }) => volumes, right: true },
				{ header: "ON", value: ({ data_loop_file, devices }) => data_loop_file ?? devices.join(" ") },
			],
			{ header: options.noheadings !== true },
		),
	);
}
