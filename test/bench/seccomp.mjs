/** What a system call costs under a filter: in our container with the default policy, and in crun's with Docker's profile. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";

const ROUNDS = 9;

/** Docker's profile as it would hand it to a runtime: for its 14 capabilities, on this machine. */
function profile() {
	const { archMap, syscalls, ...rest } = JSON.parse(readFileSync("test/support/docker-seccomp.json", "utf8"));
	const arch = process.arch === "x64" ? "amd64" : "arm64";
	const [own] = archMap.filter(({ architecture }) => architecture === (arch === "amd64" ? "SCMP_ARCH_X86_64" : "SCMP_ARCH_AARCH64"));
	const counts = ({ includes = {} }) =>
		(includes.caps ?? []).every((cap) => cap === "CAP_SYS_CHROOT") && (includes.arches ?? [arch]).includes(arch);
	const rules = syscalls.filter(counts).map(({ includes, excludes, ...rule }) => rule);
	return { ...rest, architectures: [own.architecture, ...own.subArchitectures], syscalls: rules };
}

/** A config.json for crun whose container runs one program of its root. */
export function bundleConfig(program) {
	return {
		ociVersion: "1.0.2",
		process: { user: { uid: 0, gid: 0 }, args: [program], env: ["PATH=/"], cwd: "/" },
		root: { path: "rootfs", readonly: true },
		mounts: [
			{ destination: "/proc", type: "proc", source: "proc" },
			{ destination: "/dev", type: "tmpfs", source: "tmpfs" },
		],
		linux: { namespaces: [{ type: "mount" }, { type: "pid" }], seccomp: profile() },
	};
}

/** Rows of a table: nanoseconds a getppid(2), medians of runs that take turns. */
export async function seccompCost(folder) {
	const rootfs = join(folder, "bundle/rootfs");
	for (const place of ["dev", "proc"]) mkdirSync(join(rootfs, place), { recursive: true });
	await execa("gcc", ["-O2", "-static", "-o", join(rootfs, "getppid"), "test/bench/getppid.c"]);
	writeFileSync(join(folder, "bundle/config.json"), JSON.stringify(bundleConfig("/getppid")));
	const usual = ["--cap-drop", "ALL", "--cap-add", "DEFAULT"];
	/* crun refuses a machine that has v1 and v2 hierarchies. */
	const onlyV2 = "mount -t cgroup2 none /sys/fs/cgroup";
	const crun = `--cgroup-manager=disabled run -b ${join(folder, "bundle")} bench-${process.pid}`;
	const commands = {
		"no filter": [join(rootfs, "getppid")],
		"tsunshare --seccomp default": ["bin/tsunshare", "--pid", "--rootfs", rootfs, ...usual, "--seccomp", "default", "--", "/getppid"],
		"crun run, Docker's profile": ["unshare", "--mount", "sh", "-c", `${onlyV2} && exec crun ${crun}`],
	};
	const times = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
	for (let i = 0; i < ROUNDS; i++)
		for (const [name, [program, ...args]] of Object.entries(commands)) times[name].push(Number((await execa(program, args)).stdout));
	const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
	return [["getppid(2)", "time"], ...Object.entries(times).map(([name, list]) => [name, `${median(list).toFixed(1)} ns`])];
}
