/** The values of options, as cac reads them. Loaded when there is one: most command lines have flags and operands only. */
import { cac } from "cac";
import { camel, type Written } from "./options.ts";

/** The values as cac reads them, a list for each option. */
export function readValues(written: Written[]): Record<string, string[]> {
	const lists: Record<string, string[]> = {};
	const cli = cac();
	for (const option of new Set(written.map((w) => w.option))) cli.option(`--${option.long} [${option.value}]`, "");
	/* A value goes through cac behind a "=": it would make a number of whatever looks like one ("007", "1e3"). */
	const words = written.map(({ option, text }) => `--${option.long}==${text}`);
	const read = cli.parse(["", "", ...words], { run: false }).options;
	for (const { option } of written) {
		const key = camel(option.long);
		const all = (Array.isArray(read[key]) ? read[key] : [read[key]]) as string[];
		lists[key] = all.map((value) => value.slice(1));
	}
	return lists;
}
