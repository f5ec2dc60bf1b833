/**
 * npm run build [-- [--sanitize | --gc-stress] [--glibc] [TOOL...]]
 *
 * Makes bin/tsNAME of each cmds/NAME with a main.ts: esbuild bundles it, split.mjs cuts the bundle into the parts that parts.mjs
 * lists, bytecode.c compiles them, and the linker joins the bytecode with the engine and the host. What is up to date is left alone.
 *
 *   --sanitize    with ASan and UBSan, into build/sanitize/bin
 *   --gc-stress   the engine collects garbage at every allocation, into build/gc-stress/bin
 *   --glibc       glibc although musl-gcc is there
 *   --tool MAIN.ts OUTPUT [PARTS.mjs]   another program than those of cmds, for a test
 *
 * TSBOX_QUICKJS=FOLDER builds with the sources of another QuickJS, into build/VARIANT-FOLDER/bin.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as esbuild from "esbuild";
import { execa } from "execa";
import { engine, isFresh } from "./engine.mjs";
import * as ownParts from "./parts.mjs";
import { buildScripts } from "./scripts.mjs";
import { makeSeccompDefault } from "./seccomp-default.mjs";
import { intrinsicsOf, split } from "./split.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

const flags = new Set(process.argv.slice(2).filter((arg) => arg.startsWith("--")));
const named = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
const variant = flags.has("--sanitize") ? "sanitize" : flags.has("--gc-stress") ? "gc-stress" : "release";

/** What parts.mjs says of a tool: the paths of its parts, and the budget of part 0. A tool that it does not list has none of its own. */
function partsOf(name, folder, { common, tools, defaultBudget }) {
	const { parts = [], budget = defaultBudget } = tools[name] ?? {};
	const path = (part) => (/^(cmds|native)\//.test(part) ? part : `${folder}/${part}`);
	return { listed: parts.map((part) => `${path(part)}.ts`), optional: common.map((part) => `${part}.ts`), budget };
}

/** Compiles a script; returns how long the bytecode is, and whether the script has a regular expression in it. */
async function toBytecode(compiler, script, output) {
	const { exitCode, all } = await execa(compiler, [script, output], { all: true, reject: false });
	if (exitCode !== 0) throw new Error(all);
	return { size: statSync(output).size, hasRegExp: all.includes("RegExp") };
}

/** The C file that names the tool and its parts; see tool.h. */
function toolSource(tool, parts) {
	const used = [...new Set(parts.flatMap(({ intrinsics }) => intrinsics))];
	const bits = (intrinsics) => intrinsics.reduce((sum, name) => sum | (1 << used.indexOf(name)), 0);
	const include = (
		{ bytecode },
		i,
	) => `__asm__(".section .data\\n.balign 16\\npart${i}: .incbin \\"${bytecode}\\"\\npart${i}_end:\\n.previous");
extern const uint8_t part${i}[], part${i}_end[];`;
	return `#include "quickjs.h"
#include "tool.h"
${parts.map(include).join("\n")}
const char tool_name[] = "${tool}";
const struct tool_part tool_parts[] = {
${parts.map(({ intrinsics }, i) => `\t{ part${i}, part${i}_end, ${bits(intrinsics)} },`).join("\n")}
};
const size_t tool_part_count = ${parts.length};
unsigned char tool_part_loaded[${parts.length}];
void tool_intrinsics(JSContext *ctx, unsigned wanted)
{
${used.map((name, i) => `\tif (wanted & ${1 << i})\n\t\tJS_AddIntrinsic${name}(ctx);`).join("\n")}
}
`;
}

async function buildTool({ name, entry, output, work, lists }, made, objects, compiler) {
	const tool = basename(output);
	const { outputFiles, metafile } = await esbuild.build({
		entryPoints: [entry],
		bundle: true,
		write: false,
		metafile: true,
		format: "esm",
		target: "es2020",
		conditions: ["quickjs"],
		minifySyntax: true,
		legalComments: "none",
		define: {
			"process.arch": JSON.stringify(process.arch),
			TSBOX_VERSION: JSON.stringify(JSON.parse(readFileSync("package.json", "utf8")).version),
		},
		logLevel: "error",
	});
	const bundle = outputFiles[0].text;
	const parts = partsOf(name, dirname(entry), lists);
	const hash = createHash("sha256").update(bundle).update(made.folder).update(JSON.stringify(parts));
	for (const file of ["build", "split"]) hash.update(readFileSync(`native/${file}.mjs`));
	const stamp = join(work, "bundle.hash");
	const digest = hash.digest("hex");
	mkdirSync(work, { recursive: true });
	mkdirSync(dirname(output), { recursive: true });
	if (isFresh(output, [...objects, compiler]) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;

	const scripts = await split({ tool, bundle, metafile, entry, ...parts });
	const paths = scripts.map((text, i) => {
		const path = join(work, `part${i}.js`);
		writeFileSync(path, text);
		return path;
	});
	const intrinsics = await intrinsicsOf(paths);
	const compiled = await Promise.all(
		paths.map(async (path, i) => {
			const bytecode = path.replace(/js$/, "bytecode");
			const { size, hasRegExp } = await toBytecode(compiler, path, bytecode);
			const always = i === 0 ? ["BaseObjects", "TypedArrays"] : [];
			return { bytecode, size, intrinsics: [...new Set([...always, ...intrinsics[i], ...(hasRegExp ? ["RegExp"] : [])])] };
		}),
	);
	const { size } = compiled[0];
	if (size > parts.budget)
		throw new Error(
			`${tool}: what every run loads has grown to ${size} bytes, more than the ${parts.budget} that native/parts.mjs allows: ` +
				`list what a short run does not need as a part (${join(work, "part0.js")} shows what is in it)`,
		);
	const source = join(work, "tool.c");
	writeFileSync(source, toolSource(tool, compiled));
	await made.link(source, objects, output);
	writeFileSync(stamp, digest);
	console.log(`${output}: ${Math.round(statSync(output).size / 1000)} kB, part 0: ${size} of ${parts.budget} bytes`);
}

/** What the command line asks for: each with its main.ts, the file to make of it, and a folder for what comes between. */
async function chooseTools({ folder, bin }) {
	if (flags.has("--tool")) {
		const [entry, output, list] = named;
		const lists = list ? await import(pathToFileURL(resolve(list)).href) : { ...ownParts, tools: {} };
		return [{ name: basename(output), entry, output, work: join(folder, "tool", basename(output)), lists }];
	}
	return readdirSync("cmds")
		.filter((name) => existsSync(`cmds/${name}/main.ts`))
		.map((name) => ({ name, tool: name === "initd" ? "tsinit" : `ts${name}` }))
		.filter(({ name, tool }) => named.length === 0 || named.includes(name) || named.includes(tool))
		.map(({ name, tool }) => ({
			name,
			entry: `cmds/${name}/main.ts`,
			output: join(bin, tool),
			work: join(folder, name),
			lists: ownParts,
		}));
}

try {
	const made = engine(variant, flags.has("--glibc"), process.env.TSBOX_QUICKJS || undefined);
	const [objects, compiler] = await Promise.all([made.objects(), made.bytecode(), makeSeccompDefault()]);
	mkdirSync(made.bin, { recursive: true });
	if (!flags.has("--tool")) buildScripts(made.bin);
	for (const tool of await chooseTools(made)) await buildTool(tool, made, objects, compiler);
} catch (error) {
	console.error(error.message);
	process.exit(1);
}
