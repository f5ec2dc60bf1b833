/** The option tables of `layer ...`, `gc`, `convert` and `leave`. */
import { notA, options } from "../../common/command-line/options.ts";
import { type Command, command } from "../../common/command-line/tool.ts";
import { inputLines } from "../../common/record.ts";
import { size } from "../../common/units.ts";
import { checkVerb, convertVerb } from "./check.ts";
import { createVerb } from "./create.ts";
import { diffVerb } from "./diff.ts";
import { commitVerb, exportVerb, squashVerb } from "./export-verbs.ts";
import { importVerb } from "./import-verb.ts";
import { inspectVerb, lsVerb } from "./ls.ts";
import { leave, mountVerb, umountVerb } from "./mount.ts";
import { jsonOption, layoutOption } from "./options.ts";
import { gcVerb, rmVerb } from "./rm.ts";
import type { Layout } from "./store.ts";

const idOption = options([{ long: "id", value: "ID", help: "the new layer's name: 64 random hexadecimal digits otherwise" }]);

export function layerCommands(): Command[] {
	return [
		command({
			name: "layer import",
			summary: "make a layer of an archive",
			usageStatus: 2,
			operands: "[FILE|-]",
			options: options([
				...idOption,
				{ long: "parent", short: "p", value: "ID", help: "the layer that it stands on" },
				{ long: "max-size", value: "SIZE", parse: size, help: "refuse an archive whose files come to more, holes counted" },
				{ long: "digest", help: "keep the sha256 of the archive (its diffID)" },
				{ long: "userxattr", help: "overlay's attributes as user.overlay.*, for mounts in a user namespace" },
				...layoutOption,
			]),
			details: [
				"tar of any kind (ustar, PAX, GNU, V7), plain or compressed by gzip, zstd, xz or bzip2, whose programs are the host's. Whiteouts are read the OCI way (.wh.NAME) and overlay's (device 0/0). What the archive has of overlay's own attributes (redirect, metacopy) is left out.",
				"An archive that is broken, or goes out of the layer, is refused, and leaves nothing. So is one that would leave less than 5% of the disk free.",
			],
			examples: [
				["tsunionmount layer import --id base rootfs.tar.gz", "a base layer"],
				["tar -C changes -c . | tsunionmount layer import --id next --parent base", "a layer on it, from a pipe"],
			],
			run(line) {
				importVerb(line);
			},
		}),
		command({
			name: "layer create",
			summary: "make an empty layer that a container writes to",
			usageStatus: 2,
			operands: "[ID]",
			options: options([
				{ long: "parent", short: "p", value: "ID", help: "the topmost layer of the image" },
				{ long: "size", value: "SIZE", parse: size, help: "the most that may be written, by a project quota (ext4, xfs)" },
				{ long: "no-init", help: "without the layer ID-init, which has docker's mount points", rare: true },
				...layoutOption,
			]),
			run(line) {
				createVerb(line);
			},
		}),
		command({
			name: "layer mount",
			summary: "mount a layer with those below it",
			usageStatus: 2,
			operands: "[ID [TARGET]]",
			dryRun: true,
			options: options([
				{ long: "record", help: "print a sandbox record, the plan of a container with this root" },
				{ long: "parent", short: "p", value: "ID", help: "make the layer, on this one, if there is none" },
				{ long: "size", value: "SIZE", parse: size, help: "of a layer that is made: the most that may be written" },
				{ long: "host-root", help: "a view of the host's root that can be written to: what is written is the layer's", rare: true },
				{ long: "read-only", short: "r", help: "mount it read-only, as an image's layer always is" },
				{ long: "option", short: "o", value: "OPTIONS", repeat: true, help: "of overlayfs: volatile,xino=on,...", rare: true },
				{
					long: "map-users",
					value: "INNER:OUTER:COUNT",
					repeat: true,
					help: "show the users INNER... of the layers below as OUTER..., without chown: for a container with these ids in its user namespace",
				},
				{
					long: "map-groups",
					value: "INNER:OUTER:COUNT",
					repeat: true,
					help: "the same for groups; they are as the users otherwise",
					rare: true,
				},
				{ long: "userxattr", help: "the layers have user.overlay.* attributes", rare: true },
			]),
			details: [
				"Without a TARGET it is mounted on the layer's folder `merged`, whose path is printed. Without an ID it is a filter: it reads a plan from standard input (`layer.id`, else `id`, names the layer, `layer.parent` what it is made on), and passes it on with `rootfs` and `layer`.",
				"tsunionmount leave ID undoes it for a sandbox that has ended.",
			],
			examples: [
				["tsunionmount layer mount web --parent base --record | tsunshare --record 0 --hold -- sh", "a container on the layer base"],
			],
			run(line) {
				mountVerb(line, inputLines);
			},
		}),
		command({
			name: "layer umount",
			alias: "layer unmount",
			summary: "unmount layers",
			usageStatus: 2,
			operands: "ID...",
			options: options([{ long: "lazy", short: "l", help: "also where it is in use" }]),
			run(line) {
				umountVerb(line);
			},
		}),
		command({
			name: "layer diff",
			summary: "list what a layer changes: A added, C changed, D deleted",
			usageStatus: 2,
			operands: "ID",
			options: options([...jsonOption]),
			run(line) {
				diffVerb(line);
			},
		}),
		command({
			name: "layer export",
			summary: "write a layer as a tar archive, whiteouts the OCI way",
			usageStatus: 2,
			operands: "ID",
			options: options([
				{ long: "all", short: "a", help: "the layer with all below it, as `docker export` does" },
				{ long: "output", short: "o", value: "FILE", help: "instead of standard output" },
			]),
			details: ["The same layer gives the same bytes each time: entries by name, times of the files, no names of users."],
			run(line) {
				exportVerb(line);
			},
		}),
		command({
			name: "layer commit",
			summary: "make an image's layer of what a container has written",
			usageStatus: 2,
			operands: "ID",
			options: idOption,
			run(line) {
				commitVerb(line);
			},
		}),
		command({
			name: "layer squash",
			rare: true,
			summary: "make one layer of a layer and those below it",
			usageStatus: 2,
			operands: "ID",
			options: options([...idOption, { long: "onto", value: "ID", help: "down to this one, which the new one stands on" }]),
			run(line) {
				squashVerb(line);
			},
		}),
		command({
			name: "layer ls",
			alias: "layer list",
			summary: "list the layers as a tree, with their sizes",
			usageStatus: 2,
			operands: "",
			options: options([{ long: "quiet", short: "q", help: "names only" }, { long: "no-trunc", help: "whole names" }, ...jsonOption]),
			run(line) {
				lsVerb(line);
			},
		}),
		command({
			name: "layer inspect",
			rare: true,
			summary: "show layers as JSON, with the folders of their mounts",
			usageStatus: 2,
			operands: "ID...",
			options: options([]),
			run(line) {
				inspectVerb(line);
			},
		}),
		command({
			name: "layer rm",
			summary: "remove layers that nothing stands on and nobody uses",
			usageStatus: 2,
			operands: "ID...",
			options: options([{ long: "force", short: "f", help: "no error for a layer that is not there; also one that a container has" }]),
			run(line) {
				rmVerb(line);
			},
		}),
		command({
			name: "layer check",
			rare: true,
			summary: "compare the store with the disk; look for forged whiteouts",
			usageStatus: 2,
			operands: "[ID...]",
			options: options([{ long: "quick", help: "without a look at each file" }]),
			run(line) {
				checkVerb(line);
			},
		}),
		command({
			name: "convert",
			rare: true,
			summary: "turn whiteouts of aufs into overlay's on disk, or the reverse",
			usageStatus: 2,
			operands: "FOLDER...",
			options: options([
				{
					long: "to",
					value: "LAYOUT",
					parse: (text: string, option: string): Layout =>
						text === "aufs" ? "aufs" : text === "overlay2" || text === "overlay" ? "overlay2" : notA(option, text, "overlay2 or aufs"),
					help: "overlay2 or aufs",
				},
			]),
			run(line) {
				convertVerb(line);
			},
		}),
		command({
			name: "gc",
			summary: "remove what killed tools have left, and print it",
			usageStatus: 2,
			operands: "",
			options: options([]),
			run() {
				gcVerb();
			},
		}),
		command({
			name: "leave",
			rare: true,
			summary: "unmount the layer of a sandbox that has ended",
			usageStatus: 2,
			operands: "ID...",
			options: options([]),
			run({ operands }) {
				leave(operands);
			},
		}),
	];
}
