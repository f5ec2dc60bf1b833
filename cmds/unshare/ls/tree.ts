/** Puts rows in the order of a tree, each with the lines that lead to it from its parent. */

export interface TreeRow<Row> {
	row: Row;
	/** `│ └─` and so on; empty for a root. */
	lines: string;
	children: TreeRow<Row>[];
}

/** The roots, with their children. A row whose parents lead back to itself, or to no row, is a root. */
export function makeTree<Row>(rows: Row[], parentOf: (row: Row) => Row | undefined): TreeRow<Row>[] {
	const nodes = new Map<Row, TreeRow<Row>>();
	for (const row of rows) nodes.set(row, { row, lines: "", children: [] });
	const roots: TreeRow<Row>[] = [];
	for (const [row, node] of nodes) {
		const parent = leadsBack(row, parentOf) ? undefined : nodes.get(parentOf(row) as Row);
		(parent?.children ?? roots).push(node);
	}
	for (const root of roots) draw(root, "");
	return roots;
}

/** A process may end, and its number be used again, while we look: then even parents can go round in a circle. */
function leadsBack<Row>(row: Row, parentOf: (row: Row) => Row | undefined): boolean {
	const seen = new Set<Row>();
	for (let at = parentOf(row); at !== undefined && !seen.has(at); at = parentOf(at)) {
		if (at === row) return true;
		seen.add(at);
	}
	return false;
}

function draw<Row>(node: TreeRow<Row>, indent: string) {
	node.children.forEach((child, i) => {
		const isLast = i === node.children.length - 1;
		child.lines = indent + (isLast ? "└─" : "├─");
		draw(child, indent + (isLast ? "  " : "│ "));
	});
}

/** The rows from top to bottom. */
export function flatten<Row>(nodes: TreeRow<Row>[]): TreeRow<Row>[] {
	return nodes.flatMap((node) => [node, ...flatten(node.children)]);
}
