/** `tsunshare ls` beside lsns(8), and on namespaces that lsns does not see. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { tool } from "../support/tools.ts";

const tsunshare = tool("tsunshare");
const needsRoot = process.getuid?.() === 0 ? {} : { skip: "needs root" };

interface Listed {
	ns: number;
	type: string;
	path: string | null;
	nprocs: number;
	pid: number | null;
	ppid: number | null;
	command: string | null;
	uid: number | null;
	user: string | null;
	netnsid: string | null;
	nsfs: string | null;
	pns: number;
	ons: number;
	kept: string[];
	children?: Listed[];
}

function run(program: string, args: string[]) {
	const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
	return { status, stdout, stderr };
}

function list(...args: string[]): Listed[] {
	const { status, stdout, stderr } = run(tsunshare, ["ls", "--json", "--output-all", ...args]);
	if (status !== 0) throw new Error(`exit status ${status}: ${stderr}`);
	return JSON.parse(stdout).namespaces;
}

const find = (ns: number, ...args: string[]) => list(...args).find((each) => each.ns === ns);

function inode(pid: number, type: string): number {
	return Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/${type}`))?.[0]);
}

/** Starts a command line whose last program is the shell script; resolves once that has come to its last command, a sleep. */
async function start(t: Test, words: string[], script = ""): Promise<number> {
	const [program = "", ...args] = [...words, "sh", "-c", `${script} echo ready; exec sleep 1000`];
	const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
	t.teardown(() => child.kill("SIGKILL"));
	await new Promise((resolve, reject) => child.stdout.once("data", resolve).once("close", () => reject(new Error(args.join(" ")))));
	return child.pid as number;
}

