/** For the tests of tsinit: its peer, and the programs that it runs for them. */
import { type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { tool } from "./tools.ts";

export const tsinit = tool("tsinit");
/** The peer's path, "" where it is not installed. */
export const tini = spawnSync("sh", ["-c", "command -v tini"], { encoding: "utf8" }).stdout.trim();
export const needsTini = tini !== "" ? {} : { skip: "tini is not installed" };
export const needsRoot = process.getuid?.() === 0 ? {} : { skip: "needs root" };
/** Words that run a program as PID 1 of a namespace, which ends with unshare. */
export const asPid1 = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"];
export const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/** Runs to the end. */
export function run(words: string[], options: { env?: NodeJS.ProcessEnv; input?: string } = {}) {
	const [program = "", ...args] = words;
	const { status, signal, stdout, stderr } = spawnSync(program, args, {
		encoding: "utf8",
		input: options.input ?? "",
		env: { ...process.env, ...options.env },
		timeout: 60_000,
		killSignal: "SIGKILL",
	});
	return { status, signal, stdout, stderr };
}

/** What is running: its output so far, and a way to wait for more. */
export interface Running {
	pid: number;
	output(): string;
	/** Resolves with the match once the output, from character `from` on, has it. */
	says(pattern: RegExp, from?: number): Promise<RegExpExecArray>;
	/** The exit status, or the name of the signal that ended it. */
	ended: Promise<number | string>;
	write(text: string): void;
}

/** Starts a command line, which ends with the test at the latest. Its standard error is part of the output. */
export function start(t: Test, words: string[], options: SpawnOptions = {}): Running {
	const [program = "", ...args] = words;
	const child = spawn(program, args, { stdio: "pipe", ...options });
	let output = "";
	let isOver = false;
	let wake = () => {};
	for (const stream of [child.stdout, child.stderr])
		stream?.setEncoding("utf8").on("data", (text: string) => {
			output += text;
			wake();
		});
	const ended = new Promise<number | string>((resolve) =>
		child.on("close", (status, signal) => {
			isOver = true;
			wake();
			resolve(status ?? (signal as string));
		}),
	);
	t.teardown(() => {
		for (const pid of tree(child.pid as number)) killIfAny(pid);
		for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
	});
	return {
		pid: child.pid as number,
		output: () => output,
		async says(pattern, from = 0) {
			for (;;) {
				const match = pattern.exec(output.slice(from));
				if (match) return match;
				if (isOver) throw new Error(`ended without ${pattern}: ${output}`);
				await new Promise<void>((resolve) => {
					wake = resolve;
				});
			}
		},
		ended,
		write: (text) => void child.stdin?.write(text),
	};
}

function killIfAny(pid: number) {
	try {
		process.kill(pid, "SIGKILL");
	} catch {
		/* It is gone. */
	}
}

/** A process and all that descend from it. */
function tree(root: number): number[] {
	const all = processTable();
	const found = [root];
	for (const pid of found) found.push(...all.filter((process) => process.ppid === pid).map((process) => process.pid));
	return found;
}

/** The children of a process. */
export function childrenOf(pid: number): number[] {
	return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
}

/** The state and the parent of each process: /proc/PID/stat. */
export function processTable(): { pid: number; comm: string; state: string; ppid: number }[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.flatMap((name) => {
			try {
				const [, pid, comm, state, ppid] = /^(\d+) \((.*)\) (\S) (\d+)/s.exec(readFileSync(`/proc/${name}/stat`, "utf8")) ?? [];
				return [{ pid: Number(pid), comm: comm as string, state: state as string, ppid: Number(ppid) }];
			} catch {
				return []; /* gone meanwhile */
			}
		});
}

/** Whether a process runs: a zombie does not. */
export function isRunning(pid: number): boolean {
	return processTable().some((process) => process.pid === pid && process.state !== "Z");
}

/** Waits until something is so that nobody tells of; the test's time-out bounds it. */
export async function until(isSo: () => boolean) {
	while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A folder of this test's, in which all users may read and execute. */
export function temporaryFolder(t: Test): string {
	const folder = mkdtempSync(join(tmpdir(), `tsbox-tsinit-${process.pid}-`));
	chmodSync(folder, 0o755);
	t.teardown(() => rmSync(folder, { recursive: true }));
	return folder;
}

/** A copy of tsinit where an ordinary user can reach it. */
export function publicCopy(t: Test): string {
	const copy = join(temporaryFolder(t), "tsinit");
	copyFileSync(tsinit, copy);
	chmodSync(copy, 0o755);
	return copy;
}

/** Compiles test/support/NAME.c; returns the program's path. */
export function compile(t: Test, name: string): string {
	const program = join(temporaryFolder(t), name);
	const source = new URL(`${name}.c`, import.meta.url).pathname;
	const { status, stderr } = spawnSync("gcc", ["-O1", "-Wall", "-D_GNU_SOURCE", "-static", "-o", program, source], { encoding: "utf8" });
	if (status !== 0) throw new Error(stderr);
	return program;
}
