/** The build's cut into parts (native/parts.mjs), on small tools written here: what is loaded when, and what the build refuses. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { hasCompiler } from "../support/c.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const needsCompiler = hasCompiler ? {} : { skip: "there is no gcc" };

interface Fixture {
	/** By file name. */
	files: Record<string, string>;
	parts: string[];
	budget?: number;
}

const PRINT = `import * as host from "#host";
import { SYS_write } from "../../native/linux/nr.ts";
export function print(line: string) { host.syscall(SYS_write, 1, line + "\\n", line.length + 1); }
`;
const MAIN = `import * as host from "#host";
import { print } from "./print.ts";
import { greet } from "./lazy/greet.ts";
const [, word] = host.argv();
print("started");
if (word) print(greet(word));
`;
const GREET = `import { print } from "../print.ts";
print("greet is loaded");
const words = new Map([["de", "hallo"]]);
export function greet(language: string) { return words.get(language) ?? "hello"; }
`;
const files = { "main.ts": MAIN, "print.ts": PRINT, "lazy/greet.ts": GREET };

mkdirSync(join(root, "build"), { recursive: true });

/** Builds a tool of these files; returns what the build said, and a way to run the tool. */
function build(t: Test, { files, parts, budget = 10_000 }: Fixture) {
	/* In build/, so that the paths of native/linux are the same as from cmds. */
	const folder = mkdtempSync(join(root, "build/parts-"));
	t.teardown(() => {
		rmSync(folder, { recursive: true });
		rmSync(join(root, "build/release/tool", tool), { recursive: true, force: true });
	});
	const tool = relative(join(root, "build"), folder);
	for (const [name, text] of Object.entries(files)) {
		mkdirSync(join(folder, name, ".."), { recursive: true });
		writeFileSync(join(folder, name), text);
	}
	writeFileSync(
		join(folder, "parts.mjs"),
		`export const defaultBudget = 1000, common = [], tools = ${JSON.stringify({ [tool]: { parts, budget } })};`,
	);
	const { status, stderr } = spawnSync(
		process.execPath,
		["native/build.mjs", "--tool", `build/${tool}/main.ts`, `build/${tool}/${tool}`, `build/${tool}/parts.mjs`],
		{ cwd: root, encoding: "utf8" },
	);
	const run = (...words: string[]) => spawnSync(join(folder, tool), words, { encoding: "utf8" });
	return { status, said: stderr.split(`build/${tool}/`).join(""), run };
}

t.test("a listed module is loaded when it is first called, from whatever folder", needsCompiler, async (t) => {
	const { status, said, run } = build(t, { files, parts: ["lazy/greet"] });
	t.same({ status, said }, { status: 0, said: "" });
	t.equal(run().stdout, "started\n");
	t.equal(run("de").stdout, "started\ngreet is loaded\nhallo\n");
});

t.test("a module that is not listed is loaded at once", needsCompiler, async (t) => {
	const { run } = build(t, { files, parts: [] });
	t.equal(run().stdout, "greet is loaded\nstarted\n");
});

t.test("a tool may have hundreds of parts, and parts that call each other", needsCompiler, async (t) => {
	const count = 150;
	const many: Record<string, string> = { "print.ts": PRINT };
	for (let i = 0; i < count; i++)
		many[`step${i}.ts`] =
			i === count - 1
				? `export function step${i}(n: number) { return n; }`
				: `import { step${i + 1} } from "./step${i + 1}.ts";\nexport function step${i}(n: number) { return step${i + 1}(n + 1); }`;
	many["main.ts"] =
		`import { argv } from "#host";\nimport { print } from "./print.ts";\nimport { step0 } from "./step0.ts";\nargv();\nprint(String(step0(1)));`;
	const { status, said, run } = build(t, { files: many, parts: Array.from({ length: count }, (_, i) => `step${i}`), budget: 20_000 });
	t.same({ status, said }, { status: 0, said: "" });
	t.equal(run().stdout, `${count}\n`);
});

for (const [name, fixture, message] of [
	[
		"a part that exports anything but functions",
		{ files: { ...files, "lazy/greet.ts": `${GREET}export const LANGUAGE = "de";\n` }, parts: ["lazy/greet"] },
		/^lazy\/greet\.ts: a part can export functions only, and LANGUAGE is none: .*\(the part's importers: main\.ts\)\n$/,
	],
	[
		"a part that the top level of a module calls",
		{
			files: {
				...files,
				"table.ts": `import { greet } from "./lazy/greet.ts";\nexport const table = [greet("de")];\n`,
				"main.ts": `import { table } from "./table.ts";\n${MAIN}print(table[0] ?? "");`,
			},
			parts: ["lazy/greet"],
		},
		/^lazy\/greet\.ts: listed as a part, yet every run loads it: table\.ts calls it while it is being loaded itself\n$/,
	],
	[
		"a listed part that nothing imports",
		{ files: { ...files, "other.ts": "export function other() {}\n" }, parts: ["lazy/greet", "other"] },
		/: nothing imports other\.ts\n$/,
	],
	["a part 0 beyond its budget", { files, parts: [], budget: 300 }, /has grown to \d+ bytes, more than the 300 that .* allows/],
] as [string, Fixture, RegExp][])
	t.test(`the build refuses ${name}`, needsCompiler, async (t) => {
		const { status, said } = build(t, fixture);
		t.equal(status, 1);
		t.match(said, message);
	});
