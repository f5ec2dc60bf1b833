/** What comes before and after the program: --before, --after, --grace, --max-time, --wait-all, --kill-all, --pause. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import {
	asNobody,
	asPid1,
	childrenOf,
	compile,
	isRunning,
	needsRoot,
	publicCopy,
	run,
	start,
	temporaryFolder,
	tsinit,
	until,
} from "../support/tsinit.ts";

t.setTimeout(60_000);
const payload = compile(t, "payload");

/** A script that leaves a daemon, which `pid` finds; it is gone with the test. */
function daemon(t: Test) {
	const file = join(temporaryFolder(t), "pid");
	const pid = () => Number(readFileSync(file, "utf8"));
	t.teardown(() => {
		if (existsSync(file) && isRunning(pid())) process.kill(pid(), "SIGKILL");
	});
	const script = `"${payload}" daemon ${file}; until [ -s ${file} ]; do sleep 0.02; done;`;
	return { script, pid };
}

/** Ignores SIGTERM; ends by itself after half a minute, should all else fail. */
const stubborn = "trap '' TERM; echo ready; i=0; while [ $((i += 1)) -lt 300 ]; do sleep 0.1; done";

t.test("without options tsinit ends with its program, as tini does, and leaves the others", async (t) => {
	const { script, pid } = daemon(t);
	t.equal(run([tsinit, "-s", "sh", "-c", `${script} exit 5`]).status, 5);
	t.ok(isRunning(pid()));
});

t.test("--grace kills a program that survives SIGTERM, and its daemons, and the status tells", async (t) => {
	const { script, pid } = daemon(t);
	const init = start(t, [tsinit, "-s", "--grace", "300ms", "--", "sh", "-c", script + stubborn]);
	await init.says(/ready/);
	process.kill(init.pid, "SIGTERM");
	t.equal(await init.ended, 137);
	t.match(init.output(), /warning: 0\.3 s of grace are over: SIGKILL to what is left/);
	t.notOk(isRunning(pid()));
});

t.test("--grace kills what a program that heeds SIGTERM leaves behind", async (t) => {
	const { script, pid } = daemon(t);
	const init = start(t, [tsinit, "-s", "--grace", "50s", "--", "sh", "-c", `${script} echo ready; exec sleep 1000`]);
	await init.says(/ready/);
	process.kill(init.pid, "SIGTERM");
	t.equal(await init.ended, 143);
	t.notOk(isRunning(pid()));
});

t.test("--grace does nothing to a program that ends by itself", async (t) => {
	const { script, pid } = daemon(t);
	t.equal(run([tsinit, "-s", "--grace", "1s", "sh", "-c", `${script} exit 8`]).status, 8);
	t.ok(isRunning(pid()));
});

t.test("SIGINT does not start the grace time, unless --stop-signal names it", async (t) => {
	const script = "trap 'echo int' INT; trap 'echo quit; exit 6' QUIT; echo ready; while :; do sleep 0.05; done";
	const init = start(t, [tsinit, "-s", "--grace", "100ms", "--", "sh", "-c", script]);
	await init.says(/ready/);
	process.kill(init.pid, "SIGINT");
	await init.says(/int/);
	await new Promise((resolve) => setTimeout(resolve, 400));
	process.kill(init.pid, "SIGQUIT");
	t.equal(await init.ended, 6);

	const other = start(t, [tsinit, "-s", "--grace", "100ms", "--stop-signal", "SIGINT", "--", "sh", "-c", script]);
	await other.says(/ready/);
	process.kill(other.pid, "SIGINT");
	t.equal(await other.ended, 137);
});

t.test("a rewritten SIGTERM starts the grace time as well, received or forwarded", async (t) => {
	for (const [rule, sent] of [
		["TERM:USR1", "SIGTERM"],
		["USR2:TERM", "SIGUSR2"],
	] as const) {
		const script = "trap '' TERM USR1; echo ready; while :; do sleep 0.1; done";
		const init = start(t, [tsinit, "-s", "-r", rule, "--grace", "100ms", "--", "sh", "-c", script]);
		await init.says(/ready/);
		process.kill(init.pid, sent);
		t.equal(await init.ended, 137, rule);
	}
});

