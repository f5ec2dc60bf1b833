/** The verbs for pools and volumes. */

import { notA, type Option, options } from "../common/command-line/options.ts";
import { type Command, command } from "../common/command-line/tool.ts";
import { UsageError } from "../common/errors.ts";
import { abandonRecords } from "../common/record.ts";
import { isName } from "../common/state.ts";
import { duration, size } from "../common/units.ts";
import { attach, leave } from "./layer/attach.ts";
import { base } from "./layer/base.ts";
import { importVerb } from "./layer/import.ts";
import { checkPool, repairPool } from "./pool/check.ts";
import { createPool } from "./pool/create.ts";
import { extendPool } from "./pool/extend.ts";
import { listAllPools, showStatus } from "./pool/info.ts";
import { monitor } from "./pool/monitor.ts";
import { removePools } from "./pool/remove.ts";
import { blockSizeOption, percent } from "./pool/sizes.ts";
import { activatePools, deactivatePools, gc } from "./pool/verbs.ts";
import { readPoolIfAny } from "./store/pool.ts";
import { createDevice } from "./table/change.ts";
import { listDevices, status } from "./table/show.ts";
import { listOptions, statusOptions, stepVerbs, tableOptions } from "./table/verbs.ts";
import { fileSystem } from "./volume/filesystem.ts";
import { activate, create, deactivateVolumes, remove, resize, snapshot } from "./volume/manage.ts";
import { mountVerb, trim, umountVerb } from "./volume/mount.ts";
import { diff, listTree } from "./volume/tree.ts";

const json = { long: "json", help: "print JSON" } as const;
const noheadings = { long: "noheadings", short: "n", help: "no header" } as const;
const noActivate = { long: "no-activate", help: "make no device of it yet" } as const;
const group = "Of a volume";

function onFull(text: string, option: string): "queue" | "error" {
	return text === "queue" || text === "error" ? text : notA(option, text, "queue or error");
}

const isPool = (operand: string | undefined) => operand !== undefined && isName(operand) && readPoolIfAny(operand) !== undefined;

/** The verbs that a pool has, and dmsetup's as far as no verb for volumes has their name. */
export function poolVerbs(): Command[] {
	const own = [...forPools(), ...forVolumes(), ...forLayers()];
	const names = new Set(own.map(({ name }) => name));
	return [...own, ...stepVerbs("").filter(({ name }) => !names.has(name))];
}

