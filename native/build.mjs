/**
 * npm run build [-- [--sanitize | --gc-stress] [--glibc] [TOOL...]]
 *
 * Makes bin/tsNAME of each cmds/NAME with a main.ts: esbuild bundles it, bytecode.c compiles the bundle, and the linker
 * joins the bytecode with the engine and the host. What is up to date is left alone.
 *
 *   --sanitize    with ASan and UBSan, into build/sanitize/bin
 *   --gc-stress   the engine collects garbage at every allocation, into build/gc-stress/bin
 *   --glibc       glibc although musl-gcc is there
 *   --tool MAIN.ts OUTPUT   another program than those of cmds, for a test
 *
 * TSBOX_QUICKJS=system links Debian's libquickjs in place of the sources that the package qjsc carries.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { execa } from "execa";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

const flags = new Set(process.argv.slice(2).filter((arg) => arg.startsWith("--")));
const variant = flags.has("--sanitize") ? "sanitize" : flags.has("--gc-stress") ? "gc-stress" : "release";
const system = process.env.TSBOX_QUICKJS === "system";
const hasMusl = (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, "musl-gcc")));
/* The sanitizers' run time and Debian's libquickjs are built against glibc. */
const musl = hasMusl && variant !== "sanitize" && !system && !flags.has("--glibc");

const engineSources = "node_modules/qjsc/deps/quickjs_2021_03_27";
const include = system ? "/usr/include/quickjs" : engineSources;
const folder = join("build", variant + (musl ? "" : "-glibc") + (system ? "-system" : ""));
const bin = variant === "release" ? "bin" : join("build", variant, "bin");
mkdirSync(folder, { recursive: true });
mkdirSync(bin, { recursive: true });

const compiler = musl ? "musl-gcc" : "gcc";
const base = ["-std=gnu11", "-D_GNU_SOURCE", "-isystem", include, "-Inative/host", "-ffunction-sections", "-fdata-sections"];
const engineFlags = [...base, "-w", '-DCONFIG_VERSION="2021-03-27"'];
const variantFlags = {
	release: ["-O2", "-fno-asynchronous-unwind-tables"],
	"gc-stress": ["-O2", "-DFORCE_GC_AT_MALLOC", "-DTSBOX_GC_THRESHOLD=0"],
	sanitize: ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-DTSBOX_LIBC_HEAP"],
}[variant];
const linkFlags = variant === "sanitize" ? ["-fsanitize=address,undefined"] : ["-static", "-s", "-Wl,--gc-sections", "-Wl,-z,norelro"];

/** True where `output` is newer than all of `inputs`. */
function isFresh(output, inputs) {
	if (!existsSync(output)) return false;
	const made = statSync(output).mtimeMs;
	return inputs.every((input) => statSync(input).mtimeMs < made);
}

async function run(program, args) {
	const { exitCode, all } = await execa(program, args, { all: true, reject: false });
	if (exitCode !== 0) throw new Error(`${program} ${args.join(" ")}\n${all}`);
	if (all) console.error(all);
}

async function compile(source, output, cc, options) {
	const stamp = `${output}.flags`;
	const command = [cc, ...options].join(" ");
	const headers = ["native/host/tool.h", "native/host/heap.h"];
	if (isFresh(output, [source, ...headers]) && existsSync(stamp) && readFileSync(stamp, "utf8") === command) return output;
	await run(cc, [...options, "-c", source, "-o", output]);
	writeFileSync(stamp, command);
	return output;
}

const engineFiles = ["quickjs", "cutils", "libregexp", "libunicode"];

/** The objects that every tool is linked with. */
async function buildEngine() {
	const own = ["host", "heap"].map((name) =>
		compile(`native/host/${name}.c`, join(folder, `${name}.o`), compiler, [
			...base,
			"-Wall",
			"-Wextra",
			"-Wno-unused-parameter",
			...variantFlags,
		]),
	);
	if (system) {
		const library = readdirSync("/usr/lib")
			.map((name) => `/usr/lib/${name}/quickjs/libquickjs.a`)
			.find((path) => existsSync(path));
		if (!library) throw new Error("TSBOX_QUICKJS=system: Debian's package libquickjs is not installed");
		return [...(await Promise.all(own)), library];
	}
	const engine = engineFiles.map((name) =>
		compile(join(engineSources, `${name}.c`), join(folder, `${name}.o`), compiler, [...engineFlags, ...variantFlags]),
	);
	return Promise.all([...own, ...engine]);
}

