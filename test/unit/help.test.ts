/** Help, man page and completion: of a tool made up to have everything, and of each tool that is built. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { completion } from "../../cmds/common/command-line/completion.ts";
import { helpText, manPage } from "../../cmds/common/command-line/help.ts";
import { options } from "../../cmds/common/command-line/options.ts";
import { type Command, chooseCommand, command, type Tool } from "../../cmds/common/command-line/tool.ts";
import { bin, tool } from "../support/tools.ts";

const has = (program: string) => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
const needs = (program: string) => (has(program) ? {} : { skip: `there is no ${program}` });
const lines = (text: string) => text.replace(/\n$/, "").split("\n");

const run: Command = command({
	name: "run",
	alias: "exec",
	summary: "run a program; it's \\special: 'quoted' [bracketed] \"doubly\" $HOME `id`",
	operands: "PROGRAM [ARGUMENT...]",
	runsCommand: true,
	dryRun: true,
	options: options([
		{ long: "user", short: "u", value: "NAME[:GROUP]", help: "as this user: it's [optional] and has \\ and 'quotes' and $HOME" },
		{ long: "mount", short: "m", value: "FILE", optional: "long", help: "a mount namespace" },
		{ long: "hostname", short: "h", value: "NAME", help: "the host's name", group: "Beyond" },
		{ long: "odd", help: "rarely wanted", rare: true },
		{ long: "a-name-that-is-much-too-long-for-the-column", value: "SOMETHING", help: "text ".repeat(40).trim() },
	]),
	examples: [["sample run -- ls -l", "runs ls -l"]],
	details: [".starts with a dot", "'starts with a quote", "has a \\ backslash and a -dash"],
	run() {},
});
const sample: Tool = {
	name: "sample",
	summary: "shows all that a table can hold",
	details: ["One paragraph.", "Another."],
	commands: [run, command({ name: "ls", summary: "list", operands: "", options: options([]), run() {} })],
	examples: [["sample ls | cat", "lists"]],
	statuses: [["42", "An answer."]],
};
const plain: Tool = { ...sample, commands: [command({ ...run, name: "" }), sample.commands[1] as Command] };

const twoWords: Tool = { ...sample, commands: [command({ ...run, name: "pool create" }), command({ ...run, name: "pool ls" })] };

t.test("help has the usage, the commands, the options by heading, and the examples", async (t) => {
	const help = helpText(sample, run);
	t.match(help, /^Usage: sample run \[options\] PROGRAM \[ARGUMENT\.\.\.\]\n/);
	t.match(help, /\n -u, --user NAME\[:GROUP\] {2,}as this user/);
	t.match(help, /\n -m, --mount\[=FILE\] /);
	t.match(help, /\nBeyond:\n -h, --hostname NAME {2}the host's name\n/);
	/* -h is taken, so --help has no letter. */
	t.match(help, /\n {5}--help /);
	t.match(help, /\n -V, --version /);
	t.match(help, /\n {5}--dry-run /);
	t.match(help, /\nExamples:\n sample run -- ls -l\n {5}runs ls -l\n/);
	t.notMatch(help, "--odd");
	t.match(help, "`sample man` shows the rarer options as well.");
	t.match(
		helpText(plain, plain.commands[0] as Command),
		/^Usage: sample \[options\] .*\n {7}sample COMMAND \.\.\.\n(.*\n)*\nCommands:\n ls {2}list\n/,
	);
});

t.test("no line of the help is longer than 80 columns, whatever the table holds", async (t) => {
	for (const verb of sample.commands) for (const line of lines(helpText(sample, verb))) t.ok(line.length <= 80, line);
});

t.test("a verb is found by its name or alias; else the command without a name is meant", async (t) => {
	t.equal(chooseCommand(sample, ["exec", "x"]).verb, run);
	t.same(chooseCommand(sample, ["run", "x", "ls"]).rest, ["x", "ls"]);
	t.throws(() => chooseCommand(sample, ["rum"]), { message: "rum: unknown command", hint: "did you mean 'run'?" });
	t.throws(() => chooseCommand(sample, []), { message: "no command given" });
	t.equal(chooseCommand(sample, ["--help"]).verb.name, "");
	t.same(chooseCommand(plain, ["rum", "x"]).rest, ["rum", "x"]);
});

