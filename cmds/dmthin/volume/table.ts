/** The verbs for volumes, and those that are dmsetup's as well. */
import { type Option, options } from "../../common/command-line/options.ts";
import { type Command, command } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { isName } from "../../common/state.ts";
import { showStatus } from "../pool/info.ts";
import { readPoolIfAny } from "../store/pool.ts";
import { createDevice } from "../table/change.ts";
import { listDevices, status } from "../table/show.ts";
import { listOptions, statusOptions, tableOptions } from "../table/verbs.ts";
import { fileSystem } from "./filesystem.ts";
import { activate, create, deactivateVolumes, remove, resize, snapshot } from "./manage.ts";
import { mountVerb, trim, umountVerb } from "./mount.ts";
import { diff, listTree } from "./tree.ts";

const json = { long: "json", help: "print JSON" } as const;
const noheadings = { long: "noheadings", short: "n", help: "no header" } as const;
const noActivate = { long: "no-activate", help: "make no device of it yet" } as const;
const group = "Of a volume";

const isPool = (operand: string | undefined) => operand !== undefined && isName(operand) && readPoolIfAny(operand) !== undefined;

const own = <const T extends readonly Option[]>(table: T): T => table;

export function forVolumes(): Command[] {
	return [
		command({
			name: "create",
			summary: "make a volume (--size); without --size: as dmsetup create",
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
			summary: "take a snapshot of a volume, or of a device that never changes",
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
			rare: true,
			summary: "show where two volumes have other blocks",
			operands: "POOL A B",
			options: options([json]),
			run: (line) => diff(line.operands, line.options),
		}),
		command({
			name: "ls",
			alias: "list",
			summary: "show a pool's volumes as a tree; without POOL: as dmsetup ls",
			operands: "[POOL]",
			options: options([json, noheadings, ...listOptions()]),
			run(line) {
				if (line.operands.length > 0) listTree(line.operands, line.options);
				else listDevices(line.operands, line.options);
			},
		}),
		command({
			name: "status",
			summary: "show a pool as docker info did; of a DEVICE: as dmsetup",
			operands: "[POOL|DEVICE...]",
			options: options([json, ...statusOptions()]),
			run(line) {
				if (line.operands.length === 1 && isPool(line.operands[0])) showStatus(line.operands, line.options);
				else status(line.operands, line.options);
			},
		}),
	];
}
