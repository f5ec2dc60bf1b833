/** For tests of containers: a root made of busybox, a state folder of their own, and what the machine has of them. */
import { type SpawnSyncOptions, spawnSync } from "node:child_process";
import {
	chmodSync,
	chownSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tool } from "./tools.ts";

export const tsunshare = tool("tsunshare");
export const isRoot = process.getuid?.() === 0;
export const needsRoot = isRoot ? {} : { skip: "needs root" };
export const NOBODY = 65534;

const APPLETS =
	"sh ls cat id hostname mount ps env pwd touch echo true false sleep grep test stat readlink head wc ip kill ulimit mkdir rm dd tty stty cut ln nc umount chroot tr seq".split(
		" ",
	);

export interface World {
	/** A folder that all may enter. */
	folder: string;
	/** A root made of busybox, with root and web (33, and its group extra 44) in /etc/passwd. */
	root: string;
	/** The environment in which the tools keep their state apart. */
	env: NodeJS.ProcessEnv;
	/** Runs the tool as the present user or as nobody. */
	run(args: string[], options?: RunOptions): Ran;
	/** Runs a shell script, in which $T is the tool and $R the root. */
	shell(script: string, options?: RunOptions): Ran;
	remove(): void;
}

export interface RunOptions extends Pick<SpawnSyncOptions, "input" | "cwd" | "stdio"> {
	nobody?: boolean;
	env?: NodeJS.ProcessEnv;
}

export interface Ran {
	status: number | null;
	signal: NodeJS.Signals | null;
	stdout: string;
	stderr: string;
}

export function makeRoot(root: string, uid = process.getuid?.() ?? 0) {
	for (const folder of ["", "bin", "etc", "root", "tmp", "var", "var/www"]) {
		mkdirSync(join(root, folder), { recursive: true });
		chmodSync(join(root, folder), 0o755);
	}
	const busybox = spawnSync("sh", ["-c", "command -v busybox"], { encoding: "utf8" }).stdout.trim();
	copyFileSync(busybox, join(root, "bin/busybox"));
	for (const applet of APPLETS) symlinkSync("busybox", join(root, "bin", applet));
	writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/var/www:/bin/sh\n");
	writeFileSync(join(root, "etc/group"), "root:x:0:\nweb:x:33:\nextra:x:44:web\n");
	if (isRoot && uid !== 0) spawnSync("chown", ["-R", `${uid}:${uid}`, root]);
}

/** A world for one test file; take `remove` for its teardown. */
export function makeWorld(name: string): World {
	const folder = mkdtempSync(join(tmpdir(), `tsbox-${name}-`));
	chmodSync(folder, 0o755);
	const root = join(folder, "root");
	makeRoot(root);
	for (const [run, uid] of [
		["run", 0],
		["run-nobody", NOBODY],
	] as const) {
		mkdirSync(join(folder, run), { mode: 0o700 });
		if (isRoot) chownSync(join(folder, run), uid, uid);
	}
	const env = { ...process.env, TSBOX_RUN: join(folder, "run"), T: tsunshare, R: root };
	const spawn = (program: string, args: string[], { nobody, env: more, ...options }: RunOptions = {}): Ran => {
		const asNobody = nobody && isRoot;
		const argv = asNobody ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, ...args] : [program, ...args];
		const state = asNobody ? { TSBOX_RUN: join(folder, "run-nobody") } : {};
		const { status, signal, stdout, stderr } = spawnSync(argv[0] as string, argv.slice(1), {
			...options,
			encoding: "utf8",
			env: { ...env, ...state, ...more },
			timeout: 60_000,
		});
		return { status, signal, stdout, stderr };
	};
	return {
		folder,
		root,
		env,
		run: (args, options) => spawn(tsunshare, args, options),
		shell: (script, options) => spawn("sh", ["-c", script], options),
		remove: () => {
			const sandboxes = join(folder, "run", "sandboxes");
			const made = existsSync(sandboxes) ? readdirSync(sandboxes, { withFileTypes: true }) : [];
			for (const id of made.filter((entry) => entry.isDirectory())) spawn(tsunshare, ["rm", "-f", id.name]);
			/* Not rmSync(): it nests its calls as deep as a hostile root nests its folders. */
			spawnSync("rm", ["-rf", folder]);
		},
	};
}

/** The processes that have a word in their environment, but for the zombies: all of a world's have its state folder there. */
export function processesWith(word: string): number[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.filter((pid) => {
			try {
				return (
					readFileSync(`/proc/${pid}/environ`, "latin1").includes(word) && !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
				);
			} catch {
				return false;
			}
		})
		.map(Number);
}
