/**
 * A policy's program. It looks at the architecture first, then at the range of the number (x32's calls have a bit set),
 * then finds the call by halving the numbers that are left, and looks at the arguments last.
 *
 * What depends on nothing but architecture and number the kernel (5.11 and later) works out once, when it loads the filter:
 * such a call then costs a bit's look-up. A comparison of an argument is made at each call.
 */
import { assemble, type Instruction } from "./assemble.ts";
import { type Architecture, callsOf } from "./calls.ts";
import {
	AUDIT_ARCH_AARCH64,
	AUDIT_ARCH_ARM,
	AUDIT_ARCH_I386,
	AUDIT_ARCH_X86_64,
	SECCOMP_DATA_ARCH,
	SECCOMP_DATA_ARGS,
	SECCOMP_DATA_NR,
	SECCOMP_RET_KILL_THREAD,
	X32_SYSCALL_BIT,
} from "./constants.ts";
import { type Graph, makeGraph, type Node, simplify } from "./graph.ts";
import { IPC_CALLS, SOCKET_CALLS } from "./multiplexed.ts";
import { type Condition, type Policy, permissiveness, type Rule } from "./policy.ts";

/** What the kernel tells a filter as the architecture of a call. */
export const AUDIT_ARCH: Record<Architecture, number> = {
	x86_64: AUDIT_ARCH_X86_64,
	x32: AUDIT_ARCH_X86_64,
	i386: AUDIT_ARCH_I386,
	aarch64: AUDIT_ARCH_AARCH64,
	arm: AUDIT_ARCH_ARM,
};

/** What becomes of a call of an architecture that the policy does not name: what libseccomp does. */
const FOREIGN = SECCOMP_RET_KILL_THREAD;

/** A number that is no call: what a tracer puts in place of one that is to be left out. */
const NO_CALL = 0xffffffff;

/** The program of a policy. Throws PolicyError where the kernel would not take it. */
export function compile(policy: Policy): Instruction[] {
	const graph = makeGraph();
	return assemble(simplify(chooseArchitecture(policy, graph), graph));
}

function chooseArchitecture(policy: Policy, graph: Graph): Node {
	const has = (architecture: Architecture) => policy.architectures.includes(architecture);
	const search = (architecture: Architecture) => (has(architecture) ? findCall(policy, architecture, graph) : graph.give(FOREIGN));
	const ofNumber = (node: Node) => graph.load(SECCOMP_DATA_NR, node);
	let node = graph.give(FOREIGN);
	for (const architecture of ["arm", "aarch64", "i386"] as const)
		if (has(architecture)) node = graph.test("eq", AUDIT_ARCH[architecture], ofNumber(search(architecture)), node);
	if (has("x86_64") || has("x32")) {
		const others = has("x32") ? search("x32") : graph.test("eq", NO_CALL, graph.give(policy.defaultAction), graph.give(FOREIGN));
		node = graph.test("eq", AUDIT_ARCH.x86_64, ofNumber(graph.test("ge", X32_SYSCALL_BIT, others, search("x86_64"))), node);
	}
	return graph.load(SECCOMP_DATA_ARCH, node);
}

/** Finds the call by its number: the numbers are ranges of one answer, which are halved until one is left. */
function findCall(policy: Policy, architecture: Architecture, graph: Graph): Node {
	const otherwise = graph.give(policy.defaultAction);
	const ranges = [{ from: 0, node: otherwise }];
	const add = (from: number, node: Node) => {
		if (ranges[ranges.length - 1]?.node !== node) ranges.push({ from, node });
	};
	const calls = [...rulesByNumber(policy, architecture)].sort(([a], [b]) => a - b);
	calls.forEach(([number, rules], i) => {
		add(number, answerOf(rules, otherwise, graph));
		if (calls[i + 1]?.[0] !== number + 1) add(number + 1, otherwise);
	});
	const halve = (first: number, end: number): Node => {
		if (end - first === 1) return (ranges[first] as { node: Node }).node;
		const middle = (first + end) >> 1;
		return graph.test("ge", (ranges[middle] as { from: number }).from, halve(middle, end), halve(first, middle));
	};
	return halve(0, ranges.length);
}

