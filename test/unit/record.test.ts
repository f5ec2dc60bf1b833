/** Sandbox records: what a filter takes, refuses and passes on. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { findRecord, inputLines, openTarget, parseLine, type SandboxRecord } from "../../cmds/common/record.ts";
import { close, pipe, write } from "../../native/linux/fd.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), `tsbox-record-${process.pid}-`));
t.teardown(() => rmSync(folder, { recursive: true }));
process.env.TSBOX_RUN = folder;

/** Field 22 of /proc/PID/stat. */
function startOf(pid: number): number {
	const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
	return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
}

function sleeper(t: Test) {
	const child = spawn("sleep", ["1000"], { stdio: "ignore" });
	t.teardown(() => child.kill("SIGKILL"));
	const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on("exit", (_, signal) => resolve(signal)));
	const pid = child.pid as number;
	return { pid, start: startOf(pid), ended };
}

const recordOf = (pid: number, start: number, more: object = {}): SandboxRecord => ({
	tsbox: 1,
	id: "web",
	pid,
	start,
	held: true,
	...more,
});

t.test("a line of digits is a PID, a record is one with all it needs", async (t) => {
	t.equal(parseLine("4242"), 4242);
	const record = recordOf(4242, 99, { network: { bridge: "tsbr0" }, unknown: [1, null] });
	t.same(parseLine(JSON.stringify(record)), record);
});

t.test("what is no record is refused, and said in one printable line", async (t) => {
	const good = recordOf(1, 1);
	for (const line of [
		"",
		" ",
		"hello",
		"-1",
		"1.5",
		"0x10",
		"1 2",
		"{",
		"null",
		"true",
		"[]",
		'"4242"',
		"{}",
		"\u001b[2J",
		"x".repeat(10_000),
		JSON.stringify({ ...good, tsbox: 2 }),
		JSON.stringify({ ...good, tsbox: "1" }),
		JSON.stringify({ ...good, id: undefined }),
		JSON.stringify({ ...good, id: "../../etc" }),
		JSON.stringify({ ...good, id: "" }),
		JSON.stringify({ ...good, id: ".hidden" }),
		JSON.stringify({ ...good, id: "a\nb" }),
		JSON.stringify({ ...good, id: "x".repeat(129) }),
		JSON.stringify({ ...good, id: 5 }),
		JSON.stringify({ ...good, pid: 0 }),
		JSON.stringify({ ...good, pid: -1 }),
		JSON.stringify({ ...good, pid: 1.5 }),
		JSON.stringify({ ...good, pid: "1" }),
		JSON.stringify({ ...good, pid: 2 ** 60 }),
		JSON.stringify({ ...good, start: undefined }),
		JSON.stringify({ ...good, start: "1" }),
	]) {
		try {
			parseLine(line);
			t.fail(`accepted: ${line}`);
		} catch (error) {
			const { message } = error as Error;
			t.match(message, /^standard input: /);
			t.notMatch(message, /[\x00-\x1f\x7f-\x9f]/);
			t.ok(message.length < 150, message);
		}
	}
});

t.test("lines come as soon as they are there, however they are cut", async (t) => {
	const { reader, writer } = pipe();
	const lines = inputLines(reader);
	write(writer, "one\nt");
	t.equal(lines.next().value, "one");
	write(writer, "wo\n\n\nthree\nfour");
	t.equal(lines.next().value, "two");
	t.equal(lines.next().value, "three");
	close(writer);
	t.equal(lines.next().value, "four");
	t.equal(lines.next().done, true);
	close(reader);
});

t.test("a line keeps bytes of which a read gave only the first part", async (t) => {
	const { reader, writer } = pipe();
	/* The third byte of the last letter comes with the second read of 4096. */
	const text = `${"x".repeat(4094)}€`;
	write(writer, `${text}\n`);
	close(writer);
	t.equal([...inputLines(reader)][0], text);
	close(reader);
});

