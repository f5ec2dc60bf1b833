/** The option tables of the verbs that mount, and of those that look at mounts. */
import { options } from "../../common/command-line/options.ts";
import { type Command, command } from "../../common/command-line/tool.ts";
import { callingForm } from "./calling-form.ts";
import { mountVerb } from "./mount.ts";

const layers = "Layers";

export function mountCommands(): Command[] {
	return [
		command({
			name: "",
			summary: "mount a union, called as fuse-overlayfs or as mount(8)'s helper",
			operands: "[SOURCE] TARGET",
			usageStatus: 1,
			dryRun: true,
			options: options([
				{ long: "option", short: "o", value: "OPTIONS", repeat: true, help: "lowerdir=A:B,upperdir=U,workdir=W,..., as mount(8) has it" },
				{ long: "type", short: "t", value: "TYPE", help: "overlay, aufs, or another name that ends in .aufs", rare: true },
				{
					long: "fake",
					short: "f",
					help: "with a SOURCE: do not mount; alone: nothing, as it is the foreground of fuse-overlayfs",
					rare: true,
				},
				{ long: "sloppy", short: "s", help: "accepted, as mount(8) may give it", rare: true },
				{ long: "no-mtab", short: "n", help: "accepted, as mount(8) may give it", rare: true },
				{ long: "verbose", short: "v", help: "accepted, as mount(8) may give it", rare: true },
				{ long: "debug", short: "d", help: "accepted, as for fuse-overlayfs", rare: true },
			]),
			run(line) {
				callingForm(line);
			},
		}),
		command({
			name: "mount",
			summary: "mount layers as one folder",
			operands: "TARGET",
			dryRun: true,
			options: options([
				{
					long: "lower",
					short: "l",
					value: "DIR",
					repeat: true,
					help: "a layer to read from; the topmost first",
					group: layers,
					alias: ["lowerdir"],
				},
				{ long: "upper", short: "u", value: "DIR", help: "the layer that is written to", group: layers, alias: ["upperdir"] },
				{ long: "work", short: "w", value: "DIR", help: "an empty folder beside the upper one", group: layers, alias: ["workdir"] },
				{ long: "tmp", value: "SIZE", optional: "long", help: "in place of both: a tmpfs, which goes with the mount", group: layers },
				{
					long: "data",
					value: "DIR",
					repeat: true,
					help: "a layer with the data of metacopy files only",
					group: layers,
					rare: true,
					alias: ["datadir"],
				},
				{
					long: "map-users",
					value: "INNER:OUTER:COUNT",
					repeat: true,
					help: "show users INNER... of the lower layers as OUTER...",
					group: layers,
				},
				{
					long: "map-groups",
					value: "INNER:OUTER:COUNT",
					repeat: true,
					help: "the same for groups; they are as the users otherwise",
					group: layers,
				},
				{
					long: "lower-mode",
					value: "MODE",
					help: "aufs: the lower branches' mode: ro, or ro+wh for layers with whiteouts",
					group: layers,
					rare: true,
				},
				{ long: "type", short: "t", value: "TYPE", help: "overlay, aufs, or auto: what this kernel has" },
				{
					long: "option",
					short: "o",
					value: "OPTIONS",
					repeat: true,
					help: "ro,nosuid,redirect_dir=off,...: of mount(8) and the file system",
				},
				{ long: "read-only", short: "r", help: "mount it read-only" },
				{ long: "source", value: "NAME", help: "what stands first in /proc/mounts", rare: true },
			]),
			details: [
				"A single lower layer alone is bound read-only, which is what such a union would be. In a user namespace the option userxattr is added.",
				"Up to 500 lower layers mount from any path. In OPTIONS a backslash keeps a comma, a colon or a backslash from being read as the end of something.",
			],
			examples: [
				["tsunionmount mount --lower top --lower base --upper data --work work merged", "the layers as one folder, writes go to data"],
				["tsunionmount mount --lower / --tmp view", "a view of the host that can be written to, and is thrown away"],
				["tsunionmount mount --dry-run --type aufs --lower a --upper b c", "the mount(2) call for aufs"],
			],
			run(line) {
				mountVerb(line);
			},
		}),
	];
}
