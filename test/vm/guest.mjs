// A qemu process, and the conversation with `serve` inside it.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const consoleKept = 16_384;
const running = new Set();
const folders = new Set();

process.on("exit", () => {
	for (const qemu of running) qemu.kill("SIGKILL");
	for (const folder of folders) removeFolder(folder);
});

function removeFolder(folder) {
	folders.delete(folder);
	rmSync(folder, { recursive: true, force: true });
}

/** Makes a folder for one guest, and removes those of test runners that were killed. */
export function runFolder(parent) {
	for (const name of readdirSync(parent)) {
		const owner = /^run-(\d+)-/.exec(name)?.[1];
		if (owner && !existsSync(`/proc/${owner}`)) removeFolder(join(parent, name));
	}
	const folder = mkdtempSync(join(parent, `run-${process.pid}-`));
	folders.add(folder);
	return folder;
}

/** Starts qemu in a folder of runFolder(), which goes when qemu does. Gives { run, close }. */
export function start(folder, args) {
	// The three ports of `serve` are socketpairs, which leave no file behind.
	const ports = ["requests", "stdout", "stderr"].flatMap((name, index) => [
		...["-chardev", `socket,id=${name},fd=${3 + index}`],
		...["-device", `virtserialport,nr=${1 + index},chardev=${name}`],
	]);
	const command = ["qemu-system-x86_64", ...args, "-device", "virtio-serial-pci", ...ports];
	// A test runner that is killed takes its guests with it.
	const qemu = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...command], {
		cwd: folder,
		stdio: ["ignore", "pipe", "pipe", "pipe", "pipe", "pipe"],
	});
	const [, serial, errors, requests, ...outputs] = qemu.stdio;
	running.add(qemu);

	let tail = "";
	for (const stream of [serial, errors]) {
		stream.setEncoding("utf8").on("data", (text) => {
			tail = (tail + text.replaceAll("\r", "")).slice(-consoleKept);
		});
	}
	// What is written between two scripts is dropped; a port that nobody reads would block its writer in the guest.
	for (const output of outputs) output.resume();
	for (const port of [requests, ...outputs]) port.on("error", () => {});

	const gone = new Promise((resolve) => {
		qemu.on("error", (error) => resolve(`qemu: ${error.message}`));
		qemu.on("close", (code, signal) => resolve(`the guest is gone: qemu ended with ${signal ?? code}`));
	}).finally(() => {
		running.delete(qemu);
		removeFolder(folder);
	});
	const close = async () => {
		qemu.kill("SIGKILL");
		await gone;
	};

	let isBusy = false;
	/** Runs one script. Throws when the time (in ms) is up or the guest dies, after which the guest is no more. */
	const run = async (script, timeout, encoding) => {
		if (isBusy) throw new Error("this guest is still running a script");
		const body = Buffer.from(script);
		isBusy = true;
		const started = performance.now();
		const token = randomBytes(16).toString("hex");
		const [stdout, stderr] = outputs.map((output) => readUntil(output, token));
		requests.write(`${token} ${body.length}\n`);
		requests.write(body);
		let timer;
		const late = new Promise((resolve) => {
			timer = setTimeout(resolve, timeout, `no end within ${timeout / 1000} s`);
		});
		const failure = await Promise.race([Promise.all([stdout.ended, stderr.ended]).then(() => ""), gone, late]);
		clearTimeout(timer);
		isBusy = false;
		if (failure) {
			await close();
			const said = { stdout: stdout.text().toString(), stderr: stderr.text().toString(), console: tail };
			throw Object.assign(new Error(describe(failure, said)), said);
		}
		const text = (output) => (encoding === "buffer" ? output.text() : output.text().toString(encoding));
		const seconds = (performance.now() - started) / 1000;
		return { status: await stdout.ended, stdout: text(stdout), stderr: text(stderr), console: tail, seconds };
	};
	return { run, close };
}

/** Collects a stream up to "TOKEN STATUS\n". `ended` resolves with the status, `text()` gives what came so far. */
function readUntil(stream, token) {
	const chunks = [];
	const ended = new Promise((resolve) => {
		let last = Buffer.alloc(0);
		const onData = (chunk) => {
			chunks.push(chunk);
			last = Buffer.concat([last, chunk]);
			const at = last.indexOf(token);
			const end = at < 0 ? -1 : last.indexOf("\n", at);
			if (end >= 0) {
				stream.off("data", onData);
				resolve(Number(last.subarray(at + token.length, end)));
			}
			// Enough to find a trailer that arrives in pieces.
			last = last.subarray(-2 * token.length);
		};
		stream.on("data", onData);
	});
	const text = () => {
		const all = Buffer.concat(chunks);
		const at = all.indexOf(token);
		return at < 0 ? all : all.subarray(0, at);
	};
	return { ended, text };
}

function describe(failure, { stdout, stderr, console }) {
	const lines = (name, text) => `\n--- ${name}, last lines\n${text.trimEnd().split("\n").slice(-100).join("\n")}`;
	return failure + lines("stdout", stdout) + lines("stderr", stderr) + lines("console", console);
}