function forPools(): Command[] {
	return [
		command({
			name: "pool create",
			summary: "make a pool of two sparse files, or of a device",
			operands: "NAME",
			dryRun: true,
			options: options([
				{
					long: "loop",
					value: "DIR",
					help: "of the files DIR/data and DIR/metadata: for trying, and where there is no disk",
				},
				{ long: "device", value: "DEV", help: "of a disk or partition, from which data and metadata are cut" },
				{ long: "metadata", value: "DEV", help: "metadata on a device of its own" },
				{ long: "force", help: "overwrite what DEV holds" },
				{ long: "data-size", value: "SIZE", parse: size, help: "of the file: 100g", group: "Sizes" },
				{ long: "metadata-size", value: "SIZE", parse: size, help: "of the file: 2g, or what --data-size needs", group: "Sizes" },
				{ long: "data-percent", value: "N", parse: percent, help: "of the device: 95", alias: ["thinp-percent"], group: "Sizes" },
				{ long: "metadata-percent", value: "N", parse: percent, help: "of the device: 1", alias: ["thinp-metapercent"], group: "Sizes" },
				{ long: "block-size", value: "SIZE", parse: blockSizeOption, help: "what is taken at once: 64k", group: "Sizes" },
				{
					long: "on-full",
					value: "WHAT",
					parse: onFull,
					help: "what a writer gets then: queue (waits a minute for more), error",
					group: "When full",
				},
				{
					long: "autoextend-threshold",
					value: "N",
					parse: percent,
					help: "monitor extends from here on, in percent; 100 (the default): never",
					group: "When full",
				},
				{ long: "autoextend-percent", value: "N", parse: percent, help: "by so much: 20", group: "When full" },
				{ long: "min-free", value: "N", parse: percent, help: "with less free no volume is made, in percent: 10", group: "When full" },
				{
					long: "low-water",
					value: "SIZE",
					parse: size,
					help: "the kernel tells of less than that: what the threshold leaves",
					group: "When full",
					rare: true,
				},
				{ long: "skip-block-zeroing", help: "faster, and a new block may show what was in it before", rare: true },
			]),
			examples: [
				["tsdmthin pool create web --loop /srv/web --data-size 20g", "loop-lvm"],
				[
					"tsdmthin pool create web --device /dev/sdb --data-percent 95 --metadata-percent 1 --autoextend-threshold 80 --autoextend-percent 20",
					"direct-lvm, as Docker had it",
				],
			],
			run: (line) => createPool(line.operands, line.options),
		}),
		command({
			name: "pool ls",
			alias: "pool list",
			summary: "list the pools",
			operands: "",
			options: options([json, noheadings]),
			run: (line) => listAllPools(line.options),
		}),
		command({
			name: "pool status",
			summary: "show a pool, as `docker info` did",
			operands: "POOL",
			options: options([json]),
			run: (line) => showStatus(line.operands, line.options),
		}),
		command({
			name: "pool extend",
			summary: "make a pool larger",
			operands: "POOL",
			dryRun: true,
			options: options([
				{ long: "data-size", value: "[+]SIZE", help: "of data: so much, or so much more" },
				{ long: "metadata-size", value: "[+]SIZE", help: "of metadata" },
				{ long: "device", value: "DEV", help: "add a device to a pool of devices" },
				{ long: "force", help: "overwrite what DEV holds" },
			]),
			run: (line) => extendPool(line.operands, line.options),
		}),
		command({
			name: "pool check",
			summary: "check the metadata of a pool that is not active, by thin_check",
			operands: "POOL",
			options: options([{ long: "auto-repair", help: "mend what is harmless, clear needs_check" }]),
			run: (line) => checkPool(line.operands, line.options),
		}),
		command({
			name: "pool repair",
			summary: "repair the metadata of a pool that is not active, by thin_repair",
			operands: "POOL",
			options: options([{ long: "store", help: "only make the store follow the pool's transaction id" }]),
			run: (line) => repairPool(line.operands, line.options),
		}),
		command({
			name: "pool activate",
			summary: "make the devices of pools (all, if none is named); after a crash also settle what was broken off",
			operands: "[POOL...]",
			dryRun: true,
			options: options([{ long: "device", value: "DEV", help: "find the pool by the signature on DEV, where the store has lost it" }]),
			run: (line) => activatePools(line.operands, line.options),
		}),
		command({
			name: "pool deactivate",
			summary: "remove the devices of pools; what is in them stays",
			operands: "POOL...",
			dryRun: true,
			options: options([{ long: "volumes", help: "those of its volumes, too" }]),
			run: (line) => deactivatePools(line.operands, line.options),
		}),
		command({
			name: "pool rm",
			alias: "pool remove",
			summary: "remove pools for good",
			operands: "POOL...",
			dryRun: true,
			options: options([{ long: "force", short: "f", help: "also with volumes in it" }]),
			run: (line) => removePools(line.operands, line.options),
		}),
		command({
			name: "monitor",
			summary: "look after pools: extend them by their threshold, warn, remove what was put off",
			operands: "[POOL...]",
			options: options([
				{ long: "once", short: "1", help: "one look, then end" },
				{ long: "interval", value: "TIME", parse: duration, help: "at least so often, beside the kernel's events: 10s" },
				{ long: "timeout", value: "TIME", parse: duration, help: "end after this time" },
			]),
			run: (line) => monitor(line.operands, line.options),
		}),
		command({
			name: "gc",
			summary: "clear what killed processes have left, and volumes whose removal was put off",
			operands: "",
			options: options([]),
			run: () => gc(),
		}),
	];
}

const own = <const T extends readonly Option[]>(table: T): T => table;