t.test("--wait-all waits for daemons after the program, and keeps its status", async (t) => {
	const script = "(sleep 0.3; echo later) & exit 7";
	const init = start(t, [tsinit, "-s", "--wait-all", "--", "sh", "-c", script]);
	t.equal(await init.ended, 7);
	t.match(init.output(), /later/);
});

t.test("--wait-all=TIME ends when the time is over, and leaves who is left", async (t) => {
	const { script, pid } = daemon(t);
	t.equal(run([tsinit, "-s", "--wait-all=200ms", "sh", "-c", `${script} exit 7`]).status, 7);
	t.ok(isRunning(pid()));
});

t.test("signals that come while --wait-all waits go to those who are left", async (t) => {
	const init = start(t, [tsinit, "-s", "--wait-all", "--", "sh", "-c", '(setsid "$0" signals &) ; exit 9', payload]);
	await init.says(/ready/);
	await until(() => childrenOf(init.pid).length === 1);
	process.kill(init.pid, "SIGUSR1");
	await init.says(/got 10\./);
	process.kill(childrenOf(init.pid)[0] as number, "SIGKILL");
	t.equal(await init.ended, 9);
});

t.test("--kill-all sends SIGTERM to who is left, then SIGKILL, and keeps the program's status", async (t) => {
	for (const [trap, says] of [
		["trap 'echo gently; exit' TERM", /gently/],
		["trap '' TERM", /^((?!gently)[\s\S])*$/],
	] as const) {
		const script = `(${trap}; echo started; while :; do sleep 0.05; done) & until read -r line; do :; done; exit 4`;
		const init = start(t, [tsinit, "-s", "--kill-all=300ms", "--", "sh", "-c", script]);
		await init.says(/started/);
		init.write("go on\n");
		t.equal(await init.ended, 4);
		t.match(init.output(), says);
	}
});

t.test("--kill-all leaves nothing of a tree that forks while it is killed", async (t) => {
	const marker = `0.0${process.pid}`;
	const script = `f() { trap '' TERM; while :; do (sleep ${marker}; sleep ${marker}) & sleep 0.01; done; }; f & (f) & sleep 0.2; exit 2`;
	t.equal(run([tsinit, "-s", "--kill-all=50ms", "sh", "-c", script]).status, 2);
	t.equal(run(["pgrep", "-f", `sleep ${marker}`]).stdout, "");
});

t.test("as PID 1, --grace, --wait-all and --kill-all reach all of the namespace", needsRoot, async (t) => {
	const left = run([...asPid1, tsinit, "--wait-all", "--", "sh", "-c", "(setsid sh -c 'sleep 0.3; echo later' &); exit 3"]);
	t.equal(left.status, 3);
	t.equal(left.stdout, "later\n");
	const script = "(setsid sh -c 'trap \"echo gently; exit\" TERM; echo started; while :; do sleep 0.05; done' &); sleep 0.3; exit 3";
	const killed = run([...asPid1, tsinit, "--kill-all=20s", "--", "sh", "-c", script]);
	t.equal(killed.status, 3);
	t.equal(killed.stdout, "started\ngently\n");
	const init = start(t, [...asPid1, tsinit, "--grace", "100ms", "--", "sh", "-c", stubborn]);
	await init.says(/ready/);
	process.kill(childrenOf(init.pid)[0] as number, "SIGTERM");
	t.equal(await init.ended, 137);
});

t.test("an ordinary user's tsinit reaches its own", needsRoot, async (t) => {
	const left = run([...asNobody, publicCopy(t), "-s", "--kill-all=100ms", "sh", "-c", "(trap '' TERM; sleep 1000) & exit 3"]);
	t.equal(left.status, 3);
	t.equal(left.stderr, "");
});

