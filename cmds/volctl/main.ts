/** tsvolctl: volumes, data that outlives containers. The verbs of pipes are here, the others in verbs.ts. */

import { command } from "../common/command-line/command.ts";
import { options } from "../common/command-line/options.ts";
import { main } from "../common/command-line/tool.ts";
import { abandonRecords } from "../common/record.ts";
import { attach } from "./attach/attach.ts";
import { detach } from "./attach/detach.ts";
import { leave } from "./attach/leave.ts";
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
		command({
			name: "attach",
			summary: "mount volumes, host paths and tmpfs in a sandbox: planned, held or running",
			operands: "[PID|ID...]",
			abandon: abandonRecords,
			options: options([
				{
					long: "volume",
					short: "v",
					value: "[SOURCE:]TARGET[:MODE]",
					repeat: true,
					help: "as docker run -v: a volume's name or a path of the host; modes ro, nocopy, z, rshared...",
				},
				{
					long: "mount",
					value: "KEY=VALUE,...",
					repeat: true,
					help: "as docker run --mount: type=volume,source=NAME,target=DIR ...",
				},
				{ long: "tmpfs", value: "TARGET[:OPTIONS]", repeat: true, help: "as docker run --tmpfs: size=, mode=, uid=, gid=" },
				{ long: "volumes-from", value: "ID[:ro]", repeat: true, help: "what another container or sandbox has attached" },
				{ long: "remove", help: "its anonymous volumes go with the sandbox, as with docker run --rm", alias: ["rm"] },
			]),
			details: [
				"A filter: without PIDs or sandboxes' ids it reads sandbox records from standard input and passes them on. To a plan it adds mounts; in a process's own mount namespace it mounts at once, running or not.",
				"An empty volume is first filled with what the sandbox's root has at TARGET. -v makes a path of the host that is not there, --mount refuses it.",
			],
			examples: [
				["tsvolctl attach -v data:/srv web", "mounts a volume in a running container"],
				[
					"tsunionmount layer mount web --record | tsvolctl attach -v data:/srv | tsunshare --record 0 ...",
					"in one that is yet to be made",
				],
			],
			run(line) {
				attach(line);
			},
		}),
		command({
			name: "detach",
			summary: "take away what was attached",
			operands: "TARGET|NAME [PID|ID...]",
			abandon: abandonRecords,
			options: options([{ long: "lazy", short: "l", help: "from the tree at once; it goes with its last user" }]),
			run(line) {
				detach(line);
			},
		}),
		command({
			name: "leave",
			summary: "forget a sandbox that has ended, or a container that is removed",
			operands: "ID...",
			options: options([{ long: "volumes", short: "v", help: "a container that is being removed, with its anonymous volumes" }]),
			run(line) {
				leave(line);
			},
		}),
	],
});
