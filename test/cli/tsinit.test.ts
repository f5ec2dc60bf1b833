/** tsinit beside tini 0.19: statuses, options, environment, what the program gets. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { asNobody, asPid1, needsRoot, needsTini, publicCopy, run, temporaryFolder, tini, tsinit } from "../support/tsinit.ts";

/** The same words after each of the two. */
function both(words: string[], env: NodeJS.ProcessEnv = {}) {
	return { ours: run([tsinit, ...words], { env }), theirs: run([tini, ...words], { env }) };
}

t.test("each of the 256 exit statuses is passed on, as tini does", needsTini, async (t) => {
	const found: Record<string, (number | null)[]> = { tini: [], tsinit: [] };
	for (let status = 0; status < 256; status++) {
		const { ours, theirs } = both(["-s", "--", "sh", "-c", `exit ${status}`]);
		found.tini?.push(theirs.status);
		found.tsinit?.push(ours.status);
	}
	t.same(found.tsinit, found.tini);
	t.same(
		found.tsinit,
		Array.from({ length: 256 }, (_, i) => i),
	);
});

t.test("a program that signal N ended gives 128+N, as tini does", needsTini, async (t) => {
	/* Not those that stop a process. */
	for (let signal = 1; signal <= 64; signal++) {
		if (signal >= 19 && signal <= 22) continue;
		const { ours, theirs } = both(["-s", "--", "sh", "-c", `ulimit -c 0; kill -${signal} $$`]);
		t.equal(ours.status, theirs.status, `signal ${signal}`);
	}
	t.equal(run([tsinit, "-s", "sh", "-c", "kill -9 $$"]).status, 137);
});

t.test("-e makes 0 of a status, a signal's too, as tini does", needsTini, async (t) => {
	for (const [words, script] of [
		[["-e", "3"], "exit 3"],
		[["-e", "3"], "exit 4"],
		[["-e3", "-e", "143", "-e", "255"], "kill -TERM $$"],
		[["-e3", "-e", "143", "-e", "255"], "exit 255"],
		[["-e", "0"], "exit 0"],
		[["-e", "127"], "exec /nonexistent"],
	] as const) {
		const { ours, theirs } = both(["-s", ...words, "--", "sh", "-c", script]);
		t.equal(ours.status, theirs.status, `${words.join(" ")}: ${script}`);
	}
	t.equal(run([tsinit, "-s", "-e", "143", "-e", "7", "sh", "-c", "kill $$"]).status, 0);
});

t.test("a program that cannot be run gives tini's status and says why", needsTini, async (t) => {
	const folder = temporaryFolder(t);
	writeFileSync(join(folder, "data"), "no program", { mode: 0o644 });
	writeFileSync(join(folder, "script"), "exit 9\n", { mode: 0o755 });
	writeFileSync(join(folder, "lost"), "#!/nonexistent/interpreter\n", { mode: 0o755 });
	mkdirSync(join(folder, "folder"));
	for (const [name, status, why] of [
		["nonexistent", 127, "No such file or directory"],
		["data", 126, "Permission denied"],
		["folder", 126, "Permission denied"],
		["data/below", 1, "Not a directory"],
		["lost", 127, "No such file or directory"],
	] as const) {
		const path = join(folder, name);
		const { ours, theirs } = both(["-s", "--", path]);
		t.equal(theirs.status, status, `tini ${name}`);
		t.equal(ours.status, status, `tsinit ${name}`);
		t.equal(ours.stderr, `tsinit: exec ${path}: ${why}\n`);
	}
	t.equal(run([tsinit, "-s", "--", ""]).status, 127);
	t.equal(run([tsinit, "-s", "tsbox-no-such-program"]).status, 127);
	t.equal(run([tsinit, "-s", join(folder, "script")]).status, 9, "a script without a first line is given to sh, as execvp(3) does");
	for (const PATH of ["", folder, `${folder}:/bin:/usr/bin`, "/nonexistent::/bin"]) {
		const { ours, theirs } = both(["-s", "true"], { PATH });
		t.equal(ours.status, theirs.status, `PATH=${PATH}`);
	}
});

