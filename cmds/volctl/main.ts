/** tsvolctl: volumes, data that outlives containers. The verbs of pipes are here, the others in verbs.ts. */
import { options } from "../common/command-line/options.ts";
import { command, main } from "../common/command-line/tool.ts";
import { verbs } from "./verbs.ts";
import { create } from "./volume/create.ts";

main({
	name: "tsvolctl",
	summary: "Make, list and remove volumes, and mount them in containers, running ones too: docker volume's words.",
	details: [
		"A volume is a folder, volumes/NAME/_data below /var/lib/tsbox ($TSBOX_DATA), in the layout of Docker's local driver. What uses it (a container, running or not; a sandbox or process as long as it lives) keeps it from being removed.",
	],
	examples: [
		["tsvolctl create data --opt size=1g --label app=web", "a volume that holds at most 1 GiB"],
		["tsvolctl create share --opt type=nfs --opt device=:/srv --opt o=addr=10.0.0.1,rw", "one on another machine"],
		["tsvolctl inspect data", "what it is, and who uses it"],
		["tsvolctl backup data | gzip >data.tar.gz", "its content as an archive"],
	],
	verbs,
	commands: [
		command({
			name: "create",
			summary: "make a volume, and print its name",
			operands: "[NAME]",
			options: options([
				{ long: "label", value: "KEY=VALUE", repeat: true, help: "set a label" },
				{
					long: "opt",
					short: "o",
					value: "KEY=VALUE",
					repeat: true,
					help: "type=, device=, o= as mount(8) takes them; size=, uid=, gid=, mode=",
				},
				{ long: "driver", short: "d", value: "NAME", help: "local, which is the only one" },
				{ long: "ignore", help: "one of this name is fine, whatever its options", rare: true },
				{ long: "name", value: "NAME", help: "the name", rare: true },
			]),
			details: [
				"Without a NAME it is anonymous: it gets one of 64 hexadecimal digits, and `prune` removes it once nobody uses it.",
				"A size is kept to by a project quota where the file system has them, else by a file system of its own in a sparse file.",
			],
			run(line) {
				create(line);
			},
		}),
	],
});
