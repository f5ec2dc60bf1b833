/** Ways for a tool to fail, each of which must end in an error line and exit status 125. A part of its own, as verbs are. */

export function fail(way: string) {
	if (way === "throw") outer(() => innermost());
	else if (way === "throw-number") throw 42;
	else if (way === "throw-object") throw hostile();
	else if (way === "type-error") (undefined as unknown as { member(): void }).member();
	else if (way === "recursion") recurse(0);
	else if (way === "recursion-by-sort") recurseBySort();
	else if (way === "recursion-by-text") String(recursiveObject());
	else if (way === "recursion-by-json") JSON.parse("[".repeat(4_000_000));
	else if (way === "recursion-by-stringify") stringifyDeep();
	else if (way === "recursion-by-regexp") new RegExp("(".repeat(2_000_000));
	else if (way === "recursion-by-flat") flattenDeep();
	else if (way === "memory-by-arrays") eatArrays();
	else if (way === "memory-by-objects") eatObjects();
	else if (way === "memory-by-strings") eatStrings();
	else if (way === "deepest-json") deepestJson();
	else throw new RangeError(`unknown way to fail: ${way}`);
}

function outer(inner: () => void) {
	inner();
}

function innermost() {
	throw new Error("thrown on purpose");
}

/** An error that cannot be turned into text. */
function hostile() {
	return {
		toString() {
			throw new Error("no text");
		},
	};
}

function recurse(depth: number): number {
	return recurse(depth + 1) + 1;
}

function recurseBySort() {
	[1, 2].sort(() => {
		recurseBySort();
		return 0;
	});
}

function recursiveObject(): object {
	return {
		toString(): string {
			return String(recursiveObject());
		},
	};
}

function deep(): unknown[] {
	let nested: unknown[] = [];
	for (let i = 0; i < 500_000; i++) nested = [nested];
	return nested;
}

function stringifyDeep() {
	JSON.stringify(deep());
}

function flattenDeep() {
	(deep() as { flat(depth: number): unknown[] }).flat(Infinity);
}

function eatArrays() {
	const held: Uint8Array[] = [];
	for (;;) held.push(new Uint8Array(1 << 20));
}

function eatObjects() {
	const held: object[] = [];
	for (;;) held.push({ at: held.length });
}

function eatStrings() {
	const held: string[] = [];
	for (;;) held.push(String.fromCharCode(held.length).repeat(1 << 16));
}

/** As deep as the parser allows: what comes in as JSON can be printed again. */
function deepestJson() {
	let least = 1;
	let most = 1 << 20;
	while (most - least > 1) {
		const depth = (least + most) >> 1;
		try {
			JSON.parse(`${"[".repeat(depth)}${"]".repeat(depth)}`);
			least = depth;
		} catch {
			most = depth;
		}
	}
	const value = JSON.parse(`${"[".repeat(least)}${"]".repeat(least)}`);
	throw new Error(`printed ${JSON.stringify(value).length} of ${2 * least}, indented ${JSON.stringify(value, null, 1).length}`);
}
