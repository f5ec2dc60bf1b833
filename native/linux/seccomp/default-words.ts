/** Compiles the default policy; apart from default-filter.ts, so that a container that has a compiled one loads no compiler. */
import { compile } from "./compile.ts";
import { defaultPolicy, type Machine } from "./default.ts";
import { programWords } from "./program.ts";

/** The program for a container with those capabilities, as programBytes() takes it. */
export function compileDefault(capabilities: readonly string[], machine: Machine): number[] {
	return programWords(compile(defaultPolicy(capabilities, machine)));
}