t.test("--max-time ends the program with SIGTERM, then SIGKILL, and exits with 124", async (t) => {
	t.equal(run([tsinit, "-s", "--max-time", "100ms", "sleep", "1000"]).status, 124);
	const { script, pid } = daemon(t);
	const init = start(t, [tsinit, "-s", "--max-time", "100ms", "--grace", "100ms", "--", "sh", "-c", script + stubborn]);
	t.equal(await init.ended, 124);
	t.match(init.output(), /warning: the program has run for 0\.1 s: SIGTERM\n.*SIGKILL to what is left/);
	t.notOk(isRunning(pid()));
	t.equal(run([tsinit, "-s", "--max-time", "50s", "sh", "-c", "exit 3"]).status, 3);
	t.equal(run([tsinit, "-s", "--max-time", "100ms", "-e", "124", "sleep", "1000"]).status, 0);
});

t.test("--max-time bounds --wait-all, too", async (t) => {
	const { script, pid } = daemon(t);
	t.equal(run([tsinit, "-s", "--max-time", "200ms", "--wait-all", "sh", "-c", `${script} exit 0`]).status, 124);
	t.notOk(isRunning(pid()));
});

t.test("--before runs first, --after last and knows the status, which stays the program's", async (t) => {
	const hooks = ["--before", "echo first", "--after", "echo last $TSINIT_STATUS; exit 1"];
	const { status, stdout, stderr } = run([tsinit, "-s", ...hooks, "sh", "-c", "echo program; exit 3"]);
	t.equal(status, 3);
	t.equal(stdout, "first\nprogram\nlast 3\n");
	t.equal(stderr, "tsinit: warning: --after ended with status 1\n");
	t.match(run([tsinit, "-s", ...hooks, "sh", "-c", "kill $$"]).stdout, /last 143/);
	t.match(run([tsinit, "-s", "-e", "3", ...hooks, "sh", "-c", "exit 3"]).stdout, /last 3/);
});

t.test("--after comes when the others have ended", async (t) => {
	const { stdout } = run([tsinit, "-s", "--wait-all", "--after", "echo last", "sh", "-c", "(sleep 0.2; echo other) & echo program"]);
	t.equal(stdout, "program\nother\nlast\n");
});

t.test("--after keeps the working folder and descriptors that it was given", async (t) => {
	t.equal(run(["sh", "-c", 'cd /usr/bin; exec "$0" -s --after pwd true', tsinit]).stdout, "/usr/bin\n");
});

t.test("a --before that fails, or is ended by a signal, keeps the program from starting", async (t) => {
	const { status, stdout, stderr } = run([tsinit, "-s", "--before", "exit 9", "--after", "echo after", "echo", "program"]);
	t.equal(status, 9);
	t.equal(stdout, "");
	t.match(stderr, /--before ended with status 9: the program is not started/);
	const init = start(t, [tsinit, "-s", "--before", "echo ready; exec sleep 1000", "--", "echo", "program"]);
	await init.says(/ready/);
	process.kill(init.pid, "SIGTERM");
	t.equal(await init.ended, 143);
	t.notMatch(init.output(), /^program/m);
});

t.test("--pause reaps without a program, until SIGTERM or SIGINT", async (t) => {
	for (const signal of ["SIGTERM", "SIGINT"] as const) {
		/* A parent that execs leaves it a child: an orphan's reaping can be seen. */
		const init = start(t, ["sh", "-c", '(sleep 0.1; sleep 0.1) & echo ready; exec "$0" -s -w -P', tsinit]);
		await init.says(/Reaped zombie process with pid=/);
		process.kill(init.pid, "SIGUSR1");
		process.kill(init.pid, "SIGHUP");
		process.kill(init.pid, signal);
		t.equal(await init.ended, 0);
	}
});
