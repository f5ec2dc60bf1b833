/** Processes, beside /proc, the shell and util-linux. */
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import { CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_REALTIME, clockGettime, sleep } from "../../native/linux/clock.ts";
import { getegid, geteuid, getgid, getuid, umask } from "../../native/linux/credential.ts";
import { close, closeRangeOnExec, pipe, read } from "../../native/linux/fd.ts";
import { commandLine, executable, processes, processStat, startTime, statusField } from "../../native/linux/proc.ts";
import {
	exitStatus,
	fork,
	getpid,
	getppid,
	kill,
	killIfAny,
	pidfdGetfd,
	pidfdOpen,
	pidfdSendSignal,
	prctl,
	WCONTINUED,
	WNOHANG,
	WUNTRACED,
	wait,
} from "../../native/linux/process.ts";
import { getrlimit, RLIM_INFINITY, RLIMITS, setrlimit } from "../../native/linux/rlimit.ts";
import { SIGCONT, SIGKILL, SIGSTOP, SIGTERM } from "../../native/linux/signal.ts";
import { failing } from "../support/failing.ts";

const proc = (pid: number | "self", file: string) => readFileSync(`/proc/${pid}/${file}`, "latin1");
const gone = 2 ** 22 + 1;

/** Starts a child for which the test waits itself: Node, whose loop would wait for it, is not to hold on to it. */
function start(t: Test, ...words: string[]): number {
	const child = spawn(words[0] as string, words.slice(1), { stdio: "ignore" });
	child.unref();
	const pid = child.pid as number;
	t.teardown(() => {
		if (processStat(pid)?.ppid === process.pid) killIfAny(pid, SIGKILL);
	});
	return pid;
}

t.test("this process's ids are those of Node and of /proc", async (t) => {
	t.equal(getpid(), process.pid);
	t.equal(getppid(), process.ppid);
	t.equal(getuid(), process.getuid?.());
	t.equal(geteuid(), process.geteuid?.());
	t.equal(getgid(), process.getgid?.());
	t.equal(getegid(), process.getegid?.());
	const before = umask(0o27);
	t.equal(statusField("self", "Umask"), "0027");
	t.equal(umask(before), 0o27);
});

t.test("each process is told of as ps does it", async (t) => {
	const own = start(t, "sleep", "1000");
	const { stdout } = spawnSync("ps", ["-o", "pid=,ppid=,pgid=,sid=,comm=", "-p", `${own},${process.pid},1`], { encoding: "utf8" });
	const lines = stdout.trim().split("\n");
	t.equal(lines.length, 3);
	for (const line of lines) {
		const [pid, ppid, pgrp, session, comm] = line.trim().split(/\s+/);
		t.match(processStat(Number(pid)), { pid: Number(pid), ppid: Number(ppid), pgrp: Number(pgrp), session: Number(session), comm });
	}
	t.ok(processes().includes(own));
	t.same(
		processes().filter((pid) => pid === 1 || pid === process.pid),
		[1, process.pid],
	);
	t.equal(processStat("self")?.pid, process.pid);
	t.equal(executable("self"), readlinkSync("/proc/self/exe"));
});

t.test("a process that is gone has no facts", async (t) => {
	t.equal(processStat(gone), undefined);
	t.equal(startTime(gone), undefined);
	t.equal(statusField(gone, "Uid"), undefined);
	t.same(commandLine(gone), []);
	t.equal(executable(gone), undefined);
});

t.test("a name with parentheses and spaces does not shift the fields", async (t) => {
	const path = "/proc/self/comm";
	const before = readFileSync(path, "utf8");
	const facts = processStat("self");
	t.teardown(() => writeFileSync(path, before.trimEnd()));
	for (const name of [") R 1 1 1", "a) (b", "((", "))", " ", "x\ny", "\u00e9)"]) {
		writeFileSync(path, name);
		t.match(processStat("self"), { comm: name, pid: process.pid, ppid: process.ppid, start: facts?.start });
	}
	t.equal(statusField("self", "Tgid"), String(process.pid));
});

t.test("arguments of any content are told apart", async (t) => {
	const words = ["sh", "-c", "read x", "with space", "", "new\nline", "é"];
	const child = spawn("sh", words.slice(1), { stdio: ["pipe", "ignore", "ignore"] });
	t.teardown(() => child.kill("SIGKILL"));
	while (executable(child.pid as number) === executable("self")) sleep(0.002);
	t.same(commandLine(child.pid as number), words);
	/* A kernel thread has none. */
	t.same(commandLine(2), []);
});

t.test("how a child ended is told as the shell tells it", async (t) => {
	for (const [script, code, signal, status] of [
		["exit 0", 0, false, 0],
		["exit 7", 7, false, 7],
		["exit 255", 255, false, 255],
		["kill -TERM $$", 15, true, 143],
		["kill -KILL $$", 9, true, 137],
	] as const) {
		/* Node would wait for it too, in its loop: we are first. */
		const pid = start(t, "sh", "-c", script);
		const ended = wait(pid);
		t.same(ended, { pid, code, signal }, script);
		t.equal(exitStatus(ended as NonNullable<typeof ended>), status);
		t.equal(spawnSync("bash", ["-c", `(${script.replace("$$", "$BASHPID")}); exit $?`]).status, status);
	}
	t.equal(wait(gone), undefined);
});

