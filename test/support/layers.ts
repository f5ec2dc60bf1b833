/** Who imports whom, and what of it breaks the layers: `cmds/X` → `cmds/common` → `native/linux` → `native/host`. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";

/** By file, the files that it imports; a path of the repository each. Those of `types` are imported for their types only. */
export interface Imports {
	values: Map<string, string[]>;
	types: Map<string, string[]>;
}

/** The imports of `files` below `root`, as esbuild finds them when it bundles for a tool. */
export async function importsOf(root: string, files: string[]): Promise<Imports> {
	const { metafile } = await build({
		absWorkingDir: root,
		entryPoints: files,
		outdir: "/",
		bundle: true,
		write: false,
		metafile: true,
		format: "esm",
		conditions: ["quickjs"],
		logLevel: "error",
	});
	const own = Object.entries(metafile.inputs).filter(([path]) => !path.startsWith("node_modules/"));
	const values = new Map(own.map(([path, { imports }]) => [path, imports.filter(({ external }) => !external).map((i) => i.path)]));
	/* Types are erased before esbuild looks. */
	const types = new Map(
		own.map(([path]) => [
			path,
			[...readFileSync(join(root, path), "utf8").matchAll(/^import type [^;]*? from "(\.[^"]*)";$/gm)].map(([, name]) =>
				join(dirname(path), name as string),
			),
		]),
	);
	return { values, types };
}

/* In build/ are tables that the build made. */
const FLOORS = ["cmds/common/", "native/linux/", "native/host/", "build/"];

/** The highest floor that a file may import from: its own; the folder of a tool stands above all. */
function floor(path: string): number {
	return FLOORS.findIndex((folder) => path.startsWith(folder));
}

function toolOf(path: string): string | undefined {
	const [top, tool] = path.split("/");
	return top === "cmds" && tool !== "common" ? tool : undefined;
}

/** Imports against the direction, and those between tools: `from > to`. */
export function againstTheDirection({ values, types }: Imports): string[] {
	const found: string[] = [];
	for (const map of [values, types])
		for (const [from, all] of map)
			for (const to of all) {
				if (to.startsWith("node_modules/")) continue;
				const isWrong = toolOf(to) === undefined ? floor(to) < floor(from) : toolOf(to) !== toolOf(from);
				if (isWrong) found.push(`${from} > ${to}`);
			}
	return [...new Set(found)];
}

/** The imports of `to` from below `folder`: `from`. */
export function importersBelow(folder: string, to: string, { values, types }: Imports): string[] {
	const importers = [values, types].flatMap((map) => [...map].filter(([, all]) => all.includes(to)).map(([from]) => from));
	return [...new Set(importers)].filter((from) => from.startsWith(folder)).sort();
}

/** The circles of imports, but for those through an edge `from > to` of `ignored`: each as the sorted list of its files. */
export function circles({ values }: Imports, ignored: readonly string[] = []): string[][] {
	const reachable = (start: string) => {
		const seen = new Set<string>();
		const rest = [start];
		for (let from = rest.pop(); from !== undefined; from = rest.pop())
			for (const to of values.get(from) ?? [])
				if (!seen.has(to) && !ignored.includes(`${from} > ${to}`)) {
					seen.add(to);
					rest.push(to);
				}
		return seen;
	};
	const reach = new Map([...values.keys()].map((file) => [file, reachable(file)]));
	const found = new Map<string, string[]>();
	for (const [file, seen] of reach) {
		if (!seen.has(file)) continue;
		const circle = [...seen].filter((other) => reach.get(other)?.has(file)).sort();
		found.set(circle.join(), circle);
	}
	return [...found.values()];
}
