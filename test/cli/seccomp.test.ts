/** Seccomp policies in containers, beside the facts (test/support/docker-seccomp.json) and libseccomp. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { type Architecture, callsOf } from "../../native/linux/seccomp/calls.ts";
import { AUDIT_ARCH } from "../../native/linux/seccomp/compile.ts";
import { readProgram } from "../../native/linux/seccomp/program.ts";
import { simulate } from "../../native/linux/seccomp/simulate.ts";
import { makeWorld, needsRoot } from "../support/sandbox.ts";

const world = makeWorld("seccomp");
t.teardown(() => world.remove());
const { folder, root, run } = world;

const support = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
const FACTS = support("docker-seccomp.json");
const USUAL = ["--cap-drop", "ALL", "--cap-add", "DEFAULT"];

function compileC(name: string) {
	const { status, stderr } = spawnSync("gcc", ["-static", "-O1", "-w", "-o", join(root, name), support(`${name}.c`)], { encoding: "utf8" });
	if (status !== 0) throw new Error(stderr);
}

interface Fact {
	names: string[];
	action: string;
	errnoRet?: number;
	args?: { value: number; valueTwo: number; op: string }[];
	includes?: { caps?: string[]; arches?: string[] };
	excludes?: { caps?: string[] };
}
const facts = (JSON.parse(readFileSync(FACTS, "utf8")) as { syscalls: Fact[] }).syscalls;

/** The error that a call is to fail with under the facts, 0 where it is made; its first argument is the only one that counts. */
function fact(name: string | undefined, argument: bigint, capabilities: string[]): number {
	const has = (cap: string) => capabilities.includes(cap);
	const holds = ({ value, valueTwo, op }: { value: number; valueTwo: number; op: string }) => {
		const results: Record<string, boolean> = {
			SCMP_CMP_LT: argument < BigInt(value),
			SCMP_CMP_EQ: argument === BigInt(value),
			SCMP_CMP_GT: argument > BigInt(value),
			SCMP_CMP_MASKED_EQ: (argument & BigInt(value)) === BigInt(valueTwo),
		};
		return results[op] as boolean;
	};
	const rule = facts.find(
		({ names, args = [], includes = {}, excludes = {} }) =>
			name !== undefined &&
			names.includes(name) &&
			(includes.caps ?? []).every(has) &&
			(includes.arches ?? ["amd64"]).includes(process.arch === "x64" ? "amd64" : "arm64") &&
			!(excludes.caps ?? []).some(has) &&
			args.every(holds),
	);
	return rule ? (rule.errnoRet ?? 0) : 1;
}

const names = new Map<Architecture, Map<number, string>>();
function nameOf(architecture: Architecture, number: number): string | undefined {
	const known = names.get(architecture) ?? new Map([...callsOf(architecture)].map(([name, at]) => [at, name]));
	names.set(architecture, known);
	return known.get(number);
}

/** What a line of seccomp-verdicts.c is to say. */
function expected(what: string, number: bigint, capabilities: string[]): number {
	if (what === "clone3") return fact("clone3", 0n, capabilities) === 0 ? 0 : 1;
	if (what === "socket" || what === "personality" || what === "clone") return fact(what, number, capabilities);
	const machine = process.arch === "x64" ? "x86_64" : "aarch64";
	const architecture = what === "i386" ? "i386" : number >= 0x40000000n ? "x32" : machine;
	const error = fact(nameOf(architecture, Number(number)), 0n, capabilities);
	/* ENOSYS reads like a call that is made. */
	return error === 38 ? 0 : error;
}

const CAPABILITY_SETS: [string, string[], string[]][] = [
	["Docker's 14 capabilities", USUAL, ["CAP_SYS_CHROOT"]],
	["no capability", ["--cap-drop", "ALL"], []],
	...[...new Set(facts.flatMap(({ includes }) => includes?.caps ?? []))].map((cap): [string, string[], string[]] => [
		cap,
		["--cap-drop", "ALL", "--cap-add", cap],
		[cap],
	]),
];

