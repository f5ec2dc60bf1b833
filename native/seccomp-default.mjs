/**
 * Makes build/seccomp-default.ts, which the tools import as `#seccomp-default`: the default seccomp policy compiled for the
 * capability sets that containers mostly have, so that a container's start compiles nothing.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import * as esbuild from "esbuild";

const FILE = "build/seccomp-default.ts";

/** What of a capability set the policy looks at: that of Docker's 14, of none, and of all (see relevantCapabilities). */
const sets = ({ relevantCapabilities, BY_CAPABILITY }) => [["SYS_CHROOT"], [], relevantCapabilities(Object.keys(BY_CAPABILITY))];

/** Runs the compiler of native/linux/seccomp here, and writes the module if it has changed. */
export async function makeSeccompDefault() {
	const { outputFiles } = await esbuild.build({
		stdin: {
			contents: 'export * from "./default-words.ts"; export { BY_CAPABILITY, relevantCapabilities } from "./default.ts";',
			resolveDir: "native/linux/seccomp",
		},
		bundle: true,
		write: false,
		format: "esm",
		target: "es2022",
	});
	const compiler = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
	const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
	const cases = sets(compiler).map(
		(names) => `\tif (capabilities === ${JSON.stringify(names.join())}) return [${compiler.compileDefault(names, machine)}];\n`,
	);
	const text = `/* Made by native/seccomp-default.mjs. */\nexport function compiledDefault(capabilities) {\n${cases.join("")}}\n`;
	if (existsSync(FILE) && readFileSync(FILE, "utf8") === text) return;
	mkdirSync("build", { recursive: true });
	writeFileSync(`${FILE}.${process.pid}`, text);
	renameSync(`${FILE}.${process.pid}`, FILE);
}
