/**
 * Cgroup hierarchies: where they are mounted, which cgroups a process is in, and how one enters others.
 *
 * man 7 cgroups, Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
 */
import { EINVAL } from "./errno.ts";
import { close, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_WRONLY, open, readFile, readFileIfAny, write } from "./fd.ts";
import { parseMountinfo } from "./mount.ts";
import { CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, fileSystemType } from "./stat.ts";
import { dryRun, isDryRun, SysError } from "./syscall.ts";

export interface Hierarchy {
	version: 1 | 2;
	/** Where it is mounted. */
	mount: string;
	/** The cgroup that is the mount's root: "/", but below a container's cgroup for a bind mount of it. */
	root: string;
	/** The controllers on it, by the kernel's names (blkio); none on a v1 hierarchy that is some program's bookkeeping. */
	controllers: string[];
	/** `systemd` of a v1 hierarchy mounted with `name=systemd`. */
	name?: string;
}

/** All that a v1 hierarchy may have among its mount's options. */
const V1_CONTROLLERS = " cpuset cpu cpuacct blkio memory devices freezer net_cls perf_event net_prio hugetlb pids rdma misc dmem debug ";

/** The hierarchies that are mounted, in the order of their mounts. */
export function hierarchies(): Hierarchy[] {
	const found: Hierarchy[] = [];
	const lines = readFile("/proc/self/mountinfo").split("\n");
	for (const mounted of parseMountinfo(lines.filter((line) => line.includes(" - cgroup")).join("\n"))) {
		const { target: mount, root } = mounted;
		const hierarchy = mounted.type === "cgroup2" ? v2At(mount, root) : v1At(mount, root, mounted.superOptions.split(","));
		const same = found.findIndex(
			(h) => h.version === hierarchy.version && (h.version === 2 || hierarchyName(h) === hierarchyName(hierarchy)),
		);
		/* One hierarchy may be mounted more than once: the mount that shows most of it is taken. */
		if (same < 0) found.push(hierarchy);
		else if (root.length < (found[same] as Hierarchy).root.length) found[same] = hierarchy;
	}
	return found;
}

function v1At(mount: string, root: string, options: string[]): Hierarchy {
	const controllers = options.filter((option) => V1_CONTROLLERS.includes(` ${option} `));
	const name = options.find((option) => option.startsWith("name="))?.slice(5);
	return { version: 1, mount, root, controllers, ...(name !== undefined && { name }) };
}

/** v2's controllers are in a file, which many runs need not read. */
function v2At(mount: string, root: string): Hierarchy {
	let known: string[] | undefined;
	return {
		version: 2,
		mount,
		root,
		get controllers() {
			known ??= (readFileIfAny(`${mount}/cgroup.controllers`) ?? "").split(/\s+/).filter((name) => name !== "");
			return known;
		},
	};
}

/** The mount option or file that names a hierarchy for people: `cpu,cpuacct`, `name=systemd`, `v2`. */
export function hierarchyName(hierarchy: Hierarchy): string {
	return hierarchy.version === 2 ? "v2" : hierarchy.controllers.join(",") || `name=${hierarchy.name}`;
}

/** A line of /proc/PID/cgroup, `ID:CONTROLLERS:PATH`: "" are the controllers of version 2. */
export interface Membership {
	controllers: string;
	path: string;
}

export function parseMemberships(text: string): Membership[] {
	return text
		.split("\n")
		.filter((line) => line !== "")
		.map((line) => {
			const [, controllers = "", ...rest] = line.split(":");
			return { controllers, path: rest.join(":") };
		});
}

/** The hierarchy that a line of /proc/PID/cgroup means; undefined where it is not mounted. */
export function hierarchyFor({ controllers }: Membership, among: Hierarchy[]): Hierarchy | undefined {
	if (controllers === "") return among.find((h) => h.version === 2);
	const names = controllers.split(",");
	return among.find((h) => h.version === 1 && names.every((name) => h.controllers.includes(name) || name === `name=${h.name}`));
}

/** The folder of a cgroup's path as /proc/PID/cgroup has it; undefined where the mount does not show it. */
export function folderOnMount({ mount, root }: Hierarchy, path: string): string | undefined {
	const inside = root === "/" ? path : path === root || path.startsWith(`${root}/`) ? path.slice(root.length) : undefined;
	return inside === undefined ? undefined : `${mount}${inside === "/" ? "" : inside}`;
}

/** The cgroups that a process is about to enter: open, and sure to be cgroups. */
export interface CgroupEntry {
	/** v1: each `tasks`. */
	tasks: { fd: number; path: string }[];
	/** v2's folder, for clone3's CLONE_INTO_CGROUP. */
	v2?: { fd: number; path: string };
}

/**
 * Opens the folders of cgroups, one a hierarchy. They may come from elsewhere (a sandbox record), so each is opened once,
 * without following a link at its end, and must be of a cgroup file system. Throws SysError: ENOENT, ENOTDIR, EINVAL for
 * a folder of another file system.
 */
export function openCgroups(folders: string[]): CgroupEntry {
	const entry: CgroupEntry = { tasks: [] };
	try {
		for (const folder of folders) {
			if (isDryRun()) {
				entry.tasks.push({ fd: -1, path: `${folder}/tasks` });
				continue;
			}
			const fd = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW);
			const type = fileSystemType(fd);
			if (type === CGROUP2_SUPER_MAGIC && !entry.v2) {
				entry.v2 = { fd, path: folder };
				continue;
			}
			try {
				if (type !== CGROUP_SUPER_MAGIC) throw new SysError("open a cgroup", EINVAL, folder);
				entry.tasks.push({ fd: open("tasks", O_WRONLY, 0, fd), path: `${folder}/tasks` });
			} finally {
				close(fd);
			}
		}
	} catch (error) {
		closeCgroups(entry);
		throw error;
	}
	return entry;
}

/**
 * Moves this process, which has one thread, into the cgroups, and closes them. `cloned`: clone3 has put it into v2's.
 *
 * "0" in v1's `tasks` moves the thread that writes, for which the kernel need not stop all forks and exits of the machine
 * (Linux 5.12): no grace period of RCU is waited for, as there is when another process is moved. Throws SysError.
 */
export function enterCgroups(entry: CgroupEntry, cloned: boolean) {
	try {
		for (const { fd, path } of entry.tasks) enterBy(fd, path);
		if (entry.v2 && !cloned) {
			const path = `${entry.v2.path}/cgroup.procs`;
			const fd = open("cgroup.procs", O_WRONLY, 0, entry.v2.fd);
			try {
				enterBy(fd, path);
			} finally {
				close(fd);
			}
		}
	} finally {
		closeCgroups(entry);
	}
}

function enterBy(fd: number, path: string) {
	if (dryRun(`write ${path} "0"`)) return;
	try {
		write(fd, "0");
	} catch (error) {
		throw error instanceof SysError ? new SysError(error.call, error.errno, path) : error;
	}
}

export function closeCgroups({ tasks, v2 }: CgroupEntry) {
	for (const { fd } of v2 ? [...tasks, v2] : tasks) if (fd >= 0) close(fd);
}
