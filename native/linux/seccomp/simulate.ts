/** Runs a classic BPF program as the kernel does, on a system call that nobody makes: kernel/seccomp.c, net/core/filter.c. */
import type { Instruction } from "./assemble.ts";
import {
	BPF_A,
	BPF_ABS,
	BPF_ADD,
	BPF_ALU,
	BPF_AND,
	BPF_DIV,
	BPF_IMM,
	BPF_JA,
	BPF_JEQ,
	BPF_JGE,
	BPF_JGT,
	BPF_JMP,
	BPF_JSET,
	BPF_K,
	BPF_LD,
	BPF_LDX,
	BPF_LEN,
	BPF_LSH,
	BPF_MAXINSNS,
	BPF_MEM,
	BPF_MEMWORDS,
	BPF_MISC,
	BPF_MUL,
	BPF_NEG,
	BPF_OR,
	BPF_RET,
	BPF_RSH,
	BPF_ST,
	BPF_STX,
	BPF_SUB,
	BPF_TAX,
	BPF_TXA,
	BPF_X,
	BPF_XOR,
	SECCOMP_DATA_ARGS,
	SECCOMP_DATA_SIZE,
} from "./constants.ts";
import type { Word64 } from "./policy.ts";

/** A call as a filter sees it. */
export interface Call {
	/** AUDIT_ARCH_*. */
	arch: number;
	nr: number;
	/** Up to six; what is not given is 0. */
	args: readonly Word64[];
}

/** The answer (SECCOMP_RET_* with its data), and the instructions that led to it, by their places. */
export interface Answer {
	value: number;
	path: number[];
}

const ARITHMETIC: Readonly<Record<number, (a: number, b: number) => number>> = {
	[BPF_ADD]: (a, b) => a + b,
	[BPF_SUB]: (a, b) => a - b,
	[BPF_MUL]: (a, b) => Math.imul(a, b),
	[BPF_DIV]: (a, b) => Math.floor(a / b),
	[BPF_OR]: (a, b) => a | b,
	[BPF_AND]: (a, b) => a & b,
	/* A shift by a register's value is one by its lower five bits. */
	[BPF_LSH]: (a, b) => a << b,
	[BPF_RSH]: (a, b) => a >>> b,
	[BPF_XOR]: (a, b) => a ^ b,
};

const COMPARISONS: Readonly<Record<number, (a: number, b: number) => boolean>> = {
	[BPF_JEQ]: (a, b) => a === b,
	[BPF_JGT]: (a, b) => a > b,
	[BPF_JGE]: (a, b) => a >= b,
	[BPF_JSET]: (a, b) => (a & b) !== 0,
};

const MOVES = [BPF_LD | BPF_IMM, BPF_LDX | BPF_IMM, BPF_LD | BPF_LEN, BPF_LDX | BPF_LEN, BPF_MISC | BPF_TAX, BPF_MISC | BPF_TXA];
const OF_MEMORY = [BPF_LD | BPF_MEM, BPF_LDX | BPF_MEM, BPF_ST, BPF_STX];

/** What of a program the kernel would refuse (with EINVAL), for people; undefined for a good one. */
export function faultOf(program: readonly Instruction[]): string | undefined {
	if (program.length === 0) return "it has no instruction";
	if (program.length > BPF_MAXINSNS) return `it has ${program.length} instructions, and the kernel takes ${BPF_MAXINSNS} of a filter`;
	for (const [at, instruction] of program.entries()) {
		const why = faultAt(instruction, program.length - at - 1);
		if (why) return `instruction ${at}: ${why}`;
	}
	const last = (program[program.length - 1] as Instruction).code;
	if ((last & 7) !== BPF_RET) return "its last instruction is no return";
	return faultOfMemory(program);
}

