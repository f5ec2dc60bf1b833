/** For the tests of mkcontainer.sh: the script with state folders of its own, root file systems, and what is left of containers. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa, execaSync } from "execa";

export const script = fileURLToPath(new URL("../../bin/mkcontainer.sh", import.meta.url));

const isRoot = process.getuid?.() === 0;
/** For t.plan(0, reason): why containers cannot be tested here, or "". */
export const cannot = isRoot ? "" : "containers need root";

export const folder = mkdtempSync(join(tmpdir(), "tsbox-mkcontainer-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/* A variable that the test's own processes do not have, so that the containers' are found by it. */
export const mark = `TSBOX_MARK=${process.pid}`;
export const env = { TSBOX_RUN: join(folder, "run"), TSBOX_DATA: join(folder, "data") };

/** Runs mkcontainer.sh; the result has exitCode, stdout and stderr. */
export function container(args: string[], options: { input?: string; cwd?: string; shell?: string[] } = {}) {
	const [program = script, ...words] = [...(options.shell ?? []), script, ...args];
	return execa(program, words, {
		env,
		reject: false,
		timeout: 60_000,
		...(options.cwd && { cwd: options.cwd }),
		...(options.input === undefined ? { stdin: "ignore" } : { input: options.input }),
	});
}

/** `run` with the mark that leftovers are found by. */
export function run(args: string[], options: Parameters<typeof container>[1] = {}) {
	return container(["run", "-e", mark, ...args], options);
}

let count = 0;

/** A name that no other test has. */
export function unique(): string {
	return `t${process.pid}-${count++}`;
}

/** A root file system of Debian's static busybox. */
export function busyboxRoot(): string {
	const root = join(folder, unique());
	mkdirSync(join(root, "bin"), { recursive: true });
	mkdirSync(join(root, "etc"));
	writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\nann:x:12:34::/home/ann:/bin/sh\n");
	const busybox = execaSync("sh", ["-c", "command -v busybox"]).stdout;
	execaSync("cp", [busybox, join(root, "bin/busybox")]);
	for (const applet of execaSync(busybox, ["--list"]).stdout.split("\n"))
		if (applet !== "busybox") symlinkSync("busybox", join(root, "bin", applet));
	return root;
}

export function busyboxTar(): string {
	const archive = join(folder, `${unique()}.tar`);
	execaSync("tar", ["-C", busyboxRoot(), "-cf", archive, "."]);
	return archive;
}

/** The cgroup folders of a name, on all hierarchies. */
export function cgroups(name: string): string[] {
	return execaSync("find", ["/sys/fs/cgroup", "-type", "d", "-name", name], { reject: false }).stdout.split("\n").filter(Boolean);
}

/** The first of the files that is there, in the cgroup of a name; the ones are v1's, the others v2's. */
export function cgroupFile(name: string, files: string[]): string {
	for (const file of files) {
		/* Beside a v1 hierarchy of cpu, v2's cpu.stat tells of the time only. */
		const found = cgroups(name).find((path) => readdirSync(path).includes(file) && !(file === "cpu.stat" && path.includes("/unified/")));
		if (found) return readFileSync(join(found, file), "utf8").trim();
	}
	return `none of ${files.join(" ")}`;
}

/** The processes that have the mark in their environment. */
export function markedProcesses(): string[] {
	return readdirSync("/proc").filter((pid) => {
		if (!/^\d+$/.test(pid)) return false;
		try {
			return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(mark);
		} catch {
			return false;
		}
	});
}

/** What is left of the containers of this test file: processes, state, folders. */
export function leftovers(): string[] {
	const list = (path: string) => {
		try {
			return readdirSync(path)
				.filter((name) => !name.startsWith("."))
				.map((name) => join(path, name));
		} catch {
			return [];
		}
	};
	return [
		...markedProcesses().map((pid) => `process ${pid}`),
		...list(join(env.TSBOX_RUN, "sandboxes")),
		...list(join(env.TSBOX_DATA, "containers")),
		...readFileSync("/proc/self/mounts", "utf8")
			.split("\n")
			.filter((line) => line.includes(folder)),
	];
}

/** Waits until a condition holds. Throws after 10 s. */
export async function until(condition: () => boolean | Promise<boolean>) {
	for (let i = 0; !(await condition()); i++) {
		if (i === 200) throw new Error(`still not: ${condition}`);
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}
