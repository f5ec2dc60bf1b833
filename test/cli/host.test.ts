/**
 * The QuickJS host: what test/unit/host.test.ts asserts of the koffi host, and how a tool fails, on each build of it.
 *
 * The programs are built from test/support/host-tool.ts. Where $TSBOX_BIN names a build, that one is tested alone.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { hostChecks } from "../support/host-checks.ts";
import { bin } from "../support/tools.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const isRoot = process.getuid?.() === 0;
const only = ["gc-stress", "sanitize"].find((variant) => bin.includes(`build/${variant}/`));
const variants = only ? [only] : ["release", "gc-stress", "sanitize"];
/* Collecting at every allocation, what makes many objects takes minutes; an overflow that the kernel finds ends in the sanitizer's report. */
const leftOut: Record<string, string[]> = {
	release: [],
	"gc-stress": ["recursion-by-stringify", "recursion-by-flat", "memory-by-objects", "deepest-json"],
	sanitize: ["recursion-by-stringify", "deepest-json"],
};

function build(variant: string): string {
	const output = `build/test/${variant}/host-tool`;
	const flags = variant === "release" ? [] : [`--${variant}`];
	const { status, stderr } = spawnSync(process.execPath, ["native/build.mjs", ...flags, "--tool", "test/support/host-tool.ts", output], {
		cwd: root,
		encoding: "utf8",
	});
	if (status !== 0) throw new Error(stderr);
	return join(root, output);
}

/** Runs it, with what a shell's `ulimit` sets. */
function run(program: string, args: string[], limits: string[] = []) {
	const words = limits.length > 0 ? ["prlimit", ...limits, program, ...args] : [program, ...args];
	return spawnSync(words[0] as string, words.slice(1), { encoding: "utf8" });
}

const ways: [way: string, message: RegExp][] = [
	["throw", /Error: thrown on purpose\n {4}at innermost\n {4}at <anonymous>\n {4}at outer\n {4}at fail\n/],
	["throw-number", /42\n/],
	["throw-object", /an error without text\n/],
	["type-error", /TypeError: cannot read property 'member' of undefined\n {4}at fail\n/],
	["recursion", /InternalError: stack overflow\n {4}at recurse\n/],
	["recursion-by-sort", /InternalError: stack overflow\n {4}at /],
	["recursion-by-text", /InternalError: stack overflow\n {4}at /],
	["recursion-by-json", /SyntaxError: stack overflow\n/],
	["recursion-by-stringify", /stack overflow\n/],
	["recursion-by-regexp", /SyntaxError: (too many captures|stack overflow)\n/],
	["recursion-by-flat", /InternalError: stack overflow\n/],
	["memory-by-arrays", /InternalError: out of memory\n {4}at eatArrays\n/],
	["memory-by-objects", /out of memory\n/],
	["memory-by-strings", /InternalError: out of memory\n {4}at eatStrings\n/],
];

for (const variant of variants) {
	const program = build(variant);

	t.test(`${variant}: what the koffi host promises, this host does too`, async (t) => {
		const { status, stdout, stderr } = run(program, ["checks"]);
		t.same({ status, stderr }, { status: 0, stderr: "" });
		t.same(stdout.trim().split("\n"), [`1..${hostChecks.length}`, ...hostChecks.map(([name], i) => `ok ${i + 1} - ${name}`)]);
	});

	t.test(`${variant}: an exception that nobody catches ends it with the names of the functions and status 125`, async (t) => {
		for (const [way, message] of ways) {
			if (leftOut[variant]?.includes(way)) continue;
			const { status, signal, stdout, stderr } = run(program, ["fail", way]);
			t.match({ status, signal, stdout }, { status: 125, signal: null, stdout: "" }, way);
			t.match(stderr, new RegExp(`^host-tool: internal error: ${message.source}`), way);
			t.ok(stderr.split("\n").length <= 14, `${way}: ${stderr.split("\n").length} lines`);
		}
	});

	t.test(`${variant}: on a small stack it ends the same way`, async (t) => {
		/* The sanitizers need more stack than this for themselves. */
		for (const size of variant === "sanitize" ? [1 << 20, 4 << 20] : [64 << 10, 100_000, 512 << 10, 2 << 20, 64 << 20])
			for (const way of ["recursion", "recursion-by-sort", "recursion-by-json", "recursion-by-regexp", "deepest-json"]) {
				if (leftOut[variant]?.includes(way)) continue;
				const { status, signal, stderr } = run(program, ["fail", way], [`--stack=${size}:${size}`]);
				t.match({ status, signal }, { status: 125, signal: null }, `${way} with ${size} bytes of stack`);
				t.match(stderr, /^host-tool: internal error: /);
			}
	});

	/* The sanitizers reserve terabytes of addresses. */
	if (variant !== "sanitize")
		t.test(`${variant}: without memory it ends the same way`, async (t) => {
			for (const kib of [700, 800, 900, 1000, 1100, 1200, 1300, 1500, 1700, 2000, 3000, 8000, 20_000])
				for (const way of ["memory-by-arrays", "memory-by-objects", "memory-by-strings", "recursion"]) {
					if (leftOut[variant]?.includes(way)) continue;
					const { status, signal, stderr } = run(program, ["fail", way], [`--as=${kib * 1024}`]);
					t.match({ status, signal }, { status: 125, signal: null }, `${way} with ${kib} KiB`);
					t.match(stderr, /^host-tool: internal error: .*(out of memory|stack overflow)/);
				}
		});

	t.test(`${variant}: arguments and environment that are no UTF-8 come in and go out as the bytes they are`, async (t) => {
		const words = ["\\xff", "\\xc3a", "a\\xed\\xa0\\x80b", "\\xc3\\xa9\\xfe", "\\xf0\\x9f\\x98\\x80", "\\x01\\x7f\\x80", "\\xed\\xb2\\x80"];
		const script = `exec env -i $'X=\\xfe' ${program} "$@"`;
		const quoted = words.map((word) => `$'${word}'`).join(" ");
		const { stdout } = spawnSync("bash", ["-c", `set -- argv ${quoted}; ${script}`]);
		const lines = stdout.toString("latin1").trim().split("\n");
		t.equal(lines.length, words.length);
		for (const [i, word] of words.entries()) {
			const bytes = Buffer.from(spawnSync("printf", [word]).stdout);
			t.equal(lines[i], `${bytes.toString("hex")} ${bytes.toString("latin1")}`);
		}
		const environ = spawnSync("bash", ["-c", `set -- environ; ${script}`]).stdout.toString("latin1");
		t.equal(environ, "583dfe X=\xfe\n");
	});

	t.test(`${variant}: the exit status is what the tool says`, async (t) => {
		for (const status of [0, 1, 2, 125, 255]) t.equal(run(program, ["exit", String(status)]).status, status);
	});
}

