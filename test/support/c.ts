/** Asks the C compiler about the headers of this machine. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** True where there is a C compiler: what asks it is skipped otherwise. */
export const hasCompiler = spawnSync("gcc", ["--version"]).status === 0;

/** What a C program prints. Throws what the compiler says where it does not compile. */
export function runC(source: string, flags: string[] = []): string {
	const folder = mkdtempSync(join(tmpdir(), `tsbox-c-${process.pid}-`));
	try {
		const program = join(folder, "program");
		const compiled = spawnSync("gcc", ["-x", "c", "-w", "-D_GNU_SOURCE", ...flags, "-o", program, "-"], {
			input: source,
			encoding: "utf8",
		});
		if (compiled.status !== 0) throw new Error(compiled.stderr);
		const { stdout, status } = spawnSync(program, { encoding: "utf8", env: { LC_ALL: "C" } });
		if (status !== 0) throw new Error(`exit status ${status}`);
		return stdout;
	} finally {
		rmSync(folder, { recursive: true });
	}
}

/** Of these expressions those that use a name or a type which a program with these headers does not know. */
export function undeclared(headers: string, expressions: string[]): string[] {
	const functions = expressions.map((expression, i) => `long long value_${i}(void) { return (long long)(${expression}); }`);
	const { stderr } = spawnSync("gcc", ["-x", "c", "-w", "-D_GNU_SOURCE", "-fmax-errors=0", "-fsyntax-only", "-"], {
		input: `${headers}\n#line 1 "expressions"\n${functions.join("\n")}\n`,
		encoding: "utf8",
		env: { ...process.env, LC_ALL: "C" },
	});
	const unknown = new Set<number>();
	for (const error of stderr.split("\n").filter((line) => line.includes(" error: "))) {
		const line = /^expressions:(\d+):\d+: error: .*(undeclared|incomplete type|undefined type)/.exec(error)?.[1];
		if (line === undefined) throw new Error(stderr);
		unknown.add(Number(line) - 1);
	}
	return expressions.filter((_, i) => unknown.has(i));
}

/** The values of C expressions, as signed 64-bit numbers. */
export function values(headers: string, expressions: string[], flags: string[] = []): number[] {
	const prints = expressions.map((expression) => `printf("%lld\\n", (long long)(${expression}));`);
	return runC(`${headers}\nint printf(const char *, ...);\nint main(void) {\n${prints.join("\n")}\nreturn 0; }\n`, flags)
		.trim()
		.split("\n")
		.map(Number);
}

/** The macros that headers define: name and text. */
export function macros(headers: string, flags: string[] = []): Map<string, string> {
	const { stdout } = spawnSync("gcc", ["-x", "c", "-D_GNU_SOURCE", ...flags, "-E", "-dM", "-"], { input: headers, encoding: "utf8" });
	return new Map([...stdout.matchAll(/^#define (\w+) (.*)$/gm)].map(([, name, text]) => [name as string, text as string]));
}

/** #include lines for those of these headers that there are. */
export function include(headers: string[]): string {
	return headers.map((header) => `#if __has_include(<${header}>)\n#include <${header}>\n#endif`).join("\n");
}
