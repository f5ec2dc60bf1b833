/** What a tool declares: its verbs, their option tables, and the options that all verbs have. */
import type { SysError } from "../../../native/linux/syscall.ts";
import { type CommandLine, type Option, options } from "./options.ts";

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
	/** Exit statuses beyond the usual ones, and in place of them. */
	statuses?: [string, string][];
	/** What `--version` prints, where a program that reads the peer's version expects its form. */
	version?: string;
	/** Options of the peer that stand in the way of ours: letters that `--help` and `--version` do not get. */
	keepLetters?: string;
	/** The remedy for a failed call, where the tool knows the case; else hints.ts has what is true of any tool. */
	hint?: (error: SysError) => string | undefined;
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

/** A tool that has only verbs still answers to --help and --version. */
export function toplevel(tool: Tool): Command {
	return { name: "", summary: tool.summary, operands: "COMMAND ...", options: options([]), run() {} };
}