t.test("a tool leaves the signals of what it starts as they were", async (t) => {
	const program = build(only ?? "release");
	for (const options of [["--default-signal"], ["--default-signal", "--ignore-signal=SEGV,INT"]]) {
		/* Not grep, which catches SIGSEGV itself. */
		const look = ["cat", "/proc/self/status"];
		const [direct, through] = [look, [program, "exec", ...look]].map((words) =>
			spawnSync("env", [...options, ...words], { encoding: "utf8" }).stdout.match(/^Sig(Blk|Ign|Cgt):.*$/gm),
		);
		t.equal(direct?.length, 3);
		t.same(through, direct);
	}
});

/* What only the release build promises; the others are larger, and have their debugging information. */
if (!only) {
	const tools = [
		join(root, "build/test/release/host-tool"),
		...readdirSync(bin)
			.filter((name) => /^ts/.test(name))
			.map((name) => join(bin, name)),
	];

	t.test("a tool is one static, stripped file of at most 900 kB", async (t) => {
		for (const tool of tools) {
			const { stdout } = spawnSync("readelf", ["--wide", "--program-headers", "--sections", "--dynamic", tool], { encoding: "utf8" });
			t.match(stdout, /\.text/);
			t.notMatch(stdout, /INTERP|NEEDED|\.symtab|\.debug_/, `${basename(tool)} needs no loader or library, and has no symbols`);
			/* glibc's own part is larger. */
			const isMusl = !readFileSync(tool).includes("GLIBC");
			t.ok(statSync(tool).size <= (isMusl ? 900_000 : 2_200_000), `${basename(tool)}: ${statSync(tool).size} bytes`);
		}
	});

	t.test("a tool runs in an empty root", isRoot ? {} : { skip: "needs root" }, async (t) => {
		const folder = mkdtempSync(join(tmpdir(), `tsbox-host-${process.pid}-`));
		t.teardown(() => rmSync(folder, { recursive: true }));
		for (const tool of tools.slice(1)) {
			copyFileSync(tool, join(folder, basename(tool)));
			const { status, stdout, stderr } = spawnSync("chroot", [folder, `/${basename(tool)}`, "--version"], { encoding: "utf8" });
			t.match({ status, stdout, stderr }, { status: 0, stdout: new RegExp(`\\b${basename(tool)} `), stderr: "" });
		}
	});

	t.test("a tool's file has none of its source text", async (t) => {
		const folder = readdirSync(join(root, "build")).find((name) => /^release(-glibc)?$/.test(name)) as string;
		const parts = join(root, "build", folder, "tool/host-tool");
		const binary = readFileSync(tools[0] as string);
		/* Strings and names are there, code is not. */
		for (const text of ["thrown on purpose", "innermost"]) t.ok(binary.includes(text), text);
		const lines = readdirSync(parts)
			.filter((name) => name.endsWith(".js"))
			.flatMap((name) => readFileSync(join(parts, name), "utf8").split("\n"))
			.map((line) => line.trim())
			.filter((line) => line.length > 12 && /[;{]$/.test(line));
		t.ok(lines.length > 100);
		t.same(
			lines.filter((line) => binary.includes(line)),
			[],
		);
	});
}
