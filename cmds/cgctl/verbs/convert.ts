/**
 * `tscgctl convert`: a v1 configuration in v2's words.
 *
 * Reads cgconfig.conf(5):
 *
 *     group web { cpu { cpu.shares = 512; cpu.cfs_quota_us = "50000"; } memory { memory.limit_in_bytes = 256M; } }
 *
 * or lines of `KEY=VALUE`, `KEY: VALUE` (cgget, cgsnapshot) or `KEY VALUE`, for one cgroup or after a line `NAME:`.
 */

import { readAll, readFile } from "../../../native/linux/fd.ts";
import { exit } from "../../../native/linux/process.ts";
import { decode } from "../../../native/linux/text.ts";
import { notA } from "../../common/command-line/options.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { parseSize } from "../../common/units.ts";
import { limitsFrom, optionWords } from "../limits/current.ts";
import { plan } from "../limits/plan.ts";
import type { Facts } from "../limits/step.ts";
import type { Limits } from "../limits/table.ts";
import { parseFormula, type WeightFormula } from "../limits/weights.ts";

/** A cgroup of the configuration: its v1 files. */
export interface Configured {
	name: string;
	files: Record<string, string>;
}

export function convert(line: { options: { as?: string; weightFormula?: string }; operands: string[] }) {
	const { options, operands } = line;
	if (operands.length > 1) throw new UsageError("convert: one FILE at most");
	if (operands[0] === "") throw new UsageError('convert: "": not a file');
	const words = readWords(options.as ?? "v2");
	const formula = parseFormula(options.weightFormula);
	const text = operands[0] === undefined || operands[0] === "-" ? decode(readAll(0)) : readFile(operands[0]);
	const groups = parseConfiguration(text);
	if (groups.length === 0) fail("no cgroup's settings in it", "cgconfig.conf, or lines of KEY=VALUE");
	let isWhole = true;
	for (const group of groups) {
		const { lines, notes, lost } = toWords(group, words, formula);
		if (group.name !== "") print(words === "options" ? `tscgctl create ${group.name} ` : `${group.name}:\n`);
		print(words === "options" ? `${lines.join(" ")}\n` : lines.map((l) => `${l}\n`).join(""));
		for (const note of notes) warn(note);
		for (const what of lost) warn(`${group.name === "" ? "" : `${group.name}: `}${what}`);
		if (lost.length > 0) isWhole = false;
	}
	if (!isWhole) exit(1);
}

export function readWords(text: string): "v2" | "options" {
	return text === "v2" || text === "options" ? text : notA("--as", text, "v2 or options");
}

/** Facts of a v2 system that has all controllers, and a new cgroup. */
export function v2Facts(): Facts {
	return { version: () => 2, read: (_, file) => (file === "io.weight" ? "default 100" : undefined), device: (text) => text };
}

