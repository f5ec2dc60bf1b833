/** tsunionmount: union mounts, their layers, and images. */
import { main } from "../common/command-line/tool.ts";
import { imageCommands } from "./image/verbs.ts";
import { layerCommands } from "./layer/verbs.ts";
import { moreMountCommands } from "./mount/more-verbs.ts";
import { mountCommands } from "./mount/verbs.ts";

main({
	name: "tsunionmount",
	summary: "Mount layers as one folder, by overlayfs or AUFS; keep layers and images.",
	examples: [
		["tsunionmount mount --lower top --lower base --upper data --work work merged", "the layers as one folder, writes go to data"],
		["tsunionmount -o lowerdir=top:base,upperdir=data,workdir=work merged", "the same, called as fuse-overlayfs"],
	],
	statuses: [["32", "As a helper of mount(8), with SOURCE and TARGET: the mount failed."]],
	commands: mountCommands(),
	verbs: () => [...moreMountCommands(), ...layerCommands(), ...imageCommands()],
});
