/** tsunshare ls: the namespaces of the machine, as lsns(8) lists them, and those that only something else than a process keeps. */

import { NAMESPACES } from "../../../native/linux/namespace.ts";
import { exists } from "../../../native/linux/stat.ts";
import { nearest } from "../../common/command-line/nearest.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { json, type Column as TableColumn, table } from "../../common/table.ts";
import { COLUMNS, type Column, kept, parentOf, type Row, userOf } from "./columns.ts";
import { parseFilter } from "./filter.ts";
import { findNamespaces, type Namespace } from "./namespaces.ts";
import { flatten, makeTree, type TreeRow } from "./tree.ts";

/** The values of the verb's options; their names are those of lsns(8). */
export interface ListOptions {
	json?: true;
	list?: true;
	noheadings?: true;
	output?: string;
	outputAll?: true;
	persistent?: true;
	task?: number;
	filter?: string;
	raw?: true;
	notruncate?: true;
	nowrap?: true;
	type?: string[];
	tree?: string | true;
	listColumns?: true;
}

export function ls(options: ListOptions, operands: string[]) {
	if (options.listColumns) return listColumns(options);
	const types = chosenTypes(options.type);
	if (options.json && options.raw) throw new UsageError("--json and --raw: only one of them can be given");
	if (operands.length > 1) throw new UsageError(`${show(operands[1] as string)}: one namespace is all that can be given`);
	if (operands[0] !== undefined && options.task !== undefined) throw new UsageError("--task: cannot be given with a namespace");
	const relation = treeRelation(options.tree) ?? (operands[0] !== undefined && !options.list ? "process" : undefined);
	const columns = chosenColumns(options, operands[0] !== undefined);
	const filter = options.filter === undefined ? undefined : parseFilter(options.filter, columnValue);

	const found = findNamespaces(types);
	let rows = operands[0] === undefined ? namespaceRows(found, types) : processRows(found, operands[0]);
	if (options.task !== undefined) rows = ofTask(rows, options.task);
	if (options.persistent) rows = rows.filter(({ namespace }) => namespace.pids.length === 0);
	if (filter) rows = rows.filter(filter);

	const tree = makeTree(rows, parentIn(rows, relation));
	if (options.json) print(json({ namespaces: tree.map((node) => jsonNode(node, columns)) }));
	else if (options.raw) print(rawLines(flatten(tree), columns, options));
	else print(tableText(flatten(tree), columns, relation, options));
}

function listColumns(options: ListOptions) {
	if (options.json) print(json({ columns: COLUMNS.map(({ name, about }) => ({ holder: name, description: about })) }));
	else print(COLUMNS.map(({ name, about }) => `${name.padStart(8)}  ${about}\n`).join(""));
}

/** The types in the order given; all where none is. */
function chosenTypes(given: string[] | undefined): string[] {
	const all = NAMESPACES.map(({ name }) => name);
	const types = given?.flatMap((text) => text.split(",")) ?? all;
	for (const type of types)
		if (!all.includes(type))
			throw new UsageError(`--type: ${show(type)} is not a type of namespace (${all.join(", ")})`, nearest(type, all));
	return types;
}

type Relation = "parent" | "owner" | "process";

function treeRelation(given: string | true | undefined): Relation | undefined {
	if (given === undefined) return undefined;
	const relation = given === true ? "owner" : given;
	if (relation === "parent" || relation === "owner" || relation === "process") return relation;
	throw new UsageError(
		`--tree: ${show(relation)} is not a relation (parent, owner, process)`,
		nearest(relation, ["parent", "owner", "process"]),
	);
}

/** The columns for -o LIST, with a `+` in front in addition to the usual ones. */
function chosenColumns(options: ListOptions, ofProcesses: boolean): Column[] {
	const named = (text: string) => text.split(",").map((name) => findColumn(name));
	if (options.outputAll) return COLUMNS;
	if (options.output !== undefined && !options.output.startsWith("+")) return named(options.output);
	const usual = ofProcesses
		? "PID,PPID,USER,COMMAND"
		: options.type?.includes("net")
			? "NS,TYPE,NPROCS,PID,USER,NETNSID,NSFS,COMMAND"
			: "NS,TYPE,NPROCS,PID,USER,COMMAND";
	/* In a table, COMMAND says what keeps a namespace without process; JSON has no such mixture. */
	return [...named(options.json && !ofProcesses ? `${usual},KEPT` : usual), ...(options.output ? named(options.output.slice(1)) : [])];
}

function findColumn(name: string): Column {
	const column = COLUMNS.find((candidate) => candidate.name === name.toUpperCase());
	if (column) return column;
	const names = COLUMNS.map((candidate) => candidate.name);
	throw new UsageError(
		`--output: ${show(name)} is not a column`,
		nearest(name.toUpperCase(), names) ?? `the columns are ${names.join(" ")}`,
	);
}

