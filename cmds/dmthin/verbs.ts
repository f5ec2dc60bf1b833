/** The verbs for pools, volumes and layers, and dmsetup's as far as no verb for volumes has their name. */
import type { Command } from "../common/command-line/tool.ts";
import { forLayers } from "./layer/table.ts";
import { forPools } from "./pool/table.ts";
import { stepVerbs } from "./table/verbs.ts";
import { forVolumes } from "./volume/table.ts";

/**
 * The verbs among which the first word of a command line chooses: to make the tables of the others would take a short run as
 * long as all that it does. All of them where the word is none of a verb's, as for the help.
 */
export function verbsFor(word: string | undefined): Command[] {
	if (word === "dmsetup") return stepVerbs("dmsetup ");
	if (word === "pool") return forPools();
	const volumes = [...forVolumes(), ...forLayers()];
	if (volumes.some(({ name, alias }) => name === word || alias === word)) return volumes;
	const own = [...forPools(), ...volumes];
	const names = new Set(own.map(({ name }) => name));
	const steps = stepVerbs("").filter(({ name }) => !names.has(name));
	for (const step of steps) step.rare = true;
	return [...own, ...steps, ...stepVerbs("dmsetup ")];
}
