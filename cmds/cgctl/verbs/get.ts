import { readdir } from "../../../native/linux/fd.ts";
import { S_IFMT, S_IFREG, statIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { existingGroup, type Group, type PathOptions, placesOf, plainName } from "../group/path.ts";
import { readTrimmed } from "../group/read.ts";
import { noSuchKey } from "../limits/apply.ts";
import { optionsFor, optionWords } from "../limits/current.ts";
import { effectiveLimits } from "../limits/effective.ts";
import { currentLimits } from "../limits/own.ts";
import { plan } from "../limits/plan.ts";
import { checkKey } from "../limits/read.ts";
import type { Limits } from "../limits/table.ts";
import { parseFormula } from "../limits/weights.ts";
import { readWords, v2Facts } from "./convert.ts";

interface GetOptions extends PathOptions {
	effective?: true;
	as?: string;
	weightFormula?: string;
	all?: true;
	values?: true;
	json?: true;
}

/** Prints a cgroup's limits, or kernel files by their names. */
export function get(line: { options: GetOptions; operands: string[] }) {
	const { options, operands } = line;
	const [path, ...keys] = operands;
	if (path === undefined) throw new UsageError("get: no PATH given");
	const group = existingGroup(path, options);
	if (options.as !== undefined) return printAs(group, options);
	if (options.effective) return printEffective(group, options.json === true);
	if (keys.length > 0 || options.all)
		return printFiles(options.all ? allFiles(group) : keys.map((key) => [checkKey(key), readKey(group, key)]), options);
	const limits = optionsFor(currentLimits(group)).map(([option, value = "yes"]) => ({ limit: option.slice(2), value }));
	if (options.json) print(json(byName(limits)));
	else if (options.values) print(limits.map(({ value }) => `${value}\n`).join(""));
	else
		print(
			table(limits, [
				{ header: "LIMIT", value: (row) => row.limit },
				{ header: "VALUE", value: (row) => row.value },
			]),
		);
}

/** A limit that may be given several times has a list of values. */
function byName(limits: { limit: string; value: string }[]): Record<string, string | string[]> {
	const found: Record<string, string | string[]> = {};
	for (const { limit, value } of limits) {
		const before = found[limit];
		if (limit === "hugetlb" || limit === "io-max" || limit === "device") found[limit] = [...(before ?? []), value];
		else found[limit] = value;
	}
	return found;
}

function readKey(group: Group, key: string): string {
	for (const { folder } of placesOf(group)) {
		const text = readTrimmed(`${folder}/${key}`);
		if (text !== undefined) return text;
	}
	return noSuchKey(group, key);
}

/** All files that can be read, in the order of their names. */
function allFiles(group: Group): [string, string][] {
	const found = new Map<string, string>();
	for (const { folder } of placesOf(group))
		for (const name of readdir(folder)) {
			const { mode = 0 } = statIfAny(`${folder}/${name}`) ?? {};
			if ((mode & S_IFMT) !== S_IFREG || (mode & 0o444) === 0 || found.has(name)) continue;
			try {
				const text = readTrimmed(`${folder}/${name}`);
				if (text !== undefined) found.set(name, text);
			} catch (error) {
				/* Some files have nothing to say in this state: EOPNOTSUPP, EINVAL. */
				if (!(error instanceof SysError)) throw error;
			}
		}
	return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** `key=value` as `set` takes it; further lines behind a tab. */
function printFiles(files: [string, string][], options: GetOptions) {
	if (options.json) return print(json(Object.fromEntries(files)));
	for (const [key, text] of files) print(options.values ? `${text}\n` : `${key}=${text.replace(/\n/g, "\n\t")}\n`);
}

function printEffective(group: Group, asJson: boolean) {
	const rows = effectiveLimits(group);
	if (asJson) return print(json(rows.map(({ limit, value, from }) => ({ limit, value, from: from?.name ?? null }))));
	print(
		table(rows, [
			{ header: "LIMIT", value: (row) => row.limit },
			{ header: "VALUE", value: (row) => row.value },
			{ header: "SET BY", value: (row) => (row.from ? plainName(row.from) : undefined) },
		]),
	);
}

function printAs(group: Group, options: GetOptions) {
	const limits: Limits = { ...currentLimits(group), weightFormula: parseFormula(options.weightFormula) };
	if (readWords(options.as as string) === "options") {
		return print(`${optionWords(limits).join(" ")}\n`);
	}
	const lost = limits.memorySwappiness;
	delete limits.memorySwappiness;
	const { writes, notes } = plan(limits, v2Facts());
	print(writes.map(({ file, value }) => `${file}=${value}\n`).join(""));
	for (const note of notes) warn(note);
	if (lost !== undefined) fail(`memory.swappiness=${lost}: v2 has no swappiness of a cgroup`, "memory.swap.max limits its swap");
}