/** v1 files that say what v2 does not do, or does by itself; a reason to leave one out without a word is "". */
function whyLost(file: string, value: string): string | undefined {
	if (
		/\.(stat|usage\w*|failcnt|max_usage_in_bytes|usage_in_bytes|procs|numa_stat|slabinfo|current|events|peak|self_freezing|parent_freezing)$/.test(
			file,
		)
	)
		return "";
	if (/^(tasks|notify_on_release|release_agent|cgroup\.|cpuacct\.|.*effective_|.*io_service|.*io_serviced)/.test(file)) return "";
	if (/^memory\.(force_empty|pressure_level|use_hierarchy|move_charge_at_immigrate)$/.test(file)) return "";
	if (/^memory\.kmem\./.test(file))
		return v1Unlimited(value) ? "" : "v2 counts the kernel's memory within memory.max, and limits it by that";
	if (file === "memory.swappiness") return value === "60" ? "" : "v2 has no swappiness of a cgroup; memory.swap.max limits its swap";
	if (file === "memory.oom_control")
		return /oom_kill_disable 1|^1$/.test(value) ? "v2 cannot turn the OOM killer off; memory.high slows down before it" : "";
	if (/^cpu\.rt_/.test(file)) return /^(0|1000000)$/.test(value) ? "" : "v2 gives no cpu time to real-time processes of one cgroup";
	if (/^cpuset\.(cpu_exclusive)$/.test(file)) return value === "0" ? "" : "cpuset.cpus.partition=root is v2's way";
	if (/^cpuset\.(mem_exclusive|mem_hardwall|memory_|sched_)/.test(file)) return /^(0|1|-1)$/.test(value) ? "" : "v2 does not have it";
	if (/^net_(cls|prio)\./.test(file)) return value === "0" ? "" : "v2 marks packets by cgroup in nftables (socket cgroupv2) or by eBPF";
	if (/^devices\./.test(file))
		return value.startsWith("a *:*") ? "" : "v2 has device rules as an eBPF program: give them as --device to tscgctl";
	if (file === "freezer.state") return value === "THAWED" ? "" : "cgroup.freeze=1 is v2's way";
	if (/_device$/.test(file) && !/^blkio\.throttle\./.test(file))
		return value === "" ? "" : "v2 takes it as a line of io.weight: MAJOR:MINOR WEIGHT";
	return undefined;
}

/** Files of v2 that v1 has none by the name of: they pass as they are. */
function isOfV2(file: string): boolean {
	return /^(cpu\.(max|max\.burst|weight|weight\.nice|uclamp\.(min|max))|memory\.(min|low|high|max|oom\.group|swap\.(max|high)|zswap\.(max|writeback))|io\.(max|weight|bfq\.weight|latency|prio\.class)|cpuset\.cpus\.(exclusive|partition)|hugetlb\.\w+\.(rsvd\.)?max|misc\.max|cgroup\.(freeze|type|max\.(depth|descendants)))$/.test(
		file,
	);
}

function v1Unlimited(value: string): boolean {
	return value === "-1" || Number(value) >= 2 ** 62;
}

/** A configured cgroup in other words; what cannot be said in them is `lost`. */
export function toWords(
	{ files }: Configured,
	words: "v2" | "options",
	weightFormula: WeightFormula,
): { lines: string[]; notes: string[]; lost: string[] } {
	const used = new Set<string>();
	const limits = limitsFrom({
		version: () => 1,
		read: (_, file) => {
			const value = files[file];
			if (value === undefined) return undefined;
			used.add(file);
			return plainSize(file, value);
		},
	});
	/* -1 takes a limit away, in so many words. */
	if (files["memory.limit_in_bytes"] === "-1") limits.memory = Infinity;
	if (files["memory.memsw.limit_in_bytes"] === "-1") limits.memorySwap = Infinity;
	if (files["memory.soft_limit_in_bytes"] === "-1") limits.memoryReservation = 0;
	const swappiness = limits.memorySwappiness;
	delete limits.memorySwappiness;
	if (swappiness !== undefined) used.delete("memory.swappiness");
	const lost: string[] = [];
	const safe: Limits = { ...limits, weightFormula };
	/* v2 limits swap only beside a limit of memory. */
	if (safe.memorySwap !== undefined && safe.memorySwap !== Infinity && (safe.memory ?? Infinity) === Infinity) {
		lost.push(
			`memory.memsw.limit_in_bytes=${files["memory.memsw.limit_in_bytes"]}: v2 limits swap by itself; it needs memory.limit_in_bytes to take off`,
		);
		delete safe.memorySwap;
	}
	const own: [key: string, value: string][] = [];
	for (const file of Object.keys(files)) {
		const value = files[file] as string;
		if (!used.has(file) && isOfV2(file)) {
			/* A file with a line a disk takes them one by one. */
			for (const line of value.split("\n")) own.push([file, line]);
			continue;
		}
		const why = used.has(file) ? undefined : (whyLost(file, value) ?? "no file of v1 that is known to have one of v2");
		if (why) lost.push(`${file}=${value.split("\n")[0]}: ${why}`);
	}
	const { writes, notes } = plan(safe, v2Facts());
	if (words === "v2")
		return { lines: [...writes.map(({ file, value }) => [file, value]), ...own].map((pair) => pair.join("=")), notes, lost };
	return { lines: optionWords(own.length > 0 ? { ...limits, set: own } : limits), notes: [], lost };
}