t.test("every call by its number gets the answer of the facts, under the default policy", needsRoot, async (t) => {
	compileC("seccomp-verdicts");
	for (const [title, options, capabilities] of CAPABILITY_SETS) {
		const { stdout, stderr, status } = run(["--rootfs", root, "--proc", ...options, "--seccomp", "default", "--", "/seccomp-verdicts"]);
		if (status !== 0) t.fail(`${title}: ${stderr}`);
		const lines = stdout.trim().split("\n");
		t.ok(lines.length > (process.arch === "x64" ? 1550 : 600), title);
		const wrong = lines.filter((line) => {
			const [what, number, error] = line.split(" ") as [string, string, string];
			return Number(error) !== expected(what, BigInt(number), capabilities);
		});
		t.same(wrong, [], title);
	}
});

t.test("with all capabilities, in a user namespace too, no call that the policy has for a capability is refused", needsRoot, async (t) => {
	const all = facts.flatMap(({ includes }) => includes?.caps ?? []);
	for (const more of [[], ["--map-root-user"]]) {
		const { stdout, status } = run(["--rootfs", root, ...more, "--seccomp", "default", "--", "/seccomp-verdicts"]);
		t.equal(status, 0);
		t.same(
			stdout
				.trim()
				.split("\n")
				.filter((line) => {
					const [what, number, error] = line.split(" ") as [string, string, string];
					return Number(error) !== expected(what, BigInt(number), all);
				}),
			[],
		);
	}
});

t.test("a program that is entered into a sandbox gets the same answers as the sandbox's own", needsRoot, (t) => {
	const raw = join(folder, "raw-program");
	run(["seccomp", "compile", "default", "-c", "SYS_ADMIN", "-o", raw]);
	const verdicts = (text: string) => text.split("\n").filter((line) => line !== "");
	for (const [i, policy] of ["default", FACTS, raw, undefined].entries()) {
		const id = `seccomp-${process.pid}-${i}`;
		const options = [...USUAL, ...(policy ? ["--seccomp", policy] : [])].join(" ");
		const made = world.shell(
			`$T --hold --id ${id} --pid --rootfs $R --proc --stdout /dev/null --stderr /dev/null ${options} -- sleep 100 | $T start >/dev/null 2>&1`,
		);
		t.equal(made.status, 0, made.stderr);
		const own = run(["--pid", "--rootfs", root, "--proc", ...options.split(" "), "--", "/seccomp-verdicts"]);
		const entered = run(["enter", id, "--", "/seccomp-verdicts"]);
		t.ok(verdicts(own.stdout).length > 600);
		t.same(verdicts(entered.stdout), verdicts(own.stdout), policy ?? "none");
		t.equal(
			verdicts(own.stdout).some((line) => / 1$/.test(line)),
			policy !== undefined,
		);
		run(["rm", "-f", id]);
	}
	t.end();
});

t.test("Docker's form of the policy compiles to the very program of the default, whatever the capabilities are", async (t) => {
	for (const capabilities of ["DEFAULT", "NONE", "ALL", "SYS_ADMIN", "BPF,SYSLOG", "SYS_PTRACE,SYS_NICE,DAC_READ_SEARCH"]) {
		const files = ["default", FACTS].map((policy, i) => {
			const output = join(folder, `program${i}`);
			const { status, stderr } = run(["seccomp", "compile", policy, "-c", capabilities, "-o", output]);
			t.equal(status, 0, stderr);
			return readProgram(readFileSync(output));
		}) as [ReturnType<typeof readProgram>, ReturnType<typeof readProgram>];
		for (const architecture of process.arch === "x64" ? (["x86_64", "i386", "x32"] as const) : (["aarch64", "arm"] as const))
			for (const [name, nr] of callsOf(architecture)) {
				const call = { arch: AUDIT_ARCH[architecture], nr, args: [{ high: 0, low: 0x20000 }] };
				const [ours, theirs] = files.map((program) => simulate(program, call).value);
				if (ours !== theirs) t.fail(`${capabilities}: ${architecture} ${name}`);
			}
	}
});