/** The rules that each of an architecture's calls is subject to, in the policy's order. */
function rulesByNumber(policy: Policy, architecture: Architecture): Map<number, Rule[]> {
	const numbers = callsOf(architecture);
	const found = new Map<number, Rule[]>();
	const add = (name: string, rule: Rule) => {
		const number = numbers.get(name);
		if (number === undefined) return;
		const rules = found.get(number);
		if (rules) rules.push(rule);
		else found.set(number, [rule]);
	};
	for (const rule of policy.rules)
		for (const name of rule.names) {
			add(name, rule);
			if (architecture === "i386") addMultiplexed(policy, rule, name, add);
		}
	return found;
}

/**
 * On i386 a call of sockets or of System V IPC can also be made through socketcall(2) or ipc(2), whose first argument says
 * which is meant. The call's own arguments are in memory then, where a filter cannot look: a rule with conditions that makes
 * the call stricter holds for all of these calls, one that allows more for none of them.
 */
function addMultiplexed(policy: Policy, rule: Rule, name: string, add: (name: string, rule: Rule) => void) {
	if (rule.conditions.length > 0 && permissiveness(rule.action) > permissiveness(policy.defaultAction)) return;
	for (const [by, calls] of [
		["socketcall", SOCKET_CALLS],
		["ipc", IPC_CALLS],
	] as const) {
		const which = calls[name];
		if (which === undefined) continue;
		/* The upper half of ipc's is a version. */
		const condition: Condition = {
			argument: 0,
			operator: "masked",
			mask: { high: 0, low: by === "ipc" ? 0xffff : 0xffffffff },
			value: { high: 0, low: which },
		};
		add(by, { names: [by], action: rule.action, conditions: [condition] });
	}
}

/** What a call's rules answer: see Policy for which of them decides. */
function answerOf(rules: readonly Rule[], otherwise: Node, graph: Graph): Node {
	const always = rules.find(({ conditions }) => conditions.length === 0);
	if (always) return graph.give(always.action);
	let node = otherwise;
	for (let i = rules.length - 1; i >= 0; i--) {
		const { conditions, action } = rules[i] as Rule;
		const rest = node;
		node = graph.give(action);
		for (let j = conditions.length - 1; j >= 0; j--) node = compare(conditions[j] as Condition, node, rest, graph);
	}
	return node;
}

/** Compares a 64-bit argument, a half at a time. */
function compare({ argument, operator, value, mask }: Condition, yes: Node, no: Node, graph: Graph): Node {
	const low = SECCOMP_DATA_ARGS + 8 * argument;
	const high = low + 4;
	if (operator === "masked") {
		const half = (offset: number, part: number, k: number, next: Node) => {
			/* A bit that the mask takes away never is in the rest. */
			if ((k & ~part) !== 0) return no;
			return part === 0 ? next : graph.load(offset, graph.test("eq", k, next, no), part);
		};
		const { high: maskHigh, low: maskLow } = mask ?? { high: 0xffffffff, low: 0xffffffff };
		return half(high, maskHigh, value.high, half(low, maskLow, value.low, yes));
	}
	if (operator === "ne") return compare({ argument, operator: "eq", value }, no, yes, graph);
	if (operator === "lt") return compare({ argument, operator: "ge", value }, no, yes, graph);
	if (operator === "le") return compare({ argument, operator: "gt", value }, no, yes, graph);
	const ofLow = graph.load(low, graph.test(operator, value.low, yes, no));
	const ofHigh = graph.test("eq", value.high, ofLow, no);
	return graph.load(high, operator === "eq" ? ofHigh : graph.test("gt", value.high, yes, ofHigh));
}
