/**
 * From a graph to the instructions of classic BPF: Documentation/networking/filter.rst.
 *
 * The program is written backwards, so that what an instruction jumps to has its place already. A conditional jump reaches
 * 255 instructions; what is farther is reached by way of an unconditional jump, and an answer is simply written again.
 */
import {
	BPF_ABS,
	BPF_ALU,
	BPF_AND,
	BPF_JA,
	BPF_JEQ,
	BPF_JGE,
	BPF_JGT,
	BPF_JMP,
	BPF_K,
	BPF_LD,
	BPF_MAXINSNS,
	BPF_RET,
} from "./constants.ts";
import { ALL_BITS, type Node, type Test } from "./graph.ts";
import { PolicyError } from "./policy.ts";

/** struct sock_filter. */
export interface Instruction {
	code: number;
	jt: number;
	jf: number;
	k: number;
}

const JUMPS = { eq: BPF_JEQ, gt: BPF_JGT, ge: BPF_JGE };
/* One less than a byte holds: the jump for the other way may come in between. */
const REACH = 254;

/** The program that a graph is. Throws PolicyError for one that is longer than the kernel takes. */
export function assemble(root: Node): Instruction[] {
	const program: Instruction[] = [];
	const places = new Map<number, number>();
	const add = (code: number, k: number, jt = 0, jf = 0) => {
		program.push({ code, jt, jf, k });
	};
	/* How many instructions are between the next one and what it jumps to. */
	const distance = (node: Node) => program.length - (places.get(node.id) as number) - 1;

	/** Puts a stand-in for what is beyond reach. */
	const bringNear = (node: Node, reach: number) => {
		if (distance(node) <= reach) return;
		if (node.kind === "return") add(BPF_RET | BPF_K, node.value);
		else add(BPF_JMP | BPF_JA, distance(node));
		places.set(node.id, program.length - 1);
	};
	const addTest = ({ operator, k, yes, no }: Test) => {
		bringNear(yes, REACH);
		bringNear(no, REACH);
		add(BPF_JMP | JUMPS[operator] | BPF_K, k, distance(yes), distance(no));
	};
	for (const node of inOrder(root)) {
		if (node.kind === "return") add(BPF_RET | BPF_K, node.value);
		else if (node.kind === "test") addTest(node);
		else {
			bringNear(node.next, 0);
			if (node.mask !== ALL_BITS) add(BPF_ALU | BPF_AND | BPF_K, node.mask);
			add(BPF_LD | BPF_ABS, node.offset);
		}
		places.set(node.id, program.length - 1);
	}
	if (program.length > BPF_MAXINSNS)
		throw new PolicyError(`it needs ${program.length} instructions, and the kernel takes ${BPF_MAXINSNS} of a filter`);
	return program.reverse();
}

/** The nodes that are reached, each after its successors; the root is the last. */
function inOrder(root: Node): Node[] {
	const reached = new Map<number, Node>();
	const rest = [root];
	for (let node = rest.pop(); node; node = rest.pop()) {
		if (reached.has(node.id)) continue;
		reached.set(node.id, node);
		if (node.kind === "load") rest.push(node.next);
		else if (node.kind === "test") rest.push(node.yes, node.no);
	}
	return [...reached.values()].sort((a, b) => a.id - b.id);
}
