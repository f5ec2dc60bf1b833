/**
 * npm test [-- [--variant gc-stress|sanitize] [FILE...]]      npm run test:kernels
 *
 * Installs what is missing, builds, checks and tests. Node's own modules only, until npm has installed the others.
 *
 *   (nothing)   the linters; test/unit, test/cli and test/vm; then the smoke tests on the gc-stress build
 *   FILE...     these test files alone, without the linters
 *   --variant   all of test/cli, or FILEs, on that build of the tools (native/build.mjs)
 *   --kernels   test/vm on each kernel that Debian has: 5.10, 6.1, 6.12 and the newest
 *
 * Two test files run at a time; those called NAME.alone.test.ts, which measure or look at the whole machine, after the others, one at a time.
 * The last line is `N passed, N failed, N skipped`: results.mjs says of what. A linter counts as one.
 */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, readSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installPackages, testPackages } from "./debian.mjs";
import { installModules, needsTapBuild } from "./npm.mjs";

const kernels = "5.10 6.1 6.12 newest";
/* Collecting at every allocation, these take seconds; all of test/cli takes minutes. */
const smoke = ["host", "tsinit", "tsunshare-sandbox", "tsunshare-enter"].map((name) => `test/cli/${name}.test.ts`);

process.chdir(join(dirname(fileURLToPath(import.meta.url)), "../.."));
const { values: options, positionals: files } = parseArgs({
	options: { variant: { type: "string", default: "release" }, kernels: { type: "boolean" } },
	allowPositionals: true,
});
if (!["release", "gc-stress", "sanitize"].includes(options.variant)) {
	console.error(`--variant: ${options.variant}: there are gc-stress and sanitize`);
	process.exit(2);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];

function finish() {
	if (failures.length > 0) console.log(`\nfailed:\n${failures.map((name) => `  ${name}`).join("\n")}`);
	console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
	process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0);
}

/** Runs a program quietly, and shows what it said if it failed. True if it succeeded. */
function step(name, program, args, env = {}) {
	const started = Date.now();
	const run = spawnSync(program, args, { encoding: "utf8", env: { ...process.env, ...env }, maxBuffer: 2 ** 28 });
	const isGood = run.status === 0;
	console.log(`${isGood ? "ok  " : "FAIL"} ${name}  ${((Date.now() - started) / 1000).toFixed(1)} s`);
	if (!isGood) {
		console.log(run.error?.message ?? `${run.stdout}${run.stderr}`.trimEnd());
		failures.push(name);
	}
	return isGood;
}

/** A linter: a step that is counted. */
function check(name, program, args) {
	counts[step(name, program, args) ? "passed" : "failed"]++;
}

function build(variant) {
	if (step(`build ${variant}`, process.execPath, ["native/build.mjs", ...(variant === "release" ? [] : [`--${variant}`])])) return;
	counts.failed++;
	finish();
}

function below(folder, isWanted) {
	if (!existsSync(folder)) return [];
	return readdirSync(folder, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath ?? entry.path, entry.name))
		.filter(isWanted)
		.sort();
}

const testFiles = (folder) => below(folder, (path) => /\.test\.(ts|mjs)$/.test(path));

function isShellScript(path) {
	const start = Buffer.alloc(64);
	const fd = openSync(path, "r");
	const length = readSync(fd, start);
	closeSync(fd);
	return /^#!.*\b(sh|bash)\n/.test(start.toString("latin1", 0, length));
}

/** Runs test files; `title` says on what. */
async function test(title, wanted, env = {}) {
	/* Not before npm has installed what it imports. */
	const { runFiles } = await import("./files.mjs");
	const alone = wanted.filter((path) => path.includes(".alone.test."));
	const others = wanted.filter((path) => !alone.includes(path));
	const onResult = (file, result) => {
		for (const kind of Object.keys(counts)) counts[kind] += result[kind].length;
		failures.push(...result.failed.map(({ path }) => [file, ...path].join(" > ")));
	};
	console.log(`\n${title}`);
	await runFiles(others, 2, env, onResult);
	await runFiles(alone, 1, env, onResult);
}

console.log("prerequisites");
const lacking = installPackages(testPackages);
if (lacking) console.log(`  ${lacking}\n  Tests that need one of them fail or are skipped.`);
if (process.getuid() !== 0) console.log("  This is not root: what needs root is skipped.");
const npmSaid = installModules();
if (npmSaid) {
	console.log(npmSaid);
	counts.failed++;
	finish();
}
if (needsTapBuild() && !step("tap build", "node_modules/.bin/tap", ["build"])) {
	counts.failed++;
	finish();
}
build("release");
if (options.variant !== "release") build(options.variant);

const variantEnv = (variant) => (variant === "release" ? {} : { TSBOX_BIN: `build/${variant}/bin` });
/* Kernels are downloaded and booted under emulation; a build that collects garbage all the time is slow. */
if (options.kernels || options.variant !== "release") process.env.TAP_TIMEOUT ||= "1800";
if (options.kernels) await test(`kernels ${kernels}`, testFiles("test/vm"), { TSBOX_KERNELS: kernels });
else if (files.length > 0) await test(`tests, ${options.variant} build`, files, variantEnv(options.variant));
else if (options.variant !== "release") await test(`tests, ${options.variant} build`, testFiles("test/cli"), variantEnv(options.variant));
else {
	const scripts = [...below("bin", isShellScript), ...below(".ci", isShellScript), ...below("test", isShellScript)];
	check("biome check", "node_modules/.bin/biome", ["check", "--error-on-warnings", "--max-diagnostics=50"]);
	check("tsc --noEmit", "node_modules/.bin/tsc", ["--noEmit", "-p", "."]);
	check(`shellcheck ${scripts.join(" ")}`, "shellcheck", scripts);
	/* The guests take longest: while one of two files is a guest's, the others go by. */
	await test("tests", [...testFiles("test/vm"), ...testFiles("test/unit"), ...testFiles("test/cli")]);
	if (smoke.every((path) => existsSync(path))) {
		console.log("");
		build("gc-stress");
		await test("smoke tests, gc-stress build", smoke, variantEnv("gc-stress"));
	}
}
finish();