t.test("a wrong command line exits with 1, as tini does, and starts nothing", needsTini, async (t) => {
	for (const [words, says] of [
		[[], /no program given/],
		[["-s"], /no program given/],
		[["--"], /no program given/],
		[["-x", "echo", "started"], /-x: unknown option/],
		[["-e", "256", "echo", "started"], /-e: "256" is not an exit status \(0-255\)/],
		[["-e", "one", "echo", "started"], /-e: "one" is not an exit status/],
		[["-e"], /-e: needs a value: CODE/],
		[["-p", "SIGNONE", "echo", "started"], /-p: "SIGNONE" is not a signal/],
		[["-p"], /-p: needs a value/],
	] as const) {
		const { ours, theirs } = both([...words]);
		t.equal(theirs.status, 1, `tini ${words.join(" ")}`);
		t.equal(ours.status, 1, `tsinit ${words.join(" ")}`);
		t.match(ours.stderr, says);
		t.equal(ours.stdout, "");
	}
	for (const [words, says] of [
		[["--subreper", "echo", "started"], /did you mean '--subreaper'/],
		[["--rewrite", "15", "echo", "started"], /-{1,2}rewrite: "15" is not FROM:TO/],
		[["-r", "TERM:NONE", "echo", "started"], /-r: "TERM:NONE" is not FROM:TO/],
		[["-r", "KILL:TERM", "echo", "started"], /"KILL:TERM" is not a rule for a signal that tsinit forwards/],
		[["-r", "CHLD:TERM", "echo", "started"], /is not a rule for a signal that tsinit forwards/],
		[["--grace", "soon", "echo", "started"], /--grace: "soon" is not a time/],
		[["--pause", "echo", "started"], /--pause: runs no program/],
	] as const) {
		const ours = run([tsinit, ...words]);
		t.equal(ours.status, 1, words.join(" "));
		t.match(ours.stderr, says);
		t.equal(ours.stdout, "");
	}
});

t.test("letters can be joined and values attached, as for tini", needsTini, async (t) => {
	for (const words of [["-sg"], ["-sge5"], ["-sv", "-e", "5"], ["-s", "-pSIGTERM", "-e5"], ["-sw"]]) {
		const { ours, theirs } = both([...words, "--", "sh", "-c", "exit 5"]);
		t.equal(ours.status, theirs.status, words.join(" "));
	}
});

t.test("the first operand ends the options, and the program gets the rest as it stands", async (t) => {
	t.equal(run([tsinit, "-s", "echo", "-l", "--", "-s", "--help"]).stdout, "-l -- -s --help\n");
	t.equal(run([tsinit, "-s", "--", "printf", "%s", "--version"]).stdout, "--version");
});

t.test("arguments and environment reach the program byte by byte", needsTini, async (t) => {
	const env = { PATH: process.env.PATH, LATIN: "caf\\351", EMPTY: "", UTF: "naïve ☃" };
	const script = "export RAW=$(printf 'a\\377b'); exec \"$0\" -s -- sh -c 'printf \"%s|\" \"$@\"; env | sort' x \"$RAW\" '' 'a b'";
	const [ours, theirs] = [tsinit, tini].map((init) => spawnSync("sh", ["-c", script, init], { env }).stdout.toString("latin1"));
	t.equal(ours, theirs);
	t.match(ours, /a\xffb\|\|a b\|/);
});

t.test("the program's blocked, ignored and pending signals are those that tsinit was started with", async (t) => {
	const show = "exec grep -E '^(Sig[A-P]|Shd)' /proc/self/status";
	for (const setup of ["", "trap '' INT TTIN TTOU CHLD PIPE;"]) {
		const plain = run(["sh", "-c", `${setup} ${show}`]).stdout;
		t.equal(run(["sh", "-c", `${setup} exec "$0" -s -- sh -c "$1"`, tsinit, show]).stdout, plain, setup);
	}
});

t.test("the status is not lost where SIGCHLD was ignored", async (t) => {
	t.equal(run(["sh", "-c", 'trap "" CHLD; exec "$0" -s -- sh -c "exit 3"', tsinit]).status, 3);
});

t.test("without a reaper's standing it warns, with -s, TINI_SUBREAPER, as PID 1 or below a subreaper's mark it does not", async (t) => {
	const warned = (words: string[], env = {}) => run(words, { env }).stderr;
	t.match(warned([tsinit, "true"]), /^tsinit: warning: neither PID 1 nor a child subreaper.*\ntsinit: hint: use -s/);
	t.equal(warned([tsinit, "-s", "true"]), "");
	t.equal(warned([tsinit, "true"], { TINI_SUBREAPER: "" }), "");
	t.equal(warned([tsinit, "true"], { TINI_VERBOSITY: "0" }), "");
	t.match(warned([tsinit, "-s", tsinit, "true"]), /warning/, "a child does not inherit the mark");
});

