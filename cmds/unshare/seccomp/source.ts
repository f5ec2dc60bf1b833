/** What --seccomp is given: `default`, a policy in JSON, or a program; the latter two by a file's name or a descriptor. */
import { defaultFilter } from "../../../native/linux/seccomp/default-filter.ts";
import type { Filter } from "../../../native/linux/seccomp/load.ts";
import { isJson, readFilterFile } from "./file.ts";
import { policyFilter } from "./policy-file.ts";

export interface FilterSource {
	/** A program, as bubblewrap takes it: what it does is not known, so it comes with no_new_privs, and last of all. */
	isProgram: boolean;
	/** The filter for a container whose bounding set is that, in capability numbers. */
	make(capabilities: readonly number[]): Filter;
	/** What it was made from, for others that are to have the same; undefined for `default`. */
	bytes?: Uint8Array;
}

/** Reads what --seccomp names. A policy's warnings go to `warn`. Throws what is wrong with it. */
export function filterSource(text: string, warn: (line: string) => void): FilterSource {
	if (text === "default") return { isProgram: false, make: defaultFilter };
	return filterFrom(readFilterFile(text, "--seccomp "), text, warn);
}

/** A policy or a program by its bytes; `name` is what they are called. */
export function filterFrom(bytes: Uint8Array, name: string, warn: (line: string) => void): FilterSource {
	if (!isJson(bytes)) return { isProgram: true, bytes, make: () => ({ program: bytes, flags: 0 }) };
	return { isProgram: false, bytes, make: policyFilter(bytes, name, warn) };
}
