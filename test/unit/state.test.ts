/** State files: whole or not at all, under a lock, and never outside of their folder. */
import { spawn, spawnSync } from "node:child_process";
import {
	chmodSync,
	chownSync,
	existsSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import {
	dataFolder,
	getenv,
	isAlive,
	isName,
	listState,
	makeStateFolder,
	name,
	readState,
	removeStateFolder,
	runFolder,
	withLock,
	writeState,
} from "../../cmds/common/state.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const isRoot = process.getuid?.() === 0;
const needsRoot = isRoot ? {} : { skip: "needs root" };

function folder(t: Test): string {
	const path = mkdtempSync(join(tmpdir(), `tsbox-state-${process.pid}-`));
	t.teardown(() => rmSync(path, { recursive: true, force: true }));
	return path;
}

/** Runs `code` in another Node, with the module's exports in `state`. */
function elsewhere(code: string, ...args: string[]): string[] {
	const text = `const state = await import(${JSON.stringify(join(root, "cmds/common/state.ts"))});\n${code}`;
	return [process.execPath, `--import=${join(root, "test/support/typescript.mjs")}`, "--input-type=module", "-e", text, ...args];
}

t.test("root does not keep its state where others can write", needsRoot, async (t) => {
	const before = { ...process.env };
	t.teardown(() => {
		process.env = before;
	});
	const at = folder(t);
	for (const [name, mode, uid] of [
		["world", 0o777, 0],
		["group", 0o775, 0],
		["sticky", 0o1777, 0],
		["other", 0o755, 65534],
	] as const) {
		const path = join(at, name);
		mkdirSync(join(path, "own"), { recursive: true });
		chmodSync(path, mode);
		chownSync(path, uid, uid);
		for (const variable of ["TSBOX_RUN", "TSBOX_DATA"] as const) {
			const asked = variable === "TSBOX_RUN" ? runFolder : dataFolder;
			process.env[variable] = path;
			t.throws(asked, { message: `${variable}: ${path}: others can write to it` });
			process.env[variable] = join(path, "own");
			if (name === "sticky") t.equal(asked(), join(path, "own"));
			else t.throws(asked, { message: `${variable}: ${path}: others can write to it` });
		}
	}
});

t.test("the folders are those of the environment, else the system's, else the user's own", async (t) => {
	const before = { ...process.env };
	t.teardown(() => {
		process.env = before;
	});
	process.env.TSBOX_RUN = "/x/run";
	process.env.TSBOX_DATA = "/x/data";
	t.equal(runFolder(), "/x/run");
	t.equal(dataFolder(), "/x/data");
	process.env.TSBOX_RUN = "";
	delete process.env.TSBOX_DATA;
	if (isRoot) {
		t.equal(runFolder(), "/run/tsbox");
		t.equal(dataFolder(), "/var/lib/tsbox");
	}
	process.env.EMPTY = "";
	process.env.EQUALS = "a=b=c";
	t.equal(getenv("EMPTY"), undefined);
	t.equal(getenv("EQUALS"), "a=b=c");
	t.equal(getenv("EQUAL"), undefined);
});

t.test("without root the folders are below XDG's, or there are none", needsRoot, async (t) => {
	const print =
		"try { console.log(state.runFolder(), state.dataFolder()); } catch (error) { console.log(error.message, '-', error.hint); }";
	const asNobody = (env: Record<string, string>) => {
		const [program = "", ...args] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...elsewhere(print)];
		return spawnSync(program, args, { encoding: "utf8", cwd: root, env: { PATH: process.env.PATH, ...env } }).stdout;
	};
	t.equal(asNobody({ XDG_RUNTIME_DIR: "/x", XDG_DATA_HOME: "/y" }), "/x/tsbox /y/tsbox\n");
	t.equal(asNobody({ XDG_RUNTIME_DIR: "/x", HOME: "/z" }), "/x/tsbox /z/.local/share/tsbox\n");
	t.equal(asNobody({ HOME: "/z" }), "no folder for run-time state - set XDG_RUNTIME_DIR or TSBOX_RUN to a folder of your own\n");
	t.equal(asNobody({ XDG_RUNTIME_DIR: "/x" }), "no folder for data - set XDG_DATA_HOME, HOME or TSBOX_DATA\n");
});

