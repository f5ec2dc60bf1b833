/** The verbs for pools, volumes and layers, and dmsetup's as far as no verb for volumes has their name. */
import type { Command } from "../common/command-line/tool.ts";
import { forLayers } from "./layer/table.ts";
import { forPools } from "./pool/table.ts";
import { stepVerbs } from "./table/verbs.ts";
import { forVolumes } from "./volume/table.ts";

export function poolVerbs(): Command[] {
	const own = [...forPools(), ...forVolumes(), ...forLayers()];
	const names = new Set(own.map(({ name }) => name));
	return [...own, ...stepVerbs("").filter(({ name }) => !names.has(name))];
}