/** Ends a process that `start` made, and waits until it is gone: a zombie is still in its user and PID namespace. */
async function end(pid: number) {
	process.kill(pid, "SIGKILL");
	while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** A file for a bind mount. */
function mountPoint(t: Test): string {
	const folder = mkdtempSync(join(tmpdir(), `tsbox-ls-${process.pid}-`));
	const path = join(folder, "ns");
	writeFileSync(path, "");
	t.teardown(() => {
		run("umount", ["--lazy", path]);
		rmSync(folder, { recursive: true });
	});
	return path;
}

const columnsOfLsns = "NS,TYPE,PATH,NPROCS,PID,PPID,COMMAND,UID,USER,NETNSID,NSFS,PNS,ONS";

t.test("in a world of its own, each fact is what lsns says", needsRoot, async (t) => {
	/* A PID namespace with its own /proc holds still. In it: each kind of namespace, nested ones, a zombie, another user. */
	const world = `
		unshare -Ur --pid --fork --net --uts --ipc --cgroup --time --mount sleep 1000 &
		unshare -Ur unshare -Ur --net sleep 1000 &
		setpriv --reuid=65534 --regid=65534 --clear-groups unshare -U sleep 1000 &
		sh -c 'sleep 0 & exec sleep 1000' &
		sleep 0.3
		lsns --json --list --output ${columnsOfLsns}
		echo =
		${tsunshare} ls --json --list --output ${columnsOfLsns}
		echo =
		lsns --json --output NS,PID,PPID,NPROCS --task 2
		echo =
		${tsunshare} ls --json --output NS,PID,PPID,NPROCS --task 2`;
	const { stdout, stderr } = run("unshare", ["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", world]);
	t.equal(stderr, "");
	const [theirs, ours, theirTask, ourTask] = stdout.split("=\n").map((text) => JSON.parse(text).namespaces as Listed[]);
	t.ok((ours?.length ?? 0) >= 20);
	/* A list of lsns leaves out what has no process; here that is the outer one of the nested user namespaces. */
	t.same(
		ours?.filter(({ nprocs }) => nprocs > 0),
		theirs,
	);
	t.match(
		ours?.filter(({ nprocs }) => nprocs === 0),
		[{ type: "user", pid: null, uid: 0, user: "root" }],
	);
	t.same(ourTask, theirTask);
});

t.test("a tree by parent, by owner or by process is that of lsns", needsRoot, async (t) => {
	const listings = ["parent", "owner", "process"].map((relation) => {
		const options = `--json --tree=${relation} --output NS,TYPE,PID,COMMAND`;
		return `lsns ${options}; echo =; ${tsunshare} ls ${options}; echo =;`;
	});
	const world = `
		unshare -Ur unshare -Ur --pid --fork --net sh -c 'unshare --uts sleep 1000 & exec sleep 1000' &
		sleep 0.3
		${listings.join("\n")}`;
	const { stdout } = run("unshare", ["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", world]);
	const trees = stdout.split("=\n").filter(Boolean);
	t.equal(trees.length, 6);
	/* Each namespace with what it stands under: lsns puts the roots in another order, and leaves one out of the third tree. */
	const edges = (nodes: Listed[], above?: Listed): string[] =>
		nodes.flatMap((node) => [`${above?.ns ?? "root"} ${node.ns} ${node.pid}`, ...edges(node.children ?? [], node)]).sort();
	for (let i = 0; i < 6; i += 2) {
		const [theirs = [], ours = []] = trees.slice(i, i + 2).map((tree) => edges(JSON.parse(tree).namespaces));
		t.same(
			ours.filter((edge) => i < 4 || !edge.endsWith("null")),
			theirs,
		);
		t.ok(ours.some((edge) => !edge.startsWith("root")));
	}
});

t.test("the machine's namespaces are those that lsns sees, and more", needsRoot, async (t) => {
	const namesOf = (namespaces: { ns: number; type: string }[]) => namespaces.map(({ ns, type }) => `${type}:[${ns}]`);
	const lsns = () => namesOf(JSON.parse(run("lsns", ["--json", "--list"]).stdout).namespaces);
	/* Namespaces come and go; those that were there before and after must be in between. */
	const before = lsns();
	const ours = namesOf(list());
	const after = lsns();
	const stable = before.filter((name) => after.includes(name));
	t.ok(stable.length >= 8);
	t.same(
		stable.filter((name) => !ours.includes(name)),
		[],
	);
});

t.test("as an ordinary user it shows what lsns shows", needsRoot, async (t) => {
	const asNobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
	const world = `
		setpriv ${asNobody.join(" ")} unshare -U --net sleep 1000 &
		unshare --uts sleep 1000 &
		sleep 0.3
		setpriv ${asNobody.join(" ")} lsns --json --list --output ${columnsOfLsns}
		echo =
		setpriv ${asNobody.join(" ")} ${tsunshare} ls --json --output ${columnsOfLsns}`;
	const { stdout, stderr } = run("unshare", ["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", world]);
	t.equal(stderr, "");
	const [theirs, ours] = stdout.split("=\n").map((text) => JSON.parse(text).namespaces as Listed[]);
	t.ok((ours?.length ?? 0) >= 9);
	/* Each sees itself as the only process of nobody's in the first namespaces. */
	const facts = (namespaces: Listed[] | undefined) =>
		namespaces?.map((each) =>
			/lsns|tsunshare ls/.test(each.command ?? "") ? { ...each, pid: "itself", path: "its own", command: "" } : each,
		);
	t.same(facts(ours), facts(theirs));
});

t.test("a namespace that only a bind mount keeps is shown with the mount", needsRoot, async (t) => {
	const path = mountPoint(t);
	run("unshare", [`--net=${path}`, "true"]);
	const ns = Number(/\d+/.exec(run("findmnt", ["-no", "FSROOT", path]).stdout)?.[0]);
	const listed = find(ns);
	t.match(listed, { type: "net", nprocs: 0, pid: null, command: null, nsfs: path, path, kept: [`mount ${path}`] });
	t.equal(listed?.ons, inode(process.pid, "user"));
	t.match(run(tsunshare, ["ls", "--type", "net", "-o", "NS,NPROCS,COMMAND"]).stdout, new RegExp(`\n${ns} +0 +\\[mount ${path}\\]\n`));
	t.match(run(tsunshare, ["ls", "--persistent", "--noheadings", "--raw", "-o", "ns,kept"]).stdout, `${ns} mount\\x20${path}\n`);
	run("umount", [path]);
	t.equal(find(ns), undefined);
});

t.test("a bind mount in another mount namespace is shown by a path that opens it", needsRoot, async (t) => {
	const path = mountPoint(t);
	run("unshare", [`--uts=${path}`, "true"]);
	const pid = await start(t, ["unshare", "--mount"]);
	run("umount", [path]);
	const inside = `/proc/${pid}/root${path}`;
	const listed = list("-t", "uts").find(({ kept }) => kept.includes(`mount ${inside}`));
	t.match(listed, { type: "uts", nprocs: 0, nsfs: null, path: inside });
	t.equal(run("nsenter", [`--uts=${inside}`, "readlink", "/proc/self/ns/uts"]).stdout, `uts:[${listed?.ns}]\n`);
});

t.test("a namespace that only an open file keeps is shown with the process and descriptor", needsRoot, async (t) => {
	const member = await start(t, ["unshare", "--ipc"]);
	const ns = inode(member, "ipc");
	const holder = await start(t, [], `exec 7</proc/${member}/ns/ipc;`);
	t.same(find(ns)?.kept, ["process", `fd ${holder}:7`]);
	await end(member);
	t.match(find(ns), { type: "ipc", nprocs: 0, pid: null, kept: [`fd ${holder}:7`], path: `/proc/${holder}/fd/7` });
	await end(holder);
	t.equal(find(ns), undefined);
});

t.test("a namespace whose mount has gone while a file of it was open is shown", needsRoot, async (t) => {
	const path = mountPoint(t);
	run("unshare", [`--net=${path}`, "true"]);
	const ns = Number(/\d+/.exec(run("findmnt", ["-no", "FSROOT", path]).stdout)?.[0]);
	const holder = await start(t, [], `exec 8<${path};`);
	run("umount", ["--lazy", path]);
	t.match(find(ns), { type: "net", nprocs: 0, kept: [`fd ${holder}:8`] });
});

t.test("a network namespace that only a socket keeps is shown with the socket", needsRoot, async (t) => {
	const holder = await start(
		t,
		[
			"unshare",
			"--net",
			"bash",
			"-c",
			`ip link set lo up; exec 9<>/dev/udp/127.0.0.1/9; exec nsenter --net=/proc/${process.pid}/ns/net "$@"`,
			"bash",
		],
		"",
	);
	const listed = list("--type", "net").find(({ kept }) => kept.includes(`socket ${holder}:9`));
	t.match(listed, { type: "net", nprocs: 0, pid: null });
	t.not(listed?.ns, inode(process.pid, "net"));
	await end(holder);
	t.equal(find(listed?.ns as number), undefined);
});

t.test("a user namespace that only its child keeps is shown with the child and who made it", needsRoot, async (t) => {
	const pid = await start(t, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "-Ur", "unshare", "-Ur"]);
	const child = inode(pid, "user");
	const parent = find(child)?.pns as number;
	t.not(parent, inode(process.pid, "user"));
	t.match(find(parent), { type: "user", nprocs: 0, pid: null, uid: 65534, user: "nobody", pns: inode(process.pid, "user") });
	t.same(find(parent)?.kept, [`child user:[${child}]`]);
	t.same(find(parent, "--type", "user")?.kept, [`child user:[${child}]`]);
});

