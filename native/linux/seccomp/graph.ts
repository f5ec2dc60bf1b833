/**
 * Programs as graphs of decisions, in which equal parts are one: what a filter is before it has addresses.
 *
 * A node is made of those that follow it, so the nodes' numbers are an order in which each comes after its successors.
 */

export interface Return {
	kind: "return";
	id: number;
	value: number;
}

/** Puts a 32-bit word of struct seccomp_data into the accumulator, with a mask. */
export interface Load {
	kind: "load";
	id: number;
	offset: number;
	mask: number;
	next: Node;
}

/** Compares the accumulator, unsigned. */
export interface Test {
	kind: "test";
	id: number;
	operator: "eq" | "gt" | "ge";
	k: number;
	yes: Node;
	no: Node;
}

export type Node = Return | Load | Test;

export const ALL_BITS = 0xffffffff;

/** Makes the nodes of one program. */
export interface Graph {
	give(value: number): Node;
	load(offset: number, next: Node, mask?: number): Node;
	test(operator: Test["operator"], k: number, yes: Node, no: Node): Node;
}

export function makeGraph(): Graph {
	const known = new Map<string, Node>();
	const make = (key: string, node: (id: number) => Node): Node => {
		let found = known.get(key);
		if (!found) {
			found = node(known.size);
			known.set(key, found);
		}
		return found;
	};
	const graph: Graph = {
		give: (value) => make(`r${value}`, (id) => ({ kind: "return", id, value })),
		/* What does not look at the word needs no load. */
		load: (offset, next, mask = ALL_BITS) =>
			next.kind === "test" ? make(`l${offset},${mask},${next.id}`, (id) => ({ kind: "load", id, offset, mask, next })) : next,
		test(operator, k, yes, no) {
			if (yes === no || (operator === "ge" && k === 0)) return yes;
			if (operator === "gt" && k === ALL_BITS) return no;
			if (operator === "gt" && k === 0) return graph.test("eq", 0, no, yes);
			return make(`${operator}${k},${yes.id},${no.id}`, (id) => ({ kind: "test", id, operator, k, yes, no }));
		},
	};
	return graph;
}

/** What is known on a way through the graph: the word in the accumulator, and what others are, or are not, equal to. */
interface Known {
	key: string;
	loaded: string;
	facts: ReadonlyMap<string, Fact>;
}

/** A word is, or is not, equal to k. */
interface Fact {
	is: boolean;
	k: number;
}

function knowing(loaded: string, facts: Known["facts"]): Known {
	const words = [...facts].map(([word, { is, k }]) => `${word}${is ? "=" : "!"}${k}`).sort();
	return { key: `${loaded};${words.join(";")}`, loaded, facts };
}

const NOTHING = knowing("", new Map());
/** How many ways through a graph are told from each other. */
const MOST_STATES = 40_000;

/**
 * The same decisions without what is known on the way: a word that is loaded already, the upper half of an argument that
 * is compared again. A graph whose ways differ in too much is left as it is.
 */
export function simplify(root: Node, graph: Graph): Node {
	const done = new Map<string, Node>();
	/* The upper halves of arguments only: there are few values of them. */
	const isRemembered = (word: string) => word.endsWith("h");

	/** Follows tests of a word as far as a fact decides them. */
	const decide = (from: Node, fact: Fact | undefined): Node => {
		let node = from;
		while (node.kind === "test" && fact) {
			if (fact.is) node = holds(node, fact.k) ? node.yes : node.no;
			else if (node.operator === "eq" && node.k === fact.k) node = node.no;
			else break;
		}
		return node;
	};
	/** Follows a way to the next node that is needed there. */
	const settle = (from: Node, known: Known): [Node, Known] => {
		let node = decide(from, known.facts.get(known.loaded));
		while (node.kind === "load") {
			const word = wordOf(node);
			const next = decide(node.next, known.facts.get(word));
			if (word !== known.loaded && next.kind === "test") break;
			node = next;
		}
		return [node, node.kind === "return" ? NOTHING : known];
	};
	const learn = (known: Known, is: boolean, k: number): Known => {
		if (!isRemembered(known.loaded)) return known;
		return knowing(known.loaded, new Map([...known.facts, [known.loaded, { is, k }]]));
	};
	const after = (node: Load | Test, known: Known): [Node, Known][] => {
		if (node.kind === "load") return [settle(node.next, knowing(wordOf(node), known.facts))];
		if (node.operator !== "eq") return [settle(node.yes, known), settle(node.no, known)];
		return [settle(node.yes, learn(known, true, node.k)), settle(node.no, learn(known, false, node.k))];
	};

	const start = settle(root, NOTHING);
	const nameOf = ([node, known]: [Node, Known]) => `${node.id} ${known.key}`;
	const stack = [start];
	while (stack.length > 0) {
		const at = stack[stack.length - 1] as [Node, Known];
		const [node, known] = at;
		const name = nameOf(at);
		if (done.has(name)) {
			stack.pop();
			continue;
		}
		if (done.size > MOST_STATES) return root;
		const next = node.kind === "return" ? [] : after(node, known);
		const waiting = next.filter((way) => !done.has(nameOf(way)));
		if (waiting.length > 0) {
			stack.push(...waiting);
			continue;
		}
		const [yes, no] = next.map((way) => done.get(nameOf(way)) as Node) as [Node, Node];
		if (node.kind === "return") done.set(name, graph.give(node.value));
		else if (node.kind === "load") done.set(name, graph.load(node.offset, yes, node.mask));
		else done.set(name, graph.test(node.operator, node.k, yes, no));
		stack.pop();
	}
	return done.get(nameOf(start)) as Node;
}

/** A name for what a load reads; the upper half of an argument, unmasked, ends with an h. */
function wordOf({ offset, mask }: Load): string {
	if (mask !== ALL_BITS) return `${offset}&${mask}`;
	return `${offset}${offset >= 20 && offset % 8 === 4 ? "h" : ""}`;
}

function holds({ operator, k }: Test, value: number): boolean {
	if (operator === "eq") return value === k;
	return operator === "gt" ? value > k : value >= k;
}
