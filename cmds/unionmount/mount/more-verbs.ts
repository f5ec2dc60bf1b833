/** The option tables of the verbs that take mounts away and look at them; see verbs.ts. */
import { options } from "../../common/command-line/options.ts";
import { type Command, command } from "../../common/command-line/tool.ts";
import { integer } from "../../common/units.ts";
import { info } from "./info.ts";
import { ls } from "./ls.ts";
import { umountVerb } from "./umount.ts";

export function moreMountCommands(): Command[] {
	return [
		command({
			name: "umount",
			summary: "unmount unions",
			operands: "TARGET...",
			dryRun: true,
			options: options([
				{ long: "lazy", short: "l", help: "take it from the tree at once; it goes with its last user" },
				{ long: "force", short: "f", help: "MNT_FORCE", rare: true },
			]),
			run(line) {
				umountVerb(line);
			},
		}),
		command({
			name: "ls",
			alias: "list",
			summary: "list union mounts with their layers",
			operands: "[TARGET...]",
			options: options([
				{ long: "pid", short: "p", value: "PID", parse: integer(1, 2 ** 22, "a PID"), help: "those that a process sees" },
				{ long: "noheadings", short: "n", help: "without the header" },
				{ long: "json", help: "print JSON" },
			]),
			run(line) {
				ls(line);
			},
		}),
		command({
			name: "info",
			summary: "try what this kernel, and a folder's file system, can do",
			operands: "[DIR]",
			options: options([{ long: "json", help: "print JSON" }]),
			run(line) {
				info(line);
			},
		}),
	];
}
