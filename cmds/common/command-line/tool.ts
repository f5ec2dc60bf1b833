/**
 * The frame of every tool: its verbs, the options that all have, its errors and exit statuses.
 *
 *     main({ name: "tscgctl", summary: "...", commands: [create, set, ...] })
 */

import * as host from "#host";
import { EPIPE } from "../../../native/linux/errno.ts";
import { write } from "../../../native/linux/fd.ts";
import { SysError, setDryRun, setTrace } from "../../../native/linux/syscall.ts";
import { escapeControls, show, ToolError, UsageError } from "../errors.ts";
import { completion, helpText, manPage, nearest, usageHint } from "./help.ts";
import { hintFor } from "./hints.ts";
import { type CommandLine, type Option, options, parse, UnknownOption } from "./options.ts";

export interface Command<T extends readonly Option[] = readonly Option[]> {
	/** The verb; "" for what the tool does without one. Of two words where it is one of several for a subject: `pool create`. */
	name: string;
	/** Another name of the verb: `list` for `ls`. */
	alias?: string;
	summary: string;
	/** What follows the options: `PROGRAM [ARGUMENT...]`. */
	operands: string;
	options: T;
	/** The first operand ends the options, as for every tool that runs a command; with a number, the N-th: `run PATH PROGRAM`. */
	runsCommand?: true | number;
	/** Changes the system, so `--dry-run` shows what it would do. */
	dryRun?: true;
	/** The exit status of a wrong command line: 2, or that of the peer whose place the command takes. */
	usageStatus?: number;
	/** The exit status when the tool fails: 1; 125 for a verb that runs a command and exits with its status. */
	failureStatus?: number;
	/** Called after a wrong command line: a filter ends the sandboxes that it was to work on (record.ts). */
	abandon?: () => void;
	/** Listed by the man page only, to keep the tool's `--help` short. */
	rare?: true;
	/** Shown in the verb's help. */
	examples?: [string, string][];
	/** Paragraphs of the man page. */
	details?: string[];
	run(line: CommandLine<T>): void;
}

/** Declares a verb, with the types of its options' values. */
export function command<const T extends readonly Option[]>(declaration: Command<T>): Command {
	return declaration as unknown as Command;
}

export interface Tool {
	name: string;
	summary: string;
	/** Paragraphs of the man page. */
	details?: string[];
	commands: Command[];
	/** More verbs, made only when the first argument may name one, or for the help. */
	verbs?: (() => Command[]) | undefined;
	examples: [command: string, what: string][];
	/** Exit statuses beyond the usual ones. */
	statuses?: [string, string][];
	/** What `--version` prints, where a program that reads the peer's version expects its form. */
	version?: string;
	/** Options of the peer that stand in the way of ours: letters that `--help` and `--version` do not get. */
	keepLetters?: string;
	/** Makes words of ours of a peer's own: `-proto` is `--proto`. */
	rewrite?: (argv: string[]) => string[];
}

/** The options that each command has besides its own. */
export function commonOptions(tool: Tool, verb: Command): readonly Option[] {
	const letter = (short: string) => (tool.keepLetters?.includes(short) || verb.options.some((o) => o.short === short) ? {} : { short });
	const common: Option[] = [
		{ long: "trace", help: "print each system call as it is made", group: "Common" },
		{ long: "help", ...letter("h"), help: "print this help", group: "Common" },
		{ long: "version", ...letter("V"), help: "print the version", group: "Common" },
	];
	if (verb.dryRun) common.unshift({ long: "dry-run", help: "print the system calls that would be made, make none", group: "Common" });
	return common;
}

declare const TSBOX_VERSION: string;

/** Which verb a command line calls for, and the words after it. */
export function chooseCommand(tool: Tool, argv: string[]): { verb: Command; rest: string[] } {
	const word = argv[0];
	for (const length of [2, 1]) {
		const words = argv.slice(0, length).join(" ");
		const named = tool.commands.find((c) => c.name !== "" && (c.name === words || c.alias === words));
		if (named) return { verb: named, rest: argv.slice(words.includes(" ") ? 2 : 1) };
	}
	const subject = tool.commands.filter((c) => c.name.startsWith(`${word} `)).map((c) => c.name.slice(c.name.indexOf(" ") + 1));
	if (subject.length > 0) {
		if (argv[1] === "--help" || argv[1] === "-h") return { verb: toplevel(tool), rest: ["--help"] };
		throw new UsageError(
			argv[1] === undefined ? `${word}: no command given` : `${word}: ${show(argv[1])}: unknown command`,
			`there are ${subject.join(", ")}`,
		);
	}
	const plain = tool.commands.find((c) => c.name === "");
	if (plain) return { verb: plain, rest: argv };
	if (argv[0] === undefined) throw new UsageError("no command given");
	if (argv[0].startsWith("-")) return { verb: toplevel(tool), rest: argv };
	throw new UsageError(
		`${argv[0]}: unknown command`,
		nearest(
			argv[0],
			tool.commands.map((c) => c.name),
		),
	);
}

