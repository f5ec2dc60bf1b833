/** The option tables of the verbs that look and change; those of attach and detach are in main.ts. */

import { type Command, command } from "../common/command-line/command.ts";
import { options } from "../common/command-line/options.ts";
import { size } from "../common/units.ts";
import { existsVolume, gc, renameVolume, update } from "./volume/change.ts";
import { backup, clone, restore } from "./volume/copy.ts";
import { du } from "./volume/du.ts";
import { inspect } from "./volume/inspect.ts";
import { ls } from "./volume/ls.ts";
import { prune } from "./volume/prune.ts";
import { rm } from "./volume/rm.ts";

const formatHelp = "fill a template for each: '{{.Name}} {{json .Options}}', json, 'table {{.Name}}\\t{{.Labels}}'";

export function verbs(): Command[] {
	return [
		command({
			name: "ls",
			alias: "list",
			summary: "list volumes",
			operands: "",
			options: options([
				{ long: "quiet", short: "q", help: "names only" },
				{
					long: "filter",
					short: "f",
					value: "KEY=VALUE",
					repeat: true,
					help: "dangling=true|false, label=KEY[=VALUE], name=TEXT, driver=NAME",
				},
				{ long: "format", value: "TEMPLATE", help: formatHelp },
			]),
			run(line) {
				ls(line);
			},
		}),
		command({
			name: "inspect",
			summary: "show volumes as JSON, with who uses them",
			operands: "NAME...",
			options: options([
				{ long: "format", short: "f", value: "TEMPLATE", help: formatHelp },
				{ long: "size", short: "s", help: "how much it holds, and may, as well" },
			]),
			run(line) {
				inspect(line);
			},
		}),
		command({
			name: "rm",
			alias: "remove",
			summary: "remove volumes that nobody uses",
			operands: "NAME...",
			options: options([{ long: "force", short: "f", help: "one that is not there is fine" }]),
			run(line) {
				rm(line);
			},
		}),
		command({
			name: "prune",
			summary: "remove the volumes that nobody uses",
			operands: "",
			options: options([
				{ long: "all", short: "a", help: "not only those that nobody has named" },
				{ long: "filter", value: "KEY=VALUE", repeat: true, help: "only with label=KEY[=VALUE], or without label!=KEY[=VALUE]" },
				{ long: "force", short: "f", help: "do not ask" },
			]),
			run(line) {
				prune(line);
			},
		}),
		command({
			name: "rename",
			summary: "give a volume that nobody uses another name",
			operands: "NAME NEW-NAME",
			options: options([]),
			run(line) {
				renameVolume(line);
			},
		}),
		command({
			name: "update",
			summary: "change the labels or the limit of volumes",
			operands: "NAME...",
			options: options([
				{ long: "label", value: "KEY=VALUE", repeat: true, help: "set a label" },
				{ long: "label-rm", value: "KEY", repeat: true, help: "take a label away" },
				{ long: "size", value: "SIZE", parse: size, help: "the most that it may hold; 0 for no limit" },
			]),
			run(line) {
				update(line);
			},
		}),
		command({
			name: "clone",
			summary: "make a volume with the content of another",
			operands: "NAME NEW-NAME",
			options: options([
				{ long: "label", value: "KEY=VALUE", repeat: true, help: "set a label; it has those of the other" },
				{ long: "opt", short: "o", value: "KEY=VALUE", repeat: true, help: "other options than those of the other: size, uid, gid, mode" },
			]),
			run(line) {
				clone(line);
			},
		}),
		command({
			name: "du",
			summary: "show how much volumes hold, of how much they may, and who uses them",
			operands: "[NAME...]",
			options: options([
				{ long: "bytes", short: "b", help: "sizes in bytes" },
				{ long: "json", help: "print JSON" },
			]),
			run(line) {
				du(line);
			},
		}),
		command({
			name: "backup",
			alias: "export",
			summary: "write a volume's content to standard output, as a tar archive",
			operands: "NAME",
			options: options([]),
			run(line) {
				backup(line);
			},
		}),
		command({
			name: "restore",
			alias: "import",
			summary: "unpack a tar archive from standard input into a volume, made if need be",
			operands: "NAME",
			options: options([{ long: "force", short: "f", help: "over what the volume holds" }]),
			run(line) {
				restore(line);
			},
		}),
		command({
			name: "exists",
			summary: "exit with 0 if there is a volume of this name, else with 1",
			operands: "NAME",
			options: options([]),
			run(line) {
				existsVolume(line);
			},
		}),
		command({
			name: "gc",
			summary: "forget users that are gone, remove what killed processes have left",
			operands: "",
			options: options([]),
			run() {
				gc();
			},
		}),
	];
}