function forVolumes(): Command[] {
	return [
		command({
			name: "create",
			summary: "make a volume (--size); without --size: dmsetup's, a device with a table",
			operands: "POOL VOLUME | DEVICE [FILE]",
			dryRun: true,
			options: options([
				...own([
					{ long: "size", value: "SIZE", help: "how large it seems", group },
					{ long: "fs", value: "TYPE", parse: fileSystem, help: "make a file system: ext4 or xfs", group },
					{ long: "mkfs-option", value: "ARGUMENT", repeat: true, help: "for mkfs", group },
					{ ...noActivate, group },
				] as const),
				...tableOptions(),
			]),
			examples: [
				["tsdmthin create web base --size 10g --fs ext4", "a volume"],
				["tsdmthin create zero8 --table '0 8 zero'", "any device"],
			],
			run({ operands, options }) {
				const { size } = options;
				if (size !== undefined) return create(operands, { ...options, size });
				if (options.fs !== undefined || options.noActivate) throw new UsageError("--size is needed");
				if (operands.length === 2 && options.table === undefined && isPool(operands[0]))
					throw new UsageError(`--size is needed for a volume in ${operands[0]}`);
				createDevice(operands, options);
			},
		}),
		command({
			name: "snapshot",
			summary: "take a snapshot of a volume, or make a volume over a device that is written no more",
			operands: "POOL ORIGIN|DEV NAME",
			dryRun: true,
			options: options([{ long: "size", value: "SIZE", help: "larger than its origin" }, noActivate]),
			run: (line) => snapshot(line.operands, line.options),
		}),
		command({
			name: "resize",
			summary: "make a volume and its file system larger",
			operands: "POOL VOLUME",
			dryRun: true,
			options: options([{ long: "size", value: "[+]SIZE", help: "so much, or so much more" }]),
			run: (line) => resize(line.operands, line.options),
		}),
		command({
			name: "activate",
			summary: "make the devices of volumes",
			operands: "POOL VOLUME...",
			dryRun: true,
			options: options([]),
			run: (line) => activate(line.operands),
		}),
		command({
			name: "deactivate",
			summary: "remove the devices of volumes; what is in them stays",
			operands: "POOL VOLUME...",
			dryRun: true,
			options: options([{ long: "deferred", help: "of what is in use, when its last user is gone" }]),
			run: (line) => deactivateVolumes(line.operands, line.options),
		}),
		command({
			name: "mount",
			summary: "mount a volume",
			operands: "POOL VOLUME [TARGET]",
			dryRun: true,
			options: options([
				{ long: "options", short: "o", value: "OPTIONS", help: "as mount(8) has them: ro,noatime" },
				{ long: "fs", short: "t", value: "TYPE", help: "its file system, where that is another one" },
			]),
			run: (line) => mountVerb(line.operands, line.options),
		}),
		command({
			name: "umount",
			summary: "unmount a volume, and remove its device if nobody uses it",
			operands: "POOL VOLUME [TARGET]",
			dryRun: true,
			options: options([{ long: "keep-active", help: "keep the device" }]),
			run: (line) => umountVerb(line.operands, line.options),
		}),
		command({
			name: "rm",
			summary: "remove volumes; their snapshots stay",
			operands: "POOL VOLUME...",
			dryRun: true,
			options: options([{ long: "deferred", help: "one in use goes when its last user is gone" }]),
			run: (line) => remove(line.operands, line.options),
		}),
		command({
			name: "trim",
			summary: "give back to the pool what file systems have free",
			operands: "POOL VOLUME...",
			options: options([]),
			run: (line) => trim(line.operands),
		}),
		command({
			name: "diff",
			summary: "show where two volumes have other blocks",
			operands: "POOL A B",
			options: options([json]),
			run: (line) => diff(line.operands, line.options),
		}),
		command({
			name: "ls",
			alias: "list",
			summary: "show a pool's volumes as a tree of snapshots; without POOL: dmsetup's list of devices",
			operands: "[POOL]",
			options: options([json, noheadings, ...listOptions()]),
			run(line) {
				if (line.operands.length > 0) listTree(line.operands, line.options);
				else listDevices(line.operands, line.options);
			},
		}),
		command({
			name: "status",
			summary: "show a pool, as `docker info` did; of another DEVICE, or without one: dmsetup's",
			operands: "[POOL|DEVICE...]",
			options: options([json, ...statusOptions()]),
			run(line) {
				if (line.operands.length === 1 && isPool(line.operands[0])) showStatus(line.operands, line.options);
				else status(line.operands, line.options);
			},
		}),
	];
}

function forLayers(): Command[] {
	return [
		command({
			name: "base",
			summary: "make the volume that all layers stand on",
			operands: "POOL",
			dryRun: true,
			options: options([
				{ long: "size", value: "SIZE", help: "how large a container's root seems: 10g" },
				{ long: "fs", value: "TYPE", parse: fileSystem, help: "ext4 (the default) or xfs" },
				{ long: "mkfs-option", value: "ARGUMENT", repeat: true, help: "for mkfs" },
				{ long: "name", value: "NAME", help: "another name than base", rare: true },
			]),
			run: (line) => base(line.operands, line.options),
		}),
		command({
			name: "import",
			summary: "make a layer of an archive, or a chain of layers of an image",
			operands: "POOL NAME [FILE|FOLDER]",
			options: options([
				{ long: "parent", value: "LAYER", help: "on this one: base" },
				{ long: "image", help: "what comes is an image, as `docker save` and OCI layouts have it; of a plain file that is found out" },
				{ long: "size", value: "SIZE", help: "larger than its parent" },
			]),
			details: [
				"An archive is tar of any kind, plain or compressed by gzip, zstd, xz or bzip2. Whiteouts (.wh.NAME) remove what the layers below have. The layers of an image are named by their digests, the last one NAME; those that are there already are shared.",
			],
			examples: [
				["docker save busybox | tsdmthin import web busybox --image", "an image"],
				["tsdmthin import web app app.tar.gz --parent busybox", "one more layer on it"],
			],
			run: (line) => importVerb(line.operands, line.options),
		}),
		command({
			name: "attach",
			summary: "make a snapshot of a layer the root in the plan of a sandbox",
			operands: "POOL [LAYER]",
			abandon: abandonRecords,
			dryRun: true,
			options: options([
				{ long: "id", value: "ID", optional: "long", help: "begin a plan with this id (or a new one), and read none" },
				{ long: "size", value: "SIZE", help: "larger than the layer: docker's --storage-opt size=" },
				{ long: "options", short: "o", value: "OPTIONS", help: "of the mount: noatime" },
				{ long: "rm", help: "the volume goes with the sandbox" },
			]),
			details: [
				"A filter: it reads plans from standard input (a LAYER that is not given is their layer.parent) and passes them on with `rootfs` and `layer`. The volume is called as the sandbox; one that is there already is used again.",
			],
			examples: [["tsdmthin attach web busybox --id=one --rm | tsunshare --record 0 --pid --mount -- sh", "a container on a layer"]],
			run: (line) => attach(line.operands, line.options),
		}),
		command({
			name: "leave",
			summary: "undo attach for sandboxes that have ended",
			operands: "ID...",
			options: options([]),
			run: (line) => leave(line.operands),
		}),
	];
}
