/**
 * npm run bench [-- [--runs N] [--no-build] [WORD...]]: the tools side by side with the programs whose place they take.
 *
 * Each pair is one run of hyperfine, without a shell; its medians are compared. With WORDs, only the comparisons whose
 * name has one of them; `proxy` for the proxies of ports. It prints figures and judges nothing: a busy machine makes any of them worse.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { execa } from "execa";
import { benchPackages, installPackages, proxyPackages } from "../support/debian.mjs";
import { comparisons } from "./comparisons.mjs";
import { footprint } from "./footprint.mjs";
import { proxyTables } from "./proxy.mjs";
import { seccompCost } from "./seccomp.mjs";

process.chdir(fileURLToPath(new URL("../..", import.meta.url)));
const { values: options, positionals: words } = parseArgs({
	options: { runs: { type: "string", default: "400" }, "no-build": { type: "boolean" } },
	allowPositionals: true,
});

const lacking = installPackages(benchPackages);
if (lacking) console.log(lacking);
if (!options["no-build"]) {
	const { exitCode } = await execa(process.execPath, ["native/build.mjs"], { stdio: "inherit", reject: false });
	if (exitCode !== 0) process.exit(1);
}

/** Seconds, a median for each of two commands; they take turns, since a machine's pace changes. */
async function measure(commands, runs, folder, { within = [], prepare = [] } = {}) {
	const file = join(folder, "hyperfine.json");
	/* What a run has made is undone before the next, outside of the time. */
	const lines = commands.flatMap((command, i) => (prepare[i] ? ["--prepare", prepare[i], command] : [command]));
	const [program, ...args] = [
		...within,
		"hyperfine",
		"-N",
		"--style=none",
		`--warmup=${Math.min(prepare.length > 0 ? 5 : 30, runs)}`,
		`--runs=${runs}`,
	];
	await execa(program, [...args, `--export-json=${file}`, ...lines, ...lines]);
	const medians = JSON.parse(readFileSync(file, "utf8")).results.map(({ median }) => median);
	return commands.map((_, i) => (medians[i] + medians[i + commands.length]) / 2);
}

/** Columns as wide as their widest cell; all but the first are right-aligned. */
function table(rows) {
	const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
	return rows.map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ")).join("\n");
}

/* Half a minute of traffic, which only who asks for it gets. */
if (words.includes("proxy")) {
	const lacking = installPackages(proxyPackages);
	if (lacking) console.log(lacking);
	for (const rows of await proxyTables()) console.log(`${table(rows)}\n`);
	process.exit(0);
}

/* What is known once `before` has run is a function. */
const line = (command) => (typeof command === "function" ? command() : command);
const milliseconds = (seconds) => `${(seconds * 1000).toFixed(2)} ms`;
const folder = mkdtempSync(join(tmpdir(), "tsbox-bench-"));
try {
	const rows = [["ours", "time", "the other", "time", "ratio", "wanted"]];
	for (const { name, ours, peer, other, wanted, runs, before, after, within, prepare } of comparisons()) {
		if (words.length > 0 && !words.some((word) => name.includes(word))) continue;
		try {
			await before?.();
			const [a, b] = await measure([line(ours), line(peer)], Math.ceil((Number(options.runs) * (runs ?? 1)) / 2), folder, {
				within: within?.(),
				prepare: prepare?.(),
			});
			rows.push([
				name,
				milliseconds(a),
				other ?? line(peer).split(" ")[0],
				milliseconds(b),
				(a / b).toFixed(2),
				wanted ? `<= ${wanted}` : "",
			]);
			process.stderr.write(".");
		} catch (error) {
			process.stderr.write("\n");
			console.log(`${name}: not measured: ${(error.stderr || error.message).trim().split("\n").at(-1)}`);
		} finally {
			await after?.();
		}
	}
	process.stderr.write("\n");
	if (rows.length > 1) console.log(table(rows));
	if (words.length === 0 || words.includes("seccomp")) {
		try {
			console.log(`\n${table(await seccompCost(folder))}`);
		} catch (error) {
			console.log(`seccomp: not measured: ${(error.stderr || error.message).trim().split("\n").at(-1)}`);
		}
	}
	if (words.length === 0 || words.includes("memory")) console.log(`\n${table(await footprint())}`);
} finally {
	rmSync(folder, { recursive: true });
}
