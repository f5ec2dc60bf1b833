/** Seccomp filters: the compiler beside the policy's own words, the simulator beside the kernel, the tables beside the facts. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Instruction } from "../../native/linux/seccomp/assemble.ts";
import { ARCHITECTURES, type Architecture, callsOf } from "../../native/linux/seccomp/calls.ts";
import { AUDIT_ARCH, compile } from "../../native/linux/seccomp/compile.ts";
import { BPF_MAXINSNS } from "../../native/linux/seccomp/constants.ts";
import { defaultPolicy } from "../../native/linux/seccomp/default.ts";
import type { Condition, Operator, Policy, Rule, Word64 } from "../../native/linux/seccomp/policy.ts";
import { programBytes, programWords, readProgram } from "../../native/linux/seccomp/program.ts";
import { type Call, faultOf, simulate } from "../../native/linux/seccomp/simulate.ts";
import { hasCompiler } from "../support/c.ts";

const needsKernel = hasCompiler && process.arch === "x64" ? {} : { skip: "needs gcc and x86_64" };

/** The same numbers each time: mulberry32. */
function randomFrom(seed: number) {
	let state = seed;
	const next = () => {
		state = (state + 0x6d2b79f5) | 0;
		let z = Math.imul(state ^ (state >>> 15), 1 | state);
		z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
		return (z ^ (z >>> 14)) >>> 0;
	};
	const below = (end: number) => next() % end;
	return { next, below, pick: <T>(list: readonly T[]): T => list[below(list.length)] as T };
}
type Random = ReturnType<typeof randomFrom>;

const big = ({ high, low }: Word64) => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
const word = (value: bigint): Word64 => ({
	high: Number((value >> 32n) & 0xffffffffn),
	low: Number(value & 0xffffffffn),
});

const ERRNO = 0x50000;
const TRAP = 0x30000;
const KILL = 0;
const KILL_PROCESS = 0x80000000;
const TRACE = 0x7ff00000;
const ALLOW = 0x7fff0000;
/** Answers under which no call is made. */
const HARMLESS = (random: Random) => {
	const data = 1 + random.below(4000);
	return random.pick([ERRNO | data, ERRNO | data, ERRNO | data, ERRNO | data, TRAP | data, TRACE | data, KILL, KILL_PROCESS]);
};

const INTERESTING = [0n, 1n, 2n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 0x100000001n, 0xffffffff00000000n, 2n ** 64n - 1n];
const someValue = (random: Random): bigint =>
	random.below(3) === 0
		? (BigInt(random.next()) << 32n) | BigInt(random.next())
		: (random.pick(INTERESTING) + BigInt(random.below(3)) - 1n) & (2n ** 64n - 1n);

function someCondition(random: Random): Condition {
	const operator = random.pick<Operator>(["ne", "lt", "le", "eq", "ge", "gt", "masked"]);
	const mask = someValue(random);
	const value = operator === "masked" && random.below(8) > 0 ? someValue(random) & mask : someValue(random);
	return { argument: random.below(6), operator, value: word(value), ...(operator === "masked" && { mask: word(mask) }) };
}

function somePolicy(random: Random, count: number, architectures: readonly Architecture[], names: readonly string[], width = 3): Policy {
	const rules: Rule[] = Array.from({ length: count }, () => ({
		names: Array.from({ length: 1 + random.below(width) }, () => random.pick(names)),
		action: HARMLESS(random),
		conditions: Array.from({ length: random.pick([0, 0, 1, 1, 1, 2, 3]) }, () => someCondition(random)),
	}));
	return { architectures, defaultAction: ERRNO | 4000, rules };
}

