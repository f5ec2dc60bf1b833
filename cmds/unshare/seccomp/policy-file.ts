/** A policy's file, read and compiled for a container. */
import { CAPABILITIES } from "../../../native/linux/capability.ts";
import { uname } from "../../../native/linux/namespace.ts";
import { compile } from "../../../native/linux/seccomp/compile.ts";
import { MACHINE } from "../../../native/linux/seccomp/default.ts";
import type { Filter } from "../../../native/linux/seccomp/load.ts";
import { programBytes, programWords } from "../../../native/linux/seccomp/program.ts";
import { decode } from "../../../native/linux/text.ts";
import { show } from "../../common/errors.ts";
import { namingFile } from "./file.ts";
import { readPolicy } from "./read.ts";

/** What makes the filter of a policy for a container's capabilities. What is wrong in the file, and its warnings, are told at once. */
export function policyFilter(bytes: Uint8Array, name: string, warn: (line: string) => void): (capabilities: readonly number[]) => Filter {
	const make = (capabilities: readonly number[]) => {
		const names = capabilities.map((number) => CAPABILITIES[number] ?? "");
		const read = namingFile(name, () => readPolicy(decode(bytes), { capabilities: names, machine: MACHINE, kernel: uname().release }));
		const program = namingFile(name, () => compile(read.policy));
		return { read, filter: { program: programBytes(programWords(program)), flags: read.flags } };
	};
	for (const warning of make([]).read.warnings) warn(`--seccomp ${show(name)}: ${warning}`);
	return (capabilities) => make(capabilities).filter;
}
