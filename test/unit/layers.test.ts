/** The layers of the code (README, "How it works"): who may import whom. support/layers.ts says what is looked at. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { againstTheDirection, circles, importersBelow, importsOf } from "../support/layers.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The modules of cmds that may call the host by themselves. */
const HOST_IN_CMDS: Record<string, string> = {
	"cmds/common/command-line/tool.ts": "the frame of every tool: reads argv, ends the process",
	"cmds/dmthin/main.ts": "looks by what name it is called",
	"cmds/unshare/container/own-binary.ts": "starts the tool anew with its own argv",
};

/** Modules that know a call's number, until native/linux binds the call. */
const NUMBERS_IN_CMDS: Record<string, string> = {
	"cmds/unshare/ls/namespaces.ts": "openat, readlinkat",
};

/** Edges of circles, `from > to`, until they are broken. */
const CIRCLES: Record<string, string> = {};

function modules(folder: string): string[] {
	return (
		["cmds", "native"]
			.flatMap((top) => readdirSync(join(folder, top), { recursive: true }).map((name) => `${top}/${name}`))
			/* The host on Node is another world's: koffi is not to be bundled. */
			.filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts") && path !== "native/host/node.ts")
			.sort()
	);
}

const imports = await importsOf(root, modules(root));

t.test(
	"imports run one way, from a tool to cmds/common to native/linux to native/host, and no tool imports another's folder",
	async (t) => {
		t.ok(imports.values.size > 100);
		t.same(againstTheDirection(imports), []);
	},
);

t.test("imports make no circles", async (t) => {
	t.same(circles(imports, Object.keys(CIRCLES)), []);
	for (const edge of Object.keys(CIRCLES)) {
		const others = Object.keys(CIRCLES).filter((other) => other !== edge);
		t.not(circles(imports, others).length, 0, `${edge} is part of a circle still`);
	}
});

t.test("no tool knows the number of a system call", async (t) => {
	t.same(importersBelow("cmds/", "native/linux/nr.ts", imports), Object.keys(NUMBERS_IN_CMDS).sort());
});

t.test("the host is called from native/linux, and from cmds only where there is a reason", async (t) => {
	t.same(importersBelow("cmds/", "native/host/quickjs.ts", imports), Object.keys(HOST_IN_CMDS).sort());
});

/** The imports of a small repository. */
async function importsAmong(t: { teardown(handler: () => void): void }, files: Record<string, string>) {
	const folder = mkdtempSync(join(tmpdir(), "tsbox-layers-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const all = {
		"package.json": '{"imports":{"#host":"./native/host/quickjs.ts"}}',
		"native/host/quickjs.ts": "export const exit = 0;",
		...files,
	};
	for (const [path, text] of Object.entries(all)) {
		mkdirSync(dirname(join(folder, path)), { recursive: true });
		writeFileSync(join(folder, path), text);
	}
	return importsOf(folder, modules(folder));
}

t.test("what is planted is found", async (t) => {
	const imports = await importsAmong(t, {
		"native/linux/nr.ts": "export const SYS_read = 0;",
		"native/linux/fs.ts": 'import { table } from "../../cmds/common/table.ts";\nexport const read = table;',
		"native/linux/deep/inner.ts": 'import { read } from "../fs.ts";\nexport const inner = read;',
		"cmds/common/table.ts": "export const table = 1;\nexport interface Row { a: number }",
		"cmds/common/wide.ts": 'import type { Options } from "../b/options.ts";\nexport const wide = (o: Options) => o;',
		"cmds/a/main.ts":
			'import { SYS_read } from "../../native/linux/nr.ts";\nimport { b } from "../b/deep/b.ts";\nconsole.log(SYS_read, b);',
		"cmds/b/options.ts": "export interface Options { a: number }",
		"cmds/b/deep/b.ts": 'import { exit } from "#host";\nimport { c } from "../c.ts";\nexport const b = () => c() + exit;',
		"cmds/b/c.ts":
			'import { b } from "./deep/b.ts";\nimport { inner } from "../../native/linux/deep/inner.ts";\nexport const c = () => b() + inner;',
		"cmds/b/alone.ts": 'import type { Row } from "../common/table.ts";\nexport const alone = (r: Row) => r;',
	});
	t.same(againstTheDirection(imports).sort(), [
		"cmds/a/main.ts > cmds/b/deep/b.ts",
		"cmds/common/wide.ts > cmds/b/options.ts",
		"native/linux/fs.ts > cmds/common/table.ts",
	]);
	t.same(circles(imports), [["cmds/b/c.ts", "cmds/b/deep/b.ts"]]);
	t.same(circles(imports, ["cmds/b/c.ts > cmds/b/deep/b.ts"]), []);
	t.same(importersBelow("cmds/", "native/linux/nr.ts", imports), ["cmds/a/main.ts"]);
	t.same(importersBelow("cmds/", "native/host/quickjs.ts", imports), ["cmds/b/deep/b.ts"]);
});