t.test("a container's filter is the one that is made at build time, and its program may gain privileges", needsRoot, async (t) => {
	const status = (...options: string[]) => {
		const { stdout } = run(["--rootfs", root, "--proc", ...options, "--", "grep", "-E", "NoNewPrivs|Seccomp:", "/proc/self/status"]);
		return stdout.replace(/\s+/g, " ").trim();
	};
	t.equal(status(...USUAL, "--seccomp", "default"), "NoNewPrivs: 0 Seccomp: 2");
	t.equal(status(...USUAL, "--no-new-privs", "--seccomp", "default"), "NoNewPrivs: 1 Seccomp: 2");
	t.equal(status(...USUAL, "--user", "web", "--seccomp", "default"), "NoNewPrivs: 0 Seccomp: 2");
	t.equal(status(...USUAL, "--seccomp", FACTS), "NoNewPrivs: 0 Seccomp: 2");
	run(["seccomp", "compile", "default", "-o", join(folder, "raw")]);
	t.equal(status(...USUAL, "--seccomp", join(folder, "raw")), "NoNewPrivs: 1 Seccomp: 2");
	t.equal(status(...USUAL), "NoNewPrivs: 0 Seccomp: 0");
});

t.test("an ordinary user's container has the default policy, too", async (t) => {
	const { stdout } = run(
		["--map-root-user", "--pid", "--rootfs", root, "--proc", "--seccomp", "default", "--", "grep", "Seccomp:", "/proc/self/status"],
		{
			nobody: true,
		},
	);
	t.equal(stdout, "Seccomp:\t2\n");
});

t.test("a policy in OCI's form is in force in the program, whose unknown names are ignored with a warning", needsRoot, async (t) => {
	const policy = {
		defaultAction: "SCMP_ACT_ALLOW",
		architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"],
		syscalls: [
			{ names: ["mkdir", "mkdirat", "no_such_call"], action: "SCMP_ACT_ERRNO", errnoRet: 28 },
			{
				names: ["personality"],
				action: "SCMP_ACT_ERRNO",
				args: [{ index: 0, value: 18446744073709551615n.toString(), op: "SCMP_CMP_EQ" }],
			},
		],
	};
	const file = join(folder, "policy.json");
	writeFileSync(file, JSON.stringify(policy).replace('"18446744073709551615"', "18446744073709551615"));
	const { stderr, status } = run(["--rootfs", root, "--seccomp", file, "--", "mkdir", "/new"]);
	t.equal(status, 1);
	t.match(stderr, /^tsunshare: --seccomp \S*policy\.json: "no_such_call" is no system call that is known here: it is ignored\n/);
	t.match(stderr, /No space left on device/);
	t.match(run(["seccomp", "explain", file, "personality"]).stdout, /errno EPERM if arg0 == 0xffffffffffffffff; else allow/);
	const config = join(folder, "config.json");
	writeFileSync(config, JSON.stringify({ ociVersion: "1.0.2", linux: { seccomp: policy } }).replace(/"(\d{20})"/, "$1"));
	t.match(run(["seccomp", "check", config, "mkdir"]).stdout, process.arch === "x64" ? /^mkdir\(.* errno ENOSPC/ : /./);
	t.equal(run(["seccomp", "check", config, "mkdirat"]).status, 1);
	t.equal(run(["seccomp", "check", config, "read"]).status, 0);
});

t.test("what is wrong in a policy is said by its place, and nothing is started", async (t) => {
	const good = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["read"], action: "SCMP_ACT_ERRNO" }] };
	const rule = (more: object) => ({ ...good, syscalls: [{ ...good.syscalls[0], ...more }] });
	const arg = (more: object) => rule({ args: [{ index: 0, value: 1, op: "SCMP_CMP_EQ", ...more }] });
	for (const [policy, error] of [
		["{", /it is no JSON: /],
		[{}, /defaultAction: it is missing/],
		[{ ...good, defaultAction: "SCMP_ACT_NOTIFY" }, /defaultAction: SCMP_ACT_NOTIFY: another process would have to answer each call/],
		[rule({ action: "SCMP_ACT_NOTIFY" }), /syscalls\[0\]\.action: SCMP_ACT_NOTIFY: another process/],
		[rule({ action: "ALLOW" }), /syscalls\[0\]\.action: "ALLOW": it is no action/],
		[rule({ action: "SCMP_ACT_constructor" }), /it is no action/],
		[rule({ names: [] }), /syscalls\[0\]\.names: there is no name/],
		[rule({ names: "read" }), /syscalls\[0\]\.names: it is no list of texts/],
		[rule({ errnoRet: 4096 }), /syscalls\[0\]\.errnoRet: it is no number from 0 to 4095/],
		[rule({ action: "SCMP_ACT_ALLOW", errnoRet: 1 }), /syscalls\[0\]\.errnoRet: SCMP_ACT_ALLOW returns no error/],
		[rule({ arg: [] }), /syscalls\[0\]\.arg: there is no such member/],
		[arg({ index: 6 }), /syscalls\[0\]\.args\[0\]\.index: it is no number from 0 to 5/],
		[arg({ op: "EQ" }), /syscalls\[0\]\.args\[0\]\.op: "EQ": it is no comparison/],
		[arg({ value: -1 }), /syscalls\[0\]\.args\[0\]\.value: it is no number from 0 to 2\^64 - 1/],
		[arg({ value: 1.5 }), /value: it is no number/],
		[arg({ value: "1" }), /value: it is no number/],
		[JSON.stringify(arg({ value: 0 })).replace('"value":0', '"value":18446744073709551616'), /value: it is no number/],
		[{ ...good, architectures: ["x86"] }, /architectures\[0\]: "x86": it is no architecture/],
		[{ ...good, flags: ["SECCOMP_FILTER_FLAG_NEW_LISTENER"] }, /flags\[0\]: .*: it is no flag/],
		[{ ...good, flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] }, /it goes with SCMP_ACT_NOTIFY only/],
		[{ ...good, listenerPath: "/run/x" }, /listenerPath: another process/],
		[rule({ includes: { capabilities: [] } }), /syscalls\[0\]\.includes\.capabilities: there are caps, arches and minKernel/],
		[rule({ includes: { minKernel: "new" } }), /includes\.minKernel: new: it is no version/],
	] as [unknown, RegExp][]) {
		const file = join(folder, "wrong.json");
		writeFileSync(file, typeof policy === "string" ? policy : JSON.stringify(policy));
		for (const args of [
			["seccomp", "check", file],
			["--map-root-user", "--rootfs", root, "--seccomp", file, "--", "echo", "started"],
		]) {
			const { status, stdout, stderr } = run(args);
			t.match(stderr, error);
			t.match(stderr, /^tsunshare: \S+wrong\.json: [^\n]*\n$/);
			t.equal(stdout, "");
			t.equal(status, args[0] === "seccomp" ? 1 : 125);
		}
	}
});

