/** `tsunshare seccomp explain`: what a policy or a program answers to calls. */
import type { Instruction } from "../../../native/linux/seccomp/assemble.ts";
import { ARCHITECTURES, type Architecture, callsOf, isCall } from "../../../native/linux/seccomp/calls.ts";
import { AUDIT_ARCH } from "../../../native/linux/seccomp/compile.ts";
import { SECCOMP_DATA_ARCH, SECCOMP_DATA_ARGS, SECCOMP_DATA_NR } from "../../../native/linux/seccomp/constants.ts";
import type { Policy } from "../../../native/linux/seccomp/policy.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { show, UsageError } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { readArchitecture, readSubject, type Subject, type SubjectOptions } from "./subject.ts";
import { actionWords, conditionWords } from "./words.ts";

interface Explained {
	call: string;
	architecture: Architecture;
	number: number;
	/** What may be answered; several where it depends on the arguments. */
	answers: string[];
	/** When which: of a policy only. */
	rules?: string[];
}

export function explainVerb(operands: string[], options: SubjectOptions & { arch?: string; json?: true }) {
	const [file, ...calls] = operands;
	const subject = readSubject(file, options);
	const unknown = calls.find((name) => !isCall(name));
	if (unknown !== undefined) throw new UsageError(`${show(unknown)}: there is no such system call`);
	const named = options.arch === undefined && calls.length > 0 ? architecturesOf(subject) : [readArchitecture(options.arch)];
	const all = named.flatMap((architecture) => explain(subject, architecture, calls));
	for (const warning of subject.warnings) warn(warning);
	if (options.json) return print(json(all));
	if (calls.length === 0) return print(groups(all));
	print(
		table(all, [
			{ header: "CALL", value: ({ call }) => call },
			{ header: "ARCH", value: ({ architecture }) => architecture },
			{ header: "NUMBER", value: ({ number }) => number, right: true },
			{ header: "ANSWER", value: answerText },
		]),
	);
}

function architecturesOf({ policy }: Subject): readonly Architecture[] {
	return policy?.architectures ?? ARCHITECTURES;
}

function explain({ policy, program }: Subject, architecture: Architecture, names: string[]): Explained[] {
	return [...callsOf(architecture)]
		.filter(([name]) => names.length === 0 || names.includes(name))
		.map(([call, number]) => {
			const answers = [...answersOf(program, AUDIT_ARCH[architecture], number)].map(actionWords);
			const rules = answers.length > 1 && policy ? ruleTexts(policy, call) : undefined;
			return { call, architecture, number, answers, ...(rules && { rules }) };
		});
}

/** All that a program may answer to a call, whatever its arguments are: each way is walked. */
function answersOf(program: readonly Instruction[], arch: number, nr: number): Set<number> {
	const answers = new Set<number>();
	const seen = new Set<string>();
	/* The value in the accumulator, where it is known. */
	const rest: [at: number, a: number | undefined][] = [[0, undefined]];
	for (let way = rest.pop(); way; way = rest.pop()) {
		const [at, a] = way;
		if (seen.has(`${at} ${a}`)) continue;
		seen.add(`${at} ${a}`);
		const { code, jt, jf, k } = program[at] as Instruction;
		if ((code & 7) === 6) answers.add((code & 0x18) === 0x10 ? (a ?? 0) : k);
		else if (code === 0x20) rest.push([at + 1, known(k, arch, nr)]);
		else if (code === 0x54) rest.push([at + 1, a === undefined ? undefined : (a & k) >>> 0]);
		else if (code === 0x05) rest.push([at + 1 + k, a]);
		else if ((code & 7) === 5) {
			const holds = a === undefined || (code & 8) !== 0 ? undefined : compared(code & 0xf0, a, k);
			if (holds !== false) rest.push([at + 1 + jt, a]);
			if (holds !== true) rest.push([at + 1 + jf, a]);
		} else rest.push([at + 1, undefined]);
	}
	return answers;
}

function known(offset: number, arch: number, nr: number): number | undefined {
	if (offset === SECCOMP_DATA_NR) return nr;
	return offset === SECCOMP_DATA_ARCH && offset < SECCOMP_DATA_ARGS ? arch : undefined;
}

function compared(operation: number, a: number, k: number): boolean {
	if (operation === 0x10) return a === k;
	if (operation === 0x20) return a > k;
	return operation === 0x30 ? a >= k : (a & k) !== 0;
}

/** The rules for a call, in their order: `allow if arg0 == 8`. */
function ruleTexts(policy: Policy, call: string): string[] {
	const rules = policy.rules
		.filter(({ names }) => names.includes(call))
		.map(({ action, conditions }) => `${actionWords(action)} if ${conditions.map(conditionWords).join(" and ")}`);
	return [...rules, `else ${actionWords(policy.defaultAction)}`];
}

function answerText({ answers, rules }: Explained): string {
	return rules?.join("; ") ?? (answers.length > 1 ? `by its arguments: ${answers.join(", ")}` : (answers[0] ?? "-"));
}

const WIDTH = 100;

/** The calls by what is answered, those that the arguments decide with how. */
function groups(all: Explained[]): string {
	const found = new Map<string, string[]>();
	for (const { call, answers } of all.filter((one) => one.answers.length === 1)) {
		const answer = answers[0] as string;
		found.set(answer, [...(found.get(answer) ?? []), call]);
	}
	const text = [...found].map(([answer, calls]) => `${answer}: ${calls.length}\n${wrap(calls.sort())}`).join("");
	const others = all.filter(({ answers }) => answers.length > 1);
	if (others.length === 0) return text;
	return `${text}by the arguments: ${others.length}\n${others.map((one) => `  ${one.call}: ${answerText(one)}\n`).join("")}`;
}

function wrap(words: string[]): string {
	const lines: string[] = [];
	for (const word of words) {
		const last = lines[lines.length - 1];
		if (last !== undefined && last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`;
		else lines.push(`  ${word}`);
	}
	return lines.map((line) => `${line}\n`).join("");
}
