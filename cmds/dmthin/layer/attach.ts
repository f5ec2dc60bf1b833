/**
 * `attach` and `leave`: a container's volume, a snapshot of a layer, as the root in the plan of a sandbox.
 *
 * The volume has the sandbox's id as its name, and stays when that ends, as a container's does until it is removed, unless
 * --rm says otherwise.
 */

import { exists, lstatIfAny, S_IFDIR, S_IFMT } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, ToolError, UsageError } from "../../common/errors.ts";
import { filterRecords, type PlanRecord, withLeave } from "../../common/record.ts";
import { newId, now, sandboxFolder, supervisor } from "../../common/sandbox-state.ts";
import { isName } from "../../common/state.ts";
import { checkName, dmVolume, listPools, type PoolRecord, readPool, readPoolIfAny, withPool } from "../store/pool.ts";
import { listVolumes, readVolume, readVolumeIfAny, type Volume, writeVolume } from "../store/volume.ts";
import { devicePath } from "../udev/device.ts";
import { growFileSystem } from "../volume/filesystem.ts";
import { activated, removeVolume, snapshotOf, takeBack } from "../volume/manage.ts";
import { mountsOf, mountVolume, umountVolume } from "../volume/mount.ts";
import { ROOTFS } from "./base.ts";

export interface AttachOptions {
	id?: string | true;
	size?: string;
	options?: string;
	rm?: true;
}

export function attach(operands: string[], options: AttachOptions) {
	const [poolName, layerName] = operands;
	if (operands.length > 2) throw new UsageError("more than POOL and LAYER");
	const pool = readPool(poolName);
	if (options.id !== undefined) {
		const plan: PlanRecord = { tsbox: 1, id: options.id === true ? newId() : checkName(options.id, "NAME") };
		return print(`${JSON.stringify({ ...plan, ...attachPlan(pool, layerName, plan, options) })}\n`);
	}
	filterRecords(
		[],
		() => fail("the sandbox is made already: it has its root", "this stage stands before tsunshare"),
		(plan) => attachPlan(pool, layerName, plan, options),
	);
}

interface PlannedLayer {
	id?: unknown;
	parent?: unknown;
}

/** The layer that a plan names, where the command line does not. */
function layerOf(plan: PlanRecord): string {
	const { parent } = (plan.layer ?? {}) as PlannedLayer;
	return typeof parent === "string" ? parent : fail(`${plan.id}: the plan names no layer (layer.parent)`, "name a LAYER");
}

function attachPlan(pool: PoolRecord, layerName: string | undefined, plan: PlanRecord, options: AttachOptions) {
	const id = checkName(plan.id, "NAME");
	if (supervisor(id)) fail(`${id}: there is a sandbox of this name`, "`tsunshare list` shows it");
	const layer = readVolume(pool, layerName ?? layerOf(plan));
	const wasMounted = mountsOf(pool.name, id).length > 0;
	let volume = readVolumeIfAny(pool.name, id);
	let made: Volume | undefined;
	if (volume && volume.parent !== layer.name) fail(`${id}: exists in ${pool.name}, and is no snapshot of ${layer.name}`);
	if (volume?.deleted) fail(`${id}: is being removed`, "`tsdmthin gc`");
	try {
		if (!volume) {
			volume = made = snapshotOf(pool, layer, id, options.size, { sandbox: id, attached: now(), ...(options.rm && { temporary: true }) });
			if (volume.size > layer.size) growFileSystem(activated(pool, id));
		} else {
			const { temporary: _, ...kept } = volume;
			const next: Volume = { ...kept, sandbox: id, attached: now(), ...(options.rm && { temporary: true }) };
			withPool(pool.name, () => writeVolume(pool.name, next));
		}
		const mounted = mountVolume(pool, volume, undefined, options.options === undefined ? {} : { options: options.options });
		return {
			rootfs: layer.layer ? rootOf(mounted) : mounted,
			layer: { id, driver: "devicemapper", pool: pool.name, parent: layer.name, device: devicePath(dmVolume(pool.name, id)) },
			...withLeave(plan, "tsdmthin"),
		};
	} catch (error) {
		undo(pool, id, made, wasMounted);
		throw error;
	}
}

/** In the file system of a volume that a container could write, what is `rootfs` may be anything. */
function rootOf(mounted: string): string {
	const path = `${mounted}/${ROOTFS}`;
	if (!isDryRun() && ((lstatIfAny(path)?.mode ?? 0) & S_IFMT) !== S_IFDIR) fail(`${show(path)}: not a folder`);
	return path;
}

function undo(pool: PoolRecord, id: string, made: Volume | undefined, wasMounted: boolean) {
	try {
		if (!wasMounted && readVolumeIfAny(pool.name, id)) umountVolume(pool, id, undefined, false);
		if (made) takeBack(pool, made);
	} catch (error) {
		/* What stays is for gc and leave; the first error is the one to tell. */
		if (!(error instanceof ToolError || error instanceof SysError)) throw error;
	}
}

/** `leave ID...`: unmounts a sandbox's volume, and removes it if it was made for that run. Nothing to do is done. */
export function leave(operands: string[]) {
	if (operands.length === 0) throw new UsageError("no ID given");
	for (const id of operands) if (!isName(id)) throw new UsageError(`${show(id)}: not a sandbox's id`);
	for (const id of operands)
		for (const name of listPools()) {
			const pool = readPoolIfAny(name);
			const volume = pool && readVolumeIfAny(name, id);
			if (pool && volume?.sandbox === id) leaveVolume(pool, volume);
		}
}

function leaveVolume(pool: PoolRecord, volume: Volume) {
	umountVolume(pool, volume.name, undefined, false);
	if (volume.temporary) withPool(pool.name, () => removeVolume(pool, volume, true));
}

/** Seconds that a plan may take to become a sandbox. */
const PATIENCE = 60;

/** For gc: leaves what was planned for sandboxes that never came to be, or are gone. The names of volumes that it did so with. */
export function leaveLost(pool: PoolRecord): string[] {
	const isLost = ({ name, sandbox, attached = 0, temporary }: Volume) =>
		sandbox !== undefined &&
		now() - attached > PATIENCE &&
		!exists(sandboxFolder(sandbox)) &&
		(temporary === true || mountsOf(pool.name, name).length > 0);
	const lost = listVolumes(pool.name).filter(isLost);
	for (const volume of lost) leaveVolume(pool, volume);
	return lost.map(({ name }) => name);
}