t.test("a user namespace that only what it owns keeps is shown with that", needsRoot, async (t) => {
	const path = mountPoint(t);
	const member = await start(t, ["unshare", "--user", "--map-root-user", "--uts"]);
	const [user, uts] = [inode(member, "user"), inode(member, "uts")];
	run("mount", ["--bind", `/proc/${member}/ns/uts`, path]);
	await end(member);
	t.match(find(user), { type: "user", nprocs: 0, pid: null, uid: 0 });
	t.same(find(user)?.kept, [`owned uts:[${uts}]`]);
	t.match(find(uts), { ons: user, kept: [`mount ${path}`] });
});

t.test("a namespace that a process has made for its children is shown", needsRoot, async (t) => {
	/* unshare(CLONE_NEWTIME) takes effect for children, and for the process itself once it executes something. */
	const pid = await start(t, [
		"perl",
		"-e",
		`syscall(${process.arch === "arm64" ? 97 : 272}, 0x80) == 0 or die; $| = 1; print 'ready'; sleep 1000`,
	]);
	const ns = Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/time_for_children`))?.[0]);
	t.match(find(ns), { type: "time", nprocs: 0, pid: null, kept: [`children of ${pid}`], path: `/proc/${pid}/ns/time_for_children` });
});

t.test("a mount in a mount namespace without process keeps a namespace, and is shown", needsRoot, async (t) => {
	const path = mountPoint(t);
	const folder = dirname(path);
	const inner = join(folder, "inner");
	writeFileSync(inner, "");
	run("mount", ["--bind", folder, folder]);
	t.teardown(() => run("umount", ["--lazy", folder]));
	run("mount", ["--make-private", folder]);
	t.equal(run("unshare", [`--mount=${path}`, "unshare", `--uts=${inner}`, "true"]).status, 0);
	const mnt = Number(/\d+/.exec(run("findmnt", ["-no", "FSROOT", path]).stdout)?.[0]);
	t.match(find(mnt), { type: "mnt", nprocs: 0, kept: [`mount ${path}`] });
	const uts = list().find(({ kept }) => kept.includes(`mount ${inner} in mnt:[${mnt}]`));
	t.match(uts, { type: "uts", nprocs: 0, kept: [`mount ${inner} in mnt:[${mnt}]`] });
	run("umount", [path]);
	t.equal(find(uts?.ns as number), undefined);
});

t.test("a mount namespace that nothing in /proc leads to is shown as kept by something unseen", needsRoot, async (t) => {
	const folder = mkdtempSync(join(tmpdir(), `tsbox-ls-${process.pid}-`));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const program = join(folder, "thread");
	const source = `#define _GNU_SOURCE
		#include <pthread.h>
		#include <sched.h>
		#include <stdio.h>
		#include <unistd.h>
		static void *thread(void *x) { unshare(CLONE_NEWNS); puts("ready"); fflush(stdout); pause(); return x; }
		int main(void) { pthread_t t; pthread_create(&t, 0, thread, 0); pause(); }`;
	t.equal(spawnSync("gcc", ["-x", "c", "-pthread", "-o", program, "-"], { input: source }).status, 0);
	const pid = await start(t, [program]);
	const thread = readdirSync(`/proc/${pid}/task`).find((task) => Number(task) !== pid);
	const ns = Number(/\d+/.exec(readlinkSync(`/proc/${pid}/task/${thread}/ns/mnt`))?.[0]);
	t.match(find(ns), { type: "mnt", nprocs: 0, pid: null, kept: ["unseen"], ons: inode(process.pid, "user") });
});

t.test("a process's namespaces, and a namespace's processes, can be asked for", needsRoot, async (t) => {
	const pid = await start(t, ["unshare", "--uts"]);
	const uts = inode(pid, "uts");
	const task = list("--task", String(pid));
	t.same(task.map(({ type }) => type).sort(), ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"]);
	for (const { type, ns } of task) t.equal(ns, inode(pid, type));
	for (const operand of [String(uts), `uts:[${uts}]`]) {
		const { stdout } = run(tsunshare, ["ls", "--json", operand]);
		t.same(JSON.parse(stdout).namespaces, [{ pid, ppid: process.pid, user: "root", command: "sleep 1000" }]);
	}
	t.match(run(tsunshare, ["ls", String(uts)]).stdout, /^ *PID +PPID +USER +COMMAND\n/);
});

t.test("a type, a filter and a list of columns choose what is shown", needsRoot, async (t) => {
	const pid = await start(t, ["unshare", "--uts", "--ipc"]);
	const [uts, ipc] = [inode(pid, "uts"), inode(pid, "ipc")];
	const lines = (...args: string[]) => run(tsunshare, ["ls", "--noheadings", "--raw", ...args]).stdout;
	t.equal(lines("-t", "uts", "-t", "ipc", "-p", String(pid), "-o", "NS,TYPE"), `${[`${uts} uts\n`, `${ipc} ipc\n`].sort().join("")}`);
	t.equal(lines("-t", "uts,ipc", "-p", String(pid), "-o", "ns,type"), `${[`${uts} uts\n`, `${ipc} ipc\n`].sort().join("")}`);
	for (const [filter, found] of [
		[`NS == ${uts}`, true],
		[`NS != ${uts}`, false],
		[`PID == ${pid} && TYPE == "uts"`, true],
		[`PID==${pid} AND NOT TYPE=='uts'`, false],
		[`TYPE =~ "^u.s$" and (PID < ${pid} or pid >= ${pid})`, true],
		[`TYPE !~ "s"`, false],
		[`NPROCS > 1 || COMMAND EQ "sleep 1000"`, true],
		[`!(PID == ${pid})`, false],
		["false", false],
		["NSFS", false],
	] as const)
		t.equal(lines("-Q", filter, "-t", "uts", "-o", "NS").split("\n").includes(String(uts)), found, filter);
	t.match(run(tsunshare, ["ls", "-t", "uts", "-o", "+KEPT,PATH"]).stdout, /^ *NS +TYPE +NPROCS +PID +USER +COMMAND +KEPT +PATH\n/);
	t.match(run(tsunshare, ["ls", "-t", "net"]).stdout, /^ *NS +TYPE +NPROCS +PID +USER +NETNSID +NSFS +COMMAND\n/);
	const columns = run(tsunshare, ["ls", "--list-columns"]).stdout;
	for (const name of columnsOfLsns.split(",")) t.match(columns, new RegExp(`^ *${name}  `, "m"));
});

t.test("an id by which one network namespace knows another is shown", needsRoot, async (t) => {
	const name = `tsbox-ls-${process.pid}`;
	t.equal(run("ip", ["netns", "add", name]).status, 0);
	t.teardown(() => run("ip", ["netns", "delete", name]));
	run("ip", ["netns", "set", name, "4711"]);
	const listed = list("-t", "net").find(({ netnsid }) => netnsid === "4711");
	t.equal(listed?.nsfs, `/run/netns/${name}`);
	t.equal(listed?.kept[0], `mount /run/netns/${name}`);
});

t.test("what a command line or a name holds cannot write to the terminal", needsRoot, async (t) => {
	const folder = mkdtempSync(join(tmpdir(), `tsbox-ls-${process.pid}-`));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const evil = "\u001b]0;owned\u0007\n\u001b[2Jx";
	const path = join(folder, "\u001b[31m \n-file");
	writeFileSync(path, "");
	t.equal(run("unshare", [`--ipc=${path}`, "true"]).status, 0);
	t.teardown(() => run("umount", [path]));
	const pid = await start(t, ["unshare", "--uts", "bash", "-c", `echo ready; exec -a "$0" sleep 1000`, evil]);
	while (find(inode(pid, "uts"))?.command?.startsWith("bash")) await new Promise((resolve) => setTimeout(resolve, 5));
	for (const args of [[], ["--raw"], ["--json"], ["-o", "NS,NSFS,KEPT,PATH,COMMAND"], ["--tree=process"]]) {
		const { stdout } = run(tsunshare, ["ls", ...args]);
		t.match(stdout, "owned");
		/* Nothing but printable characters, and the lines' ends. */
		t.notMatch(stdout.replace(/\n/g, ""), /[\x00-\x1f\x7f-\x9f]/);
		if (!args.includes("--json")) t.equal(stdout.split("\n").filter((line) => /owned/.test(line)).length, 1);
	}
	t.equal(find(inode(pid, "uts"))?.command, `${evil} 1000`);
	t.equal(list("-t", "ipc").find(({ nsfs }) => nsfs === path)?.nprocs, 0);
});

t.test("processes that end while it looks do not disturb it", async (t) => {
	const storm = spawn("sh", ["-c", "while :; do /bin/true & /bin/true & unshare -Ur /bin/true; done"], { stdio: "ignore", detached: true });
	t.teardown(() => process.kill(-(storm.pid as number), "SIGKILL"));
	const self = inode(process.pid, "uts");
	for (let i = 0; i < 40; i++) {
		const { status, stdout, stderr } = run(tsunshare, ["ls", "--json", "--output-all", ...(i % 2 ? ["--tree=process"] : [])]);
		if (status !== 0 || stderr !== "" || !stdout.includes(`"ns": ${self},`)) return t.fail(`exit status ${status}`, { stderr, stdout });
	}
	t.pass();
});

t.test("a command line that is wrong is refused with the reason, as lsns with exit status 1", async (t) => {
	for (const [args, message] of [
		[
			["--type", "nett"],
			"tsunshare: --type: nett is not a type of namespace (user, cgroup, ipc, uts, net, pid, mnt, time)\ntsunshare: hint: did you mean 'net'?\n",
		],
		[["-o", "PIDS"], "tsunshare: --output: PIDS is not a column\ntsunshare: hint: did you mean 'PID'?\n"],
		[["--tree=up"], "tsunshare: --tree: up is not a relation (parent, owner, process)\n"],
		[["--task", "x"], 'tsunshare: --task: "x" is not a PID'],
		[["--task", "1", "4026531837"], "tsunshare: --task: cannot be given with a namespace\n"],
		[["net"], "tsunshare: net: not a namespace's inode number\n"],
		[["17"], "tsunshare: 17: no such namespace\n"],
		[["--json", "--raw"], "tsunshare: --json and --raw: only one of them can be given\n"],
		[["-Q", "PID =="], "tsunshare: --filter: a value is missing at the end\n"],
		[["-Q", "PID 1"], 'tsunshare: --filter: an operator is missing before "1"\n'],
		[["-Q", "(PID"], 'tsunshare: --filter: ")" is missing at the end\n'],
		[["-Q", "PIDS == 1"], "tsunshare: --filter: a column of the name PIDS is missing"],
		[["-Q", 'COMMAND =~ "("'], 'tsunshare: --filter: "(" is not a regular expression\n'],
		[["-Q", "PID ; 1"], "tsunshare: --filter: cannot be read from here on: ; 1\n"],
		[["--task", String(2 ** 22 + 1)], `tsunshare: ${2 ** 22 + 1}: no such process\n`],
	] as [string[], string][]) {
		const { status, stdout, stderr } = run(tsunshare, ["ls", ...args]);
		t.match({ status, stdout, stderr }, { status: 1, stdout: "", stderr: message }, args.join(" "));
	}
});