/** A column's value for a filter, absent ones as an empty string. */
function columnValue(name: string): ((row: Row) => string | number) | undefined {
	const column = COLUMNS.find((candidate) => candidate.name === name.toUpperCase());
	return column && ((row) => plain(column.value(row)) ?? "");
}

function plain(value: string | number | string[] | undefined): string | number | undefined {
	return Array.isArray(value) ? value.join(", ") : value;
}

function namespaceRows(found: Namespace[], types: string[]): Row[] {
	const rows: Row[] = [];
	for (const namespace of found) {
		if (!types.includes(namespace.type)) continue;
		const pid = namespace.pids.find((candidate) => userOf(candidate) !== undefined);
		/* All of its processes have ended since they were counted. */
		if (pid === undefined && namespace.pids.length > 0) namespace.pids = [];
		if (pid !== undefined || kept(namespace).length > 0) rows.push({ namespace, pid });
	}
	return rows;
}

function processRows(found: Namespace[], operand: string): Row[] {
	const number = /^(?:\w+:\[)?(\d+)\]?$/.exec(operand)?.[1];
	if (number === undefined) throw new UsageError(`${show(operand)}: not a namespace's inode number`);
	const namespace = found.find(({ inode }) => inode === Number(number)) ?? fail(`${operand}: no such namespace`);
	return namespace.pids.filter((pid) => userOf(pid) !== undefined).map((pid) => ({ namespace, pid }));
}

/** The namespaces that a process is in. */
function ofTask(rows: Row[], task: number): Row[] {
	const own = rows.filter(({ namespace }) => namespace.pids.includes(task));
	if (own.length === 0 && !exists(`/proc/${task}`)) fail(`${task}: no such process`);
	if (own.length === 0) fail(`${task}: its namespaces cannot be read`, "it is another user's process, or a zombie");
	return own;
}

/** For makeTree: the row that a row stands under. */
function parentIn(rows: Row[], relation: Relation | undefined): (row: Row) => Row | undefined {
	if (relation === undefined) return () => undefined;
	if (relation === "process") {
		/* A process has a row for each namespace that it is the first of: its children go under the last one above them. */
		const parents = new Map<Row, Row | undefined>();
		const last = new Map<number | undefined, Row>();
		for (const row of rows) {
			parents.set(row, last.get(row.pid && parentOf(row.pid)));
			last.set(row.pid, row);
		}
		return (row) => parents.get(row);
	}
	const byNamespace = new Map(rows.map((row) => [row.namespace, row]));
	return ({ namespace }) => {
		/* The next one up that is shown: -t may have left out those between. */
		let above = namespace[relation];
		while (above && !byNamespace.has(above)) above = above[relation];
		return above && byNamespace.get(above);
	};
}

function jsonNode({ row, children }: TreeRow<Row>, columns: Column[]): Record<string, unknown> {
	const node: Record<string, unknown> = {};
	for (const column of columns) node[column.name.toLowerCase()] = column.value(row) ?? null;
	if (children.length > 0) node.children = children.map((child) => jsonNode(child, columns));
	return node;
}

/** Cells with one space between; a space or control character in one is \xNN, an absent value -. */
function rawLines(nodes: TreeRow<Row>[], columns: Column[], options: ListOptions): string {
	const bare = (text: string) =>
		text.replace(/[\s\\\x00-\x1f\x7f-\x9f\udc80-\udcff]/g, (c) => {
			const code = c.charCodeAt(0);
			return `\\x${(code >= 0xdc80 ? code - 0xdc00 : code).toString(16).padStart(2, "0")}`;
		});
	const lines = nodes.map(({ row }) => columns.map((column) => bare(String(plain(column.value(row)) ?? "-"))));
	if (!options.noheadings) lines.unshift(columns.map(({ name }) => name));
	return lines.map((line) => `${line.join(" ")}\n`).join("");
}

function tableText(nodes: TreeRow<Row>[], columns: Column[], relation: Relation | undefined, options: ListOptions): string {
	const treeColumn = relation === "process" ? "COMMAND" : relation && "NS";
	const hasKept = columns.some(({ name }) => name === "KEPT");
	const cells = columns.map((column): TableColumn<TreeRow<Row>> => {
		const inTree = column.name === treeColumn;
		return {
			header: column.name,
			value: ({ row, lines }) => {
				let text = plain(column.value(row));
				if (column.name === "COMMAND" && row.pid === undefined && !hasKept) text = `[${kept(row.namespace).join(", ")}]`;
				return inTree ? `${lines}${text ?? ""}` : text;
			},
			...(column.number && !inTree && { right: true }),
			...(!options.notruncate && column.name === "COMMAND" && { cut: true }),
		};
	});
	return table(nodes, cells, { header: !options.noheadings });
}
