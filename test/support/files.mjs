/**
 * Runs test files, each in a process of its own as `node FILE`, and reads the TAP that they write.
 *
 * tap's own runner prints a file's results only when those of all earlier ones are out, and loses the result of another
 * file when one exceeds the time limit; and here every file has its own process group, so that nothing of it is left.
 */
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, fileReader } from "./results.mjs";

/* Seconds for a file. tap names the test that hangs when its own limit is over, so that one is the shorter. */
const limit = Number(process.env.TAP_TIMEOUT || 300);
/** A guest without KVM takes longer, the more so beside another file. */
const limitOf = (file) => (file.includes("test/vm/") ? 3 * limit : limit);
const grace = 15;

const running = new Set();

function killGroup(child, signal) {
	try {
		process.kill(-child.pid, signal);
	} catch {
		/* It has no process left. */
	}
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
	process.on(signal, () => {
		for (const child of running) killGroup(child, "SIGKILL");
		process.exit(1);
	});

/** Runs the files, `jobs` at a time; prints how they went, and calls `onResult(file, result)` as they end, with the lists of results.mjs. */
export async function runFiles(files, jobs, env, onResult) {
	const queue = [...files];
	const worker = async () => {
		for (let file = queue.shift(); file; file = queue.shift()) onResult(file, await runFile(file, env));
	};
	await Promise.all(Array.from({ length: jobs }, worker));
}

async function runFile(file, env) {
	const started = performance.now();
	const reader = fileReader(file);
	const child = spawn(process.execPath, ["--import=./test/support/typescript.mjs", "--enable-source-maps", file], {
		stdio: ["ignore", "pipe", "pipe"],
		env: { ...process.env, TAP_TIMEOUT: String(limitOf(file)), ...env },
		detached: true,
	});
	running.add(child);
	let errors = "";
	child.stderr.setEncoding("utf8").on("data", (text) => {
		errors = (errors + text).slice(-65_536);
	});
	child.stdout.on("data", (chunk) => reader.stream.write(chunk));
	let isLate = false;
	const timer = setTimeout(
		() => {
			isLate = true;
			killGroup(child, "SIGKILL");
		},
		(limitOf(file) + grace) * 1000,
	);
	const closed = new Promise((resolve) => child.on("close", resolve));
	const how = await new Promise((resolve) => {
		child.on("error", (error) => resolve(error.message));
		child.on("exit", (code, signal) => resolve(signal ? `ended by ${signal}` : code ? `exit status ${code}` : ""));
	});
	clearTimeout(timer);
	/* What a test left running may hold the pipes open: what is in them already is all that counts. */
	await Promise.race([closed, sleep(2000, undefined, { ref: false })]);
	killGroup(child, "SIGKILL");
	child.stdout.destroy();
	child.stderr.destroy();
	running.delete(child);
	const result = reader.end(isLate ? `no end within ${limitOf(file)} s` : how);
	console.log(describe(file, (performance.now() - started) / 1000, result, errors));
	return result;
}
