/** `tscgctl top`: tables for scripts, and the screen, on a terminal that script(1) makes. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { layouts } from "../support/layouts.ts";
import { tool } from "../support/tools.ts";

const state = mkdtempSync(join(tmpdir(), "tsbox-cgctl-top-"));
t.teardown(() => rmSync(state, { recursive: true }));
const environment = { TSBOX_RUN: state, TSBOX_CGROUP_ROOT: `/tsbox-top-${process.pid}` };
const layout = layouts.find(({ skip }) => !skip);
const skip = layout ? false : "needs root";
const cgctl = (...args: string[]) => layout?.run([tool("tscgctl"), ...args], environment) ?? { status: null, stdout: "", stderr: "" };

t.before(() => {
	if (!layout) return;
	cgctl("create", "busy", "--cpus", "0.5", "--pids", "10");
	cgctl("create", "idle");
});
const burner = layout?.start([tool("tscgctl"), "run", "busy", "--", "/bin/sh", "-c", "while :; do :; done"], environment);
t.teardown(() => {
	burner?.kill("SIGKILL");
	cgctl("kill", "/");
	cgctl("rm", "-r", "--force", "/");
});

t.test("--once shows one table, the greediest first, and its bars", { skip }, async (t) => {
	const { status, stdout, stderr } = cgctl("top", "--once", "--interval", "300ms");
	t.match({ status, stderr }, { status: 0, stderr: "" });
	const lines = stdout.split("\n");
	t.match(lines[0], /^CGROUP +CPU\* +MEMORY +READ\/s +WRITE\/s +PIDS$/);
	t.match(lines[1], /^\/busy +[1-9]\d*\.\d% \[#/);
	t.match(lines[2], /^\/idle +0\.0%/);
	t.same(lines.slice(3), [""]);
});

t.test("--json gives the same as numbers, one line a look", { skip }, async (t) => {
	const { stdout } = cgctl("top", "--json", "--count", "2", "--interval", "200ms", "--sort", "pids");
	const looks = stdout
		.trim()
		.split("\n")
		.map((line) => JSON.parse(line));
	t.equal(looks.length, 2);
	for (const look of looks)
		t.match(look, [
			{ name: "/busy", cpuLimit: 0.5, pidsLimit: 10, pids: 1, memoryLimit: null },
			{ name: "/idle", cpu: 0, cpuLimit: null, pidsLimit: null, pids: 0 },
		]);
});

t.test("a cgroup's own path shows it and what is below", { skip }, async (t) => {
	t.match(cgctl("top", "busy", "-1", "-d", "50ms").stdout, /^CGROUP.*\n\/busy .*\n$/);
});

t.test("a wrong command line is refused", { skip }, async (t) => {
	t.match(cgctl("top", "--sort", "size"), { status: 2, stderr: 'tscgctl: --sort: "size" is not cpu, memory, io or pids\n' });
	t.match(cgctl("top", "--interval", "0"), { status: 2, stderr: "tscgctl: --interval: needs a time above 0\n" });
	t.match(cgctl("top", "a", "b"), { status: 2, stderr: "tscgctl: top: takes one PATH\n" });
	t.match(cgctl("top", "gone"), { status: 1, stderr: "tscgctl: /gone: no such cgroup\n" });
});

/** What a terminal of 10 rows and 80 columns gets to see of a script; `act` is called with it as it grows. */
async function onTerminal(script: string, act: (seen: string, keys: (text: string) => void) => void): Promise<string> {
	const child = spawn("script", ["-qec", `stty rows 10 cols 80; ${script}`, "/dev/null"], {
		env: { ...process.env, ...environment, TERM: "xterm", NO_COLOR: "", SHELL: "/bin/sh" },
		stdio: ["pipe", "pipe", "inherit"],
	});
	let seen = "";
	child.stdout.on("data", (data) => {
		seen += data;
		act(seen, (text) => child.stdin.write(text));
	});
	const limit = setTimeout(() => child.kill(), 20_000);
	await new Promise((resolve) => child.once("close", resolve));
	clearTimeout(limit);
	return seen;
}

const ENTER = "\x1b[?1049h";
const LEAVE = "\x1b[?1049l";
/** What the shell on the terminal says afterwards. */
const AFTER = 'echo "status $?"; stty -a';

t.test("on a terminal it draws the alternate screen, sorts by keys, and q gives the terminal back", { skip }, async (t) => {
	let step = 0;
	const seen = await onTerminal(`${tool("tscgctl")} top -d 100ms; ${AFTER}`, (text, keys) => {
		if (step === 0 && text.includes("CPU*") && text.includes("/busy")) {
			step = 1;
			keys("m");
		} else if (step === 1 && text.includes("MEMORY*")) {
			step = 2;
			keys("q");
		}
	});
	const [before, screen, after] = seen.split(new RegExp(`${ENTER.replace(/[[?]/g, "\\$&")}|${LEAVE.replace(/[[?]/g, "\\$&")}`));
	t.equal(step, 2);
	t.notMatch(before, "CGROUP");
	t.match(screen, /tscgctl top \/ {2}every 100 ms {2}2 cgroups +c m i p sort {2}q quit\x1b\[K\r\n/, "its first line");
	t.match(after, "status 0");
	t.match(after, / icanon .* echo /s);
});

for (const [signal, status] of [
	["INT", 130],
	["TERM", 143],
	["HUP", 129],
	["QUIT", 131],
] as const)
	t.test(`SIG${signal} gives the terminal back, and ends it as it would any program`, { skip }, async (t) => {
		const pidFile = join(state, signal);
		/* The shell starts a program, which is the one that is drawn by, in the foreground; its PID is in the file. */
		const script = `ulimit -c 0; sh -c 'echo $$ >${pidFile}; exec ${tool("tscgctl")} top -d 100ms'; ${AFTER}`;
		let isSent = false;
		const seen = await onTerminal(script, (text) => {
			if (isSent || !text.includes("/busy")) return;
			isSent = true;
			process.kill(Number(readFileSync(pidFile, "utf8")), `SIG${signal}`);
		});
		t.match(seen, ENTER);
		const after = seen.slice(seen.lastIndexOf(LEAVE));
		t.match(after, `status ${status}`);
		t.match(after, / icanon .* echo /s);
	});

t.test("the window's size is honoured when it changes", { skip }, async (t) => {
	/* stty(1) in the background sets the size of the terminal that top draws on in the foreground. */
	const resize = join(state, "resize");
	const script = `(while [ ! -e ${resize} ]; do sleep 0.02; done; stty rows 3 cols 120 </dev/tty) & ${tool("tscgctl")} top -d 100ms`;
	let step = 0;
	const seen = await onTerminal(script, (text, keys) => {
		if (step === 0 && text.includes("/busy")) {
			step = 1;
			writeFileSync(resize, "");
		} else if (step === 1 && text.includes("... and 2 more")) {
			step = 2;
			keys("q");
		}
	});
	t.match(seen, /q quit\x1b\[K\r\n\x1b\[7mCGROUP[^\r]*\r\n\.\.\. and 2 more/, "three rows");
	const heads = [...seen.matchAll(/\x1b\[H(tscgctl top [^\x1b]*)\x1b/g)].map(([, head]) => (head as string).length);
	t.equal(heads[0], 80);
	t.equal(heads[heads.length - 1], 120);
});
