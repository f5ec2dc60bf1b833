/** Facts as a table and as JSON. */
import t from "tap";
import { type Column, json, table } from "../../cmds/common/table.ts";

interface Row {
	name: string | undefined;
	size: number | undefined;
}
const columns: Column<Row>[] = [
	{ header: "NAME", value: ({ name }) => name },
	{ header: "SIZE", value: ({ size }) => size, right: true },
	{ header: "REST", value: ({ name }) => name && `of ${name}`, cut: true },
];

t.test("columns are as wide as their widest cell; numbers stand at the right; the last column is not padded", async (t) => {
	t.equal(
		table(
			[
				{ name: "a", size: 1 },
				{ name: "longer", size: 12345 },
			],
			columns,
		),
		"NAME     SIZE  REST\na           1  of a\nlonger  12345  of longer\n",
	);
});

t.test("an absent or empty value is a dash, zero is not", async (t) => {
	t.equal(table([{ name: undefined, size: undefined }], columns), "NAME  SIZE  REST\n-        -  -\n");
	t.equal(table([{ name: "", size: 0 }], columns), "NAME  SIZE  REST\n-        0  -\n");
});

t.test("without rows there is the header alone, and without that nothing", async (t) => {
	t.equal(table([], columns), "NAME  SIZE  REST\n");
	t.equal(table([], columns, { header: false }), "");
	t.equal(table([{ name: "x", size: 1 }], columns, { header: false }), "x  1  of x\n");
});

t.test("each row is one line, whatever a cell holds", async (t) => {
	const names = ["a\nb", "\u001b[2J", "\u009bm", "\r", "\udcff", "x\ty", "\u0000"];
	const text = table(
		names.map((name) => ({ name, size: 1 })),
		columns,
	);
	t.equal(text.split("\n").length, names.length + 2);
	t.notMatch(text.replace(/\n/g, ""), /[\x00-\x1f\x7f-\x9f\ud800-\udfff]/);
	/* What is plain but for a space or quote is left as it is: a cell has no need of quotes. */
	for (const name of ['say "x" y', "back\\slash", '"', "\\x41"]) t.match(table([{ name, size: 1 }], columns), `\n${name} `);
});

t.test("the cells of a column begin at the same place, also with letters of several bytes", async (t) => {
	const lines = table(
		["é", "日本", "😀😀", "plain"].map((name) => ({ name, size: 7 })),
		columns,
	)
		.trimEnd()
		.split("\n")
		.map((line) => [...line]);
	for (const line of lines.slice(1)) t.equal(line.indexOf("7"), (lines[0]?.join("").indexOf("SIZE") as number) + 3);
});

t.test("output that is no terminal is not cut", async (t) => {
	const long = "x".repeat(500);
	t.match(table([{ name: long, size: 1 }], columns), `of ${long}\n`);
});

t.test("JSON ends with a line's end and has hostile text escaped", async (t) => {
	const value = { a: "\u001b[31m\n", b: ["\udcff", 1, null, true] };
	const text = json(value);
	t.ok(text.endsWith("}\n"));
	t.notMatch(text.replace(/\n/g, ""), /[\x00-\x1f]/);
	t.same(JSON.parse(text), value);
});
