/** What tsinit has of dumb-init: a session for the program, SIGTERM to what is left, rules for the standard signals. */
import { spawnSync } from "node:child_process";
import t from "tap";
import { asPid1, needsRoot, run, start, tsinit } from "../support/tsinit.ts";

const dumbInit = spawnSync("sh", ["-c", "command -v dumb-init"], { encoding: "utf8" }).stdout.trim();
const needsDumbInit = dumbInit !== "" ? {} : { skip: "dumb-init is not installed" };

t.test("a signal's number beyond 31 in a rule of -r is refused, as dumb-init does", needsDumbInit, async (t) => {
	for (const rule of ["1:32", "32:1", "1:64", "34:15"]) {
		t.equal(run([dumbInit, "-r", rule, "true"]).status, 1, rule);
		const { status, stderr } = run([tsinit, "-s", "-r", rule, "true"]);
		t.equal(status, 1, rule);
		t.match(stderr, `-r: "${rule}" is not FROM:TO, two signals (15:3, TERM:QUIT, HUP:0; a number is at most 31)`);
	}
	for (const rule of ["1:31", "31:1", "15:0"])
		t.same([run([dumbInit, "-r", rule, "true"]).status, run([tsinit, "-s", "-r", rule, "true"]).status], [0, 0], rule);
});

const look = ["ps", "-o", "pid=,pgid=,sid=", "-p"];

t.test("with --new-session the program leads a session and a group of its own, as under dumb-init", needsDumbInit, async (t) => {
	for (const init of [
		[dumbInit, "--"],
		[tsinit, "-s", "--new-session", "--"],
	]) {
		const [pid, pgid, sid] = run([...init, "sh", "-c", `exec ${look.join(" ")} $$`])
			.stdout.trim()
			.split(/\s+/);
		t.same([pgid, sid], [pid, pid], init.join(" "));
	}
	const [pid, pgid, sid] = run([tsinit, "-s", "sh", "-c", `exec ${look.join(" ")} $$`])
		.stdout.trim()
		.split(/\s+/);
	t.equal(pgid, pid);
	t.not(sid, pid, "without it the session is the caller's");
});

t.test("with --new-session a signal goes to all of the program's group", async (t) => {
	const init = start(t, [
		tsinit,
		"-s",
		"--new-session",
		"sh",
		"-c",
		"(trap 'echo inner; exit' TERM; echo ready; sleep 9 & wait) & trap 'exit 7' TERM; wait",
	]);
	await init.says(/ready/);
	process.kill(init.pid, "SIGTERM");
	await init.says(/inner/);
	t.equal(await init.ended, 7);
});

/** The letter of a process's state in /proc. */
const state = (pid: number | string) => spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).stdout.trim()[0];

async function until(isSo: () => boolean): Promise<boolean> {
	for (let i = 0; i < 100 && !isSo(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
	return isSo();
}

t.test("with --new-session SIGTSTP stops program and init, and SIGCONT continues both", async (t) => {
	/* As a job of a shell: in a group that nobody of its session could continue, the kernel discards SIGTSTP. */
	const shell =
		'set -m; "$@" & init=$!; echo init $init; while :; do wait $init; s=$?; kill -0 $init 2>/dev/null || exit $s; sleep 0.1; done';
	const job = ["setsid", "bash", "-c", shell, "-"];
	const running = start(t, [...job, tsinit, "-s", "--new-session", "--", "sh", "-c", "echo pid $$; sleep 30; true"]);
	const init = Number((await running.says(/init (\d+)\n/))[1]);
	const child = (await running.says(/pid (\d+)\n/))[1] as string;
	process.kill(init, "SIGTSTP");
	t.ok(await until(() => state(init) === "T" && state(child) === "T"), "both are stopped");
	process.kill(init, "SIGCONT");
	t.ok(await until(() => state(init) !== "T" && state(child) !== "T"), "both go on");
	process.kill(init, "SIGTERM");
	t.equal(await running.ended, 143);
});

t.test("as PID 1 on a terminal, --new-session gives the terminal to the program's session", needsRoot, async (t) => {
	const inner = `${asPid1.join(" ")} setsid -c ${tsinit} --new-session -- sh -c 'ps -o pid=,sid=,tpgid= -p $$; tty; echo done'`;
	const { stdout } = spawnSync("script", ["-qec", inner, "/dev/null"], { encoding: "utf8", input: "" });
	const [pid, sid, foreground] = (stdout.split("\n")[0] ?? "").trim().split(/\s+/);
	t.equal(sid, pid);
	t.ok(Number(foreground) > 0, stdout);
	t.match(stdout, /\/dev\/pts\/\d+\r?\ndone/);
});

t.test("--term-all sends SIGTERM to what is left and exits at once, with the program's status", needsRoot, async (t) => {
	/* As PID 1 its end is the end of all: what handles SIGTERM may not have the time to. As a subreaper there is no such end. */
	const script = "(trap 'echo got TERM; sleep 0.2; echo cleaned' TERM; echo ready >&2; sleep 5 & wait) & sleep 0.3; exit 3";
	const init = start(t, [tsinit, "-s", "--term-all", "sh", "-c", script]);
	t.equal(await init.ended, 3);
	t.match(init.output(), /got TERM\ncleaned/);
	const without = start(t, [tsinit, "-s", "sh", "-c", "(trap 'echo got TERM' TERM; sleep 1 & wait) & exit 3"]);
	t.equal(await without.ended, 3);
	t.notMatch(without.output(), /got TERM/);
	const { status, stderr } = run([tsinit, "-s", "--term-all", "--kill-all", "true"]);
	t.same([status, stderr.split("\n")[0]], [1, "tsinit: --term-all and --kill-all exclude each other"]);
});

t.test("what scripts look for in tini's log is in ours, at the same verbosity", async (t) => {
	t.match(run([tsinit, "true"]).stderr, "zombie reaping won't work");
	t.equal(run([tsinit, "true"], { env: { TINI_VERBOSITY: "0" } }).stderr, "");
	t.match(run([tsinit, "-s", "-w", "sh", "-c", "(sleep 0.1 &) ; sleep 0.4"]).stderr, /Reaped zombie process with pid=\d+\n/);
	t.equal(run([tsinit, "-s", "sh", "-c", "(sleep 0.1 &) ; sleep 0.4"]).stderr, "");
});
