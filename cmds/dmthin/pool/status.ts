/**
 * What the kernel says of a pool: Documentation/admin-guide/device-mapper/thin-provisioning.rst, "Status":
 *
 *     TRANSACTION USED_META/TOTAL_META USED_DATA/TOTAL_DATA HELD_ROOT|- MODE DISCARD ON_FULL NEEDS_CHECK|- LOW_WATER_META
 *
 * or `Fail` where the pool is out of service, `Error` where its status cannot be had.
 */

import { dmTableStatus, openControl } from "../../../native/linux/devmapper.ts";
import { DM_NOFLUSH_FLAG } from "../../../native/linux/dm-ioctl.ts";
import { ENXIO } from "../../../native/linux/errno.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { dmPool, type PoolRecord } from "../store/pool.ts";

export interface PoolStatus {
	transactionId: number;
	/** In blocks of 4 KiB. */
	metadata: { used: number; total: number };
	/** In blocks of the pool's size. */
	data: { used: number; total: number };
	/** The block at which a snapshot of the metadata begins, while one is held. */
	heldRoot: number | undefined;
	mode: "rw" | "ro" | "out_of_data_space";
	discard: string;
	onFull: "queue" | "error";
	needsCheck: boolean;
	lowWater: number | undefined;
}

const pair = (text = "") => {
	const [used, total] = text.split("/").map(Number);
	return { used: used ?? Number.NaN, total: total ?? Number.NaN };
};

/** Undefined for `Fail` and `Error`. */
export function parsePoolStatus(params: string): PoolStatus | undefined {
	const [id, metadata, data, held, mode, discard, onFull, check, low] = params.trim().split(/\s+/);
	if (id === undefined || !/^\d+$/.test(id)) return undefined;
	return {
		transactionId: Number(id),
		metadata: pair(metadata),
		data: pair(data),
		heldRoot: held === undefined || held === "-" ? undefined : Number(held),
		mode: mode as PoolStatus["mode"],
		discard: discard ?? "",
		onFull: onFull === "error_if_no_space" ? "error" : "queue",
		needsCheck: check === "needs_check",
		lowWater: low === undefined ? undefined : Number(low),
	};
}

/** A pool's status, undefined where it is not active. Fails where it is out of service. */
export function poolStatusIfActive(pool: PoolRecord): PoolStatus | undefined {
	let params: string;
	try {
		/* Without a flush: what is not yet committed is of no interest, and a full pool would keep us waiting. */
		params = dmTableStatus(dmPool(pool.name), DM_NOFLUSH_FLAG).targets[0]?.params ?? "";
	} catch (error) {
		/* There is no such device, or no device-mapper at all. */
		if (error instanceof SysError && (error.errno === ENXIO || error.call === "open")) return undefined;
		throw error;
	}
	return (
		parsePoolStatus(params) ??
		fail(
			`${pool.name}: the pool is out of service (${params.trim() || "no table"})`,
			`the kernel's log says why; \`tsdmthin pool deactivate ${pool.name}\`, then \`tsdmthin pool check ${pool.name}\` says how to mend it`,
		)
	);
}

/** The status of a pool that must be active. */
export function poolStatus(pool: PoolRecord): PoolStatus {
	const status = poolStatusIfActive(pool);
	if (status) return status;
	if (isDryRun()) return parsePoolStatus("0 0/1 0/1 - rw discard_passdown queue_if_no_space - 0") as PoolStatus;
	/* Where there is no device-mapper, that is the error. */
	openControl();
	return fail(`${pool.name}: the pool is not active`, `\`tsdmthin pool activate ${pool.name}\``);
}

/** What is wrong with a pool, with the remedy; undefined for one in good order. */
export function poolTrouble(pool: PoolRecord, status: PoolStatus): { what: string; remedy: string } | undefined {
	const isFull = ({ used, total }: { used: number; total: number }) => used >= total;
	if (status.needsCheck || (status.mode === "ro" && !isFull(status.metadata)))
		return {
			what: `${pool.name}: the metadata needs a check (${status.metadata.used} of ${status.metadata.total} blocks are used); the pool is ${status.mode === "ro" ? "read-only" : status.mode}`,
			remedy: `deactivate the pool, \`tsdmthin pool check --auto-repair ${pool.name}\`, \`pool activate\`; if metadata was full, \`pool extend ${pool.name} --metadata-size +SIZE\``,
		};
	if (isFull(status.metadata) || status.mode === "ro")
		return {
			what: `${pool.name}: metadata is full (${status.metadata.used} of ${status.metadata.total} blocks of 4 KiB)`,
			remedy: `\`tsdmthin pool extend ${pool.name} --metadata-size +SIZE\``,
		};
	if (isFull(status.data) || status.mode === "out_of_data_space")
		return {
			what: `${pool.name}: data is full (${status.data.used} of ${status.data.total} blocks of ${pool.block_size / 2} KiB)`,
			remedy: `\`tsdmthin pool extend ${pool.name} --data-size +SIZE\`, or remove volumes`,
		};
	return undefined;
}

/** Fails where too little is free for a new volume. */
export function checkRoom(pool: PoolRecord, status: PoolStatus) {
	const trouble = poolTrouble(pool, status);
	if (trouble) fail(trouble.what, trouble.remedy);
	for (const [what, { used, total }] of [
		["data", status.data],
		["metadata", status.metadata],
	] as const) {
		const free = (100 * (total - used)) / total;
		if (free < pool.min_free)
			fail(
				`${pool.name}: ${what}: ${free.toFixed(1)}% is free (${total - used} of ${total} blocks), less than --min-free ${pool.min_free}%`,
				`\`tsdmthin pool extend ${pool.name} --${what}-size +SIZE\`, or remove volumes`,
			);
	}
}