/** The tool with all its verbs. */
function withVerbs(tool: Tool): Tool {
	return tool.verbs ? { ...tool, commands: [...tool.commands, ...tool.verbs()], verbs: undefined } : tool;
}

/** A tool that has only verbs still answers to --help and --version. */
function toplevel(tool: Tool): Command {
	return {
		name: "",
		summary: tool.summary,
		operands: "COMMAND ...",
		options: options([]),
		run() {
			throw new UsageError("no command given");
		},
	};
}

/** Runs the tool on the command line, and exits. */
export function main(given: Tool): never {
	const words = host.argv().slice(1);
	const argv = given.rewrite ? given.rewrite(words) : words;
	const isKnown = (word: string) => word.startsWith("-") || given.commands.some((c) => c.name === word || c.alias === word);
	const tool = argv[0] === undefined || isKnown(argv[0]) ? given : withVerbs(given);
	let verb: Command | undefined;
	try {
		if (argv[0] === "man" && argv.length === 1) print(manPage(tool));
		else if (argv[0] === "completion" && argv.length === 2) print(completion(tool, argv[1] as string));
		else {
			const chosen = chooseCommand(tool, argv);
			verb = chosen.verb;
			runCommand(tool, verb, chosen.rest);
		}
	} catch (error) {
		host.exit(report(tool, verb, error));
	}
	host.exit(0);
}

function runCommand(tool: Tool, verb: Command, argv: string[]) {
	const line = parse(argv, [...verb.options, ...commonOptions(tool, verb)], verb.runsCommand ?? false);
	const given = line.options as { help?: true; version?: true; trace?: true; dryRun?: true };
	if (given.help) return print(helpText(withVerbs(tool), verb));
	if (given.version) return print(`${tool.version ?? `${tool.name} (tsbox) ${TSBOX_VERSION}`}\n`);
	if (given.trace) setTrace(true);
	if (given.dryRun) setDryRun(true);
	verb.run(line);
}

/** Prints to standard output. A reader who has gone (`| head`) ends the tool quietly, as SIGPIPE would. */
export function print(text: string) {
	try {
		write(1, text);
	} catch (error) {
		if (error instanceof SysError && error.errno === EPIPE) host.exit(141);
		throw error;
	}
}

/** `tool: text` on standard error, in one line whatever names are in it. */
export function warn(tool: string, text: string) {
	try {
		write(2, `${tool}: ${escapeControls(text)}\n`);
	} catch {
		/* There is nobody left to tell. */
	}
}

/** Says what went wrong, and returns the exit status. Rethrows what is no error for people: the host reports that. */
export function report(tool: Pick<Tool, "name" | "commands">, verb: Command | undefined, error: unknown): number {
	if (error instanceof UsageError) {
		warn(tool.name, error.message);
		const hint =
			error instanceof UnknownOption && verb
				? nearest(
						error.option,
						verb.options.map((o) => `--${o.long}`),
					)
				: error.hint;
		if (hint) warn(tool.name, `hint: ${hint}`);
		else warn(tool.name, usageHint(tool.name, verb));
		verb?.abandon?.();
		return verb?.usageStatus ?? tool.commands.find((c) => c.name === "")?.usageStatus ?? 2;
	}
	const failure = verb?.failureStatus ?? 1;
	if (error instanceof ToolError) {
		warn(tool.name, error.message);
		if (error.hint) warn(tool.name, `hint: ${error.hint}`);
		return error.status ?? failure;
	}
	if (error instanceof SysError) {
		warn(tool.name, error.message);
		const hint = hintFor(error);
		if (hint) warn(tool.name, `hint: ${hint}`);
		return failure;
	}
	throw error;
}
