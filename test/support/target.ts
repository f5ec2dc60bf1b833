/** Processes for a tool to act on. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Test } from "tap";

export interface TargetOptions {
	/** Run by sh before it says that it is ready. */
	script?: string;
	uid?: number;
	env?: Record<string, string>;
	cwd?: string;
}

/** The PID that a process has here, by the one that it has in its own PID namespace: the last of NSpid. */
function descendant(pid: number): number {
	const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
	return children === "" ? pid : descendant(Number(children.split(" ")[0]));
}

/** Starts `sleep` below the given words; returns its PID once the script before it has run. It ends with the test. */
export async function start(t: Test, words: string[], { script = ":", uid, env, cwd = "/" }: TargetOptions = {}): Promise<number> {
	const drop = uid === undefined ? [] : ["/usr/bin/setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
	const [program = "", ...args] = [...drop, ...words, "sh", "-c", `${script}; echo ready; exec sleep 1000`];
	const child = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"], cwd, env: { ...process.env, ...env } });
	await new Promise((resolve, reject) => {
		child.stdout.once("data", resolve);
		child.once("close", () => reject(new Error(`${words.join(" ")} ended`)));
	});
	const pid = descendant(child.pid as number);
	t.teardown(async () => {
		const end = new Promise((resolve) => child.once("close", resolve));
		process.kill(pid, "SIGKILL");
		await end;
	});
	return pid;
}
