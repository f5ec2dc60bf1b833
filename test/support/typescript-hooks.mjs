/** Types are stripped as the build does it; the source map keeps a debugger and a stack trace on the TypeScript. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";

export async function load(url, context, next) {
	if (!url.endsWith(".ts") || url.endsWith(".d.ts")) return next(url, context);
	const path = fileURLToPath(url);
	const { code } = await transform(await readFile(path, "utf8"), {
		loader: "ts",
		format: "esm",
		target: "node20",
		sourcefile: path,
		sourcemap: "inline",
		define: { TSBOX_VERSION: '"test"' },
	});
	return { format: "module", source: code, shortCircuit: true };
}
