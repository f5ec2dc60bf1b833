import { print } from "../../common/command-line/tool.ts";
import { subtree } from "../group/files.ts";
import { existingGroup, groupAt, type PathOptions, placesOf } from "../group/path.ts";
import { optionsFor } from "../limits/current.ts";
import { currentLimits } from "../limits/own.ts";

/** Prints the commands that make the cgroups below a path again, with their limits: a shell script. */
export function snapshot({ options, operands }: { options: PathOptions; operands: string[] }) {
	const top = operands[0] === undefined ? groupAt("/", options) : existingGroup(operands[0], options);
	const root = options.root === undefined ? "" : ` --root ${quote(options.root)}`;
	if (placesOf(top).length === 0) return;
	for (const group of subtree(top).reverse()) {
		const path = group.name.slice(group.root.length + 1);
		const words = optionsFor(currentLimits(group)).flatMap(([option, value]) => (value === undefined ? [option] : [option, quote(value)]));
		print(`${["tscgctl", `create${root}`, path === "" ? "/" : quote(path), ...words].join(" ")}\n`);
	}
}

/** For sh. */
function quote(text: string): string {
	return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`;
}
