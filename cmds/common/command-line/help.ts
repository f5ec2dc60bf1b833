/** What the option tables look like to people and shells: --help, man page, completion. Loaded when one is asked for. */
import { UsageError } from "../errors.ts";
import type { Option } from "./options.ts";
import { type Command, commonOptions, type Tool } from "./tool.ts";

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
	return out;
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

/** `--help`: one screen. */
export function helpText(tool: Tool, verb: Command): string {
	const isTop = verb.name === "";
	const verbs = tool.commands.filter((c) => c.name !== "");
	let out = `Usage: ${usageLine(tool, verb)}\n`;
	if (isTop && verbs.length > 0 && tool.commands.some((c) => c.name === "")) out += `       ${tool.name} COMMAND ...\n`;
	out += `${wrap(isTop ? tool.summary : verb.summary, WIDTH).join("\n")}\n`;
	if (isTop && verbs.length > 0) out += `\nCommands:\n${columns(verbs.filter((c) => !c.rare).map((c) => [c.name, c.summary]))}`;
	const table = [...verb.options, ...commonOptions(tool, verb)];
	for (const [heading, list] of groups(table.filter((o) => !o.rare)))
		out += `\n${heading}:\n${columns(list.map((o) => [optionName(o), o.help]))}`;
	const examples = isTop ? tool.examples : (verb.examples ?? []);
	if (examples.length > 0)
		out += `\nExamples:\n${examples.map(([line, what]) => ` ${line}\n     ${wrap(what, WIDTH - 5).join("\n     ")}\n`).join("")}`;
	const more = table.some((o) => o.rare) ? `\n\`${tool.name} man\` shows the rarer options as well.\n` : "";
	return out + more;
}

/** Where the rest is: the line under an error of usage. */
export function usageHint(tool: string, verb: Command | undefined): string {
	return `try '${[tool, verb?.name, "--help"].filter(Boolean).join(" ")}'`;
}

/** The hint with the nearest of the known names, or undefined if none is near. */
export function nearest(text: string, known: string[]): string | undefined {
	let best: string | undefined;
	let least = Math.max(2, Math.floor(text.replace(/^-+/, "").length / 3)) + 1;
	for (const name of known) {
		const d = name === "" ? Infinity : distance(text, name);
		if (d < least) [best, least] = [name, d];
	}
	return best && `did you mean '${best}'?`;
}

/** Levenshtein's distance. */
function distance(a: string, b: string): number {
	let row = [...Array(b.length + 1).keys()];
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++)
			next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)));
		row = next;
	}
	return row[b.length] as number;
}

