/** What the option tables look like to people: --help and the man page. Loaded when one is asked for. */
import { type Command, commonOptions, type Tool } from "./command.ts";
import { declaredHelp, type Section } from "./declared.ts";
import type { Option } from "./options.ts";

const WIDTH = 80;

/** `-m, --mount[=FILE]` */
function optionName(option: Option): string {
	const value = option.value === undefined ? "" : option.optional ? `[=${option.value}]` : ` ${option.value}`;
	return `${option.short ? `-${option.short}, ` : "    "}--${option.long}${value}`;
}

/** Breaks text into lines of at most `width` columns. */
function wrap(text: string, width: number): string[] {
	const lines: string[] = [];
	let line = "";
	for (const word of text.split(" ")) {
		if (line !== "" && line.length + 1 + word.length > width) {
			lines.push(line);
			line = word;
		} else line = line === "" ? word : `${line} ${word}`;
	}
	return [...lines, line];
}

/** Two columns; the second is wrapped. A first that is too wide gets a line of its own. */
function columns(rows: [string, string][], indent = 1): string {
	const left = Math.min(30, Math.max(...rows.map(([first]) => first.length)));
	let out = "";
	for (const [first, second] of rows) {
		const lines = wrap(second, WIDTH - indent - left - 2);
		const head = " ".repeat(indent) + first;
		if (first.length > left) out += `${head}\n${" ".repeat(indent + left + 2)}${lines[0]}\n`;
		else out += `${head.padEnd(indent + left + 2)}${lines[0]}\n`;
		for (const line of lines.slice(1)) out += `${" ".repeat(indent + left + 2)}${line}\n`;
	}
	return out.trimEnd();
}

function usageLine(tool: Tool, verb: Command): string {
	return [tool.name, verb.name, "[options]", verb.operands].filter((word) => word !== "").join(" ");
}

/** The options by heading, in the order of the table. */
function groups(table: readonly Option[]): [string, Option[]][] {
	const found: [string, Option[]][] = [];
	for (const option of table) {
		const heading = option.group ?? "Options";
		const group = found.find(([name]) => name === heading);
		if (group) group[1].push(option);
		else found.push([heading, [option]]);
	}
	return found;
}

/** `--help`: one screen. cac says which sections there are, and we lay them out: options by their headings, in 80 columns. */
export function helpText(tool: Tool, verb: Command): string {
	const isTop = verb.name === "";
	const table = [...verb.options, ...commonOptions(tool, verb)];
	const verbs = tool.commands.filter(({ name, rare }) => name !== "" && !rare);
	const usage = [`Usage: ${usageLine(tool, verb)}`];
	if (isTop && verbs.length > 0 && tool.commands.some(({ name }) => name === "")) usage.push(`       ${tool.name} COMMAND ...`);
	const sections: Record<string, () => Section[]> = {
		Usage: () => [{ body: [...usage, ...wrap(isTop ? tool.summary : verb.summary, WIDTH)].join("\n") }],
		Commands: () => (verbs.length === 0 ? [] : [{ title: "Commands", body: columns(verbs.map(({ name, summary }) => [name, summary])) }]),
		Options: () =>
			groups(table.filter(({ rare }) => !rare)).map(([title, list]) => ({
				title,
				body: columns(list.map((o) => [optionName(o), o.help])),
			})),
		Examples: () => [{ title: "Examples", body: examplesText(isTop ? tool.examples : (verb.examples ?? [])) }],
	};
	const rarer = [
		...(isTop && tool.commands.some(({ rare }) => rare) ? ["commands"] : []),
		...(table.some(({ rare }) => rare) ? ["options"] : []),
	];
	const more = rarer.length > 0 ? `\n\`${tool.name} man\` shows the rarer ${rarer.join(" and ")} as well.\n` : "";
	return declaredHelp(tool, verb, ({ title = "" }) => sections[title]?.() ?? []) + more;
}

/** A command line that can be pasted: one that is too wide goes on after an operator of the shell's, or after a backslash. */
function shellLines(line: string): string {
	const lines = line.length < WIDTH ? [line] : wrap(line, WIDTH - 8);
	return lines.map((part, i) => (i === lines.length - 1 || /[|;&]$/.test(part) ? part : `${part} \\`)).join("\n   ");
}

function examplesText(examples: [string, string][]): string {
	return examples.map(([line, what]) => ` ${shellLines(line)}\n     ${wrap(what, WIDTH - 5).join("\n     ")}`).join("\n");
}

/** Text for roff: backslashes and dashes kept, a dot or quote at the start of a line no request. */
function roff(text: string): string {
	return text
		.replace(/\\/g, "\\e")
		.replace(/-/g, "\\-")
		.replace(/^([.'])/gm, "\\&$1");
}

/** Whether a command of the tool ends with one of the usual statuses: a peer's may stand in its place. */
function isUsed(tool: Tool, status: string): boolean {
	return status !== "2" || tool.commands.some(({ usageStatus }) => (usageStatus ?? 2) === 2);
}

/** A man page, section 1 (man 7 man). */
export function manPage(tool: Tool): string {
	const out = [`.TH ${tool.name.toUpperCase()} 1 "" tsbox`, ".SH NAME", `${roff(tool.name)} \\- ${roff(tool.summary)}`, ".SH SYNOPSIS"];
	for (const verb of tool.commands)
		out.push(`.B ${roff([tool.name, verb.name].filter(Boolean).join(" "))}`, roff(`[options] ${verb.operands}`), ".br");
	if (tool.details) out.push(".SH DESCRIPTION", ...tool.details.flatMap((text) => [roff(text), ".PP"]));
	const optionList = (table: readonly Option[]) => {
		for (const [heading, list] of groups(table)) {
			if (heading !== "Options") out.push(`.SS ${roff(heading)}`);
			for (const option of list) out.push(".TP", `.B ${roff(optionName(option).trim())}`, roff(option.help));
		}
	};
	for (const verb of tool.commands) {
		out.push(`.SH ${verb.name === "" ? "OPTIONS" : roff(verb.name.toUpperCase())}`);
		if (verb.name !== "") out.push(roff(verb.summary), ".PP");
		for (const text of verb.details ?? []) out.push(roff(text), ".PP");
		optionList([...verb.options, ...commonOptions(tool, verb)]);
		for (const [line, what] of verb.examples ?? []) out.push(".PP", ".EX", roff(line), ".EE", roff(what));
	}
	out.push(".SH EXIT STATUS");
	const own = tool.statuses ?? [];
	const usual: [string, string][] = [
		["0", "It is done."],
		["1", "It failed."],
		["2", "The command line is wrong."],
	];
	const statuses = [...usual.filter(([status]) => isUsed(tool, status) && !own.some(([other]) => other === status)), ...own];
	for (const [status, what] of statuses) out.push(".TP", `.B ${status}`, roff(what));
	out.push(".SH EXAMPLES");
	for (const [line, what] of tool.examples) out.push(".PP", ".EX", roff(line), ".EE", roff(what));
	return `${out.join("\n")}\n`;
}
