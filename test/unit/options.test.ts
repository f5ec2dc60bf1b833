/** The option table as a parser: what getopt_long(3) and POSIX say, and that values come as they were written. */
import { spawnSync } from "node:child_process";
import t from "tap";
import { nearest } from "../../cmds/common/command-line/nearest.ts";
import { notA, type Option, options, parse, UnknownOption } from "../../cmds/common/command-line/options.ts";
import { UsageError } from "../../cmds/common/errors.ts";

const table = options([
	{ long: "all", short: "a", help: "" },
	{ long: "brief", short: "b", help: "" },
	{ long: "count", short: "c", value: "N", help: "" },
	{ long: "mount", short: "m", value: "FILE", optional: "long", help: "" },
	{ long: "net", short: "n", value: "FILE", optional: "both", help: "" },
	{ long: "env", short: "e", value: "NAME=VALUE", repeat: true, help: "" },
	{ long: "map-user", value: "ID", help: "", alias: ["map-uid"] },
	{ long: "map-users", value: "RANGE", help: "" },
	{ long: "map-group", value: "ID", help: "" },
	{ long: "memory-max", value: "SIZE", help: "", parse: (text, option) => (text === "1k" ? 1024 : notA(option, text, "a size")) },
]);

const read = (words: string[], stopAtOperand: boolean | number = false) => parse(words, table, stopAtOperand);
const optionsOf = (...words: string[]) => ({ ...read(words).options });

t.test("without words there are no options and no operands", async (t) => {
	t.same(read([]), { options: {}, ordered: [], operands: [] });
});

t.test("a flag is true, an absent option is absent", async (t) => {
	t.same(optionsOf("--all"), { all: true });
	t.same(optionsOf("-a"), { all: true });
	t.same(optionsOf("-a", "-a"), { all: true });
});

t.test("letters can be joined; the value of the last one follows, in the same word or the next", async (t) => {
	t.same(optionsOf("-ab"), { all: true, brief: true });
	t.same(optionsOf("-abc5"), { all: true, brief: true, count: "5" });
	t.same(optionsOf("-abc", "5"), { all: true, brief: true, count: "5" });
	t.same(optionsOf("-cab"), { count: "ab" });
});

t.test("a value stands in the same word after =, or in the next word", async (t) => {
	t.same(optionsOf("--count=5"), { count: "5" });
	t.same(optionsOf("--count", "5"), { count: "5" });
	t.same(optionsOf("--count", "--all"), { count: "--all" });
	t.same(optionsOf("-c", "--"), { count: "--" });
});

t.test("a value is kept as it was written", async (t) => {
	const words = [
		..."007 1e3 0x10 0b11 0o17 -1 +1 1.50 .5 1_000 NaN Infinity -0 99999999999999999999 true false null undefined".split(" "),
		...[
			"",
			" ",
			"a b",
			"=",
			"==",
			"=a",
			"a=b",
			"a=b=c",
			"-",
			"--",
			"---",
			"--all",
			"-a",
			"a.b.c",
			"a,b",
			"[x]",
			"<x>",
			"...",
			"\n",
			"é",
			"\udcff",
			"__proto__",
		],
	];
	for (const word of words) {
		t.equal(read(["--count", word]).options.count, word, `--count ${JSON.stringify(word)}`);
		t.equal(read([`--count=${word}`]).options.count, word, `--count=${JSON.stringify(word)}`);
		t.same(read(["-e", word, `--env=${word}`, "--env", word]).options.env, [word, word, word], `-e ${JSON.stringify(word)}`);
		t.same(read(["--", word], true).operands, [word], `operand ${JSON.stringify(word)}`);
	}
});

t.test("a letter's value may begin with = to separate it", async (t) => {
	t.same(optionsOf("-c=5"), { count: "5" });
	t.same(optionsOf("-c==5"), { count: "=5" });
});

t.test("an optional value has to stand in the same word", async (t) => {
	t.same(read(["--mount", "x"]), { options: { mount: true }, ordered: [{ long: "mount", value: true }], operands: ["x"] });
	t.same(optionsOf("--mount=x"), { mount: "x" });
	t.same(optionsOf("--mount="), { mount: "" });
	t.same(optionsOf("-ma"), { mount: true, all: true });
	t.same(optionsOf("-n"), { net: true });
	t.same(optionsOf("-nfile"), { net: "file" });
	t.same(optionsOf("-n=file"), { net: "file" });
	t.same(optionsOf("-an"), { all: true, net: true });
});

t.test("of an option that is given twice the last value counts; one that may be repeated has them all, in order", async (t) => {
	t.same(optionsOf("-c1", "--count=2"), { count: "2" });
	t.same(optionsOf("--mount=x", "--mount"), { mount: true });
	t.same(optionsOf("--mount", "--mount=x"), { mount: "x" });
	t.same(optionsOf("-e", "A=1", "--env=B=2", "-eC=3"), { env: ["A=1", "B=2", "C=3"] });
	t.same(read(["--mount", "-e1", "-c2", "--mount=x", "-e3"]).ordered, [
		{ long: "mount", value: true },
		{ long: "env", value: "1" },
		{ long: "count", value: "2" },
		{ long: "mount", value: "x" },
		{ long: "env", value: "3" },
	]);
});

t.test("the beginning of a long name will do, if it is the beginning of one name only or a whole one", async (t) => {
	t.same(optionsOf("--cou=5"), { count: "5" });
	t.same(optionsOf("--al"), { all: true });
	t.same(optionsOf("--map-user=5"), { mapUser: "5" });
	t.same(optionsOf("--map-uid=5"), { mapUser: "5" });
	t.same(optionsOf("--map-users=5"), { mapUsers: "5" });
	t.throws(() => read(["--map=5"]), { message: "--map: ambiguous; could be --map-user, --map-users, --map-group" });
	t.throws(() => read(["--m"]), { message: /^--m: ambiguous; could be --mount, --map-user, / });
});