/** Text for roff: backslashes and dashes kept, a dot or quote at the start of a line no request. */
function roff(text: string): string {
	return text
		.replace(/\\/g, "\\e")
		.replace(/-/g, "\\-")
		.replace(/^([.'])/gm, "\\&$1");
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
	const statuses: [string, string][] = [
		["0", "It is done."],
		["1", "It failed."],
		["2", "The command line is wrong."],
		...(tool.statuses ?? []),
	];
	for (const [status, what] of statuses) out.push(".TP", `.B ${status}`, roff(what));
	out.push(".SH EXAMPLES");
	for (const [line, what] of tool.examples) out.push(".PP", ".EX", roff(line), ".EE", roff(what));
	return `${out.join("\n")}\n`;
}

/** The words that can stand after each verb ("" for none), for the completions. */
function words(tool: Tool): [string, Option[]][] {
	return tool.commands.map((verb) => [verb.name, [...verb.options, ...commonOptions(tool, verb)]]);
}

/** The words that can come first. */
function firstWords(verbs: string[]): string[] {
	return [...new Set(verbs.map((name) => name.split(" ")[0] as string))];
}

/** A completion script for bash, zsh or fish. */
export function completion(tool: Tool, shell: string): string {
	const verbs = tool.commands.map((c) => c.name).filter((name) => name !== "");
	const top = [...firstWords(verbs), "man", "completion"].join(" ");
	/* Verbs of two words before those of one: a pattern matches the first words of the line. */
	const pattern = (verb: string) => (verb === "" ? "*" : `"${verb} "*`);
	const second = firstWords(verbs.filter((name) => name.includes(" "))).map(
		(subject) => [subject, verbs.filter((name) => name.startsWith(`${subject} `)).map((name) => name.slice(subject.length + 1))] as const,
	);
	const longs = (list: Option[]) => list.map((o) => `--${o.long}`).join(" ");
	if (shell === "bash") {
		const cases = words(tool).map(([verb, list]) => `\t\t${pattern(verb)}) words="${longs(list)}${verb === "" ? ` ${top}` : ""}" ;;`);
		if (!tool.commands.some((c) => c.name === "")) cases.push(`\t\t*) words="${top} --trace --help --version" ;;`);
		/* The pattern of the verb that has no name matches all, so it comes last. */
		cases.sort((a, b) => Number(a.includes("\t\t*)")) - Number(b.includes("\t\t*)")));
		return `_${tool.name}() {
	local cur=\${COMP_WORDS[COMP_CWORD]} words
	case "\${COMP_WORDS[1]} \${COMP_WORDS[2]} " in
${cases.join("\n")}
	esac
	[ "$COMP_CWORD" -eq 1 ] && words="$words ${top}"
${second.map(([subject, names]) => `\t[ "$COMP_CWORD" -eq 2 ] && [ "\${COMP_WORDS[1]}" = ${subject} ] && mapfile -t COMPREPLY < <(compgen -W "${names.join(" ")}" -- "$cur") && return\n`).join("")}	case $cur in
		-*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;
		*) if [ "$COMP_CWORD" -eq 1 ]; then mapfile -t COMPREPLY < <(compgen -c -W "${top}" -- "$cur"); else mapfile -t COMPREPLY < <(compgen -f -- "$cur"); fi ;;
	esac
}
complete -o filenames -F _${tool.name} ${tool.name}
`;
	}
	const quote = (text: string) => text.replace(/'/g, "'\\''");
	if (shell === "zsh") {
		const spec = (o: Option) => {
			const about = `[${quote(o.help).replace(/[[\]:]/g, "\\$&")}]`;
			const value = o.value === undefined ? "" : `${o.optional ? "::" : ":"}${o.value.replace(/[:[\]]/g, " ")}:_files`;
			return `'--${o.long}${o.value === undefined ? "" : o.optional ? "=-" : "="}${about}${value}'`;
		};
		const cases = words(tool).map(([verb, list]) => `\t${pattern(verb)}) _arguments ${list.map(spec).join(" ")} '*::arg:_normal' ;;`);
		cases.sort((a, b) => Number(a.startsWith("\t*)")) - Number(b.startsWith("\t*)")));
		return `#compdef ${tool.name}
local -a verbs
verbs=(${tool.commands
			.filter((c) => c.name !== "" && !c.name.includes(" "))
			.map((c) => `'${c.name}:${quote(c.summary).replace(/:/g, "\\:")}'`)
			.concat(second.map(([subject, names]) => `'${subject}:${names.join(", ")}'`))
			.join(" ")} 'man:print the man page' 'completion:print a completion script')
if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then _describe command verbs; fi
${second.map(([subject, names]) => `if (( CURRENT == 3 )) && [[ $words[2] == ${subject} ]]; then compadd ${names.join(" ")}; fi\n`).join("")}case "$words[2] $words[3] " in
${cases.join("\n")}
esac
`;
	}
	if (shell === "fish") {
		let out = `complete -c ${tool.name} -n __fish_use_subcommand -a '${top}'\n`;
		for (const [subject, names] of second)
			out += `complete -c ${tool.name} -n '__fish_seen_subcommand_from ${subject}' -a '${names.join(" ")}'\n`;
		for (const [verb, list] of words(tool)) {
			const seen = verb.split(" ").map((word) => `__fish_seen_subcommand_from ${word}`);
			const when = verb === "" ? "__fish_use_subcommand" : seen.join("; and ");
			for (const o of list)
				out += `complete -c ${tool.name} -n '${when}' -l ${o.long}${o.short ? ` -s ${o.short}` : ""}${o.value !== undefined && !o.optional ? " -r" : ""} -d '${quote(o.help)}'\n`;
		}
		return out;
	}
	throw new UsageError(`completion: "${shell}" is not bash, zsh or fish`);
}