/** The man page as groff shows it, and what it complains of. */
function groff(page: string) {
	return spawnSync("groff", ["-man", "-Tutf8", "-ww", "-rLL=80n", "-P-cbou"], { input: page, encoding: "utf8" });
}

t.test("the man page is accepted without a warning, and shows text as it was written", needs("groff"), async (t) => {
	const { stdout, stderr, status } = groff(manPage(sample));
	t.same({ status, stderr }, { status: 0, stderr: "" });
	const text = stdout;
	for (const shown of [
		".starts with a dot",
		"'starts with a quote",
		"has a \\ backslash and a -dash",
		"it's [optional] and has \\ and 'quotes'",
		"--odd",
		"sample run -- ls -l",
	])
		t.match(text.replace(/[‐−]/g, "-").replace(/’/g, "'").replace(/\n */g, " ").replace(/ +/g, " "), shown);
});

function bash(script: string) {
	return spawnSync("bash", ["--norc"], { input: script, encoding: "utf8" });
}

/** What bash offers for each of these command lines, whose last word is being typed. */
function offers(name: string, script: string, commandLines: string[][]): string[][] {
	const quote = (word: string) => `'${word}'`;
	const asks = commandLines.map(
		(words) =>
			`COMPREPLY=(); COMP_WORDS=(${words.map(quote).join(" ")}); COMP_CWORD=${words.length - 1}; _${name}; echo "\${COMPREPLY[*]}"`,
	);
	const { stdout, stderr } = bash(`${script}\n${asks.join("\n")}`);
	if (stderr) throw new Error(stderr);
	return stdout.split("\n").map((line) => line.split(" ").filter(Boolean));
}

t.test("bash completes verbs, options and files", async (t) => {
	const script = completion(sample, "bash");
	t.equal(bash(`${script}\ncomplete -p sample`).stdout, "complete -o filenames -F _sample sample\n");
	const [verbs, option, none, common, file] = offers("sample", script, [
		["sample", ""],
		["sample", "run", "--us"],
		["sample", "ls", "--us"],
		["sample", "ls", "--"],
		["sample", "run", "/etc/hostnam"],
	]);
	for (const verb of ["run", "ls", "man", "completion"]) t.ok(verbs?.includes(verb), verb);
	t.same(option, ["--user"]);
	t.same(none, []);
	t.ok(common?.includes("--help"));
	t.same(file, ["/etc/hostname"]);
	t.ok(offers("sample", completion(plain, "bash"), [["sample", "--us"]])[0]?.includes("--user"));
});

t.test("a verb of two words is one of several for a subject", async (t) => {
	const { operands, options: table, run } = sample.commands[1] as Command;
	const make = (name: string) => command({ name, summary: `${name} it`, operands, options: table, run });
	const tool: Tool = { ...sample, commands: [...sample.commands, make("pool create"), make("pool ls")] };
	t.same(chooseCommand(tool, ["pool", "create", "x"]), { verb: tool.commands[2], rest: ["x"] });
	t.equal(chooseCommand(tool, ["ls", "pool"]).verb.name, "ls");
	t.throws(() => chooseCommand(tool, ["pool"]), { message: "pool: no command given", hint: "there are create, ls" });
	t.throws(() => chooseCommand(tool, ["pool", "cre ate"]), { message: 'pool: "cre ate": unknown command' });
	t.same(chooseCommand(tool, ["pool", "--help"]).rest, ["--help"]);
	t.match(helpText(tool, tool.commands[2] as Command), /^Usage: sample pool create \[options\]/);
	const [first, second, third] = offers("sample", completion(tool, "bash"), [
		["sample", "po"],
		["sample", "pool", ""],
		["sample", "pool", "create", "--"],
	]);
	t.ok(first?.includes("pool"));
	t.same(second, ["create", "ls"]);
	t.ok(third?.includes("--help"));
});

t.test("a shell that is not known is refused", async (t) => {
	t.throws(() => completion(sample, "csh"), { message: 'completion: "csh" is not bash, zsh or fish' });
});

