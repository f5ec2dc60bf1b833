/** A program as text, an instruction a line: the words of bpf_asm(1), jumps by the places they lead to. */
import type { Instruction } from "../../../native/linux/seccomp/assemble.ts";
import { ARCHITECTURES, callsOf } from "../../../native/linux/seccomp/calls.ts";
import { AUDIT_ARCH } from "../../../native/linux/seccomp/compile.ts";
import { SECCOMP_DATA_ARCH, X32_SYSCALL_BIT } from "../../../native/linux/seccomp/constants.ts";
import { actionWords, wordName } from "./words.ts";

const ALU = ["add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "?", "xor"];
const JUMPS = ["ja", "jeq", "jgt", "jge", "jset"];

/** The instruction at `at`: `jge  #0x40000000, 4, 120`. */
export function instructionText({ code, jt, jf, k }: Instruction, at: number): string {
	const number = `#0x${k.toString(16)}`;
	const operand = (code & 8) !== 0 ? "x" : number;
	const loads: Record<number, string> = { 0: number, 32: `[${k}]`, 96: `M[${k}]`, 128: "len" };
	switch (code & 7) {
		case 0:
			return `ld   ${loads[code & 0xe0] ?? "?"}`;
		case 1:
			return `ldx  ${loads[code & 0xe0] ?? "?"}`;
		case 2:
			return `st   M[${k}]`;
		case 3:
			return `stx  M[${k}]`;
		case 4:
			return `${(ALU[(code >> 4) & 15] ?? "?").padEnd(4)}${(code & 0xf0) === 0x80 ? "" : ` ${operand}`}`;
		case 5:
			if ((code & 0xf0) === 0) return `ja   ${at + 1 + k}`;
			return `${(JUMPS[(code >> 4) & 15] ?? "?").padEnd(4)} ${operand}, ${at + 1 + jt}, ${at + 1 + jf}`;
		case 6:
			return `ret  ${(code & 0x18) === 0x10 ? "a" : number}`;
		default:
			return (code & 0xf8) === 0x80 ? "txa" : "tax";
	}
}

/** All of a program, with what is loaded, which architecture and call is compared with, and what is answered. */
export function listing(program: readonly Instruction[]): string {
	const remarks = program.map(() => "");
	const walked = new Map<number, string>([[0, ""]]);
	for (const [at, instruction] of program.entries()) {
		const { code, jt, jf, k } = instruction;
		/* The architecture that is known here, and what is in the accumulator. */
		const [architecture = "", loaded = ""] = (walked.get(at) ?? "").split(" ");
		const flow = (to: number, state: string) => {
			if (!walked.has(to)) walked.set(to, state);
		};
		if (code === 0x20) {
			remarks[at] = wordName(k);
			flow(at + 1, `${architecture} ${k}`);
		} else if (code === 0x06) remarks[at] = actionWords(k);
		else if ((code & 7) === 5 && (code & 0xf0) !== 0) {
			const found = ARCHITECTURES.find((name) => loaded === String(SECCOMP_DATA_ARCH) && AUDIT_ARCH[name] === k && (code & 0xf0) === 0x10);
			if (found) remarks[at] = found;
			else if (loaded === "0") remarks[at] = numberName(architecture, k);
			flow(at + 1 + jt, `${found ?? architecture} ${loaded}`);
			flow(at + 1 + jf, `${architecture} ${loaded}`);
		} else if ((code & 7) === 5) flow(at + 1 + k, `${architecture} ${loaded}`);
		else if ((code & 7) !== 6) flow(at + 1, `${architecture} `);
	}
	return program
		.map((instruction, at) => {
			const text = `${String(at).padStart(4)}  ${instructionText(instruction, at)}`;
			return `${remarks[at] ? `${text.padEnd(38)}${remarks[at]}` : text}\n`;
		})
		.join("");
}

/** The call that a number is compared with. */
function numberName(architecture: string, number: number): string {
	if (number === X32_SYSCALL_BIT) return "the calls of x32";
	const own = ARCHITECTURES.find((name) => name === (architecture === "x86_64" && number > X32_SYSCALL_BIT ? "x32" : architecture));
	if (!own) return "";
	for (const [name, at] of callsOf(own)) if (at === number) return name;
	return "";
}
