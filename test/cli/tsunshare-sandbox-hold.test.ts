/** Held sandboxes: the record, start, wait, kill, inspect, list, rm, gc; and what is left when somebody is killed. */
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { makeRoot, makeWorld, NOBODY, needsRoot, processesWith } from "../support/sandbox.ts";

const world = makeWorld("hold");
const sandboxes = join(world.folder, "run/sandboxes");
mkdirSync(sandboxes, { recursive: true, mode: 0o700 });
t.teardown(world.remove);
const { root, run, shell, folder } = world;

interface Record {
	tsbox: number;
	id: string;
	pid: number;
	start: number;
	held: boolean;
	ns: { [kind: string]: number };
	supervisor: { pid: number; start: number };
	[member: string]: unknown;
}

function hold(args: string[], program: string[]): Record {
	/* With a pipe of ours as its standard error, we would wait for its end. */
	const streams = ["--stdout", "/dev/null", "--stderr", "/dev/null"];
	const { status, stdout, stderr } = run(["--hold", "--rootfs", root, "--pid", ...streams, ...args, "--", ...program]);
	if (status !== 0) throw new Error(`status ${status}: ${stderr}`);
	return JSON.parse(stdout);
}

const startTime = (pid: number) => Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[19]);
const inode = (pid: number, kind: string) => Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/${kind}`)));

t.test("as root", needsRoot, (t) => {
	t.test("the record says what /proc says of the held process, which is set up and has not run its program", (t) => {
		const record = hold(["--id", "box", "--net", "--ipc", "--uts"], ["sleep", "100"]);
		t.match(record, { tsbox: 1, id: "box", held: true, command: ["sleep", "100"], rootfs: root });
		t.equal(startTime(record.pid), record.start);
		t.equal(startTime(record.supervisor.pid), record.supervisor.start);
		for (const kind of ["mnt", "pid", "net", "ipc", "uts"]) t.equal(record.ns[kind], inode(record.pid, kind), kind);
		t.notOk("user" in record.ns);
		t.equal(readFileSync(`/proc/${record.pid}/comm`, "utf8"), "tsunshare\n");
		t.equal(statSync(`/proc/${record.pid}/root/`).ino, statSync(root).ino);
		t.match(run(["list"]).stdout, /^ID +PID +STATUS +AGE +COMMAND\nbox +\d+ +held +.*sleep 100\n$/);
		t.equal(run(["kill", "box"]).status, 0);
		t.equal(shell("while [ -e $TSBOX_RUN/sandboxes/box ]; do sleep 0.02; done; $T list -q").stdout, "");
		t.end();
	});

	t.test("a held process has no descriptor, folder or root of the host", (t) => {
		const record = hold(["--id", "clean"], ["true"]);
		const links = readdirSync(`/proc/${record.pid}/fd`).map((fd) => readlinkSync(`/proc/${record.pid}/fd/${fd}`));
		t.same(
			links.filter((link) => link !== "/dev/null" && !link.startsWith("pipe:")),
			[],
		);
		t.equal(statSync(`/proc/${record.pid}/cwd/`).ino, statSync(root).ino);
		const supervisor = readdirSync(`/proc/${record.supervisor.pid}/fd`).map((fd) =>
			readlinkSync(`/proc/${record.supervisor.pid}/fd/${fd}`),
		);
		t.notOk(
			supervisor.some((link) => link.startsWith(root)),
			supervisor.join(" "),
		);
		t.equal(readlinkSync(`/proc/${record.supervisor.pid}/cwd`), "/");
		run(["rm", "-f", "clean"]);
		t.notOk(existsSync(join(sandboxes, "clean")));
		t.end();
	});

	t.test("start --wait exits with the program's status, keeps it for others, and members of filters are kept", (t) => {
		const add = `sed 's/"held":true/"held":true,"cgroup":"\\/web"/'`;
		const ended = shell(`$T --hold --id web --rootfs $R --pid -- sh -c 'exit 42' | ${add} | $T start --wait`);
		t.same([ended.status, ended.stdout, ended.stderr], [42, "", ""]);
		t.equal(run(["wait", "web"]).status, 42);
		t.match(JSON.parse(run(["inspect", "web"]).stdout), {
			id: "web",
			cgroup: "/web",
			held: false,
			state: "ended",
			status: { code: 42, signal: false },
		});
		t.match(run(["list"]).stdout, /web +- +exited 42/);
		t.equal(
			shell("$T --hold --id web --rootfs $R sh -c 'kill -9 $$' | $T start --wait").status,
			137,
			"a name can be used again; 128+N for a signal",
		);
		t.equal(shell("$T --hold --id web --rootfs $R sh -c 'kill -TERM $$' | $T start --wait").status, 143);
		t.equal(run(["rm", "web"]).status, 0);
		t.equal(run(["list", "--quiet"]).stdout, "");
		t.end();
	});

	t.test("without a name or with --rm nothing is kept once the status is known", (t) => {
		t.equal(shell("$T --hold --rootfs $R sh -c 'exit 3' | $T start --wait").status, 3);
		t.equal(shell("$T --hold --id gone --rm --rootfs $R sh -c 'exit 4' | $T start --wait").status, 4);
		t.equal(run(["list", "-q"]).stdout, "");
		t.end();
	});

	t.test("start without --wait passes the record on, and the sandbox outlives the script that made it", (t) => {
		const { stdout } = shell(
			`$T --hold --id bg --rootfs $R --pid --stdout ${folder}/out --stderr /dev/null sh -c 'echo up; exec sleep 100' | $T start`,
		);
		const record = JSON.parse(stdout) as Record;
		t.match(record, { id: "bg", held: false });
		t.equal(shell(`while ! grep -q up ${folder}/out; do sleep 0.02; done; cat /proc/${record.pid}/comm`).stdout, "sleep\n");
		t.match(JSON.parse(run(["inspect", "bg"]).stdout), {
			state: "running",
			process: { command: ["sleep", "100"], uid: "0" },
			namespaces: record.ns,
		});
		t.match(run(["start", "bg"]).stderr, /^tsunshare: bg: not held: it has been started already\n$/);
		t.match(
			run(["--hold", "--id", "bg", "--rootfs", root, "true"]).stderr,
			/bg: there is a sandbox of this name\ntsunshare: hint: `tsunshare kill bg`/,
		);
		t.match(run(["rm", "bg"]).stderr, /it has not ended/);
		t.equal(run(["kill", "-s", "KILL", "bg"]).status, 0);
		t.equal(run(["wait", "bg"]).status, 137);
		t.match(run(["kill", "bg"]).stderr, /^tsunshare: bg: has ended\n/);
		run(["rm", "bg"]);
		t.end();
	});

	t.test("signals to start --wait are passed on to the program", (t) => {
		const { stdout, status } = shell(
			`$T --hold --id sig --rootfs $R --pid --stdout ${folder}/sig -- sh -c 'trap "echo got; exit 7" TERM; echo ready; while :; do sleep 0.05; done' > ${folder}/record
			 $T start --wait < ${folder}/record & p=$!
			 while ! grep -q ready ${folder}/sig; do sleep 0.02; done; kill -TERM $p; wait $p; s=$?; cat ${folder}/sig; exit $s`,
		);
		t.same([status, stdout], [7, "ready\ngot\n"]);
		run(["rm", "sig"]);
		t.end();
	});

	t.test("the program's default streams are /dev/null and tsunshare's standard error, never the record's pipe", (t) => {
		const { stdout, stderr } = shell("$T --hold --rootfs $R --proc sh -c 'echo said; cat; readlink /proc/self/fd/0' | $T start --wait");
		t.equal(stdout, "");
		t.equal(stderr, "said\n/dev/null\n");
		t.end();
	});

	t.test("a program that is not there fails before there is a record", (t) => {
		for (const [program, status] of [
			["nosuch", 127],
			["/etc/passwd", 126],
		] as const) {
			const ran = run(["--hold", "--id", "none", "--rootfs", root, program]);
			t.same([ran.status, ran.stdout], [status, ""]);
			t.match(ran.stderr, /^tsunshare: execve /);
		}
		t.equal(run(["list", "-q"]).stdout, "");
		t.end();
	});

	t.test("a program that cannot be executed when it is started is reported by start, with its status", (t) => {
		for (const wait of ["", "--wait"]) {
			const { status, stderr } = shell(
				`cp $R/bin/busybox $R/bin/vanishing; $T --hold --id late --rootfs $R vanishing > ${folder}/record; rm $R/bin/vanishing; $T start ${wait} < ${folder}/record`,
			);
			t.equal(status, 127);
			t.match(stderr, /^tsunshare: execve vanishing: No such file or directory\n$/);
		}
		t.equal(run(["list", "-q"]).stdout, "");
		t.end();
	});

	t.test("a held sandbox that nobody starts ends by itself", (t) => {
		hold(["--id", "bored", "--hold-timeout", "100ms"], ["true"]);
		t.equal(
			shell("while [ -e $TSBOX_RUN/sandboxes/bored ]; do sleep 0.02; done; $T start bored").stderr.split("\n")[0],
			"tsunshare: bored: no such sandbox",
		);
		t.end();
	});

	const base = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].find((path) => existsSync(join(path, "cgroup.procs"))) ?? "";
	const needsCgroup = base ? {} : { skip: "needs a cgroup v2 mount" };
	t.test("the cgroup that a filter puts a held sandbox into is the root of its cgroup namespace", needsCgroup, (t) => {
		const group = join(base, `tsbox-hold-${process.pid}`);
		mkdirSync(group);
		const { stdout, stderr } = shell(
			`$T --hold --id cg --rootfs $R --proc --cgroup --stdout ${folder}/cg -- sh -c 'grep ^0: /proc/self/cgroup' > ${folder}/record
			 sed 's/.*"id":"cg","pid":\\([0-9]*\\),.*/\\1/' ${folder}/record > ${group}/cgroup.procs; $T start --wait < ${folder}/record; cat ${folder}/cg; rmdir ${group}`,
		);
		t.equal(stdout, "0::/\n", stderr);
		run(["rm", "cg"]);
		t.end();
	});

	t.test("gc clears what a killed supervisor leaves, half-written files and half-made folders, and can be called again", (t) => {
		const record = hold(["--id", "lost", "--hold-timeout", "600"], ["true"]);
		process.kill(record.supervisor.pid, "SIGKILL");
		shell(`while [ -d /proc/${record.pid} ]; do sleep 0.02; done`);
		mkdirSync(join(sandboxes, "half"));
		writeFileSync(join(sandboxes, "half", "record.4194303.new"), "{");
		writeFileSync(join(sandboxes, "x.4194303.new"), "");
		const kept = hold(["--id", "kept", "--hold-timeout", "600"], ["true"]);
		writeFileSync(join(sandboxes, "kept", "record.4194303.new"), "{");
		t.match(run(["list"]).stdout, /lost +- +lost/);
		const gc = run(["gc"]);
		t.same([gc.status, gc.stdout], [0, "half\nlost\n"]);
		t.same(run(["gc"]).stdout, "");
		t.same(
			readdirSync(sandboxes).filter((name) => name !== ".lock"),
			["kept"],
		);
		t.notOk(readdirSync(join(sandboxes, "kept")).some((name) => name.endsWith(".new")));
		t.equal(startTime(kept.pid), kept.start, "a held one is left alone");
		t.equal(run(["gc", "--held"]).stdout, "kept\n");
		t.same(processesWith(folder), []);
		t.end();
	});

	t.test("gc leaves the status of a sandbox that somebody waits for", (t) => {
		/* The waiter is stopped while the sandbox ends and gc runs. */
		const { stdout } = shell(
			`$T --hold --rootfs $R --pid --stdout /dev/null --stderr /dev/null -- sh -c 'while ! [ -e /tmp/end ]; do sleep 0.02; done; exit 9' > ${folder}/record
			 $T start --wait < ${folder}/record & p=$!
			 id=$(sed 's/.*"id":"\\([^"]*\\)".*/\\1/' ${folder}/record); while [ -e $TSBOX_RUN/sandboxes/$id/start ]; do sleep 0.02; done; sleep 0.1
			 kill -STOP $p; : > $R/tmp/end; while ! [ -e $TSBOX_RUN/sandboxes/$id/status ]; do sleep 0.02; done; sleep 0.1
			 $T gc; kill -CONT $p; wait $p; echo $?; $T list -q; rm $R/tmp/end`,
		);
		t.equal(stdout, "9\n");
		t.end();
	});

	t.test("a record that another sandbox of the name has taken the place of is refused", (t) => {
		const record = hold(["--id", "twin"], ["true"]);
		const { status, stderr } = run(["start"], {
			input: JSON.stringify({ ...record, pid: process.pid, start: startTime(process.pid), held: false }),
		});
		t.equal(status, 1);
		t.match(stderr, /^tsunshare: twin: the record is of another sandbox of this name\n$/);
		t.equal(run(["gc", "--held"]).stdout, "twin\n");
		t.end();
	});

	t.test("records and ids that are wrong are told so", (t) => {
		const wrong: [string[], string, RegExp][] = [
			[["start"], "garbage\n", /^tsunshare: standard input: not a sandbox record or a PID: garbage\n/],
			[["start"], "", /^tsunshare: standard input: no sandbox record\n/],
			[["start"], '{"tsbox":1,"id":"x","pid":1,"start":1}\n', /^tsunshare: x \(pid 1\): has ended; its PID names another process now\n/],
			[["start", "nosuch"], "", /^tsunshare: nosuch: no such sandbox\n/],
			[["start", "4194303"], "", /^tsunshare: 4194303: no such process\n/],
			[["start", String(process.pid)], "", /: not a sandbox's process\n/],
			[["kill", "-s", "FOO", "x"], "", /"FOO" is not a signal/],
			[["inspect", "../etc"], "", /not a PID or a sandbox's id/],
			[["wait", "nosuch"], "", /nosuch: no such sandbox/],
		];
		for (const [args, input, line] of wrong) {
			const ran = run(args, { input });
			t.not(ran.status, 0);
			t.match(ran.stderr, line);
			t.equal(ran.stdout, "");
		}
		t.end();
	});
	t.end();
});

t.test("an ordinary user holds and starts a sandbox, and finds it in /proc", (t) => {
	const own = join(folder, "own");
	makeRoot(own, NOBODY);
	const { status, stdout, stderr } = shell(
		`$T --hold -r --id mine --rootfs ${own} --pid --net --proc --stdout 3 -- sh -c 'id -u; exit 5' 3>&1 > $TSBOX_RUN/record
		 nsenter -U --preserve-credentials -n -t $($T list --json | sed -n 's/^ *"pid": \\([0-9]*\\),/\\1/p' | head -1) ip -o link | wc -l
		 $T start --wait < $TSBOX_RUN/record`,
		{ nobody: true },
	);
	t.equal(status, 5, stderr);
	t.equal(stdout, "1\n0\n");
	t.end();
});
