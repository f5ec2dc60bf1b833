/** Runs behaviours of tscgctl on this machine's layout. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { type Behaviour, behaviours, prelude } from "./cgctl-behaviours.ts";
import { checkBehaviour, type Outcome } from "./cgctl-check.ts";
import { bin } from "./tools.ts";

/** Compiles load.c, statically. */
export function buildLoad(output: string) {
	const source = fileURLToPath(new URL("load.c", import.meta.url));
	const { status, stderr } = spawnSync("gcc", ["-O1", "-static", "-pthread", "-o", output, source], { encoding: "utf8" });
	if (status !== 0) throw new Error(stderr);
}

/** A process group of its own, so that a script that hangs can be ended with all that it started. */
function run(script: string, env: Record<string, string>): Promise<Outcome> {
	return new Promise((resolve) => {
		const child = spawn("sh", ["-c", script], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], detached: true });
		const said = { stdout: "", stderr: "" };
		for (const name of ["stdout", "stderr"] as const)
			child[name].setEncoding("utf8").on("data", (text: string) => {
				said[name] += text;
			});
		const late = setTimeout(() => process.kill(-(child.pid as number), "SIGKILL"), 90_000);
		child.on("exit", (status, signal) => {
			clearTimeout(late);
			/* What a script leaves behind may hold the pipes open. */
			setTimeout(() => {
				child.stdout.destroy();
				child.stderr.destroy();
				resolve({ status: status ?? (signal ? 128 : null), ...said });
			}, 20);
		});
	});
}

/** Declares a test for each of the behaviours. */
export function testOnHost(wanted: (behaviour: Behaviour) => boolean) {
	const needsRoot = process.getuid?.() === 0 ? false : "needs root";
	if (needsRoot) return t.test("tscgctl on this machine", { skip: needsRoot }, async () => {});
	const folder = mkdtempSync(join(tmpdir(), "tsbox-cgctl-"));
	buildLoad(join(folder, "load"));
	const version = existsSync("/sys/fs/cgroup/memory/tasks") ? 1 : 2;
	const isHybrid = version === 1 && existsSync("/sys/fs/cgroup/unified/cgroup.procs");
	let disk = "";
	t.teardown(() => {
		if (disk) spawnSync("losetup", ["-d", disk]);
		rmSync(folder, { recursive: true });
	});
	const makeDisk = () => {
		writeFileSync(join(folder, "disk"), "");
		truncateSync(join(folder, "disk"), 64 << 20);
		disk = spawnSync("losetup", ["--find", "--show", join(folder, "disk")], { encoding: "utf8" }).stdout.trim();
		return disk;
	};
	for (const behaviour of behaviours.filter(wanted)) {
		if (behaviour.version !== undefined && behaviour.version !== version) continue;
		if (behaviour.hybrid && !isHybrid) continue;
		const skip = behaviour.needsDisk && !disk && makeDisk() === "" ? "no loop device to be had" : false;
		t.test(behaviour.name, { skip }, async (t) => {
			const env = { PATH: `${bin}:${folder}:${process.env.PATH}`, TSBOX_RUN: join(folder, "run"), DISK: disk };
			checkBehaviour(t, behaviour, await run(`${prelude}${behaviour.script}`, env));
		});
	}
	return undefined;
}
