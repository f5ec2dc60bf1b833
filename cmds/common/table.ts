/** Facts for people: a table with a header, aligned. The same facts for programs: JSON. */
import { isTerminal, columns as terminalColumns } from "../../native/linux/terminal.ts";
import { show } from "./errors.ts";

export interface Column<Row> {
	header: string;
	value(row: Row): string | number | undefined;
	/** Numbers stand at the right. */
	right?: true;
	/** May be cut at the terminal's edge: the last column. */
	cut?: true;
}

/** The characters that take no column, or two, are rare in our facts: a code point is counted as one. */
function width(text: string): number {
	return [...text].length;
}

/** Rows as an aligned table, the header first; absent values are `-`. Cut to the terminal's width where there is one. */
export function table<Row>(rows: Row[], columns: Column<Row>[], options: { header?: boolean; wide?: boolean } = {}): string {
	const cells = rows.map((row) =>
		columns.map((column) => {
			const value = column.value(row);
			return value === undefined || value === "" ? "-" : printable(String(value));
		}),
	);
	if (options.header !== false) cells.unshift(columns.map((column) => column.header));
	const widths = columns.map((_, i) => Math.max(0, ...cells.map((line) => width(line[i] as string))));
	const edge = options.wide || !isTerminal(1) ? Infinity : (terminalColumns(1) ?? Infinity);
	return cells
		.map((line) => {
			const text = line
				.map((cell, i) => {
					const space = " ".repeat((widths[i] as number) - width(cell));
					return columns[i]?.right ? space + cell : i === line.length - 1 ? cell : cell + space;
				})
				.join("  ");
			const last = columns[columns.length - 1];
			return `${last?.cut && width(text) > edge ? [...text].slice(0, edge).join("") : text}\n`;
		})
		.join("");
}

/** A cell as it is, but for control characters and broken UTF-8, which are escaped. */
function printable(text: string): string {
	const quoted = show(text);
	return quoted === `"${text.replace(/["\\]/g, "\\$&")}"` ? text : quoted;
}

/** One JSON value, for `--json`. Of the control characters JSON escapes those below 32 only. */
export function json(value: unknown): string {
	const text = JSON.stringify(value, null, 2).replace(/[\x7f-\x9f]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
	return `${text}\n`;
}
