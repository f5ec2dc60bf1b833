/** What a seccomp verb is about: a policy with its program, or a program alone. */
import { CAPABILITIES, capabilityNumber } from "../../../native/linux/capability.ts";
import { uname } from "../../../native/linux/namespace.ts";
import type { Instruction } from "../../../native/linux/seccomp/assemble.ts";
import { ARCHITECTURES, type Architecture } from "../../../native/linux/seccomp/calls.ts";
import { compile } from "../../../native/linux/seccomp/compile.ts";
import { defaultPolicy, MACHINE } from "../../../native/linux/seccomp/default.ts";
import type { Policy } from "../../../native/linux/seccomp/policy.ts";
import { readProgram } from "../../../native/linux/seccomp/program.ts";
import { faultOf } from "../../../native/linux/seccomp/simulate.ts";
import { decode } from "../../../native/linux/text.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { USUAL_CAPABILITIES } from "../usual-capabilities.ts";
import { isJson, namingFile, readFilterFile } from "./file.ts";
import { readPolicy } from "./read.ts";

export interface Subject {
	name: string;
	/** Absent where there is a program only. */
	policy?: Policy;
	program: Instruction[];
	warnings: string[];
}

export interface SubjectOptions {
	capabilities?: string;
	kernel?: string;
}

function readCapabilities(text = "DEFAULT"): string[] {
	if (/^NONE$/i.test(text)) return [];
	return text.split(",").flatMap((word) => {
		if (/^ALL$/i.test(word)) return CAPABILITIES;
		if (/^DEFAULT$/i.test(word)) return USUAL_CAPABILITIES;
		const number = capabilityNumber(word);
		if (number === undefined) throw new UsageError(`--capabilities ${show(word)}: there is no such capability`);
		return CAPABILITIES[number] ?? [];
	});
}

/** Reads `default`, a policy or a program; `-` is standard input. Throws what is wrong with it. */
export function readSubject(operand: string | undefined, given: SubjectOptions): Subject {
	if (operand === undefined || operand === "") throw new UsageError("which FILE? There is default, a policy in JSON, or a program");
	const capabilities = readCapabilities(given.capabilities);
	if (given.kernel !== undefined && !/^\d+\.\d+/.test(given.kernel))
		throw new UsageError(`--kernel ${show(given.kernel)}: a version is like 6.1`);
	if (operand === "default") {
		const policy = defaultPolicy(capabilities, MACHINE);
		return { name: operand, policy, program: compile(policy), warnings: [] };
	}
	const name = operand === "-" ? "standard input" : operand;
	const bytes = readFilterFile(operand === "-" ? "0" : operand.replace(/^(?=\d+$)/, "./"));
	if (isJson(bytes)) {
		const kernel = given.kernel ?? uname().release;
		const { policy, warnings } = namingFile(name, () => readPolicy(decode(bytes), { capabilities, machine: MACHINE, kernel }));
		return { name, policy, program: namingFile(name, () => compile(policy)), warnings };
	}
	const program = readProgram(bytes);
	const fault = bytes.length % 8 !== 0 ? `its ${bytes.length} bytes are no whole instructions` : faultOf(program);
	if (fault) fail(`${show(name)}: it is neither JSON nor a program: ${fault}`);
	return { name, program, warnings: [] };
}

/** --arch; this machine's where there is none. */
export function readArchitecture(text: string | undefined): Architecture {
	if (text === undefined) return MACHINE;
	const found = ARCHITECTURES.find((name) => name === text);
	if (!found) throw new UsageError(`--arch ${show(text)}: there are ${ARCHITECTURES.join(", ")}`);
	return found;
}