for (const [shell, check] of [
	["bash", ["-n"]],
	["zsh", ["-n"]],
	["fish", ["--no-execute"]],
] as const)
	t.test(`the completion for ${shell} has no syntax error`, needs(shell), async (t) => {
		const folder = mkdtempSync(join(tmpdir(), `tsbox-help-${process.pid}-`));
		t.teardown(() => rmSync(folder, { recursive: true }));
		const scripts = [
			completion(sample, shell),
			completion(plain, shell),
			completion(twoWords, shell),
			...tools.map((name) => output(name, "completion", shell)),
		];
		for (const script of scripts) {
			const path = join(folder, "completion");
			writeFileSync(path, script);
			const { status, stderr } = spawnSync(shell, [...check, path], { encoding: "utf8" });
			t.same({ status, stderr }, { status: 0, stderr: "" });
		}
	});

const tools = readdirSync(bin).filter((name) => /^ts[a-z]+$/.test(name));

function output(name: string, ...args: string[]): string {
	const { status, stdout, stderr } = spawnSync(tool(name), args, { encoding: "utf8" });
	if (status !== 0 || stderr !== "") throw new Error(`${name} ${args.join(" ")}: exit status ${status}, ${stderr}`);
	return stdout;
}

/** The long options that a help shows. */
function optionsIn(help: string): string[] {
	return [...help.matchAll(/^ (?:-\w, | {4})(--[a-z][a-z0-9-]*)/gm)].map(([, option]) => option as string);
}

for (const name of tools) {
	/* All verbs, the rare ones too, as the completion knows them. */
	const verbs = [...output(name, "completion", "bash").matchAll(/^\t\t"([a-z][a-z_ -]*) "\*\)/gm)].map(([, verb]) => verb as string);
	const commands = [[], ...verbs.map((verb) => verb.split(" "))];

	t.test(`${name}: each help fits a screen: 80 columns, 45 lines`, async (t) => {
		for (const words of commands) {
			const help = lines(output(name, ...words, "--help"));
			t.match(help[0], new RegExp(`^Usage: ${[name, ...words].join(" ")}`));
			t.ok(help.length <= 45, `${[name, ...words].join(" ")} --help: ${help.length} lines`);
			for (const line of help) t.ok(line.length <= 80, `${[name, ...words].join(" ")} --help: ${line.length} columns: ${line}`);
		}
		const top = output(name, "--help");
		t.match(top, "\nExamples:\n");
		for (const [, verb] of (/\nCommands:\n((?: .*\n)+)/.exec(top)?.[1] ?? "").matchAll(/^ ([a-z].*?)(?: {2}|$)/gm))
			t.ok(verbs.includes(verb as string), `${verb} is listed and is a verb`);
	});

	t.test(`${name}: the man page is accepted without a warning and has each verb and option`, needs("groff"), async (t) => {
		const page = output(name, "man");
		const { stdout, stderr, status } = groff(page);
		t.same({ status, stderr }, { status: 0, stderr: "" });
		const text = stdout.replace(/[‐−]/g, "-");
		for (const verb of verbs) t.match(text, new RegExp(`^${verb.toUpperCase()}$`, "m"));
		for (const words of commands)
			for (const [, option] of output(name, ...words, "--help").matchAll(/^ (?:-\w, | {4})(--[a-z][a-z0-9-]*)/gm))
				t.match(text, option as string);
	});

	t.test(`${name}: bash completes its verbs and options`, async (t) => {
		const asked: [line: string[], offered: string][] = commands
			.filter((words) => words.length > 0)
			.map((words) => [[name, ...words.slice(0, -1), ""], words[words.length - 1] as string]);
		for (const words of commands)
			for (const option of optionsIn(output(name, ...words, "--help"))) asked.push([[name, ...words, option.slice(0, -1)], option]);
		const found = offers(
			name,
			output(name, "completion", "bash"),
			asked.map(([line]) => line),
		);
		asked.forEach(([line, offered], i) => {
			t.ok(found[i]?.includes(offered), `${line.join(" ")}: ${offered}`);
		});
	});
}

t.test("there are tools to look at", async (t) => {
	t.ok(tools.length > 0, `in ${bin}`);
});
