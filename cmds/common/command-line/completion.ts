/** Completion scripts, from the option tables. */
import { UsageError } from "../errors.ts";
import { commonOptions, type Tool } from "./command.ts";
import type { Option } from "./options.ts";

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
	/* The first word may be a program or a file only where the tool does something without a verb. */
	const plain = tool.commands.find(({ name }) => name === "");
	const first = plain === undefined ? "" : plain.runsCommand ? "-c " : "-f ";
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
		*) if [ "$COMP_CWORD" -eq 1 ]; then mapfile -t COMPREPLY < <(compgen ${first}-W "${top}" -- "$cur"); else mapfile -t COMPREPLY < <(compgen -f -- "$cur"); fi ;;
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
