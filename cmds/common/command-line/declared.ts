/**
 * A tool as cac knows it: the commands and options of our tables. cac says which sections a help has, and what words there are; a
 * command line is read without it (options.ts). Loaded for the help, and for a word that is not known.
 */
import "./cac-runtime.ts";
import { type CAC, cac, type Command as Declared } from "cac";
import { type Command, commonOptions, type Tool } from "./command.ts";
import { nearest } from "./nearest.ts";
import type { Option } from "./options.ts";

export interface Section {
	title?: string;
	body: string;
}

/** An option in cac's form: `-m, --mount [FILE]` for a value that can be left out, `--count <N>` for one that cannot. */
function rawName({ long, short, value, optional }: Option): string {
	const names = `${short === undefined ? "" : `-${short}, `}--${long}`;
	return value === undefined ? names : `${names} ${optional ? `[${value}]` : `<${value}>`}`;
}

/** The tool with all its commands, and the options of one of them. */
function declare(tool: Tool, verb: Command): { cli: CAC; made: Declared } {
	const cli = cac(tool.name);
	for (const { name, alias, summary } of tool.commands) {
		const command = cli.command(name, summary);
		if (alias !== undefined) command.alias(alias);
	}
	/* A tool that has verbs only has a help of its own all the same: that of no command. */
	const made = cli.commands.find(({ name }) => name === verb.name) ?? cli.globalCommand;
	made.usage(verb.operands);
	for (const option of [...verb.options, ...commonOptions(tool, verb)]) made.option(rawName(option), option.help);
	for (const [line] of (verb.name === "" ? tool.examples : verb.examples) ?? []) made.example(line);
	return { cli, made };
}

/** The help of a command as cac makes it, each section laid out by `layOut`, which may make several of one or none. */
export function declaredHelp(tool: Tool, verb: Command, layOut: (section: Section) => Section[]): string {
	const { cli, made } = declare(tool, verb);
	cli.globalCommand.helpCallback = (sections) => sections.flatMap(layOut);
	/* What cac shows, it gives to console.info. */
	const { info } = console;
	let text = "";
	console.info = (said: string) => {
		text = said;
	};
	try {
		made.outputHelp();
	} finally {
		console.info = info;
	}
	return `${text}\n`;
}

/** The hint for a command that the tool does not have, or undefined. */
export function meantCommand(tool: Tool, verb: Command, word: string): string | undefined {
	const { cli } = declare(tool, verb);
	return nearest(
		word,
		cli.commands.flatMap(({ name, aliasNames }) => [name, ...aliasNames]),
	);
}

/** The hint for an option that the command does not have, or undefined. */
export function meantOption(tool: Tool, verb: Command, option: string): string | undefined {
	const { made } = declare(tool, verb);
	return nearest(
		option,
		made.options.map(({ rawName }) => /--[^ ]+/.exec(rawName)?.[0] ?? ""),
	);
}