t.test("a name is what can be a file's name and nothing else", async (t) => {
	for (const good of ["a", "web", "0", "A-b_c.d", "x".repeat(128)]) t.ok(isName(good), good);
	for (const bad of ["", ".", "..", ".a", "-a", "_a", "a/b", "a b", "a\n", "\na", "é", "a\0", "x".repeat(129), "a:b", "a\\b"])
		t.notOk(isName(bad), bad);
	t.equal(name("web", "--id"), "web");
	t.throws(() => name("a/b", "--id"), { message: /^--id: "a\/b" is not a name \(letters, digits/ });
});

t.test("a state file is written whole, with the mode it should have, and read again", async (t) => {
	const path = join(folder(t), "web");
	t.equal(readState(path), undefined);
	writeState(path, '{"a":1}');
	t.same(readState(path), { a: 1 });
	t.equal(statSync(path).mode & 0o777, 0o600);
	writeState(path, '{"a":2}', 0o644);
	t.same(readState(path), { a: 2 });
	t.equal(statSync(path).mode & 0o777, 0o644);
	writeFileSync(path, '{"a":');
	t.throws(() => readState(path), { message: `${path}: not JSON` });
});

t.test("a half-written file of before, or a link in its place, is not written through", async (t) => {
	const place = folder(t);
	const victim = join(place, "victim");
	writeFileSync(victim, "untouched");
	symlinkSync(victim, join(place, `web.${process.pid}.new`));
	symlinkSync(victim, join(place, "web"));
	writeState(join(place, "web"), "{}");
	t.equal(readFileSync(victim, "utf8"), "untouched");
	t.ok(lstatSync(join(place, "web")).isFile());
	t.same(listState(place), ["victim", "web"]);
});

t.test("a list has the names only, sorted; of a folder that is not there it is empty", async (t) => {
	const place = folder(t);
	for (const entry of ["b", "a", ".lock", "c.123.new", "with space", "10"]) writeFileSync(join(place, entry), "");
	t.same(listState(place), ["10", "a", "b"]);
	t.same(listState(join(place, "none")), []);
});

t.test("a state folder is its owner's alone; one that another user made is refused", needsRoot, async (t) => {
	const place = folder(t);
	makeStateFolder(join(place, "deep/er"));
	t.equal(statSync(join(place, "deep/er")).mode & 0o777, 0o700);
	makeStateFolder(join(place, "deep/er"));
	mkdirSync(join(place, "theirs"));
	spawnSync("chown", ["65534", join(place, "theirs")]);
	t.throws(() => makeStateFolder(join(place, "theirs")), { message: `${join(place, "theirs")}: not a folder of this user's` });
	symlinkSync(place, join(place, "link"));
	t.throws(() => makeStateFolder(join(place, "link")), { message: /not a folder of this user's/ });
	writeFileSync(join(place, "file"), "");
	t.throws(() => makeStateFolder(join(place, "file")), { message: /not a folder of this user's/ });
});

t.test("removing a state folder removes its files, follows no link, and needs nothing to be there", async (t) => {
	const place = folder(t);
	const other = join(place, "other");
	mkdirSync(other);
	writeFileSync(join(other, "kept"), "");
	mkdirSync(join(place, "web"));
	writeFileSync(join(place, "web/record"), "{}");
	symlinkSync(other, join(place, "web/link"));
	removeStateFolder(join(place, "web"));
	t.notOk(existsSync(join(place, "web")));
	t.ok(existsSync(join(other, "kept")));
	removeStateFolder(join(place, "web"));
	/* A folder inside is not ours: it stays, and so does what it is in. */
	mkdirSync(join(place, "db/deep"), { recursive: true });
	t.throws(() => removeStateFolder(join(place, "db")), { message: /unlinkat .*db\/deep: Is a directory/ });
	t.ok(existsSync(join(place, "db/deep")));
});

t.test("changes under a lock by several processes at once do not lose one another", async (t) => {
	const place = folder(t);
	writeFileSync(join(place, "counter"), "0");
	const code = `const [folder] = process.argv.slice(1);
		for (let i = 0; i < 100; i++)
			state.withLock(folder, () => state.writeState(folder + "/counter", String(state.readState(folder + "/counter") + 1)));`;
	const [program = "", ...args] = elsewhere(code, place);
	await Promise.all(
		Array.from({ length: 4 }, () => new Promise((resolve) => spawn(program, args, { cwd: root, stdio: "inherit" }).on("exit", resolve))),
	);
	t.equal(readFileSync(join(place, "counter"), "utf8"), "400");
	t.same(readdirSync(place).sort(), [".lock", "counter"]);
});

t.test("a lock is given back also when the change fails, and its value is returned", async (t) => {
	const place = folder(t);
	t.equal(
		withLock(place, () => 42),
		42,
	);
	t.throws(() =>
		withLock(place, () => {
			throw new Error("no");
		}),
	);
	t.equal(spawnSync("flock", ["--nonblock", join(place, ".lock"), "true"]).status, 0);
	t.equal(
		withLock(place, () => spawnSync("flock", ["--nonblock", join(place, ".lock"), "true"]).status),
		1,
	);
	chmodSync(place, 0o700);
});

t.test("an owner is alive only as the process that it was, and not as a zombie", async (t) => {
	const startOf = (pid: number) => {
		const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
		return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
	};
	t.ok(isAlive({ pid: process.pid, start: startOf(process.pid) }));
	t.notOk(isAlive({ pid: process.pid, start: startOf(process.pid) - 1 }));
	t.notOk(isAlive({ pid: 2 ** 22 + 1, start: 1 }));
	/* The shell becomes a program that does not wait for its child. */
	const shell = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 1000"], { stdio: ["ignore", "pipe", "ignore"] });
	t.teardown(() => shell.kill("SIGKILL"));
	const zombie = Number(await new Promise((resolve) => shell.stdout.once("data", resolve)));
	while (!/\) Z /.test(readFileSync(`/proc/${zombie}/stat`, "latin1"))) await new Promise((resolve) => setTimeout(resolve, 5));
	t.notOk(isAlive({ pid: zombie, start: startOf(zombie) }));
});
