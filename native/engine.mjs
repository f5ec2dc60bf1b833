/** The engine: QuickJS and the host as objects that every tool is linked with, and the program that compiles scripts to bytecode. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { execa } from "execa";

/** QuickJS 2021-03-27, which the package qjsc carries. */
const OWN_SOURCES = "node_modules/qjsc/deps/quickjs_2021_03_27";

/** The engine's files; those that a version does not have are left out. */
const ENGINE_FILES = ["quickjs", "cutils", "libregexp", "libunicode", "dtoa"];

const FLAGS = {
	release: ["-O2", "-fno-asynchronous-unwind-tables"],
	"gc-stress": ["-O2", "-DFORCE_GC_AT_MALLOC", "-DTSBOX_GC_THRESHOLD=0"],
	sanitize: ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-DTSBOX_LIBC_HEAP"],
};

/** True where `output` is newer than all of `inputs`. */
export function isFresh(output, inputs) {
	if (!existsSync(output)) return false;
	const made = statSync(output).mtimeMs;
	return inputs.every((input) => statSync(input).mtimeMs < made);
}

/** Runs a program; throws what it said if it fails. */
export async function run(program, args) {
	const { exitCode, all } = await execa(program, args, { all: true, reject: false });
	if (exitCode !== 0) throw new Error(`${program} ${args.join(" ")}\n${all}`);
	if (all) console.error(all);
}

/** Compiles one C file, unless the object is newer than all it is made of. */
async function compile(source, output, cc, options, headers) {
	const stamp = `${output}.flags`;
	const command = [cc, ...options].join(" ");
	if (isFresh(output, [source, ...headers]) && existsSync(stamp) && readFileSync(stamp, "utf8") === command) return output;
	await run(cc, [...options, "-c", source, "-o", output]);
	writeFileSync(stamp, command);
	return output;
}

/**
 * The engine of a variant (release, gc-stress, sanitize), with musl where there is musl-gcc and `glibc` does not forbid it.
 * `sources` is a folder with the sources of another QuickJS; undefined for our own.
 */
export function engine(variant, glibc, sources) {
	const hasMusl = (process.env.PATH ?? "").split(":").some((place) => existsSync(join(place, "musl-gcc")));
	/* The sanitizers' run time is built against glibc. */
	const musl = hasMusl && variant !== "sanitize" && !glibc;
	const quickjs = sources ?? OWN_SOURCES;
	if (!existsSync(join(quickjs, "quickjs.c"))) throw new Error(`TSBOX_QUICKJS=${quickjs}: there is no quickjs.c in it`);
	const name = sources === undefined ? "" : `-${basename(sources)}`;
	const folder = join("build", variant + (musl ? "" : "-glibc") + name);
	const version = existsSync(join(quickjs, "VERSION")) ? readFileSync(join(quickjs, "VERSION"), "utf8").trim() : "unknown";
	const base = ["-std=gnu11", "-D_GNU_SOURCE", "-isystem", quickjs, "-Inative/host", "-ffunction-sections", "-fdata-sections"];
	const engineFlags = [...base, "-w", `-DCONFIG_VERSION="${version}"`];
	const engineFiles = ENGINE_FILES.filter((file) => existsSync(join(quickjs, `${file}.c`)));
	const engineHeaders = readdirSync(quickjs)
		.filter((file) => file.endsWith(".h"))
		.map((file) => join(quickjs, file));
	const compiler = musl ? "musl-gcc" : "gcc";
	mkdirSync(folder, { recursive: true });

	return {
		folder,
		/** Where the tools go: `bin` for those that people use. */
		bin: variant === "release" && sources === undefined ? "bin" : join("build", `${variant}${name}`, "bin"),

		/** The objects that every tool is linked with. */
		objects() {
			const warnings = ["-Wall", "-Wextra", "-Wno-unused-parameter"];
			const own = ["host", "heap"].map((file) =>
				compile(
					`native/host/${file}.c`,
					join(folder, `${file}.o`),
					compiler,
					[...base, ...warnings, ...FLAGS[variant]],
					["native/host/tool.h", "native/host/heap.h", ...engineHeaders],
				),
			);
			const theirs = engineFiles.map((file) =>
				compile(join(quickjs, `${file}.c`), join(folder, `${file}.o`), compiler, [...engineFlags, ...FLAGS[variant]], engineHeaders),
			);
			return Promise.all([...own, ...theirs]);
		},

		/** The program that compiles a script to bytecode; it runs here, so it is built for this machine's C library. */
		async bytecode() {
			const output = join("build", `bytecode${name}`);
			const files = engineFiles.map((file) => join(quickjs, `${file}.c`));
			if (isFresh(output, ["native/host/bytecode.c", ...files, ...engineHeaders])) return output;
			await run("gcc", ["-O0", ...engineFlags, "native/host/bytecode.c", ...files, "-lm", "-lpthread", "-o", `${output}.new`]);
			renameSync(`${output}.new`, output);
			return output;
		},

		/** Links `source` and the objects to one static file. */
		async link(source, objects, output) {
			const flags = variant === "sanitize" ? ["-fsanitize=address,undefined"] : ["-static", "-s", "-Wl,--gc-sections", "-Wl,-z,norelro"];
			await run(compiler, [...base, ...FLAGS[variant], source, ...objects, ...flags, "-lm", "-o", `${output}.new`]);
			renameSync(`${output}.new`, output);
		},
	};
}
