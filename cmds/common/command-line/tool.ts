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
import { type Command, commonOptions, type Tool, toplevel } from "./command.ts";
import { completion } from "./completion.ts";
import { meantCommand, meantOption } from "./declared.ts";
import { helpText, manPage } from "./help.ts";
import { hintFor } from "./hints.ts";
import { parse, UnknownOption } from "./options.ts";

export { type Command, command, type Tool } from "./command.ts";

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
	throw new UsageError(`${show(argv[0])}: unknown command`, meantCommand(tool, toplevel(tool), argv[0]));
}

/** The tool with all its verbs. */
function withVerbs(tool: Tool): Tool {
	return tool.verbs ? { ...tool, commands: [...tool.commands, ...tool.verbs()], verbs: undefined } : tool;
}

/** Runs the tool on the command line, and exits. */
export function main(given: Tool): never {
	toolName = given.name;
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

let toolName = "tsbox";

/** `tool: text` on standard error, in one line whatever names are in it. */
export function warn(text: string) {
	try {
		write(2, `${toolName}: ${escapeControls(text)}\n`);
	} catch {
		/* There is nobody left to tell. */
	}
}

/** An error line, and the hint if there is one. */
function tell(message: string, hint: string | undefined) {
	warn(message);
	if (hint !== undefined && hint !== "") warn(`hint: ${hint}`);
}

/** Says what went wrong, and returns the exit status. Rethrows what is no error for people: the host reports that. */
export function report(tool: Tool, verb: Command | undefined, error: unknown): number {
	if (error instanceof UsageError) {
		const hint = error instanceof UnknownOption && verb ? meantOption(tool, verb, error.option) : error.hint;
		tell(error.message, hint);
		if (!hint) warn(`try '${[tool.name, verb?.name, "--help"].filter(Boolean).join(" ")}'`);
		verb?.abandon?.();
		return verb?.usageStatus ?? tool.commands.find((c) => c.name === "")?.usageStatus ?? 2;
	}
	const failure = verb?.failureStatus ?? 1;
	if (error instanceof ToolError) {
		tell(error.message, error.hint);
		return error.status ?? failure;
	}
	if (error instanceof SysError) {
		tell(error.message, tool.hint?.(error) ?? hintFor(error));
		return failure;
	}
	throw error;
}