t.test("a file that is neither JSON nor a program is refused with what is wrong in it", async (t) => {
	const file = join(folder, "wrong");
	for (const [bytes, error] of [
		[[], /it has no instruction/],
		[[6, 0, 0], /its 3 bytes are no whole instructions/],
		[[0x20, 0, 0, 0, 0, 0, 0, 0], /its last instruction is no return/],
		[[0x20, 0, 0, 0, 2, 0, 0, 0], /instruction 0: there is no word at 2 of struct seccomp_data/],
		[[0x15, 0, 1, 0, 2, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0], /instruction 0: it jumps beyond the end/],
		[[0x28, 0, 0, 0, 0, 0, 0, 0], /instruction 0: 0x28 is no instruction that a filter may have/],
	] as [number[], RegExp][]) {
		writeFileSync(file, Buffer.from(bytes));
		const { status, stderr } = run(["seccomp", "check", file]);
		t.equal(status, 1);
		t.match(stderr, error);
	}
	t.match(run(["seccomp", "check", join(folder, "absent")]).stderr, /^tsunshare: openat \S*absent: No such file or directory/);
});

t.test("the verbs say what is wrong in their command line", async (t) => {
	for (const [args, error] of [
		[["check"], /which FILE\?/],
		[["check", ""], /which FILE\?/],
		[["check", "default", "reed"], /reed: there is no such system call/],
		[["check", "default", "read", "x"], /x: an argument is a number of 64 bits/],
		[["check", "default", "read", "0x10000000000000000"], /an argument is a number/],
		[["check", "default", "read", "1", "2", "3", "4", "5", "6", "7"], /six arguments at most, not 7/],
		[["check", "-a", "mips", "default", "read"], /--arch mips: there are x86_64/],
		[["check", "-a", "aarch64", "default", "open"], /open: aarch64 has no such call/],
		[["explain", "default", "reed"], /reed: there is no such system call/],
		[["compile", "default", "-c", "NOPE"], /--capabilities NOPE: there is no such capability/],
		[["compile", "default", "--kernel", "new"], /--kernel new: a version is like 6\.1/],
		[["compile", "default", "other"], /one FILE at a time/],
		[["compile", "default", "--output="], /--output: the name is empty/],
	] as [string[], RegExp][]) {
		const { status, stdout, stderr } = run(["seccomp", ...args]);
		t.equal(status, 2, args.join(" "));
		t.match(stderr, error);
		t.equal(stdout, "");
	}
});

