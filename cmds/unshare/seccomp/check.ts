/** `tsunshare seccomp check`: whether a policy or program is good, and what it answers to one call with its arguments. */

import { exit } from "../../../native/linux/process.ts";
import type { Instruction } from "../../../native/linux/seccomp/assemble.ts";
import { type Architecture, callsOf, isCall } from "../../../native/linux/seccomp/calls.ts";
import { AUDIT_ARCH } from "../../../native/linux/seccomp/compile.ts";
import type { Word64 } from "../../../native/linux/seccomp/policy.ts";
import { simulate } from "../../../native/linux/seccomp/simulate.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { show, UsageError } from "../../common/errors.ts";
import { formatWord64, parseWord64 } from "./json.ts";
import { instructionText } from "./listing.ts";
import { readArchitecture, readSubject, type SubjectOptions } from "./subject.ts";
import { actionWords, callName, isAllowed } from "./words.ts";

export function checkVerb(operands: string[], options: SubjectOptions & { arch?: string; steps?: true }) {
	const [file, call, ...rest] = operands;
	const subject = readSubject(file, options);
	for (const warning of subject.warnings) warn(warning);
	if (call === undefined) {
		const architectures = subject.policy ? `, ${subject.policy.architectures.join(", ")}` : "";
		return print(
			`${show(subject.name)}: good: ${subject.program.length} instructions, at most ${longest(subject.program)} for a call${architectures}\n`,
		);
	}
	if (rest.length > 6) throw new UsageError(`a system call has six arguments at most, not ${rest.length}`);
	const architecture = readArchitecture(options.arch);
	const nr = readNumber(call, architecture);
	const args = Array.from({ length: 6 }, (_, i) => readArgument(rest[i] ?? "0"));
	const { value, path } = simulate(subject.program, { arch: AUDIT_ARCH[architecture], nr, args });
	if (options.steps)
		print(path.map((at) => `${String(at).padStart(4)}  ${instructionText(subject.program[at] as Instruction, at)}\n`).join(""));
	const text = `${callName(architecture, nr)}(${args.map(formatWord64).join(", ")}) on ${architecture}`;
	print(`${text}: ${actionWords(value)}, after ${path.length} instructions\n`);
	if (!isAllowed(value)) exit(1);
}

function readNumber(text: string, architecture: Architecture): number {
	const number = callsOf(architecture).get(text);
	if (number !== undefined) return number;
	const word = parseWord64(text);
	if (word?.high === 0) return word.low;
	throw new UsageError(isCall(text) ? `${text}: ${architecture} has no such call` : `${show(text)}: there is no such system call`);
}

function readArgument(text: string): Word64 {
	const word = parseWord64(text);
	if (!word) throw new UsageError(`${show(text)}: an argument is a number of 64 bits: 17, 0x11, -1`);
	return word;
}

/** The most instructions that one call goes through: jumps lead forward only. */
function longest(program: readonly Instruction[]): number {
	const lengths: number[] = [];
	for (let at = program.length - 1; at >= 0; at--) {
		const { code, jt, jf, k } = program[at] as Instruction;
		const after = (by: number) => lengths[at + 1 + by] ?? 0;
		if ((code & 7) === 6) lengths[at] = 1;
		else if (code === 0x05) lengths[at] = 1 + after(k);
		else lengths[at] = 1 + ((code & 7) === 5 ? Math.max(after(jt), after(jf)) : after(0));
	}
	return lengths[0] ?? 0;
}
