/** mkcontainer.sh: hostile archives, signals, containers in the background, and that nothing is left in the end. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
	busyboxRoot,
	busyboxTar,
	cannot,
	cgroups,
	container,
	env,
	folder,
	leftovers,
	mark,
	markedProcesses,
	run,
	script,
	unique,
	until,
} from "../support/container.ts";

if (cannot) {
	t.plan(0, cannot);
	process.exit();
}
const root = busyboxRoot();

interface Member {
	name: string;
	/** man 5 tar: 0 a file, 1 a hard link, 2 a symbolic link, 3 and 4 a character and block device, 5 a folder. */
	type?: string;
	link?: string;
	content?: string;
	device?: [major: number, minor: number];
}

/** A ustar archive with members as they are written here: tar(1) itself would not make such. */
function archive(members: Member[]): string {
	const blocks = members.map(({ name, type = "0", link = "", content = "", device = [0, 0] }) => {
		const header = Buffer.alloc(512);
		const put = (offset: number, text: string) => header.write(text, offset, "latin1");
		const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, "0")}\0`;
		put(0, name);
		put(100, octal(type === "5" ? 0o755 : 0o644, 8));
		put(108, octal(0, 8));
		put(116, octal(0, 8));
		put(124, octal(content.length, 12));
		put(136, octal(0, 12));
		put(148, " ".repeat(8));
		put(156, type);
		put(157, link);
		put(257, "ustar\x0000");
		put(329, octal(device[0], 8));
		put(337, octal(device[1], 8));
		put(
			148,
			octal(
				header.reduce((sum, byte) => sum + byte, 0),
				7,
			),
		);
		return Buffer.concat([header, Buffer.from(content.padEnd(Math.ceil(content.length / 512) * 512, "\0"), "latin1")]);
	});
	const path = join(folder, `${unique()}.tar`);
	writeFileSync(path, Buffer.concat([...blocks, Buffer.alloc(1024)]));
	return path;
}

const busybox: Member[] = [
	{ name: "bin/", type: "5" },
	{ name: "bin/busybox", content: readFileSync(join(root, "bin/busybox"), "latin1") },
	{ name: "bin/sh", type: "2", link: "busybox" },
];
/* The header above makes files 0644. */
const program = ["/bin/sh", "-c", "true"];

t.test("an archive cannot write outside of its folder", async (t) => {
	const outside = mkdtempSync(join(folder, "outside-"));
	writeFileSync(join(outside, "kept"), "kept");
	const up = "../".repeat(12);
	const attacks: Record<string, Member[]> = {
		"an absolute path": [{ name: join(outside, "new"), content: "x" }],
		"a path with ..": [{ name: `${up}${outside.slice(1)}/new`, content: "x" }],
		"a file through a symbolic link": [
			{ name: "out", type: "2", link: outside },
			{ name: "out/new", content: "x" },
		],
		"a file through a relative symbolic link": [
			{ name: "out", type: "2", link: `${up}${outside.slice(1)}` },
			{ name: "out/new", content: "x" },
		],
		"a file through two symbolic links": [
			{ name: "a", type: "5" },
			{ name: "a/b", type: "2", link: ".." },
			{ name: "out", type: "2", link: `a/b/${up}${outside.slice(1)}` },
			{ name: "out/new", content: "x" },
		],
		"a hard link to a file of the host, which is then written": [
			{ name: "hard", type: "1", link: join(outside, "kept") },
			{ name: "hard", content: "changed" },
		],
		"a hard link out by ..": [
			{ name: "hard", type: "1", link: `${up}${outside.slice(1)}/kept` },
			{ name: "hard", content: "changed" },
		],
	};
	for (const [what, members] of Object.entries(attacks)) {
		await run(["--rootfs", archive([...members, ...busybox]), ...program]);
		t.same(readdirSync(outside), ["kept"], what);
		t.equal(readFileSync(join(outside, "kept"), "utf8"), "kept", what);
	}
	t.same(leftovers(), []);
});

t.test("an archive with a device node is refused, but for those of /dev, which are left out", async (t) => {
	const { exitCode, stderr } = await run(["--rootfs", archive([{ name: "disk", type: "4", device: [7, 0] }]), ...program]);
	t.equal(exitCode, 125);
	t.match(stderr, /disk: Cannot mknod: Operation not permitted/);
	t.match(stderr, /^mkcontainer\.sh: .*: not unpacked$/m);
	const tar = busyboxTar();
	const device = archive([
		{ name: "./dev/", type: "5" },
		{ name: "./dev/disk", type: "4", device: [7, 0] },
	]);
	/* Two archives are one without the end of the first. */
	writeFileSync(device, Buffer.concat([readFileSync(device).subarray(0, -1024), readFileSync(tar)]));
	const { stdout } = await run(["--rootfs", device, "ls", "/dev"]);
	t.match(stdout, /^null$/m);
	t.notMatch(stdout, /disk/);
	t.same(leftovers(), []);
});

t.test("what is no archive is refused", async (t) => {
	const path = join(folder, "text");
	writeFileSync(path, "no archive\n".repeat(100));
	const { exitCode, stderr } = await run(["--rootfs", path, "sh"]);
	t.equal(exitCode, 125);
	t.match(stderr, /not look like a tar archive/);
	t.same(leftovers(), []);
});

/** Starts a container in a process group of its own, and waits until its program says that it runs. */
async function start(args: string[], options: { group?: boolean } = {}) {
	const child = spawn(script, ["run", "-e", mark, ...args], {
		env: { ...process.env, ...env },
		detached: options.group !== false,
		stdio: ["ignore", "pipe", "pipe"],
	});
	let stdout = "";
	child.stdout.setEncoding("utf8").on("data", (text) => {
		stdout += text;
	});
	const ended = new Promise<{ status: number | null; stdout: string }>((resolve) => {
		child.on("close", (status) => resolve({ status, stdout }));
	});
	await until(() => stdout.includes("runs\n"));
	return { pid: child.pid as number, ended };
}

t.test("Ctrl-C ends a program that handles no signal, though it is PID 1", async (t) => {
	const { pid, ended } = await start(["--rootfs", root, "sh", "-c", "echo runs; exec sleep 1000"]);
	process.kill(-pid, "SIGINT");
	t.match(await ended, { status: 130, stdout: "runs\n" });
	t.same(leftovers(), []);
});

t.test("a program that handles a signal gets it, once, and ends as it likes", async (t) => {
	for (const [signal, group] of [
		["INT", true],
		["TERM", false],
		["HUP", false],
	] as const) {
		const { pid, ended } = await start([
			"--rootfs",
			root,
			"sh",
			"-c",
			`trap 'echo got ${signal}' ${signal}; echo runs; sleep 1000 & wait; sleep 0.3; exit 7`,
		]);
		process.kill(group ? -pid : pid, `SIG${signal}`);
		t.match(await ended, { status: 7, stdout: `runs\ngot ${signal}\n` }, signal);
	}
	t.same(leftovers(), []);
});

t.test("SIGTERM to the script alone ends the container, with tsinit too", async (t) => {
	for (const init of [[], ["--init"]]) {
		const { pid, ended } = await start([...init, "--rootfs", root, "sh", "-c", "echo runs; exec sleep 1000"]);
		process.kill(pid, "SIGTERM");
		t.equal((await ended).status, 143);
	}
	t.same(leftovers(), []);
});

t.test("a program that ignores a signal goes on", async (t) => {
	const { pid, ended } = await start(["--rootfs", root, "sh", "-c", "trap '' INT; echo runs; sleep 0.5; echo on; exit 3"]);
	process.kill(-pid, "SIGINT");
	t.match(await ended, { status: 3, stdout: "runs\non\n" });
});

t.test("a script that is killed with what it runs leaves nothing that gc does not clear", async (t) => {
	const name = unique();
	const { pid } = await start(["--init", "--name", name, "--rootfs", busyboxTar(), "sh", "-c", "echo runs; exec sleep 1000"]);
	process.kill(-pid, "SIGKILL");
	t.ok(existsSync(join(env.TSBOX_DATA, "containers", name, "rootfs")));
	await until(() => markedProcesses().length === 0);
	await until(async () => (await container(["gc"])).exitCode === 0 && leftovers().length === 0);
	t.same(cgroups(name), []);
});

t.test("a script that is killed at any moment leaves nothing that gc does not clear", async (t) => {
	const tar = busyboxTar();
	const names: string[] = [];
	for (let delay = 0; delay < 60; delay += 3) {
		const name = unique();
		names.push(name);
		const child = spawn(script, ["run", "-e", mark, "--name", name, "--rootfs", tar, "sleep", "1000"], {
			env: { ...process.env, ...env },
			detached: true,
			stdio: "ignore",
		});
		await new Promise((resolve) => setTimeout(resolve, delay));
		process.kill(-(child.pid as number), "SIGKILL");
		await new Promise((resolve) => child.on("close", resolve));
	}
	/* Those that were started live on; a held one ends with gc --held, or by its time limit. */
	for (const name of names) await container(["kill", "-s", "KILL", name]);
	await until(() => markedProcesses().length === 0);
	await until(async () => (await container(["gc"])).exitCode === 0 && leftovers().length === 0);
	for (const name of names) t.same(cgroups(name), []);
});

t.test("a stage that fails leaves nothing, whichever it is", async (t) => {
	for (const args of [
		["--rootfs", root, "/none"],
		["--rootfs", busyboxTar(), "/none"],
		["--memory", "lots", "sh"],
		["--cpuset-cpus", "4000", "sh"],
		["--rootfs", join(folder, "text"), "sh"],
		["-v", "/nowhere:/tmp/x", "sh"],
	])
		t.not((await run(args)).exitCode, 0, args.join(" "));
	t.same(leftovers(), []);
});

t.test("a container in the background is listed, entered, stopped and removed", async (t) => {
	const name = unique();
	const started = await run([
		"-d",
		"--name",
		name,
		"--init",
		"--rootfs",
		busyboxTar(),
		"sh",
		"-c",
		"echo said; echo more >&2; exec sleep 1000",
	]);
	t.match(started, { exitCode: 0, stdout: name, stderr: "" });
	t.match((await container(["ps"])).stdout, new RegExp(`^${name} +\\d+ +running`, "m"));
	t.match(await container(["exec", name, "sh", "-c", "hostname; ps; exit 9"]), { exitCode: 9, stdout: /sleep 1000/ });
	await until(async () => (await container(["logs", name])).stdout === "said\nmore");
	t.match(await run(["--name", name, "true"]), { exitCode: 125, stderr: /there is a container of this name/ });
	t.match(await container(["rm", name]), { exitCode: 1, stderr: /has not ended/ });
	t.equal((await container(["stop", name])).exitCode, 0);
	t.equal((await container(["wait", name])).exitCode, 143);
	t.match((await container(["ps"])).stdout, new RegExp(`^${name} +- +exited 143`, "m"));
	t.equal((await container(["rm", name])).exitCode, 0);
	t.match(await container(["rm", name]), { exitCode: 125, stderr: /no such container/ });
	t.same(cgroups(name), []);
	t.same(leftovers(), []);
});

t.test("stop kills what does not end in time, and what handles no signal at once", async (t) => {
	const stubborn = unique();
	const deaf = unique();
	await run(["-d", "--name", stubborn, "--rootfs", root, "sh", "-c", "trap '' TERM; while :; do sleep 1; done"]);
	await run(["-d", "--name", deaf, "--rootfs", root, "sleep", "1000"]);
	await container(["stop", "-t", "1", stubborn]);
	await container(["stop", deaf]);
	t.equal((await container(["wait", stubborn])).exitCode, 137);
	t.equal((await container(["wait", deaf])).exitCode, 137);
	t.equal((await container(["rm", stubborn, deaf])).exitCode, 0);
	t.same(leftovers(), []);
});

t.test("a container in the background with --rm is forgotten when it ends", async (t) => {
	const { stdout: name } = await run(["-d", "--rm", "--rootfs", busyboxTar(), "sleep", "0.5"]);
	t.not(leftovers().length, 0);
	await until(() => leftovers().length === 0);
	await until(() => cgroups(name).length === 0);
});

t.test("an ordinary user is told that containers need root", async (t) => {
	mkdirSync(join(folder, "open"), { mode: 0o755 });
	const { exitCode, stderr } = await container(["run", "true"], {
		shell: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh"],
	});
	t.equal(exitCode, 125);
	t.match(stderr, /hint: containers need root/);
});
