/** The cgroup layouts that this machine can show: its own, and v2 alone, in a mount namespace where nothing else is mounted. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const mounts = readFileSync("/proc/self/mounts", "utf8");
const hasV1 = /^\S+ \S+ cgroup .*\bdevices\b/m.test(mounts);

/** As `sh -c` runs it before the command: v2 where a distribution mounts it. */
const ONLY_V2 = 'umount -l -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"';

export interface Layout {
	name: "v1" | "v2";
	skip: string | false;
	/** Runs a command on this layout. */
	run(argv: string[], environment?: Record<string, string>): { status: number | null; stdout: string; stderr: string };
	start(argv: string[], environment?: Record<string, string>): ChildProcess;
}

function layout(name: "v1" | "v2", skip: string | false, prefix: string[]): Layout {
	const command = (argv: string[]) => [...prefix, ...argv] as [string, ...string[]];
	return {
		name,
		skip,
		run(argv, environment = {}) {
			const [program, ...args] = command(argv);
			return spawnSync(program, args, { encoding: "utf8", env: { ...process.env, ...environment }, timeout: 60_000 });
		},
		start(argv, environment = {}) {
			const [program, ...args] = command(argv);
			return spawn(program, args, { env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "pipe"] });
		},
	};
}

const root = process.getuid?.() === 0 ? false : "needs root";

export const layouts: Layout[] = [
	layout("v1", root || (hasV1 ? false : "v1's controllers are not mounted"), []),
	layout("v2", root, ["unshare", "-m", "sh", "-c", ONLY_V2, "sh"]),
];