t.test("a child that runs, stops or goes on is not one that has ended", async (t) => {
	const pid = start(t, "sleep", "1000");
	t.equal(wait(pid, WNOHANG), undefined);
	kill(pid, SIGSTOP);
	t.same(wait(pid, WUNTRACED), { pid, code: 0, signal: false, stopped: SIGSTOP });
	t.equal(processStat(pid)?.state, "T");
	kill(pid, SIGCONT);
	t.match(wait(pid, WCONTINUED), { pid });
	t.equal(killIfAny(pid, SIGKILL), true);
	t.same(wait(pid), { pid, code: SIGKILL, signal: true });
	t.equal(killIfAny(pid, SIGKILL), false);
	failing(t, () => kill(pid, 0), { call: "kill", errno: 3 });
});

t.test("a pidfd names a process for good", async (t) => {
	const pid = start(t, "sleep", "1000");
	const pidfd = pidfdOpen(pid);
	t.match(proc("self", `fdinfo/${pidfd}`), `Pid:\t${pid}\n`);
	t.equal(pidfdSendSignal(pidfd, 0), true);
	t.equal(pidfdSendSignal(pidfd, SIGTERM), true);
	t.same(wait(pid), { pid, code: SIGTERM, signal: true });
	t.equal(pidfdSendSignal(pidfd, SIGTERM), false);
	close(pidfd);
	failing(t, () => pidfdOpen(gone), { call: "pidfd_open", errno: 3, object: String(gone) });
	failing(t, () => pidfdOpen(0), { errno: 22 });
});

t.test("a descriptor of another process is taken by its pidfd", async (t) => {
	const { reader, writer } = pipe();
	const child = spawn("sh", ["-c", "echo from inside >&3; exec sleep 1000"], { stdio: ["ignore", "ignore", "ignore", writer] });
	t.teardown(() => child.kill("SIGKILL"));
	const pidfd = pidfdOpen(child.pid as number);
	const taken = pidfdGetfd(pidfd, 3);
	t.equal(readlinkSync(`/proc/self/fd/${taken}`), readlinkSync(`/proc/self/fd/${writer}`));
	failing(t, () => pidfdGetfd(pidfd, 999), { call: "pidfd_getfd", errno: 9 });
	const bytes = new Uint8Array(64);
	t.equal(Buffer.from(bytes.subarray(0, read(reader, bytes))).toString(), "from inside\n");
	for (const fd of [taken, writer, pidfd]) close(fd);
	close(reader);
});

t.test("resource limits are those that prlimit shows, and are set", async (t) => {
	const { stdout } = spawnSync("prlimit", ["--raw", "--noheadings", "--pid", String(process.pid), "--output", "RESOURCE,SOFT,HARD"], {
		encoding: "utf8",
	});
	const lines = stdout.trim().split("\n");
	t.equal(lines.length, RLIMITS.length);
	for (const line of lines) {
		const [name = "", soft, hard] = line.split(" ");
		const found = getrlimit(RLIMITS.indexOf(name.toLowerCase()));
		for (const [ours, theirs] of [
			[found.soft, soft],
			[found.hard, hard],
		] as const)
			t.equal(ours, theirs === "unlimited" ? RLIM_INFINITY : Number(theirs), name);
	}
	const core = RLIMITS.indexOf("core");
	const before = getrlimit(core);
	setrlimit(core, 4096, before.hard);
	t.match(proc("self", "limits"), /^Max core file size +4096 /m);
	setrlimit(core, before.soft, before.hard);
	t.same(getrlimit(core), before);
	failing(t, () => setrlimit(core, 2, 1), { call: "setrlimit", errno: 22, object: "core" });
	failing(t, () => setrlimit(99, 1, 1), { errno: 22 });
});

t.test("an option of prctl that fails is said by its name", async (t) => {
	failing(t, () => prctl("PR_SET_NO_SUCH", 9999), { call: "prctl(PR_SET_NO_SUCH)", errno: 22 });
});

t.test("clocks go as Node's and the kernel's do, and a sleep lasts as long as it should", async (t) => {
	t.ok(Math.abs(clockGettime(CLOCK_REALTIME) - Date.now() / 1000) < 5);
	t.ok(Math.abs(clockGettime(CLOCK_BOOTTIME) - Number(readFileSync("/proc/uptime", "utf8").split(" ")[0])) < 5);
	const from = clockGettime(CLOCK_MONOTONIC);
	sleep(0.05);
	t.ok(clockGettime(CLOCK_MONOTONIC) - from >= 0.05);
});

t.test("all descriptors can be marked for the next exec", async (t) => {
	const { reader, writer } = pipe();
	closeRangeOnExec(3);
	for (const fd of readdirSync("/proc/self/fd")
		.map(Number)
		.filter((number) => number > 2)) {
		let flags: string;
		try {
			flags = proc("self", `fdinfo/${fd}`);
		} catch {
			continue; /* the one that listed them */
		}
		t.ok(Number.parseInt(/^flags:\s*(\d+)/m.exec(flags)?.[1] ?? "", 8) & 0o2000000, `descriptor ${fd}`);
	}
	close(reader);
	close(writer);
});

t.test("Node, which has threads, is not forked", async (t) => {
	t.throws(() => fork(), /many threads/);
});