t.test("operands may stand between options, unless the first one ends them", async (t) => {
	t.same(read(["x", "-a", "y", "--count", "5", "z"]).operands, ["x", "y", "z"]);
	t.same(read(["-a", "ls", "-a", "--count"], true), {
		options: { all: true },
		ordered: [{ long: "all", value: true }],
		operands: ["ls", "-a", "--count"],
	});
	t.same(read(["-c", "5", "ls", "--", "-a"], true).operands, ["ls", "--", "-a"]);
	t.same(read(["one", "-a", "ls", "-b"], 2), {
		options: { all: true },
		ordered: [{ long: "all", value: true }],
		operands: ["one", "ls", "-b"],
	});
});

t.test("-- ends the options, and a single dash is an operand", async (t) => {
	for (const stop of [false, true]) {
		t.same(read(["-a", "--", "-b", "--"], stop), {
			options: { all: true },
			ordered: [{ long: "all", value: true }],
			operands: ["-b", "--"],
		});
		t.same(read(["-", "x"], stop).operands, ["-", "x"]);
	}
});

t.test("what is wrong is said by the name as it was written", async (t) => {
	for (const [words, message] of [
		[["--nothing"], "--nothing: unknown option"],
		[["--nothing=x"], "--nothing: unknown option"],
		[["-ax"], "-x: unknown option"],
		[["--"], undefined],
		[["--=x"], "--: unknown option"],
		[["--count"], "--count: needs a value: N"],
		[["-ac"], "-c: needs a value: N"],
		[["--all=x"], "--all: takes no value"],
		[["--all="], "--all: takes no value"],
		[["--memory-max", "2k"], '--memory-max: "2k" is not a size'],
		[["--no\u001b[31m"], '"--no\\x1b[31m": unknown option'],
	] as [string[], string | undefined][]) {
		if (message === undefined) t.same(read(words).operands, []);
		else t.throws(() => read(words), { message }, words.join(" "));
	}
	try {
		read(["--nothing"]);
		t.fail("it was accepted");
	} catch (error) {
		t.ok(error instanceof UsageError && error instanceof UnknownOption);
	}
});

t.test("a validator makes the value", async (t) => {
	t.same(optionsOf("--memory-max=1k"), { memoryMax: 1024 });
});

t.test("the nearest known name is found", async (t) => {
	const names = ["--mount", "--map-user", "--map-users", "--memory-max", "ls", "enter", ""];
	for (const [typed, hint] of [
		["--mout", "did you mean '--mount'?"],
		["--map-usr", "did you mean '--map-user'?"],
		["--memorymax", "did you mean '--memory-max'?"],
		["entre", "did you mean 'enter'?"],
		["sl", "did you mean 'ls'?"],
		["--quite-another", undefined],
		["x".repeat(5000), undefined],
	] as const)
		t.equal(nearest(typed, names), hint, typed.slice(0, 20));
});

t.test("a command line is read as util-linux getopt reads it", async (t) => {
	/* getopt(1) of util-linux is a front of getopt_long(3); it quotes its answer for a shell. */
	const short = "abc:mn::e:";
	const long = "all,brief,count:,mount::,net::,env:,map-user:,map-users:,map-group:,memory-max:";
	const pieces = [
		"-a",
		"-b",
		"-ab",
		"-c",
		"5",
		"-c5",
		"-abc5",
		"--all",
		"--al",
		"--count=7",
		"--count",
		"--mount",
		"--mount=x",
		"-n",
		"-nx",
		"-m",
		"x",
		"-",
		"--",
		"-e",
		"--env=A=B",
		"--bri",
	];
	let seed = 42;
	const random = (below: number) => {
		seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
		return Math.floor((seed / 2 ** 32) * below);
	};
	/* One process for all: each line of words gives a line of the answer's words. */
	const lines = Array.from({ length: 400 }, () => Array.from({ length: 1 + random(5) }, () => pieces[random(pieces.length)] as string));
	for (const stop of [false, true]) {
		const script = lines
			.map((words) => `getopt -q -o ${stop ? "+" : ""}${short} -l ${long} -- ${words.map((word) => `'${word}'`).join(" ")} || echo failed`)
			.join("\n");
		const answers = spawnSync("sh", ["-c", script], { encoding: "utf8" }).stdout.split("\n");
		let answered = 0;
		for (const words of lines) {
			let line: ReturnType<typeof read> | undefined;
			try {
				line = read(words, stop);
			} catch (error) {
				if (!(error instanceof UsageError)) throw error;
			}
			const answer = answers[answered++] as string;
			if (answer.endsWith("failed") || answers[answered] === "failed") {
				if (!answer.endsWith("failed")) answered++;
				t.equal(line, undefined, words.join(" "));
				continue;
			}
			/* Values and operands are in quotes; an optional value that is not there is an empty one. */
			const named = (word: string) =>
				(table as readonly Option[]).find(({ short, long }) => word === `-${short}` || word === `--${long}`)?.long ?? word;
			const theirs = [...answer.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? named(plain as string)).filter(Boolean);
			const ours = (line?.ordered ?? []).flatMap(({ long, value }) => (value === true ? [long] : [long, value as string]));
			t.same([...ours, "--", ...(line?.operands ?? [])], theirs, words.join(" "));
		}
	}
});
