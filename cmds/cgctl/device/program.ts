/**
 * Device rules as an eBPF program (BPF_PROG_TYPE_CGROUP_DEVICE), and back: cgroup v2 has no file with the rules, so the
 * program that enforces them is the only record that cannot go stale.
 *
 * The kernel asks the program for a device and a set of accesses, and takes 1 for yes. r2 is the device's type, r3 the
 * accesses not yet allowed, r4 and r5 major and minor. The rules follow, last first:
 *
 *     allow c 1:3 rw             deny c 1:* w                the first rule, `deny a`
 *     if r2 != c goto next       if r2 != c goto next        r0 = 0
 *     if r4 != 1 goto next       if r4 != 1 goto next        exit
 *     if r5 != 3 goto next       r1 = r3
 *     r3 &= ~rw                  r1 &= w
 *     if r3 != 0 goto next       if r1 == 0 goto next
 *     r0 = 1                     r0 = 0
 *     exit                       exit
 *
 * A rule thus takes part in each access on its own, and rw is allowed where one rule allows r and another w. The
 * verifier leaves such a program as it is (it cannot foresee any of the jumps), so that it can be read back.
 */
import {
	alu,
	aluRegister,
	BPF_ALU64,
	BPF_AND,
	BPF_DEVCG_DEV_BLOCK,
	BPF_DEVCG_DEV_CHAR,
	BPF_JEQ,
	BPF_JMP,
	BPF_JNE,
	BPF_K,
	BPF_MOV,
	BPF_RSH,
	BPF_X,
	BPF_XOR,
	bpfCgroupDevCtx,
	exit,
	type Instruction,
	jump,
	loadWord,
} from "../../../native/linux/bpf.ts";
import { ALL_ACCESS, type DeviceRule, everything } from "./rules.ts";

/** The name by which our programs are told from others', in `bpftool prog` too. */
export const PROGRAM_NAME = "tsbox_devices";

const RESULT = 0;
const CONTEXT = 1;
const SCRATCH = 1;
const TYPE = 2;
const ACCESS = 3;
const MAJOR = 4;
const MINOR = 5;

function header(): Instruction[] {
	const { access_type, major, minor } = bpfCgroupDevCtx.offset;
	return [
		loadWord(TYPE, CONTEXT, access_type),
		aluRegister(BPF_MOV, ACCESS, TYPE),
		alu(BPF_AND, TYPE, 0xffff),
		alu(BPF_RSH, ACCESS, 16),
		loadWord(MAJOR, CONTEXT, major),
		loadWord(MINOR, CONTEXT, minor),
	];
}

function answer(allow: boolean): Instruction[] {
	return [alu(BPF_MOV, RESULT, allow ? 1 : 0), exit()];
}

function ruleCode({ allow, type, major, minor, access }: DeviceRule): Instruction[] {
	const decide = allow
		? [alu(BPF_AND, ACCESS, ~access), jump(BPF_JNE, ACCESS, 0, 2), ...answer(true)]
		: [aluRegister(BPF_MOV, SCRATCH, ACCESS), alu(BPF_AND, SCRATCH, access), jump(BPF_JEQ, SCRATCH, 0, 2), ...answer(false)];
	const tests: [register: number, value: number][] = [[TYPE, type === "b" ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR]];
	if (major !== undefined) tests.push([MAJOR, major]);
	if (minor !== undefined) tests.push([MINOR, minor]);
	return [...tests.map(([register, value], i) => jump(BPF_JNE, register, value, decide.length + tests.length - 1 - i)), ...decide];
}

/** The program for a list of rules in normal form (device-rules.ts). */
export function deviceProgram(rules: DeviceRule[]): Instruction[] {
	const [base, ...others] = rules as [DeviceRule, ...DeviceRule[]];
	return [...header(), ...others.reverse().flatMap(ruleCode), ...answer(base.allow)];
}

/** The rules that a program of ours was made from; undefined where it is none. */
export function rulesOf(loaded: Instruction[]): DeviceRule[] | undefined {
	const program = unblind(loaded);
	const rules: DeviceRule[] = [];
	let at = header().length;
	while (at < program.length - 2) {
		const type = take(TYPE);
		const major = take(MAJOR);
		const minor = take(MINOR);
		const next = program[at];
		if (type === undefined || next === undefined) return undefined;
		const allow = next.code === (BPF_ALU64 | BPF_AND | BPF_K);
		const access = (allow ? ~next.imm : (program[at + 1]?.imm ?? 0)) & ALL_ACCESS;
		rules.unshift({ allow, type: type === BPF_DEVCG_DEV_BLOCK ? "b" : "c", major, minor, access });
		at += allow ? 4 : 5;
	}
	const found = [everything(program[at]?.imm === 1), ...rules];
	/* All that was guessed above is right if those rules make this program. */
	return isSame(deviceProgram(found), program) ? found : undefined;

	/** The value that the next instruction compares a register with, if it does that. */
	function take(register: number): number | undefined {
		const test = program[at];
		if (test?.code !== (BPF_JMP | BPF_JNE | BPF_K) || test.dst !== register) return undefined;
		at++;
		return test.imm;
	}
}

function isSame(one: Instruction[], other: Instruction[]): boolean {
	return (
		one.length === other.length &&
		one.every((a, i) => {
			const b = other[i] as Instruction;
			return a.code === b.code && a.dst === b.dst && a.src === b.src && a.off === b.off && a.imm === b.imm;
		})
	);
}

/** A program's last register. The one after it, or (since Linux 7) the second, is AX, which only the kernel itself uses. */
const BPF_REG_10 = 10;

/**
 * With net.core.bpf_jit_harden=2 the kernel replaces `op register, constant` by `AX = random ^ constant; AX ^= random; op
 * register, AX`. This takes it back, and lets the jumps count the instructions of the program as it was.
 */
function unblind(program: Instruction[]): Instruction[] {
	const isBlinded = ({ code, dst }: Instruction) => dst > BPF_REG_10 && code === (BPF_ALU64 | BPF_MOV | BPF_K);
	const positions: number[] = [];
	const plain: { from: number; instruction: Instruction }[] = [];
	for (let i = 0; i < program.length; i++) {
		positions[i] = plain.length;
		const [hidden, key, used] = program.slice(i, i + 3) as [Instruction, Instruction?, Instruction?];
		if (!isBlinded(hidden)) {
			plain.push({ from: i, instruction: withoutXor(hidden) });
			continue;
		}
		if (!used || key?.code !== (BPF_ALU64 | BPF_XOR | BPF_K) || key.dst !== hidden.dst || used.src !== hidden.dst) return program;
		plain.push({ from: i + 2, instruction: { ...used, code: used.code & ~BPF_X, src: 0, imm: hidden.imm ^ key.imm } });
		i += 2;
	}
	if (plain.length === program.length) return program;
	return plain.map(({ from, instruction }, i) => {
		const isJump = (instruction.code & 7) === BPF_JMP && instruction.off !== 0;
		return isJump ? { ...instruction, off: (positions[from + 1 + instruction.off] ?? 0) - i - 1 } : instruction;
	});
}

/** A 0 is not hidden, but made by `register ^= register`. */
function withoutXor(instruction: Instruction): Instruction {
	const { code, dst, src } = instruction;
	return code === (BPF_ALU64 | BPF_XOR | BPF_X) && dst === src ? alu(BPF_MOV, dst, 0) : instruction;
}
