/** Compiles the default policy; apart from default-filter.ts, so that a container that has a compiled one loads no compiler. */
import { compile } from "./compile.ts";
import { defaultPolicy } from "./default.ts";
import { programWords } from "./program.ts";

/** The program for a container with those capabilities, as programBytes() takes it. */
export function compileDefault(capabilities: readonly string[], machine: "x86_64" | "aarch64"): number[] {
	return programWords(compile(defaultPolicy(capabilities, machine)));
}