/** The program that compiles a script to bytecode; it runs here, so it is built for this machine's C library. */
async function buildCompiler() {
	const output = join("build", system ? "bytecode-system" : "bytecode");
	const sources = system ? [] : engineFiles.map((name) => join(engineSources, `${name}.c`));
	if (isFresh(output, ["native/host/bytecode.c", ...sources])) return output;
	const library = system
		? readdirSync("/usr/lib")
				.map((name) => `/usr/lib/${name}/quickjs/libquickjs.a`)
				.filter((path) => existsSync(path))
		: [];
	await run("gcc", [
		"-O0",
		...engineFlags,
		"native/host/bytecode.c",
		...sources,
		...library,
		"-lm",
		"-ldl",
		"-lpthread",
		"-o",
		`${output}.new`,
	]);
	renameSync(`${output}.new`, output);
	return output;
}

/** The engine's parts that can be left out, and the words in a bundle that call for each. */
const intrinsics = [
	["TypedArrays", /\b(Uint8Array|ArrayBuffer|DataView|Uint32Array|Int32Array)\b/],
	["JSON", /\bJSON\./],
	["MapSet", /\bnew (Map|Set|WeakMap)\b/],
	["RegExpCompiler", /\bRegExp\(/],
	["RegExp", /[=(,:!&|?]\s*\/(?![*/])(\\.|\[[^\]]*\]|[^/\n])+\/[gimsuy]*\s*[.,;)\]]|\.split\(\/|return \/|\bRegExp\(/],
	["Promise", /\b(Promise|await)\b/],
	["Date", /\b(new )?Date\b/],
	["Proxy", /\bnew Proxy\b/],
];

/** What most runs do not need: the help, the values of options, records, and what an error or --trace prints. */
const onDemand = [
	"cmds/common/help.ts",
	"cmds/common/hints.ts",
	"cmds/common/record.ts",
	"cmds/common/values.ts",
	"native/linux/strerror.ts",
	"native/linux/trace.ts",
];

/**
 * Cuts the bundle into what every run needs (part 0) and what is loaded when it is first called.
 *
 * A module of the tool's own folder that main.ts imports is the root of a part if it exports functions only; so are those
 * of `onDemand`. Part 0 has a stub for each function of such a root that it calls; the stub loads the part, whose
 * function then takes the stub's name. Modules that several roots share and main.ts does not need are parts themselves.
 * All parts are scripts in one global scope, in which esbuild has made each name unique.
 */
function split(bundle, metafile, entry) {
	/* esbuild writes a comment with its path above each module's code. */
	const pieces = [{ path: "", lines: [] }];
	for (const line of bundle.split("\n")) {
		const path = line.startsWith("// ") ? line.slice(3) : "";
		if (metafile.inputs[path]) pieces.push({ path, lines: [] });
		pieces.at(-1).lines.push(line);
	}
	const imports = (module) => (metafile.inputs[module]?.imports ?? []).map((i) => i.path);
	const exportsFunctionsOnly = (module) => !/^export (?!function\*? |interface |type )/m.test(readFileSync(module, "utf8"));
	const roots = new Set(
		[...imports(entry).filter((module) => dirname(module) === dirname(entry)), ...onDemand].filter(
			(module) => metafile.inputs[module] && exportsFunctionsOnly(module),
		),
	);
	const reach = (from, seen = new Set()) => {
		seen.add(from);
		for (const next of imports(from)) if (!seen.has(next) && !roots.has(next)) reach(next, seen);
		return seen;
	};
	const eager = reach(entry);
	const users = new Map();
	/* A root that another root calls is reached through its stub, like from part 0. */
	for (const module of roots)
		for (const reached of reach(module)) if (!eager.has(reached)) users.set(reached, [...(users.get(reached) ?? []), module]);

	const groups = new Map();
	let first = "";
	for (const piece of pieces) {
		const key = users.get(piece.path)?.join() ?? "";
		const text = `${piece.lines.join("\n")}\n`;
		if (key) groups.set(key, (groups.get(key) ?? "") + text);
		else first += text;
	}
	const keys = [...groups.keys()];
	let stubs = "";
	for (const module of roots) {
		const text = pieces
			.filter((piece) => piece.path === module)
			.flatMap((piece) => piece.lines)
			.join("\n");
		const others = pieces
			.filter((piece) => piece.path !== module)
			.flatMap((piece) => piece.lines)
			.join("\n");
		/* Shared parts before those of fewer roots: what they define at their top level is used by the latter's. */
		const parts = keys.filter((key) => key.split(",").includes(module)).sort((a, b) => b.split(",").length - a.split(",").length);
		const loads = parts.map((key) => `__host.load(${keys.indexOf(key) + 1});`).join("");
		for (const [, name] of text.matchAll(/^function\*? (\w+)\(/gm))
			if (new RegExp(`\\b${name}\\b`).test(others)) stubs += `function ${name}(...args){${loads}return ${name}(...args)}\n`;
	}
	/*
	 * QuickJS runs part 0 in place only if the atoms of its bytecode get the numbers that they were written with: the first
	 * that are free. One is not: a context makes the atom AggregateError, past the built-in ones. Named first, it fits again.
	 */
	return [`var AggregateError;\n${stubs}${first}`, ...groups.values()].map((text) => `"use strict";\n${text}`);
}

async function buildTool({ entry, output, work }, objects, bytecode) {
	const tool = basename(output);
	const { outputFiles, metafile } = await esbuild.build({
		entryPoints: [entry],
		bundle: true,
		write: false,
		metafile: true,
		format: "esm",
		target: "es2020",
		conditions: ["quickjs"],
		inject: ["native/host/runtime.ts"],
		minifySyntax: true,
		legalComments: "none",
		define: {
			"process.arch": JSON.stringify(process.arch),
			TSBOX_VERSION: JSON.stringify(JSON.parse(readFileSync("package.json", "utf8")).version),
		},
		logLevel: "error",
	});
	const bundle = outputFiles[0].text;
	const hash = createHash("sha256").update(bundle).update(folder).update(readFileSync("native/build.mjs")).digest("hex");
	const stamp = join(work, "bundle.hash");
	mkdirSync(work, { recursive: true });
	mkdirSync(dirname(output), { recursive: true });
	if (isFresh(output, objects) && existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return;

	const parts = split(bundle, metafile, entry);
	await Promise.all(
		parts.map(async (text, i) => {
			writeFileSync(join(work, `part${i}.js`), text);
			await run(bytecode, [join(work, `part${i}.js`), join(work, `part${i}.bytecode`)]);
		}),
	);
	if (parts.length > 64) throw new Error(`${tool}: host.c counts 64 parts at most`);
	const used = intrinsics.filter(([, pattern]) => pattern.test(bundle)).map(([intrinsic]) => `\tJS_AddIntrinsic${intrinsic}(ctx);`);
	const all = (make) => parts.map((_, i) => make(i)).join("\n");
	writeFileSync(
		join(work, "tool.c"),
		`#include "quickjs.h"
#include "tool.h"
${all(
	(i) => `__asm__(".section .data\\n.balign 16\\npart${i}: .incbin \\"${join(work, `part${i}.bytecode`)}\\"\\npart${i}_end:\\n.previous");
extern const uint8_t part${i}[], part${i}_end[];`,
)}
const char tool_name[] = "${tool}";
const struct tool_part tool_parts[] = {
${all((i) => `\t{ part${i}, part${i}_end },`)}
};
const size_t tool_part_count = ${parts.length};
void tool_intrinsics(JSContext *ctx)
{
	JS_AddIntrinsicBaseObjects(ctx);
${used.join("\n")}
}
`,
	);
	await run(compiler, [
		...base,
		...variantFlags,
		join(work, "tool.c"),
		...objects,
		...linkFlags,
		"-lm",
		...(system ? ["-ldl", "-lpthread"] : []),
		"-o",
		`${output}.new`,
	]);
	renameSync(`${output}.new`, output);
	writeFileSync(stamp, hash);
	console.log(`${output}: ${Math.round(statSync(output).size / 1000)} kB`);
}

const named = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));

/** What the command line asks for: each with its main.ts, the file to make of it, and a folder for what comes between. */
function chooseTools() {
	if (flags.has("--tool")) return [{ entry: named[0], output: named[1], work: join(folder, "tool", basename(named[1])) }];
	return readdirSync("cmds")
		.filter((name) => existsSync(`cmds/${name}/main.ts`))
		.map((name) => ({ name, tool: name === "initd" ? "tsinit" : `ts${name}` }))
		.filter(({ name, tool }) => named.length === 0 || named.includes(name) || named.includes(tool))
		.map(({ name, tool }) => ({ entry: `cmds/${name}/main.ts`, output: join(bin, tool), work: join(folder, name) }));
}

try {
	const [objects, bytecode] = await Promise.all([buildEngine(), buildCompiler()]);
	for (const tool of chooseTools()) await buildTool(tool, objects, bytecode);
} catch (error) {
	console.error(error.message);
	process.exit(1);
}