/** What a policy says of a call, in its own words. `muxed` are left out: they have a test of their own. */
function verdict(policy: Policy, architecture: Architecture, name: string | undefined, args: readonly bigint[]): number {
	const rules = policy.rules.filter(({ names }) => name !== undefined && names.includes(name));
	const always = rules.find(({ conditions }) => conditions.length === 0);
	if (!policy.architectures.includes(architecture)) return KILL;
	const holds = ({ argument, operator, value, mask }: Condition) => {
		const [a, b] = [args[argument] as bigint, big(value)];
		const results = { ne: a !== b, lt: a < b, le: a <= b, eq: a === b, ge: a >= b, gt: a > b, masked: mask && (a & big(mask)) === b };
		return results[operator] as boolean;
	};
	return (always ?? rules.find(({ conditions }) => conditions.every(holds)))?.action ?? policy.defaultAction;
}

/** Arguments that are equal to, or beside, what a policy compares with. */
function someArguments(random: Random, policy: Policy): bigint[] {
	const values = policy.rules.flatMap(({ conditions }) => conditions.map(({ value }) => big(value)));
	return Array.from({ length: 6 }, () => {
		const near = values.length > 0 && random.below(4) > 0 ? random.pick(values) + BigInt(random.below(3)) - 1n : someValue(random);
		return near & (2n ** 64n - 1n);
	});
}

const MUXED = ["socketcall", "ipc"];
const NAMES = [...callsOf("x86_64").keys()].filter((name) => !MUXED.includes(name));
/** uretprobe(2) and uprobe(2), which Linux lets pass by filters since 6.14. */
const UNFILTERED = [335, 336];

t.test("a compiled policy answers what its rules say, on each architecture, for arguments of 64 bits", async (t) => {
	const random = randomFrom(1);
	let wrong = 0;
	for (let round = 0; round < 150; round++) {
		const architectures = ARCHITECTURES.filter(() => random.below(2) === 0);
		const names = Array.from({ length: 12 }, () => random.pick(NAMES));
		const policy = somePolicy(random, 1 + random.below(25), architectures, names);
		const program = compile(policy);
		t.equal(faultOf(program), undefined);
		for (let i = 0; i < 300; i++) {
			const architecture = random.pick(ARCHITECTURES);
			const name = random.below(10) === 0 ? undefined : random.pick(names);
			const nr = name === undefined ? 700 + (architecture === "x32" ? 0x40000000 : 0) : callsOf(architecture).get(name);
			if (nr === undefined) continue;
			const args = someArguments(random, policy);
			const { value } = simulate(program, { arch: AUDIT_ARCH[architecture], nr, args: args.map(word) });
			if (value !== verdict(policy, architecture, name, args)) wrong++;
		}
	}
	t.equal(wrong, 0);
});

t.test("a policy of 1,000 rules is compiled, in little time, and answers right", async (t) => {
	const random = randomFrom(2);
	const policy = somePolicy(random, 1000, ["x86_64"], NAMES, 1);
	t.equal(policy.rules.length, 1000);
	const program = compile(policy);
	t.ok(program.length <= BPF_MAXINSNS, `${program.length} instructions`);
	t.equal(faultOf(program), undefined);
	let wrong = 0;
	for (let i = 0; i < 1500; i++) {
		const name = random.pick(NAMES);
		const args = someArguments(random, policy);
		const { value } = simulate(program, { arch: AUDIT_ARCH.x86_64, nr: callsOf("x86_64").get(name) as number, args: args.map(word) });
		if (value !== verdict(policy, "x86_64", name, args)) wrong++;
	}
	t.equal(wrong, 0);
});

t.test("1,000 rules for the arguments of one call, which jump farther than a byte counts, answer right", async (t) => {
	const rules: Rule[] = Array.from({ length: 1000 }, (_, i) => ({
		names: ["ioctl"],
		action: ERRNO | (1 + i),
		conditions: [{ argument: 1, operator: "eq", value: word(BigInt(i) * 7n) }],
	}));
	const program = compile({ architectures: ["x86_64", "i386"], defaultAction: ALLOW, rules });
	t.equal(faultOf(program), undefined);
	for (const [architecture, nr] of [
		["x86_64", 16],
		["i386", 54],
	] as const)
		for (let i = 0; i < 7100; i++) {
			const args = [word(0n), word(BigInt(i))];
			const wanted = i % 7 === 0 && i < 7000 ? ERRNO | (1 + i / 7) : ALLOW;
			if (simulate(program, { arch: AUDIT_ARCH[architecture], nr, args }).value !== wanted) t.fail(`${architecture} ${i}`);
		}
	t.equal(simulate(program, { arch: AUDIT_ARCH.x86_64, nr: 16, args: [word(0n), word(0x100000007n)] }).value, ALLOW);
});

