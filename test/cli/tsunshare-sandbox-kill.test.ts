/** What is left when a step of the set-up fails, or a process of the pipeline is killed: nothing, after gc. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { makeWorld, needsRoot, processesWith, tsunshare } from "../support/sandbox.ts";

const world = makeWorld("kill");
const sandboxes = join(world.folder, "run/sandboxes");
mkdirSync(sandboxes, { recursive: true, mode: 0o700 });
t.teardown(world.remove);
const { run, shell, folder } = world;

/** The namespaces of all processes of this test's sandboxes: lsns(8) shows those of living processes, too. */
function namespaces(): string[] {
	const found = new Set<string>();
	for (const pid of processesWith(folder)) {
		for (const kind of ["mnt", "pid", "net", "uts", "ipc"]) {
			try {
				const link = readlinkSync(`/proc/${pid}/ns/${kind}`);
				if (link !== readlinkSync(`/proc/self/ns/${kind}`)) found.add(link);
			} catch {
				/* It has ended meanwhile. */
			}
		}
	}
	return [...found];
}

const mounts = () =>
	readFileSync("/proc/self/mountinfo", "utf8")
		.split("\n")
		.filter((line) => line.includes(folder));
const states = () => readdirSync(sandboxes).filter((name) => name !== ".lock");

async function until(condition: () => boolean) {
	for (let i = 0; i < 500 && !condition(); i++) await sleep(10);
}

t.test(
	"whichever process of the pipeline is killed at whichever point, gc leaves no process, mount, namespace or state",
	needsRoot,
	async (t) => {
		/* The points are spread over the time that the pipeline takes undisturbed, and somewhat beyond; the victims take turns. */
		const script = `sleep 0.01; $T --hold --id victim --hold-timeout 600 --rootfs $R --pid --net --uts --ipc --proc --dev --tmpfs /tmp -- sleep 600 | { exec cat; } | $T start --wait`;
		let killed = 0;
		const stages = new Map<string, number>();
		for (let round = 0; round < 75; round++) {
			const pipeline: ChildProcess = spawn("sh", ["-c", script], { env: world.env, stdio: ["ignore", "pipe", "ignore"], detached: true });
			const done = new Promise((resolve) => pipeline.on("exit", resolve));
			await sleep(8 + (round % 20) * 1.5);
			const members = processesWith(folder).filter((pid) => pid !== pipeline.pid);
			const victim = members[(round * 7) % Math.max(1, members.length)];
			if (victim !== undefined) {
				try {
					const comm = readFileSync(`/proc/${victim}/comm`, "utf8").trim();
					process.kill(victim, "SIGKILL");
					stages.set(comm, (stages.get(comm) ?? 0) + 1);
					killed++;
				} catch {
					/* It has ended by itself. */
				}
			}
			/* Then all of the pipeline is killed, but not the supervisor and the container: gc has to see to those. */
			const state = join(sandboxes, "victim", "supervisor");
			await sleep(5);
			if (pipeline.pid) {
				try {
					process.kill(-pipeline.pid, "SIGKILL");
				} catch {
					/* It has ended. */
				}
			}
			pipeline.stdout?.destroy();
			await done;
			/* One that was started is no leftover: it is ended as a person would. */
			if (existsSync(state)) run(["kill", "-s", "KILL", "victim"]);
			await until(() => !existsSync(state) || processesWith(folder).length === 0);
			run(["gc", "--held"]);
			await until(() => processesWith(folder).length === 0);
			run(["gc"]);
			/* strace ends when all of them have. */
			const left = { processes: processesWith(folder), namespaces: namespaces(), mounts: mounts(), states: states() };
			t.same(left, { processes: [], namespaces: [], mounts: [], states: [] }, `round ${round}`);
		}
		t.ok(killed >= 50, `${killed} were killed: ${[...stages].map(([comm, count]) => `${count} ${comm}`).join(", ")}`);
	},
);

t.test("when the supervisor of a running sandbox is killed, all of the sandbox dies at once", needsRoot, async (t) => {
	const { stdout } = shell(
		"$T --hold --id run --rootfs $R --pid --stdout /dev/null --stderr /dev/null -- sh -c 'sleep 600 & sleep 600' | $T start",
	);
	const record = JSON.parse(stdout);
	process.kill(record.supervisor.pid, "SIGKILL");
	await until(() => processesWith(folder).length === 0);
	t.same(processesWith(folder), []);
	t.match(run(["wait", "run"]).stderr, /run: ended without a status: its supervisor was killed/);
	t.equal(run(["gc"]).stdout, "run\n");
});

t.test("a filter that fails ends the held sandbox, and nothing is left", needsRoot, async (t) => {
	const { status, stdout } = shell(
		"$T --hold --id filtered --rootfs $R --pid --stdout /dev/null --stderr /dev/null true | { read -r line; exit 3; } | $T start --wait 2>&1",
	);
	t.same([status, stdout], [125, ""], "who comes after it in the pipe has nothing to say");
	t.equal(run(["gc", "--held"]).stdout.trim(), "filtered");
	await until(() => processesWith(folder).length === 0);
	t.same(processesWith(folder), []);
});

t.test("when nobody reads the record, the sandbox ends", needsRoot, async (t) => {
	/* The pipe has no reader any more when the record is written. */
	shell("{ sleep 0.1; $T --hold --id unread --hold-timeout 600 --rootfs $R --pid --stdout /dev/null --stderr /dev/null true; } | true");
	await until(() => processesWith(folder).length === 0);
	t.same([processesWith(folder), states()], [[], []]);
});

t.test("each system call of the set-up may fail: that gives one line and the status 125, and nothing is left", needsRoot, (t) => {
	const calls =
		"mount move_mount open_tree fsopen fsconfig fsmount mount_setattr pivot_root umount2 mknodat symlinkat mkdirat sethostname prctl setgroups fchdir chdir statx socket ioctl clone3";
	for (const hold of [[], ["--hold", "--hold-timeout", "10ms"]]) {
		const args = [
			...hold,
			"--rootfs",
			world.root,
			"--pid",
			"--net",
			"--hostname",
			"x",
			"--read-only",
			"--proc",
			"--dev",
			"--tmpfs",
			"/tmp/new",
		];
		const end = hold.length > 0 ? ["--stdout", "/dev/null", "--stderr", "/dev/null", "true"] : ["--cap-drop", "ALL", "true"];
		for (const call of calls.split(" ")) {
			let failures = 0;
			let successes = 0;
			/* The calls are counted for each process. There is no N-th, or its failure has been made up for: that is a success. */
			for (let nth = 1; successes < 3; nth++) {
				const inject = [
					"-f",
					"--seccomp-bpf",
					"-qq",
					"-o",
					"/dev/null",
					"-e",
					`trace=${call}`,
					"-e",
					`inject=${call}:error=EPERM:when=${nth}`,
				];
				const { status, stderr, stdout } = spawnSync("strace", [...inject, tsunshare, ...args, ...end], {
					encoding: "utf8",
					env: world.env,
					timeout: 30_000,
				});
				if (status === 0) {
					successes++;
					continue;
				}
				failures++;
				successes = 0;
				if (status !== 125 || !/^tsunshare: .+: .+\n(tsunshare: hint: .+\n)?$/.test(stderr) || stdout !== "")
					t.fail(`${call} ${nth}: status ${status}: ${stderr}${stdout}`);
			}
			/* strace ends when all of them have. */
			const left = { processes: processesWith(folder), mounts: mounts(), states: states() };
			t.same(left, { processes: [], mounts: [], states: [] }, `${hold.join(" ")} ${call}: ${failures} failures`);
		}
	}
	t.end();
});
