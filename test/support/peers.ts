/** The same command line through a peer and through our tool, as root or as another user. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";

export interface Result {
	status: number | null;
	signal: NodeJS.Signals | null;
	stdout: string;
	stderr: string;
}

export interface RunOptions {
	/** The user id to run as, without any privileges. */
	uid?: number;
	env?: Record<string, string>;
	cwd?: string;
	input?: string;
}

export const NOBODY = 65534;

/** Runs a program to its end. */
export function run(argv: string[], { uid, env, cwd = "/", input = "" }: RunOptions = {}): Result {
	const words = uid === undefined ? argv : ["/usr/bin/setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", ...argv];
	const [program = "", ...args] = words;
	const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
		encoding: "utf8",
		cwd,
		input,
		env: { ...process.env, ...env },
		timeout: 30_000,
	});
	if (error) throw error;
	return { status, signal, stdout, stderr };
}

/** Runs a shell script. */
export function shell(script: string, options: RunOptions = {}): Result {
	return run(["sh", "-c", script], options);
}

/** A folder of the test's own, that any user may enter. */
export function folder(t: Test, name: string): string {
	const path = mkdtempSync(join(tmpdir(), `${name}-${process.pid}-`));
	t.teardown(() => rmSync(path, { recursive: true, force: true }));
	spawnSync("chmod", ["755", path]);
	return path;
}

/** Passes if the peer and ours print and end the same. What they write to standard error differs in its words. */
export function same(t: Test, name: string, peer: string[], ours: string[], options: RunOptions = {}) {
	const wanted = run(peer, options);
	const found = run(ours, options);
	const facts = ({ status, signal, stdout }: Result) => ({ status, signal, stdout });
	t.same(facts(found), facts(wanted), name, { stderr: [wanted.stderr, found.stderr] });
	t.equal(found.stderr !== "", wanted.stderr !== "", `${name}: speaks of an error where the peer does`, { stderr: found.stderr });
}