t.test("a policy that needs more instructions than the kernel takes is refused", async (t) => {
	const rules: Rule[] = Array.from({ length: 5000 }, (_, i) => ({
		names: ["ioctl"],
		action: ERRNO | 1,
		conditions: [{ argument: 1, operator: "eq", value: word(BigInt(i)) }],
	}));
	t.throws(() => compile({ architectures: ["x86_64"], defaultAction: ALLOW, rules }), {
		message: /^it needs 50\d\d instructions, and the kernel takes 4096/,
	});
});

t.test("x32's calls are told from x86_64's by their bit, and no call at all (-1) gets the default", async (t) => {
	const rules: Rule[] = [{ names: ["getpid"], action: ALLOW, conditions: [] }];
	const policy = { defaultAction: ERRNO | 1, rules };
	const ask = (architectures: Architecture[], nr: number) =>
		simulate(compile({ ...policy, architectures }), { arch: AUDIT_ARCH.x86_64, nr, args: [] }).value;
	t.equal(ask(["x86_64"], 39), ALLOW);
	t.equal(ask(["x86_64"], 0x40000000 + 39), KILL);
	t.equal(ask(["x86_64", "x32"], 0x40000000 + 39), ALLOW);
	t.equal(ask(["x86_64", "x32"], 0x40000000 + 40), ERRNO | 1);
	t.equal(ask(["x86_64"], 0xffffffff), ERRNO | 1);
	t.equal(ask(["x86_64", "x32"], 0xffffffff), ERRNO | 1);
	t.equal(ask(["i386"], 39), KILL);
});

t.test("what is refused to a call of sockets or IPC is refused by way of i386's socketcall and ipc as well", async (t) => {
	const ask = (policy: Omit<Policy, "architectures">, nr: number, ...args: number[]) =>
		simulate(compile({ ...policy, architectures: ["i386"] }), {
			arch: AUDIT_ARCH.i386,
			nr,
			args: args.map((low) => ({ high: 0, low })),
		}).value;
	const [socketcall, ipc, socket] = [102, 117, 359];
	const refuse: Rule[] = [
		{ names: ["socket", "shmget"], action: ERRNO | 1, conditions: [{ argument: 0, operator: "eq", value: word(38n) }] },
		{ names: ["bind"], action: ERRNO | 2, conditions: [] },
	];
	const open = { defaultAction: ALLOW, rules: refuse };
	t.equal(ask(open, socket, 38), ERRNO | 1);
	t.equal(ask(open, socket, 2), ALLOW);
	t.equal(ask(open, socketcall, 1), ERRNO | 1, "socket, whatever its family");
	t.equal(ask(open, socketcall, 2), ERRNO | 2);
	t.equal(ask(open, socketcall, 3), ALLOW);
	t.equal(ask(open, ipc, 23), ERRNO | 1);
	t.equal(ask(open, ipc, 0x10000 + 23), ERRNO | 1, "ipc's version");
	t.equal(ask(open, ipc, 24), ALLOW);
	const grant: Rule[] = [
		{ names: ["socket"], action: ALLOW, conditions: [{ argument: 0, operator: "eq", value: word(1n) }] },
		{ names: ["bind"], action: ALLOW, conditions: [] },
	];
	const closed = { defaultAction: ERRNO | 1, rules: grant };
	t.equal(ask(closed, socketcall, 1), ERRNO | 1, "its family cannot be seen");
	t.equal(ask(closed, socketcall, 2), ALLOW);
});