/** Sizes may be written 256M in a configuration; the kernel's files show bytes. */
function plainSize(file: string, value: string): string {
	return file.endsWith("_in_bytes") && /^\d+[kmgt]b?$/i.test(value) ? String(parseSize(value)) : value;
}

/** cgconfig.conf or lines of settings; see the head of this file. */
export function parseConfiguration(text: string): Configured[] {
	const plain = text.replace(/^\s*#.*$/gm, "");
	return /^\s*(group|default|mount|template)\b[^=:\n]*\{/m.test(plain) ? parseCgconfig(plain) : parseLines(plain);
}

function parseLines(text: string): Configured[] {
	const groups: Configured[] = [];
	let current: Configured = { name: "", files: {} };
	let last = "";
	for (const line of text.split("\n")) {
		const heading = /^([^\s=]+):\s*$/.exec(line);
		const setting = /^\s*([a-z_]+\.[\w.]+|tasks|notify_on_release)\s*(?:=|:|\s)\s*(.*?)\s*$/.exec(line);
		if (heading && !/^[a-z_]+\.[a-z]/.test(heading[1] as string)) {
			current = { name: heading[1] as string, files: {} };
			groups.push(current);
		} else if (setting && !/^[\t ]/.test(line)) {
			if (groups.length === 0) groups.push(current);
			last = setting[1] as string;
			current.files[last] = setting[2] as string;
		} else if (/^[\t ]/.test(line) && line.trim() !== "" && last !== "") {
			/* cgget puts the further lines of a file behind a tab. */
			current.files[last] += `${current.files[last] === "" ? "" : "\n"}${line.trim()}`;
		} else if (line.trim() !== "") fail(`not a setting: ${JSON.stringify(line.slice(0, 60))}`, "lines are KEY=VALUE or KEY: VALUE");
	}
	return groups;
}

/** The words of the file: names, `{`, `}`, `=`, `;` and quoted strings, which may have lines in them. */
function tokens(text: string): string[] {
	const found = text.match(/"[^"]*"|[{}=;]|[^\s{}=;"]+/g) ?? [];
	return found.map((word) => (word.startsWith('"') ? `"${word.slice(1, -1)}` : word));
}

function parseCgconfig(text: string): Configured[] {
	const words = tokens(text);
	const groups: Configured[] = [];
	let at = 0;
	const next = () => words[at++] ?? fail("the configuration ends inside a { }");
	const plain = (word: string) => (word.startsWith('"') ? word.slice(1) : word);
	const expect = (wanted: string) => {
		const got = next();
		if (got !== wanted) fail(`the configuration has ${JSON.stringify(plain(got))} where ${wanted} belongs`);
	};
	const skipBlock = () => {
		for (let depth = 1; depth > 0; ) {
			const word = next();
			if (word === "{") depth++;
			if (word === "}") depth--;
		}
	};
	while (at < words.length) {
		const kind = plain(next());
		if (kind !== "group" && kind !== "template") {
			/* mount, namespace and default say nothing of limits. */
			expect("{");
			skipBlock();
			continue;
		}
		const group: Configured = { name: plain(next()), files: {} };
		groups.push(group);
		expect("{");
		for (let controller = next(); controller !== "}"; controller = next()) {
			expect("{");
			if (controller === "perm") {
				skipBlock();
				continue;
			}
			for (let key = next(); key !== "}"; key = next()) {
				expect("=");
				group.files[plain(key)] = plain(next()).trim();
				expect(";");
			}
		}
	}
	return groups;
}
