/** Signals and the terminal: what tsinit forwards, beside tini and dumb-init. */
import { chmodSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import t, { type Test } from "tap";
import {
	asNobody,
	asPid1,
	childrenOf,
	compile,
	needsRoot,
	needsTini,
	publicCopy,
	run,
	start,
	tini,
	tsinit,
	until,
} from "../support/tsinit.ts";

t.setTimeout(60_000);
const payload = compile(t, "payload");
const shell = compile(t, "job-shell");

/** The last signal, 64: where several are pending, the kernel gives the lowest first, so it is told of after the others. */
const LAST = 64;

/** SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS: a build with sanitizers takes some of them itself. */
const faults = process.env.TSBOX_BIN?.includes("sanitize") ? [4, 5, 6, 7, 8, 11, 31] : [];

/**
 * What an init does with each signal: passes it on, keeps it to itself, or ends by it. `words` start the init, `pidOf` finds
 * it among what they started.
 */
async function fates(t: Test, words: string[], pidOf = (pid: number) => pid) {
	const found: Record<number, string> = {};
	const begin = async () => {
		const init = start(t, [...words, payload, "signals"]);
		await init.says(/ready \d+\n/);
		return { init, pid: pidOf(init.pid) };
	};
	let { init, pid } = await begin();
	for (let signal = 1; signal < LAST; signal++) {
		if (signal === 9 || signal === 19 || faults.includes(signal)) continue; /* SIGKILL and SIGSTOP: nobody can catch them */
		const seen = init.output().length;
		process.kill(pid, signal);
		process.kill(pid, LAST);
		try {
			await init.says(/got 64\./, seen);
			found[signal] = init.output().slice(seen).includes(`got ${signal}.`) ? "passed on" : "kept";
		} catch {
			found[signal] = `ends it: ${await init.ended}`;
			({ init, pid } = await begin());
		}
	}
	process.kill(init.pid, "SIGKILL");
	await init.ended;
	return found;
}

t.test("every signal that tini forwards is forwarded, and those that tini leaves are left", needsTini, async (t) => {
	const theirs = await fates(t, [tini, "-s", "--"]);
	const ours = await fates(t, [tsinit, "-s", "--"]);
	/* The C library keeps these two to itself, so that they end tini. */
	t.match(theirs, { 32: /^ends it/, 33: /^ends it/ });
	t.match(ours, { 32: "passed on", 33: "passed on" });
	t.same(ours, { ...theirs, 32: "passed on", 33: "passed on" });
	t.match(ours, { 1: "passed on", 10: "passed on", 15: "passed on", 18: "passed on", 20: "passed on", 28: "passed on", 34: "passed on" });
	if (faults.length === 0) t.equal(ours[11], "ends it: SIGSEGV");
	t.match(ours, { 17: "kept", 21: "kept", 22: "kept" });
});

t.test("as PID 1 it forwards what tini forwards", { ...needsRoot, ...needsTini }, async (t) => {
	const child = (pid: number) => childrenOf(pid)[0] as number;
	const ours = await fates(t, [...asPid1, tsinit, "--"], child);
	const theirs = await fates(t, [...asPid1, tini, "--"], child);
	/* Sent from outside, a signal without a handler ends PID 1 only if it is SIGKILL. */
	t.match(theirs, { 32: "kept", 33: "kept" });
	t.same(ours, { ...theirs, 32: "passed on", 33: "passed on" });
});

t.test("an ordinary user's program gets the signals, too", needsRoot, async (t) => {
	const init = start(t, [
		...asNobody,
		publicCopy(t),
		"-s",
		"--",
		"sh",
		"-c",
		"trap 'echo got; exit 4' TERM; echo ready; while :; do sleep 0.1; done",
	]);
	await init.says(/ready/);
	process.kill(init.pid, "SIGTERM");
	t.equal(await init.ended, 4);
	t.match(init.output(), /got/);
});

t.test("where the program has become root's, an ordinary user's tsinit says that it cannot signal it, and stays", needsRoot, async (t) => {
	const copy = compile(t, "payload");
	chmodSync(copy, 0o4755);
	const init = start(t, [...asNobody, publicCopy(t), "-s", "--", copy, "root"]);
	const [, program] = await init.says(/ready (\d+)/);
	process.kill(init.pid, "SIGUSR1");
	await init.says(/tsinit: warning: kill \d+: Operation not permitted\n/);
	process.kill(Number(program), "SIGKILL");
	t.equal(await init.ended, 137);
	t.notMatch(init.output(), /got/);
});

t.test("-g and TINI_KILL_PROCESS_GROUP reach the program's whole group, else the program alone is reached", needsTini, async (t) => {
	const script = 'trap "" USR1 TERM; "$0" signals & "$0" signals & wait';
	for (const [words, env, reached] of [
		[["-s"], {}, 0],
		[["-s", "-g"], {}, 2],
		[["-s"], { TINI_KILL_PROCESS_GROUP: "1" }, 2],
		[["-s"], { TINI_KILL_PROCESS_GROUP: "" }, 2],
	] as const) {
		for (const name of [tini, tsinit]) {
			const init = start(t, [name, ...words, "--", "sh", "-c", script, payload], { env: { ...process.env, ...env } });
			await init.says(/ready \d+\n[\s\S]*ready \d+\n/);
			const group = childrenOf(init.pid)[0] as number;
			process.kill(init.pid, "SIGUSR1");
			if (reached) await init.says(/got 10\.\n[\s\S]*got 10\.\n/);
			/* The marker that comes after, to the group by us. */
			process.kill(-group, LAST);
			await init.ended;
			t.equal(init.output().split("got 10.").length - 1, reached, `${name} ${words.join(" ")} ${JSON.stringify(env)}`);
		}
	}
});

t.test("--rewrite forwards another signal, or none, as dumb-init does", async (t) => {
	const dumbInit = run(["sh", "-c", "command -v dumb-init"]).stdout.trim();
	const rules = ["-r", "15:3", "--rewrite", "2:10", "-r", "1:0"];
	for (const words of [[tsinit, "-s"], ...(dumbInit ? [[dumbInit]] : [])]) {
		const init = start(t, [...words, ...rules, "--", payload, "signals"]);
		await init.says(/ready/);
		for (const signal of [15, 2, 1]) process.kill(init.pid, signal);
		await init.says(/got 3\.[\s\S]*got 10\.|got 10\.[\s\S]*got 3\./);
		process.kill(init.pid, 30);
		await init.says(/got 30\./);
		t.notMatch(init.output(), /got (15|2|1)\./);
		process.kill(init.pid, "SIGKILL");
	}
});

t.test("--rewrite knows names, and what tsinit otherwise leaves", async (t) => {
	const init = start(t, [
		tsinit,
		"-s",
		"-r",
		"SIGTERM:QUIT",
		"-r",
		"hup:RTMIN+2",
		"-r",
		"SEGV:USR2",
		"-r",
		"TTIN:WINCH",
		"--",
		payload,
		"signals",
	]);
	await init.says(/ready/);
	for (const [sent, comes] of [
		["SIGTERM", 3],
		["SIGHUP", 36],
		["SIGSEGV", 12],
		["SIGTTIN", 28],
	] as const) {
		process.kill(init.pid, sent);
		await init.says(new RegExp(`got ${comes}\\.`));
	}
	process.kill(init.pid, "SIGKILL");
	t.pass();
});

t.test("-p sends the signal when the parent ends, and it is forwarded", async (t) => {
	for (const name of ["SIGUSR1", "USR1", "10"]) {
		const parent = start(t, ["sh", "-c", '"$0" -s -p "$2" -- "$1" signals & cat', tsinit, payload, name]);
		const [, pid] = await parent.says(/ready (\d+)/);
		process.kill(parent.pid, "SIGKILL");
		await parent.says(/got 10\./);
		process.kill(Number(pid), "SIGKILL");
	}
	t.pass();
});

t.test("signals that come in a burst are all forwarded", async (t) => {
	const init = start(t, [tsinit, "-s", "--", payload, "signals"]);
	await init.says(/ready/);
	/* Real-time signals queue: none of them may be lost. */
	for (let i = 0; i < 500; i++) process.kill(init.pid, 34 + (i % 10));
	process.kill(init.pid, LAST);
	await init.says(/got 64\./);
	t.equal(init.output().split("got ").length - 1, 501);
	process.kill(init.pid, "SIGKILL");
});

t.test("the program leads a process group of its own, in the terminal's foreground, as tini's", needsTini, async (t) => {
	for (const name of [tini, tsinit]) {
		const job = start(t, [shell, name, "-s", "--", payload, "terminal"]);
		await job.says(/leads its group 1, foreground 1\./);
		job.write("\x03");
		await job.says(/\[shell\] ended 5\./);
	}
	t.pass();
});

t.test("an init below an init hands the foreground on", async (t) => {
	const job = start(t, [shell, tsinit, "-s", "--", tsinit, "-s", "--", payload, "terminal"]);
	await job.says(/leads its group 1, foreground 1\./);
	job.write("\x03");
	await job.says(/\[shell\] ended 5\./);
	t.pass();
});

t.test("in the background it takes the foreground from nobody", async (t) => {
	const job = start(t, [shell, "-b", tsinit, "-s", "--", payload, "terminal"]);
	await job.says(/leads its group 1, foreground 0\./);
	t.pass();
});

t.test("Ctrl-Z gives the terminal back to the shell, and fg gives it to the program again", async (t) => {
	const job = start(t, [shell, tsinit, "-s", "--", payload, "terminal"]);
	await job.says(/foreground 1\./);
	job.write("\x1a");
	await job.says(/\[shell\] stopped, foreground was the program\.[\s\S]*continued, foreground 1\./);
	const seen = job.output().length;
	job.write("\x1a");
	await job.says(/stopped, foreground was the program\.[\s\S]*continued, foreground 1\./, seen);
	job.write("\x03");
	await job.says(/\[shell\] ended 5\./);
	t.pass();
});

t.test("where no shell could continue it, it does not stop with its program", async (t) => {
	/* It leads the session, so its group is an orphaned one. */
	const init = start(t, ["setsid", tsinit, "-s", "--", "sh", "-c", "echo ready $$; while :; do sleep 0.1; done"]);
	const [, program] = await init.says(/ready (\d+)/);
	process.kill(Number(program), "SIGTSTP");
	await until(() => /^State:\tT/m.test(readFileSync(`/proc/${program}/status`, "utf8")));
	process.kill(init.pid, "SIGCONT");
	await until(() => !/^State:\tT/m.test(readFileSync(`/proc/${program}/status`, "utf8")));
	process.kill(init.pid, "SIGTERM");
	t.equal(await init.ended, 143);
});

t.test("LISTEN_PID, if it names tsinit, names the program", async (t) => {
	const script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -s -- sh -c \'echo "$LISTEN_PID $$ $LISTEN_FDS"\'';
	t.match(run(["sh", "-c", script, tsinit]).stdout, /^(\d+) \1 1\n$/);
	t.equal(run([tsinit, "-s", "sh", "-c", "echo $LISTEN_PID"], { env: { LISTEN_PID: "1" } }).stdout, "1\n");
});

t.test("it keeps no descriptor and no folder that the program has given up", async (t) => {
	const init = start(t, [tsinit, "-s", "--", "sh", "-c", "exec 3>&-; echo ready; exec sleep 1000"], {
		stdio: ["pipe", "pipe", "pipe", "pipe"],
	});
	await init.says(/ready/);
	await until(() => readlinkSync(`/proc/${init.pid}/cwd`) === "/");
	t.same(readdirSync(`/proc/${init.pid}/fd`), ["0", "1", "2"]);
	process.kill(init.pid, "SIGTERM");
	t.equal(await init.ended, 143);
});