t.test("a process that has ended, or has only a recycled PID, is not opened", async (t) => {
	const { pid, start, ended } = sleeper(t);
	t.match(openTarget(pid), { pid, pidfd: Number });
	t.match(openTarget(recordOf(pid, start)), { pid, record: { id: "web" } });
	t.throws(() => openTarget(recordOf(pid, start - 1)), { message: `web (pid ${pid}): has ended; its PID names another process now` });
	process.kill(pid, "SIGKILL");
	await ended;
	t.throws(() => openTarget(pid), { message: `${pid}: no such process` });
	t.throws(() => openTarget(recordOf(pid, start)), { message: `web (pid ${pid}): no such process` });
	t.throws(() => openTarget(0), { message: "0: not a process" });
	t.throws(() => openTarget(2 ** 22 + 1), { message: `${2 ** 22 + 1}: no such process` });
});

t.test("a sandbox is found by its id, and no id leads out of the state folder", async (t) => {
	mkdirSync(join(folder, "sandboxes/web"), { recursive: true });
	writeFileSync(join(folder, "sandboxes/web/record"), JSON.stringify(recordOf(1, 1)));
	writeFileSync(join(folder, "record"), JSON.stringify(recordOf(1, 1)));
	t.match(findRecord("web"), { id: "web", pid: 1 });
	t.throws(() => findRecord("none"), { message: "none: no such sandbox" });
	for (const id of ["..", ".", "", "a/b", "../sandboxes/web", "a\nb"])
		t.throws(() => findRecord(id), { message: /: not a PID or a sandbox's id$/ }, id);
	writeFileSync(join(folder, "sandboxes/web/record"), "{");
	t.throws(() => findRecord("web"), { message: /record: not JSON$/ });
});

const filter = join(root, "build/test/filter-tool");

t.test("a filter", async (t) => {
	const built = spawnSync(process.execPath, ["native/build.mjs", "--tool", "test/support/filter-tool.ts", filter], {
		cwd: root,
		encoding: "utf8",
	});
	t.equal(built.stderr, "");
	const run = (input: string, ...operands: string[]) => {
		const { status, stdout, stderr } = spawnSync(filter, operands, { input, encoding: "utf8" });
		return { status, stdout, stderr };
	};

	t.test("adds its members and keeps those that it does not know, in one line for each record", async (t) => {
		const [one, two] = [sleeper(t), sleeper(t)];
		const records = [
			recordOf(one.pid, one.start, { network: { a: [1, "é", null] } }),
			recordOf(two.pid, two.start, { id: "db", held: false }),
		];
		const { status, stdout, stderr } = run(`${records.map((record) => JSON.stringify(record)).join("\n\n")}\n`);
		t.match({ status, stderr }, { status: 0, stderr: "" });
		t.same(
			stdout
				.trimEnd()
				.split("\n")
				.map((line) => JSON.parse(line)),
			records.map((record) => ({ ...record, seen: record.pid })),
		);
	});

	t.test("takes PIDs from standard input, and PIDs and ids as operands", async (t) => {
		const { pid, start } = sleeper(t);
		t.match(run(`${pid}\n`), { status: 0, stdout: `${pid} -\n` });
		writeFileSync(join(folder, "sandboxes/web/record"), JSON.stringify(recordOf(pid, start)));
		t.match(run("", String(pid), "web"), { status: 0, stdout: `${pid} -\n${pid} web\n` });
	});

	/** A sandbox's state as its supervisor, which we are, writes it while it is held. */
	const hold = (id: string, pid: number, start: number) => {
		mkdirSync(join(folder, "sandboxes", id), { recursive: true });
		writeFileSync(join(folder, "sandboxes", id, "record"), JSON.stringify(recordOf(pid, start, { id })));
		writeFileSync(join(folder, "sandboxes", id, "supervisor"), JSON.stringify({ pid: process.pid, start: startOf(process.pid) }));
		writeFileSync(join(folder, "sandboxes", id, "start"), "");
	};

	t.test("that fails kills the sandbox that is held, and passes nothing on", async (t) => {
		const { pid, start, ended } = sleeper(t);
		hold("bad", pid, start);
		t.teardown(() => rmSync(join(folder, "sandboxes/bad"), { recursive: true }));
		const { status, stdout, stderr } = run(`${JSON.stringify(recordOf(pid, start, { id: "bad" }))}\n`);
		t.same({ status, stdout, stderr }, { status: 1, stdout: "", stderr: "filter-tool: bad: refused\n" });
		t.equal(await ended, "SIGKILL");
	});

	t.test("that fails does not kill what only the record says is held", async (t) => {
		const [forged, held] = [sleeper(t), sleeper(t)];
		t.equal(run(`${JSON.stringify(recordOf(forged.pid, forged.start, { id: "bad" }))}\n`).status, 1);
		hold("bad", held.pid, held.start);
		t.teardown(() => rmSync(join(folder, "sandboxes/bad"), { recursive: true }));
		t.equal(run(`${JSON.stringify(recordOf(forged.pid, forged.start, { id: "bad" }))}\n`).status, 1);
		for (const { pid } of [forged, held]) t.match(readFileSync(`/proc/${pid}/stat`, "latin1"), /\) S /);
	});

	t.test("passes a plan on, and refuses one that it has no part in, or that is none", async (t) => {
		const plan = { tsbox: 1, id: "web", rootfs: "/x", mounts: [{ type: "bind", source: "/a", target: "/b" }], leave: ["tscgctl"] };
		t.match(run(`${JSON.stringify({ ...plan, leave: [] })}\n`), {
			status: 1,
			stdout: "",
			stderr: /^filter-tool: web: a plan of a sandbox that is not made yet\n/,
		});
		t.same(parseLine(JSON.stringify(plan)), plan);
		for (const [member, value] of [
			["rootfs", "x"],
			["rootfs", 1],
			["cgroups", ["x"]],
			["leave", ["sh"]],
			["mounts", [{ type: "bind", target: "/b" }]],
			["mounts", [{ type: "fuse", source: "/a", target: "/b" }]],
			["mounts", [null]],
		])
			t.throws(() => parseLine(JSON.stringify({ ...plan, [member as string]: value })), { message: /^standard input: a plan whose / });
	});

	t.test("that gets no record through a pipe says nothing: the stage before has", async (t) => {
		const { status, stderr } = spawnSync("sh", ["-c", 'false | "$0"', filter], { encoding: "utf8" });
		t.same({ status, stderr }, { status: 1, stderr: "" });
	});

	t.test("that fails leaves a sandbox that runs, and one that is named as an operand", async (t) => {
		const { pid, start } = sleeper(t);
		t.equal(run(`${JSON.stringify(recordOf(pid, start, { id: "bad", held: false }))}\n`).status, 1);
		mkdirSync(join(folder, "sandboxes/bad"), { recursive: true });
		writeFileSync(join(folder, "sandboxes/bad/record"), JSON.stringify(recordOf(pid, start, { id: "bad" })));
		t.equal(run("", "bad").status, 1);
		t.match(readFileSync(`/proc/${pid}/stat`, "latin1"), /\) S /);
	});

	t.test("never touches a process that has come by the PID since", async (t) => {
		const { pid, start } = sleeper(t);
		const { status, stdout, stderr } = run(`${JSON.stringify(recordOf(pid, start + 1, { id: "bad" }))}\n`);
		t.match({ status, stdout, stderr }, { status: 1, stdout: "", stderr: /has ended; its PID names another process now\n$/ });
		t.match(readFileSync(`/proc/${pid}/stat`, "latin1"), /\) S /);
	});

	t.test("says that nothing came in, or what was no record", async (t) => {
		t.match(run(""), { status: 1, stdout: "", stderr: /^filter-tool: standard input: no sandbox record\nfilter-tool: hint: / });
		t.match(run("tsunshare: unshare: Operation not permitted\n"), { status: 1, stdout: "", stderr: /not a sandbox record or a PID/ });
		t.match(run("x".repeat(3 << 20)), { status: 1, stdout: "", stderr: /a line of more than 1 MiB/ });
	});

	t.test("whose reader has gone ends as by SIGPIPE, without a word", async (t) => {
		const { pid, start } = sleeper(t);
		const script = `{ printf '%s\\n' "$1"; sleep 0.2; printf '%s\\n' "$1"; } | { "$0"; echo "$?" >&2; } | true`;
		const { stderr } = spawnSync("sh", ["-c", script, filter, JSON.stringify(recordOf(pid, start))], { encoding: "utf8" });
		t.equal(stderr, "141\n");
	});
});
