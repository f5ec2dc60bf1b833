/** The verbs for layers. */
import { options } from "../../common/command-line/options.ts";
import { type Command, command } from "../../common/command-line/tool.ts";
import { abandonRecords } from "../../common/record.ts";
import { fileSystem } from "../volume/filesystem.ts";
import { attach, leave } from "./attach.ts";
import { base } from "./base.ts";
import { importVerb } from "./import.ts";

export function forLayers(): Command[] {
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
