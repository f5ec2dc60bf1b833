/** Joining the cgroups that another process is in: man 7 cgroups. */
import { close, O_WRONLY, open, readFile, write } from "../../native/linux/fs.ts";
import { type MountInfo, mountinfo } from "../../native/linux/mount.ts";
import { dryRun } from "../../native/linux/syscall.ts";
import { fail } from "../common/errors.ts";
import { type Entered, readOf } from "./target.ts";

/** An open cgroup.procs. */
export interface Cgroup {
	fd: number;
	path: string;
}

/** Opens the cgroups that the target is in and we are not, of all hierarchies: as the mounts are now. */
export function cgroupsOf(target: Entered): Cgroup[] {
	const own = readFile("/proc/self/cgroup").split("\n");
	const wanted = readOf(target, "cgroup")
		.split("\n")
		.filter((line) => line !== "" && !own.includes(line));
	if (wanted.length === 0) return [];
	const mounts = mountinfo();
	return wanted.map((line) => {
		/* ID:CONTROLLERS:PATH; there are none in that of version 2. */
		const [, controllers = "", ...rest] = line.split(":");
		const path = `${folderOf(mounts, controllers, rest.join(":"))}/cgroup.procs`;
		return { fd: dryRun(`open ${path}`) ? -1 : open(path, O_WRONLY), path };
	});
}

/** Where a cgroup's folder is. */
function folderOf(mounts: MountInfo[], controllers: string, path: string): string {
	for (const mount of mounts) {
		const isIt =
			controllers === ""
				? mount.type === "cgroup2"
				: mount.type === "cgroup" && controllers.split(",").every((name) => mount.superOptions.split(",").includes(name));
		if (!isIt) continue;
		/* A mount may show a part of the hierarchy only. */
		if (mount.root === "/") return mount.target + (path === "/" ? "" : path);
		if (path === mount.root || path.startsWith(`${mount.root}/`)) return mount.target + path.slice(mount.root.length);
	}
	return fail(`cgroup ${path}: its hierarchy (${controllers || "version 2"}) is not mounted here`);
}

/** Moves this process into them. */
export function joinCgroups(cgroups: Cgroup[]) {
	for (const { fd, path } of cgroups) {
		if (dryRun(`write ${path} "0"`)) continue;
		write(fd, "0");
		close(fd);
	}
}
