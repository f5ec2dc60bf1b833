/** The verbs for pools. */
import { notA, options } from "../../common/command-line/options.ts";
import { type Command, command } from "../../common/command-line/tool.ts";
import { duration, size } from "../../common/units.ts";
import { checkPool, repairPool } from "./check.ts";
import { createPool } from "./create.ts";
import { extendPool } from "./extend.ts";
import { listAllPools, showStatus } from "./info.ts";
import { monitor } from "./monitor.ts";
import { removePools } from "./remove.ts";
import { blockSizeOption, percent } from "./sizes.ts";
import { activatePools, deactivatePools, gc } from "./verbs.ts";

const json = { long: "json", help: "print JSON" } as const;
const noheadings = { long: "noheadings", short: "n", help: "no header" } as const;

function onFull(text: string, option: string): "queue" | "error" {
	return text === "queue" || text === "error" ? text : notA(option, text, "queue or error");
}

export function forPools(): Command[] {
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
			rare: true,
			summary: "check the metadata of a pool that is not active, by thin_check",
			operands: "POOL",
			options: options([{ long: "auto-repair", help: "mend what is harmless, clear needs_check" }]),
			run: (line) => checkPool(line.operands, line.options),
		}),
		command({
			name: "pool repair",
			rare: true,
			summary: "repair the metadata of a pool that is not active, by thin_repair",
			operands: "POOL",
			options: options([{ long: "store", help: "only make the store follow the pool's transaction id" }]),
			run: (line) => repairPool(line.operands, line.options),
		}),
		command({
			name: "pool activate",
			summary: "make the devices of pools, and settle what a crash broke off",
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
			summary: "look after pools: extend, warn, remove what was put off",
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
			summary: "clear what kills have left, and removals that were put off",
			operands: "",
			options: options([]),
			run: () => gc(),
		}),
	];
}