/** `rest` is how many instructions follow. */
function faultAt({ code, jt, jf, k }: Instruction, rest: number): string | undefined {
	const kind = code & 7;
	const operation = code & 0xf0;
	if (MOVES.includes(code) || code === (BPF_RET | BPF_K) || code === (BPF_RET | BPF_A)) return undefined;
	if (OF_MEMORY.includes(code)) return k < BPF_MEMWORDS ? undefined : `there is no memory word ${k}`;
	if (code === (BPF_LD | BPF_ABS)) {
		if (k % 4 !== 0 || k >= SECCOMP_DATA_SIZE) return `there is no word at ${k} of struct seccomp_data`;
		return undefined;
	}
	if (kind === BPF_ALU && code < 0x100) {
		if (code === (BPF_ALU | BPF_NEG)) return undefined;
		if (!ARITHMETIC[operation]) return unknown(code);
		if ((code & BPF_X) !== 0) return undefined;
		if (operation === BPF_DIV && k === 0) return "it divides by 0";
		return (operation === BPF_LSH || operation === BPF_RSH) && k > 31 ? `it shifts by ${k} bits` : undefined;
	}
	if (code === (BPF_JMP | BPF_JA)) return k < rest ? undefined : "it jumps beyond the end";
	if (kind === BPF_JMP && code < 0x100 && COMPARISONS[operation]) return jt < rest && jf < rest ? undefined : "it jumps beyond the end";
	return unknown(code);
}

function unknown(code: number): string {
	return `0x${code.toString(16)} is no instruction that a filter may have`;
}

/** A memory word is to be written on every way before it is read. The kernel lets a return's words flow on, too. */
function faultOfMemory(program: readonly Instruction[]): string | undefined {
	const written: number[] = program.map((_, at) => (at === 0 ? 0 : 0xffff));
	const flow = (to: number, mask: number) => {
		written[to] = (written[to] as number) & mask;
	};
	for (const [at, { code, jt, jf, k }] of program.entries()) {
		const mask = written[at] as number;
		if ((code === (BPF_LD | BPF_MEM) || code === (BPF_LDX | BPF_MEM)) && (mask & (1 << k)) === 0)
			return `instruction ${at}: memory word ${k} is read before it is written`;
		if (code === (BPF_JMP | BPF_JA)) flow(at + 1 + k, mask);
		else if ((code & 7) === BPF_JMP) {
			flow(at + 1 + jt, mask);
			flow(at + 1 + jf, mask);
		} else flow(at + 1, code === BPF_ST || code === BPF_STX ? mask | (1 << k) : mask);
	}
	return undefined;
}

/** What a program without fault answers. */
export function simulate(program: readonly Instruction[], { arch, nr, args }: Call): Answer {
	const data = new Uint32Array(SECCOMP_DATA_SIZE / 4);
	data[0] = nr;
	data[1] = arch;
	args.forEach(({ high, low }, i) => {
		data[SECCOMP_DATA_ARGS / 4 + 2 * i] = low;
		data[SECCOMP_DATA_ARGS / 4 + 2 * i + 1] = high;
	});
	const memory = new Uint32Array(BPF_MEMWORDS);
	const path: number[] = [];
	let a = 0;
	let x = 0;
	for (let at = 0; ; at++) {
		path.push(at);
		const { code, jt, jf, k } = program[at] as Instruction;
		const operand = (code & BPF_X) !== 0 ? x : k;
		switch (code & 7) {
			case BPF_LD:
				a = loaded(code & 0xe0, k, a);
				break;
			case BPF_LDX:
				x = loaded(code & 0xe0, k, x);
				break;
			case BPF_ST:
				memory[k] = a;
				break;
			case BPF_STX:
				memory[k] = x;
				break;
			case BPF_ALU:
				if ((code & 0xf0) === BPF_NEG) a = -a >>> 0;
				/* A division by X = 0 ends the program, with 0. */ else if ((code & 0xf0) === BPF_DIV && operand === 0) return { value: 0, path };
				else a = (ARITHMETIC[code & 0xf0] as (a: number, b: number) => number)(a, operand) >>> 0;
				break;
			case BPF_JMP:
				if ((code & 0xf0) === BPF_JA) at += k;
				else at += (COMPARISONS[code & 0xf0] as (a: number, b: number) => boolean)(a, operand) ? jt : jf;
				break;
			case BPF_RET:
				return { value: code === (BPF_RET | BPF_A) ? a : k, path };
			default:
				if ((code & 0xf8) === BPF_TXA) a = x;
				else if ((code & 0xf8) === BPF_TAX) x = a;
		}
	}

	function loaded(mode: number, k: number, before: number): number {
		if (mode === BPF_ABS) return data[k / 4] as number;
		if (mode === BPF_MEM) return memory[k] as number;
		if (mode === BPF_LEN) return SECCOMP_DATA_SIZE;
		return mode === BPF_IMM ? k : before;
	}
}