/** What the kernel answers; undefined if it refuses the program. */
function askKernel(program: Instruction[], calls: { abi: number; call: Call }[]): { how: number; value: number }[] | undefined {
	const bytes = programBytes(programWords(program));
	const input = Buffer.alloc(4 + bytes.length + 4 + calls.length * 56);
	input.writeUInt32LE(program.length, 0);
	input.set(bytes, 4);
	input.writeUInt32LE(calls.length, 4 + bytes.length);
	calls.forEach(({ abi, call: { nr, args } }, i) => {
		const at = 8 + bytes.length + i * 56;
		input.writeUInt32LE(abi, at);
		input.writeUInt32LE(nr, at + 4);
		args.forEach((arg, j) => {
			input.writeBigUInt64LE(big(arg), at + 8 + 8 * j);
		});
	});
	const { status, stdout, stderr } = spawnSync(probe, { input, maxBuffer: 1 << 24 });
	if (status === 2) return undefined;
	if (status !== 0) throw new Error(`status ${status}: ${stderr}`);
	return calls.map((_, i) => ({ how: stdout.readInt32LE(8 * i), value: stdout.readInt32LE(8 * i + 4) }));
}

/** What seccomp-calls.c sees of an answer. */
function seen(value: number): { how: number; value: number } {
	const data = value & 0xffff;
	if (value >= KILL_PROCESS) return { how: 2, value: 0 };
	switch (value & 0x7fff0000) {
		case ERRNO:
			return { how: 0, value: -Math.min(data, 4095) };
		case TRAP:
			return { how: 1, value: data };
		case TRACE:
			return { how: 0, value: -38 };
		default:
			return { how: 2, value: 0 };
	}
}

const folder = mkdtempSync(join(tmpdir(), `tsbox-seccomp-${process.pid}-`));
const probe = join(folder, "seccomp-calls");
t.teardown(() => rmSync(folder, { recursive: true }));
if (!needsKernel.skip) {
	const source = fileURLToPath(new URL("../support/seccomp-calls.c", import.meta.url));
	const { status, stderr } = spawnSync("gcc", ["-O1", "-w", "-o", probe, source], { encoding: "utf8" });
	if (status !== 0) throw new Error(stderr);
}

t.test("the kernel answers what the simulator says, on random policies", needsKernel, async (t) => {
	const random = randomFrom(3);
	let asked = 0;
	for (let round = 0; round < 60; round++) {
		const names = Array.from({ length: 12 }, () => random.pick(NAMES));
		const policy = somePolicy(
			random,
			1 + random.below(40),
			random.pick([["x86_64", "i386", "x32"], ["x86_64"], ["x86_64", "i386"]]),
			names,
		);
		const program = compile(policy);
		const calls = Array.from({ length: 150 }, () => {
			const architecture = random.pick(["x86_64", "x86_64", "x32", "i386"] as const);
			const nr = callsOf(architecture).get(random.pick(names)) ?? (architecture === "x32" ? 0x40000000 : 0) + random.below(600);
			/* i386's arguments have 32 bits. */
			const args = someArguments(random, policy).map((arg) => word(architecture === "i386" ? arg & 0xffffffffn : arg));
			return { abi: architecture === "i386" ? 1 : 0, call: { arch: AUDIT_ARCH[architecture], nr, args } };
		}).filter(({ abi, call }) => abi === 1 || !UNFILTERED.includes(call.nr));
		const answers = askKernel(program, calls);
		t.ok(answers, "the kernel takes the program");
		const differing = calls.filter(({ call }, i) => {
			const { how, value } = seen(simulate(program, call).value);
			return answers?.[i]?.how !== how || answers[i]?.value !== value;
		});
		asked += calls.length;
		t.same(differing, []);
	}
	t.ok(asked > 8500);
});

