import { print } from "../../common/command-line/tool.ts";
import { subtree } from "../group/files.ts";
import { existingGroup, groupAt, type PathOptions, placesOf } from "../group/path.ts";
import { optionWords, quote } from "../limits/current.ts";
import { currentLimits } from "../limits/own.ts";

/** Prints the commands that make the cgroups below a path again, with their limits: a shell script. */
export function snapshot({ options, operands }: { options: PathOptions; operands: string[] }) {
	const top = operands[0] === undefined ? groupAt("/", options) : existingGroup(operands[0], options);
	const root = options.root === undefined ? "" : ` --root ${quote(options.root)}`;
	if (placesOf(top).length === 0) return;
	for (const group of subtree(top).reverse()) {
		const path = group.name.slice(group.root.length + 1);
		print(`${["tscgctl", `create${root}`, path === "" ? "/" : quote(path), ...optionWords(currentLimits(group))].join(" ")}\n`);
	}
}
