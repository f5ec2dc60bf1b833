/** The default policy's program: made at build time for the capability sets that containers mostly have. */
import { compiledDefault } from "#seccomp-default";
import { CAPABILITIES } from "../capability.ts";
import { SECCOMP_FILTER_FLAG_SPEC_ALLOW } from "./constants.ts";
import { MACHINE, relevantCapabilities } from "./default.ts";
import { compileDefault } from "./default-words.ts";
import type { Filter } from "./load.ts";
import { programBytes } from "./program.ts";

/**
 * The filter of a container whose bounding set is that: capability numbers, as capget() lists them. It leaves speculation as it is
 * (SECCOMP_FILTER_FLAG_SPEC_ALLOW), as runc does: else a kernel before 5.16 slows the container down.
 */
export function defaultFilter(capabilities: readonly number[]): Filter {
	const names = relevantCapabilities(capabilities.map((number) => CAPABILITIES[number] ?? ""));
	const words = compiledDefault(names.join()) ?? compileDefault(names, MACHINE);
	return { program: programBytes(words), flags: SECCOMP_FILTER_FLAG_SPEC_ALLOW };
}