/** Any instructions at all, good or bad; the answer is an error in any case. */
function someProgram(random: Random): Instruction[] {
	const length = 3 + random.below(24);
	const codes = [0x20, 0x20, 0x00, 0x01, 0x80, 0x81, 0x60, 0x61, 0x02, 0x03, 0x07, 0x87, 0x84, 0x05, 0x06];
	for (const operation of [0, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0]) codes.push(0x04 | operation, 0x0c | operation);
	for (const operation of [0x10, 0x20, 0x30, 0x40]) codes.push(0x05 | operation, 0x05 | operation, 0x0d | operation);
	const program = Array.from({ length }, (_, at): Instruction => {
		const code = random.below(200) === 0 ? random.below(300) : random.pick(codes);
		/* To the last three at most, of which none may be left out; or beyond the end. */
		const jumpBy = () => (random.below(150) === 0 ? length - at + 2 + random.below(9) : random.below(Math.min(length - at, 6)));
		if (code === 0x20) return { code, jt: 0, jf: 0, k: random.below(100) === 0 ? random.below(70) : 4 * random.below(16) };
		if (code === 0x06) return { code, jt: 0, jf: 0, k: ERRNO | (1 + random.below(4000)) };
		if (code === 0x05) return { code, jt: 0, jf: 0, k: jumpBy() };
		if ([0x60, 0x61, 0x02, 0x03].includes(code)) return { code, jt: 0, jf: 0, k: random.below(random.below(60) === 0 ? 20 : 3) };
		if (code === 0x64 || code === 0x74) return { code, jt: 0, jf: 0, k: random.below(random.below(60) === 0 ? 40 : 32) };
		return {
			code,
			...((code & 7) === 5 ? { jt: jumpBy(), jf: jumpBy() } : { jt: 0, jf: 0 }),
			k: random.pick([0, 1, 2, 3, 0x20, 0xc000003e, random.next()]),
		};
	});
	/* A &= 0xfff; A |= ERRNO; return A */
	return [...program, { code: 0x54, jt: 0, jf: 0, k: 0xfff }, { code: 0x44, jt: 0, jf: 0, k: ERRNO }, { code: 0x16, jt: 0, jf: 0, k: 0 }];
}

t.test("the simulator takes the programs that the kernel takes, and runs each instruction as the kernel does", needsKernel, async (t) => {
	const random = randomFrom(4);
	const counts = { good: 0, bad: 0, answers: 0 };
	for (let round = 0; round < 400; round++) {
		const program = someProgram(random);
		/* A return in the middle of it that is no error would let a call be made. */
		if (program.slice(0, -1).some(({ code }) => code === 0x16)) continue;
		const calls = Array.from({ length: 12 }, () => ({
			abi: 0,
			call: { arch: AUDIT_ARCH.x86_64, nr: random.below(330), args: Array.from({ length: 6 }, () => word(someValue(random))) },
		}));
		/* The instruction pointer is not simulated. */
		if (program.some(({ code, k }) => code === 0x20 && (k === 8 || k === 12))) continue;
		const fault = faultOf(program);
		const answers = askKernel(program, calls);
		if ((fault === undefined) !== (answers !== undefined)) t.fail(`${fault}: ${JSON.stringify(program)}`);
		counts[fault === undefined ? "good" : "bad"]++;
		if (fault !== undefined || !answers) continue;
		calls.forEach(({ call }, i) => {
			const wanted = seen(simulate(program, call).value);
			if (answers[i]?.how !== wanted.how || answers[i]?.value !== wanted.value)
				t.fail(`${JSON.stringify({ wanted, got: answers[i], call, program })}`);
			counts.answers++;
		});
	}
	t.ok(counts.good > 40 && counts.bad > 40 && counts.answers > 400, JSON.stringify(counts));
});

t.test("a program's bytes are read as they were written", async (t) => {
	const program = compile(defaultPolicy([], "x86_64"));
	t.same(readProgram(programBytes(programWords(program))), program);
});
