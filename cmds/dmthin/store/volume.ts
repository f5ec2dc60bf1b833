/** Volumes: metadata/NAME of a pool's folder, with the members that Docker's driver writes and some of ours. */
import { fail, show } from "../../common/errors.ts";
import { listState, type Owner, readState } from "../../common/state.ts";
import { checkName, discard, type PoolRecord, poolFolder, save } from "./pool.ts";

export interface VolumeRecord {
	/** The pool's 24-bit number of the volume. */
	device_id: number;
	/** In bytes. */
	size: number;
	/** The transaction in which it was made. */
	transaction_id: number;
	/** It has its file system. */
	initialized: boolean;
	/** Its removal was put off until nobody uses it any more. */
	deleted: boolean;
	/** The volume that it is a snapshot of. */
	parent?: string;
	/** The device of which it holds the changes: an external origin. */
	external_origin?: string;
	/** Its file system. */
	fs?: string;
	/** A base, a layer or a container's volume: its root is the folder `rootfs` of the file system. */
	layer?: boolean;
	/** A layer of an image: the digest of its archive. */
	diff_id?: string;
	/** The sandbox whose root it is. */
	sandbox?: string;
	/** When that was planned: seconds since 1970. */
	attached?: number;
	/** It goes when its sandbox ends. */
	temporary?: boolean;
	/** Who makes what is in it, until that is there: a process that is gone has broken it off. */
	maker?: Owner;
	/** When it was made: ISO 8601. */
	created?: string;
}

export interface Volume extends VolumeRecord {
	name: string;
}

export const volumePath = (pool: string, volume: string) => `${poolFolder(pool)}/metadata/${volume}`;

export function readVolumeIfAny(pool: string, name: string): Volume | undefined {
	const record = readState<VolumeRecord>(volumePath(pool, name));
	if (record && !(Number.isSafeInteger(record.device_id) && Number.isSafeInteger(record.size)))
		fail(`${volumePath(pool, name)}: not a volume's record`);
	return record && { ...record, name };
}

/** A volume by the name that was given on the command line; one whose removal was put off is not there any more. */
export function readVolume(pool: PoolRecord, operand: string | undefined): Volume {
	const name = checkName(operand, "VOLUME");
	const volume = readVolumeIfAny(pool.name, name);
	if (!volume) return fail(`${show(name)}: no such volume in ${pool.name}`, `\`tsdmthin ls ${pool.name}\` shows those that there are`);
	if (volume.deleted) fail(`${name}: is being removed`, "it goes when its last user has closed it; `tsdmthin gc` then forgets it");
	return volume;
}

export function writeVolume(pool: string, { name, ...record }: Volume) {
	save(volumePath(pool, name), record);
}

export function forgetVolume(pool: string, name: string) {
	discard(volumePath(pool, name));
}

export function listVolumes(pool: string): Volume[] {
	return listState(`${poolFolder(pool)}/metadata`)
		.map((name) => readVolumeIfAny(pool, name))
		.filter((volume): volume is Volume => volume !== undefined);
}