t.test("as PID 1 it says nothing and passes the status on, as tini does", { ...needsRoot, ...needsTini }, async (t) => {
	for (const status of [0, 1, 77, 255]) {
		const [ours, theirs] = [tsinit, tini].map((init) => run([...asPid1, init, "--", "sh", "-c", `exit ${status}`]));
		t.equal(theirs?.status, status);
		t.same(ours, { status, signal: null, stdout: "", stderr: "" });
	}
	const table = run([...asPid1, tsinit, "--", "ps", "-eo", "pid,ppid,args"]).stdout;
	t.match(table, /^ +1 +0 \S*tsinit -- ps/m);
	t.match(table, /^ +2 +1 ps/m);
});

t.test("an ordinary user can run it, also as PID 1 of a user namespace's", needsRoot, async (t) => {
	const copy = publicCopy(t);
	t.equal(run([...asNobody, copy, "-s", "--", "sh", "-c", "id -u; exit 6"]).stdout, "65534\n");
	t.equal(run([...asNobody, copy, "-s", "--", "sh", "-c", "exit 6"]).status, 6);
	const ps = run([...asNobody, "unshare", "-r", ...asPid1.slice(1), copy, "--", "sh", "-c", "echo $$ $PPID"]);
	t.equal(ps.stdout, "2 1\n");
});

t.test("what it says grows with -v as in tini, on standard error", needsTini, async (t) => {
	/* tini's line at each level, and ours of the same meaning. */
	const meanings: [theirs: RegExp, ours: RegExp][] = [
		[/Spawned child process 'true' with pid/, /started true as process \d+/],
		[/Main child exited normally \(with status '0'\)/, /the program ended with status 0/],
		[/Received SIGCHLD/, /received SIGCHLD/],
		[/Reaped child with pid/, /reaped process \d+/],
		[/Registered as child subreaper/, /registered as a child subreaper/],
	];
	for (const words of [[], ["-v"], ["-vv"], ["-vvv"], ["-v", "-v", "-v", "-v"]]) {
		const { ours, theirs } = both(["-s", ...words, "true"]);
		t.equal(ours.stdout, "");
		for (const [their, our] of meanings) t.equal(our.test(ours.stderr), their.test(theirs.stdout), `${words.join(" ")}: ${our.source}`);
	}
	for (const TINI_VERBOSITY of ["0", "1", "2", "3", "4", "x", ""]) {
		const { ours, theirs } = both(["-s", "-v", "true"], { TINI_VERBOSITY });
		for (const [their, our] of meanings) t.equal(our.test(ours.stderr), their.test(theirs.stdout), `${TINI_VERBOSITY}: ${our.source}`);
	}
});

t.test("a signal's end is told of by name with -v", async (t) => {
	t.match(run([tsinit, "-sv", "sh", "-c", "kill -USR1 $$"]).stderr, /the program ended by SIGUSR1/);
});

t.test("--version can be read by docker info, -V too; -l prints the licence; --help fits a screen", async (t) => {
	/* moby's daemon/info_unix.go wants "tini version X - git.COMMIT", and shows the commit, which may have no dot in it. */
	const [version, commit, ...rest] = run([tsinit, "--version"]).stdout.trim().split(" - ");
	t.match(version, /^tini version 0\.19\.0 \(tsinit \d\S*, tsbox\)$/);
	t.same(commit?.split("."), ["git", "tsinit"]);
	t.same(rest, []);
	t.equal(run([tsinit, "-V"]).stdout, run([tsinit, "--version"]).stdout);
	t.match(run([tsinit, "-l"]).stdout, /^The MIT License \(MIT\)\n/);
	for (const word of ["-h", "--help"]) {
		const { status, stdout } = run([tsinit, word]);
		t.equal(status, 0);
		const lines = stdout.split("\n");
		t.ok(lines.length <= 46, `${lines.length} lines`);
		t.same(
			lines.filter((line) => line.length > 80),
			[],
		);
	}
});

t.test("the manual page is one that groff finds nothing wrong with", async (t) => {
	const page = run([tsinit, "man"]).stdout;
	const { status, stderr, stdout } = run(["groff", "-man", "-Tutf8", "-ww", "-z"], { input: page });
	t.same({ status, stderr, stdout }, { status: 0, stderr: "", stdout: "" });
	t.match(page, /\.B \\-\\-grace TIME/);
});
