/**
 * For the tests of attacks: containers of mkcontainer.sh on a root of their own, with test/support/escape.c in it.
 *
 * Each attack was seen to succeed on an older build: TSBOX_BIN=FOLDER runs a test on the tools of another folder.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeWorld, type Ran, type World } from "./sandbox.ts";
import { tool } from "./tools.ts";

export interface Attack extends World {
	/** The attacker's program, on the host. */
	program: string;
	/** Runs mkcontainer.sh. */
	container(args: string[]): Ran;
	/** `run` on the root, of the attacker's program: what it prints. Throws where it did not run. */
	attack(verb: string[], options?: string[]): string[];
	/** Runs the attacker's program outside. */
	outside(verb: string[]): string[];
	/** A container in the background, by its name, for `exec`. */
	start(options?: string[]): string;
}

const lines = (text: string) => text.split("\n").filter((line) => line !== "");

export function makeAttack(name: string): Attack {
	const world = makeWorld(`escape-${name}`);
	const source = fileURLToPath(new URL("escape.c", import.meta.url));
	const program = join(world.folder, "escape");
	const { status, stderr } = spawnSync("gcc", ["-static", "-O1", "-w", "-o", program, source], { encoding: "utf8" });
	if (status !== 0) throw new Error(stderr);
	copyFileSync(program, join(world.root, "escape"));
	for (const place of ["proc", "sys", "dev"]) mkdirSync(join(world.root, place), { recursive: true });
	const env = { TSBOX_DATA: join(world.folder, "data") };
	const names: string[] = [];
	const container = (args: string[]): Ran => {
		const { status, signal, stdout, stderr } = spawnSync(tool("mkcontainer.sh"), args, {
			encoding: "utf8",
			env: { ...world.env, ...env },
			timeout: 60_000,
			stdio: ["ignore", "pipe", "pipe"],
		});
		return { status, signal, stdout, stderr };
	};
	return {
		...world,
		program,
		container,
		attack(verb, options = []) {
			const { status, stdout, stderr } = container(["run", "--rootfs", world.root, ...options, "--", "/escape", ...verb]);
			if (status !== 0) throw new Error(stderr);
			return lines(stdout);
		},
		outside: (verb) => lines(spawnSync(program, verb, { encoding: "utf8" }).stdout),
		start(options = []) {
			const id = `escape-${name}-${process.pid}-${names.length}`;
			const { status, stderr } = container(["run", "-d", "--name", id, "--rootfs", world.root, ...options, "--", "sleep", "600"]);
			if (status !== 0) throw new Error(stderr);
			names.push(id);
			return id;
		},
		remove() {
			for (const id of names) container(["rm", "-f", id]);
			world.remove();
		},
	};
}
