/**
 * Cuts a bundle into what every run needs (part 0) and what is loaded when it is first called.
 *
 * A module that parts.mjs lists is the root of a part. Part 0 has a stub for each function of such a root; the stub loads
 * the part, whose function then takes the stub's name. What several roots share and main.ts does not need becomes parts by
 * itself. All parts are scripts in one global scope, in which esbuild has made each name unique.
 */
import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";
import * as esbuild from "esbuild";

/** The bundle by modules: esbuild writes a comment with its path above each one's code. */
function modulesOf(bundle, metafile) {
	const modules = new Map([["", []]]);
	let lines = modules.get("");
	for (const line of bundle.split("\n")) {
		const path = line.startsWith("// ") ? line.slice(3) : "";
		if (metafile.inputs[path]) {
			lines = modules.get(path) ?? [];
			modules.set(path, lines);
		}
		lines.push(line);
	}
	return modules;
}

/** Throws where a listed part exports anything but functions: a stub can stand for nothing else. */
async function checkExports(roots, importersOf) {
	const { outputFiles, metafile } = await esbuild.build({
		entryPoints: roots,
		outdir: "/",
		outbase: ".",
		write: false,
		metafile: true,
		format: "esm",
		logLevel: "error",
	});
	const outputs = Object.values(metafile.outputs);
	for (const [i, { exports, entryPoint }] of outputs.entries()) {
		const functions = [...outputFiles[i].text.matchAll(/^(?:async )?function\*? ?(\w+)\(/gm)].map(([, name]) => name);
		const others = exports.filter((name) => !functions.includes(name));
		if (others.length > 0)
			throw new Error(
				`${entryPoint}: a part can export functions only, and ${others.join(", ")} is none: move it to another module ` +
					`(the part's importers: ${importersOf(entryPoint).join(", ")})`,
			);
	}
	return new Map(outputs.map(({ exports, entryPoint }) => [entryPoint, exports]));
}

/**
 * Runs the top level of part 0 with a host that only tells what is loaded there. Throws where a part is: it would be loaded by every run.
 * `moduleAt` gives the module of a line of part 0, `rootOf` the root that a load is for.
 */
function checkEagerLoads(tool, part0, moduleAt, rootOf) {
	const finished = {};
	let found;
	const host = {
		load: () => {
			/* The stub is the second line of the stack, its caller the third. */
			const lines = [...new Error().stack.matchAll(/part0\.js:(\d+)/g)].map(([, line]) => Number(line) - 1);
			found ??= { root: rootOf(lines[0]), caller: moduleAt(lines[1]) };
			throw finished;
		},
		/* Every tool begins by reading its arguments; by then all top levels have run. */
		argv: () => {
			throw finished;
		},
		environ: () => [],
		syscall: () => 0,
		encode: (text) => new TextEncoder().encode(text).buffer,
		decode: () => "",
		addressOf: () => 0,
	};
	try {
		runInNewContext(part0, { __host: host }, { filename: "part0.js" });
	} catch (error) {
		if (error !== finished) throw new Error(`${tool}: part 0 does not run: ${error.stack}`);
	}
	if (found)
		throw new Error(`${found.root}: listed as a part, yet every run loads it: ${found.caller} calls it while it is being loaded itself`);
}

/**
 * The scripts of a tool's parts, part 0 first. `listed` are the paths of modules that are to be loaded on demand; those of
 * `optional` may be missing in the bundle.
 */
export async function split({ tool, bundle, metafile, entry, listed, optional }) {
	const imports = (module) => (metafile.inputs[module]?.imports ?? []).filter((i) => !i.external).map((i) => i.path);
	const importersOf = (module) => Object.keys(metafile.inputs).filter((other) => imports(other).includes(module));
	for (const module of listed)
		if (importersOf(module).length === 0) throw new Error(`native/parts.mjs: ${tool}: nothing imports ${module}`);
	const roots = new Set([...listed, ...optional.filter((module) => metafile.inputs[module])]);
	const exported = await checkExports([...roots], importersOf);
	const modules = modulesOf(bundle, metafile);

	const reach = (from, seen = new Set()) => {
		seen.add(from);
		for (const next of imports(from)) if (!seen.has(next) && !roots.has(next)) reach(next, seen);
		return seen;
	};
	const eager = reach(entry);
	/* By module, the roots that need it. A root that another root calls is reached through its stub, as from part 0. */
	const users = new Map();
	for (const root of roots)
		for (const module of reach(root)) if (!eager.has(module)) users.set(module, [...(users.get(module) ?? []), root]);

	const groups = new Map();
	const first = [];
	for (const [path, lines] of modules) {
		const key = users.get(path)?.join() ?? "";
		if (key) groups.set(key, [...(groups.get(key) ?? []), ...lines]);
		else first.push(...lines.map((line) => ({ line, path })));
	}
	const keys = [...groups.keys()];
	const stubs = [];
	for (const root of roots) {
		const names = [...(modules.get(root) ?? []).join("\n").matchAll(/^(?:async )?function\*? ?(\w+)\(/gm)]
			.map(([, name]) => name)
			/* esbuild numbers a name that two modules have. */
			.filter((name) => exported.get(root).some((known) => name === known || name.replace(/\d+$/, "") === known));
		const others = [...modules].flatMap(([path, lines]) => (path === root ? [] : lines)).join("\n");
		/* Shared parts before those of fewer roots: what they define at their top level is used by the latter's. */
		const parts = keys.filter((key) => key.split(",").includes(root)).sort((a, b) => b.split(",").length - a.split(",").length);
		const loads = parts.map((key) => `__host.load(${keys.indexOf(key) + 1});`).join("");
		for (const name of names)
			if (new RegExp(`\\b${name}\\b`).test(others))
				stubs.push({ line: `function ${name}(...args){${loads}return ${name}(...args)}`, path: root });
	}
	/*
	 * QuickJS runs part 0 in place only if the atoms of its bytecode get the numbers that they were written with: the first
	 * that are free. One is not: a context makes the atom AggregateError, past the built-in ones. Named first, it fits again.
	 */
	const lines = [{ line: '"use strict";', path: "" }, { line: "var AggregateError;", path: "" }, ...stubs, ...first];
	const part0 = `${lines.map(({ line }) => line).join("\n")}\n`;
	const moduleAt = (number) => lines[number]?.path ?? "";
	checkEagerLoads(tool, part0, moduleAt, moduleAt);
	return [part0, ...[...groups.values()].map((group) => `"use strict";\n${group.join("\n")}\n`)];
}

/** The globals by the intrinsic of the engine that brings them. What is not named here belongs to the base objects. */
const INTRINSICS = {
	Date: ["Date"],
	RegExp: ["RegExp"],
	JSON: ["JSON"],
	Proxy: ["Proxy"],
	MapSet: ["Map", "Set", "WeakMap", "WeakSet"],
	TypedArrays: [
		...["ArrayBuffer", "SharedArrayBuffer", "DataView", "Uint8ClampedArray", "Float32Array", "Float64Array", "Atomics"],
		...["Int8Array", "Uint8Array", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array", "BigInt64Array", "BigUint64Array"],
	],
	Promise: ["Promise"],
};

/**
 * The engine's intrinsics that scripts use, one list a script: each global that is free in a script is, for esbuild, an import from a
 * module that stands for its intrinsic, and so is an async function, written without (`Promise`). A regular expression's literal is seen when it is compiled (bytecode.c).
 */
export async function intrinsicsOf(scripts) {
	const names = Object.keys(INTRINSICS);
	const { metafile } = await esbuild.build({
		entryPoints: scripts,
		outdir: "/",
		bundle: true,
		write: false,
		metafile: true,
		format: "esm",
		supported: { "async-await": false },
		inject: names.map((name) => `intrinsic:${name}`),
		logLevel: "error",
		plugins: [
			{
				name: "intrinsics",
				setup(build) {
					build.onResolve({ filter: /^intrinsic:/ }, ({ path }) => ({ path, namespace: "intrinsic", sideEffects: false }));
					build.onLoad({ filter: /./, namespace: "intrinsic" }, ({ path }) => ({
						contents: INTRINSICS[path.slice("intrinsic:".length)].map((name) => `export let ${name} = 0;`).join("\n"),
					}));
					/* As one function's body: a function that this script alone does not call would be left out. */
					build.onLoad({ filter: /\.js$/, namespace: "file" }, ({ path }) => ({
						contents: `export function script() {\n${readFileSync(path, "utf8")}}`,
					}));
				},
			},
		],
	});
	const byScript = new Map(
		Object.values(metafile.outputs).map(({ entryPoint, inputs }) => [
			entryPoint,
			names.filter((name) => inputs[`intrinsic:intrinsic:${name}`]?.bytesInOutput > 0),
		]),
	);
	return scripts.map((script) => byScript.get(script));
}