t.test("check runs one call, explain says for which arguments, and compile shows each instruction", async (t) => {
	const machine = process.arch === "x64" ? "x86_64" : "aarch64";
	t.match(run(["seccomp", "check", "default"]).stdout, /^default: good: \d+ instructions, at most \d+ for a call, /);
	const denied = run(["seccomp", "check", "default", "socket", "38"]);
	t.equal(denied.status, 1);
	t.match(denied.stdout, new RegExp(`^socket\\(38, 0, 0, 0, 0, 0\\) on ${machine}: errno EPERM, after \\d+ instructions\\n$`));
	t.equal(run(["seccomp", "check", "default", "socket", "2"]).status, 0);
	t.equal(run(["seccomp", "check", "default", "personality", "0xffffffff"]).status, 0);
	t.equal(run(["seccomp", "check", "default", "personality", "-1"]).status, 1, "64 bits");
	t.equal(run(["seccomp", "check", "-c", "SYS_ADMIN", "default", "mount"]).status, 0);
	const steps = run(["seccomp", "check", "--steps", "default", "read"]).stdout.trim().split("\n");
	t.match(steps[steps.length - 2], /ret {2}#0x7fff0000$/);
	t.match(
		run(["seccomp", "explain", "default", "clone"]).stdout,
		/clone +\S+ +\d+ {2}allow if \(arg0 & 0x7e020000\) == 0; else errno EPERM\n/,
	);
	const all = JSON.parse(run(["seccomp", "explain", "default", "--json"]).stdout) as { call: string; answers: string[] }[];
	t.same(all.find(({ call }) => call === "clone3")?.answers, ["errno ENOSYS"]);
	t.match(run(["seccomp", "explain", "default"]).stdout, /^errno EPERM: \d+\n {2}_sysctl acct add_key /m);
	const listing = run(["seccomp", "compile", "default"]).stdout.split("\n");
	t.match(listing[0], /^ {3}0 {2}ld {3}\[4\] +arch$/);
	t.match(listing[1], new RegExp(`jeq .* ${machine}$`));
	run(["seccomp", "compile", "default", "-o", join(folder, "out")]);
	t.same(run(["seccomp", "compile", join(folder, "out")]).stdout.split("\n"), listing, "a program is read back");
	t.match(
		run(["seccomp", "explain", join(folder, "out"), "-a", machine, "socket"]).stdout,
		/by its arguments: (allow, errno EPERM|errno EPERM, allow)/,
	);
});

/** What python's seccomp makes of a policy: the program that libseccomp exports. */
const PYTHON = `
import json, sys, seccomp, os
policy = json.load(sys.stdin)
actions = {"ALLOW": seccomp.ALLOW, "KILL_PROCESS": seccomp.KILL_PROCESS, "TRAP": seccomp.TRAP, "LOG": seccomp.LOG}
ops = {"NE": seccomp.NE, "LT": seccomp.LT, "LE": seccomp.LE, "EQ": seccomp.EQ, "GE": seccomp.GE, "GT": seccomp.GT, "MASKED_EQ": seccomp.MASKED_EQ}
action = lambda a: seccomp.ERRNO(int(a[6:])) if a.startswith("ERRNO ") else actions[a]
for i, one in enumerate(policy):
    f = seccomp.SyscallFilter(defaction=action(one["default"]))
    for name in one["arches"]:
        f.add_arch(getattr(seccomp.Arch, name))
    for rule in one["rules"]:
        args = [seccomp.Arg(a["index"], ops[a["op"]], a["value"], a["two"]) for a in rule["args"]]
        f.add_rule(action(rule["action"]), rule["name"], *args)
    with open(sys.argv[1] + "/libseccomp" + str(i), "wb") as out:
        f.export_bpf(out)
`;
const hasLibseccomp = spawnSync("/usr/bin/python3", ["-c", "import seccomp"]).status === 0;

t.test(
	"libseccomp's programs answer the same, on random policies",
	hasLibseccomp && process.arch === "x64" ? {} : { skip: "needs python3-seccomp and x86_64" },
	async (t) => {
		let state = 7;
		const below = (end: number) => {
			state = (Math.imul(state, 1103515245) + 12345) >>> 0;
			return (state >>> 8) % end;
		};
		const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
		/* socketcall's and ipc's calls are compared in the unit test: libseccomp looks at other arguments than were meant. */
		const calls = "read write open close ioctl fcntl clone mmap prctl personality kill openat unshare setns mount ptrace".split(" ");
		const operators = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
		const values = [0, 1, 2, 8, 38, 40, 0x20000, 0x7fffffff, 0x80000000, 0xffffffff];
		const policies = Array.from({ length: 120 }, () => {
			/* Where rules for one call differ in their action, libseccomp's order is its own: one action a call, here. */
			const actions = new Map(calls.map((name) => [name, pick(["ERRNO 1", "ERRNO 38", "TRAP", "KILL_PROCESS", "LOG"])]));
			/* libseccomp 2.5 errs where several rules of a call overlap: one rule of any conditions, or several that are apart. */
			const rules = calls
				.filter(() => below(2) === 0)
				.flatMap((name) => {
					const action = actions.get(name) as string;
					if (below(3) === 0) {
						const index = below(6);
						return values.filter(() => below(3) > 0).map((value) => ({ name, action, args: [{ index, op: "EQ", value, two: 0 }] }));
					}
					const indices = [0, 1, 2, 3, 4, 5].filter(() => below(3) === 0);
					const args = indices.map((index) => {
						const op = pick(operators);
						const value = pick(values);
						return { index, op, value, two: op === "MASKED_EQ" ? (pick(values) & value) >>> 0 : 0 };
					});
					return [{ name, action, args }];
				});
			return { default: "ALLOW", arches: pick([[], ["X86"], ["X86", "X32"]]), rules };
		});
		const made = spawnSync("/usr/bin/python3", ["-c", PYTHON, folder], { input: JSON.stringify(policies), encoding: "utf8" });
		t.equal(made.status, 0, made.stderr);
		let asked = 0;
		policies.forEach((policy, i) => {
			const oci = {
				defaultAction: "SCMP_ACT_ALLOW",
				architectures: policy.arches.map((name) => `SCMP_ARCH_${name}`),
				syscalls: policy.rules.map(({ name, action, args }) => ({
					names: [name],
					action: `SCMP_ACT_${action.split(" ")[0]}`,
					...(action.startsWith("ERRNO") && { errnoRet: Number(action.split(" ")[1]) }),
					args: args.map(({ index, op, value, two }) => ({ index, op: `SCMP_CMP_${op}`, value, valueTwo: two })),
				})),
			};
			writeFileSync(join(folder, "oci.json"), JSON.stringify(oci));
			const { status, stderr } = run(["seccomp", "compile", join(folder, "oci.json"), "-o", join(folder, "ours")]);
			if (status !== 0) t.fail(stderr);
			const [ours, theirs] = [join(folder, "ours"), join(folder, `libseccomp${i}`)].map((file) => readProgram(readFileSync(file)));
			for (let n = 0; n < 250; n++) {
				const architecture = pick(["x86_64", "x86_64", "i386", "x32"] as const);
				const nr = callsOf(architecture).get(pick(calls)) as number;
				/* Of x32's arguments libseccomp compares the lower half only, ours all that the kernel gives. */
				const args = Array.from({ length: 6 }, () => ({
					high: architecture === "x86_64" ? pick([0, 0, 0, 1, 0xffffffff]) : 0,
					low: (pick(values) + below(3) - 1) >>> 0,
				}));
				const call = { arch: AUDIT_ARCH[architecture], nr, args };
				const [a, b] = [ours, theirs].map((program) => simulate(program as never, call).value);
				asked++;
				if (a !== b) t.fail(JSON.stringify({ a, b, architecture, nr, args, policy }));
			}
		});
		t.equal(asked, 30_000);
	},
);
