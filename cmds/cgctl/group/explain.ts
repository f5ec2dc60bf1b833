/** What the kernel's refusals mean for a cgroup, and the remedy. */

import type { Hierarchy } from "../../../native/linux/cgroup.ts";
import { geteuid } from "../../../native/linux/credential.ts";
import { EACCES, EAGAIN, EBUSY, EINVAL, ENOSPC, EOPNOTSUPP, EPERM, ERANGE, EROFS, ESRCH } from "../../../native/linux/errno.ts";
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { statusField } from "../../../native/linux/proc.ts";
import type { SysError } from "../../../native/linux/syscall.ts";
import { ToolError } from "../../common/errors.ts";
import { formatSize } from "../../common/units.ts";
import { v1Limit } from "../limits/step.ts";
import { childNames, nameProcesses } from "./files.ts";
import { folderIn, type Group, lineage, shownName } from "./path.ts";
import { pidsIn, readTrimmed } from "./read.ts";

/** The error to throw for a system call that failed on a cgroup's folder or file. */
export function explain(error: SysError, group: Group, hierarchy: Hierarchy | undefined, because?: string, value = ""): Error {
	const what = because === undefined ? error.message : `${shownName(group)}: ${because}: ${error.message}`;
	const hint = hintFor(error, group, hierarchy, value);
	return hint === undefined && because === undefined ? error : new ToolError(what, hint);
}

function hintFor(error: SysError, group: Group, hierarchy: Hierarchy | undefined, value: string): string | undefined {
	const { errno, object = "" } = error;
	const file = object.slice(object.lastIndexOf("/") + 1);
	if (errno === EROFS) return "cgroups are mounted read-only here, as in a container without a cgroup namespace of its own";
	const folder = hierarchy && folderIn(group, hierarchy);
	if (errno === EOPNOTSUPP && folder && hierarchy.version === 2) return threadedHint(group, folder, file);
	if (folder && file.startsWith("cpuset.")) {
		const hint = cpusetHint(errno, group, hierarchy, folder, file);
		if (hint) return hint;
	}
	if (errno === EACCES || errno === EPERM) {
		if (geteuid() === 0)
			return isInUserNamespace() ? "the user namespace's root may not: the cgroup belongs to a user outside of it" : undefined;
		return `only root and the cgroup's owner may; as root, \`tscgctl delegate${shownName(group) === "/" ? " PATH" : ` ${shownName(group).slice(1)}`} --user ${geteuid()}\` gives it to you`;
	}
	if (error.call === "mkdir" && errno === EAGAIN) return "cgroup.max.descendants or cgroup.max.depth of a cgroup above is reached";
	if (error.call === "mkdir" && errno === ENOSPC)
		return "the kernel has no room for another cgroup: 65535 with memory is the most, counting removed ones that still hold memory";
	if (errno === ENOSPC && file === "tasks") return "its cpuset has no cpus or no memory nodes";
	if (errno === EBUSY && folder && (file === "memory.limit_in_bytes" || file === "memory.memsw.limit_in_bytes")) {
		const [now, peak] = usage(folder, file.startsWith("memory.memsw") ? "memory.memsw" : "memory");
		return `it uses ${now} now and used ${peak} at its peak, and the kernel could not reclaim enough`;
	}
	if (errno === EINVAL && folder && file === "memory.limit_in_bytes") {
		const swap = v1Limit(readTrimmed(`${folder}/memory.memsw.limit_in_bytes`));
		if (swap !== Infinity) return `the limit of memory and swap together is ${formatSize(swap)}; give --memory-swap as well`;
	}
	if (errno === EINVAL && folder && (file === "cpu.cfs_quota_us" || file === "cpu.max")) return quotaHint(group, hierarchy, folder, value);
	if (errno === EINVAL && (file === "cpu.cfs_burst_us" || file === "cpu.max.burst")) return "the burst cannot be more than the quota";
	if (errno === EINVAL && (file === "cpu.shares" || file === "cpu.weight") && folder && readTrimmed(`${folder}/cpu.idle`) === "1")
		return "the cgroup is idle, which is a weight of its own: --cpu-idle=off takes that back";
	return undefined;
}

/** What a threaded cgroup, or one in a threaded subtree, does not do: cgroup-v2.rst, "Threads". */
function threadedHint(group: Group, folder: string, file: string): string | undefined {
	const type = readTrimmed(`${folder}/cgroup.type`);
	const name = shownName(group);
	if (type === "domain invalid")
		return `a cgroup above ${name} is threaded, so it can only be used as threaded as well: \`tscgctl set ${name.slice(1)} cgroup.type=threaded\``;
	if (file === "cgroup.subtree_control")
		return `${name} is ${type ?? "threaded"}: only cpu, cpuset, perf_event and pids can be given to threaded cgroups, no others beside processes in it`;
	if (file === "cgroup.type") return `it must be without processes and controllers of domains (memory, io) to become threaded`;
	return type === "threaded" ? `${name} is threaded (cgroup.type), and has no ${file}` : undefined;
}

function isInUserNamespace(): boolean {
	return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileIfAny("/proc/self/uid_map") ?? "");
}

/** The cgroup above, or the hierarchies' root. */
function above(group: Group): Group {
	const all = lineage(group);
	return all[all.length - 2] ?? { ...group, name: "" };
}

/** EINVAL of v1's quota: the burst is more, or a cgroup above or below has less or more (sched-bwc.rst). */
function quotaHint(group: Group, hierarchy: Hierarchy, folder: string, value: string): string | undefined {
	const [quota = -1, period = 100000] = value.split(" ").map(Number);
	const burst = Number(readTrimmed(`${folder}/cpu.cfs_burst_us`) ?? readTrimmed(`${folder}/cpu.max.burst`) ?? 0);
	if (quota > 0 && burst > quota) return `the burst, ${burst} us, cannot be more than the quota: set --cpu-burst as well`;
	if (hierarchy.version === 2) return undefined;
	const share = (each: string, own = Number(readTrimmed(`${each}/cpu.cfs_quota_us`) ?? -1)) =>
		own < 0 ? Infinity : own / Number(readTrimmed(`${each}/cpu.cfs_period_us`) ?? period);
	const wanted = share(folder, quota);
	const greedy = childNames(folder).find((name) => share(`${folder}/${name}`) !== Infinity && share(`${folder}/${name}`) > wanted);
	if (greedy) return `on v1 a cgroup below it, ${greedy}, may not have more cpu time than this one: \`set -R\` lowers those too`;
	const parent = above(group);
	if (share(folderIn(parent, hierarchy)) < wanted) return `on v1 it cannot have more cpu time than ${shownName(parent)} has`;
	return undefined;
}

/** What a cpuset is refused for: validate_change() of the kernel, and Documentation/admin-guide/cgroup-v1/cpusets.rst. */
function cpusetHint(errno: number, group: Group, hierarchy: Hierarchy, folder: string, file: string): string | undefined {
	if (errno === ERANGE) return "the numbers are larger than this machine's; /sys/devices/system/cpu/possible has its cpus";
	const isCpus = /cpus|cpu_exclusive/.test(file);
	const parent = above(group);
	const parents = (name: string) => readTrimmed(`${folderIn(parent, hierarchy)}/cpuset.${name}`) ?? "";
	const has = (kind: string) => parents(`${kind}.effective`) || parents(`effective_${kind}`) || parents(kind);
	if (hierarchy.version === 1 && file.endsWith("_exclusive")) {
		if (errno === EACCES) return `a cpuset can be exclusive only below one that is, and ${shownName(parent)} is not`;
		if (errno === EINVAL) return "a cpuset can be exclusive only where no other below the same one has the same numbers";
	}
	const kind = isCpus ? "cpus" : "mems";
	if (errno === EACCES && hierarchy.version === 1 && geteuid() === 0)
		return `on v1 the cgroup above must have these ${isCpus ? "cpus" : "memory nodes"}: ${shownName(parent)} has ${has(kind) || "none"}`;
	if (errno === EBUSY && hierarchy.version === 1)
		return `the cgroups below it have some of those that it would lose: ${childNames(folder).join(", ")}; \`set -R\` changes them too`;
	if (errno === EINVAL) {
		const exclusive = isCpus && parents("cpu_exclusive") === "1";
		return exclusive
			? "a cpuset beside it may have some of them for itself alone"
			: `they must be online, and of those of ${shownName(parent)}: ${has(kind)}`;
	}
	if (errno === ENOSPC) return `processes are in it, so it cannot be without ${isCpus ? "cpus" : "memory nodes"}`;
	return undefined;
}

/** Memory used now and at the peak, for people. */
function usage(folder: string, prefix: string): [string, string] {
	const size = (file: string) => formatSize(Number(readTrimmed(`${folder}/${prefix}.${file}`) ?? 0));
	return [size("usage_in_bytes"), size("max_usage_in_bytes")];
}

/** Why a process could not enter. */
export function explainJoin(error: SysError, group: Group, hierarchy: Hierarchy, pid: number): Error {
	const name = shownName(group);
	const folder = folderIn(group, hierarchy);
	const process = pid === 0 ? "this process" : `pid ${pid}`;
	if (error.errno === ESRCH) return new ToolError(`${pid}: no such process`);
	if (error.errno === EBUSY && hierarchy.version === 2)
		return new ToolError(
			`${name}: cgroup v2 allows it no processes of its own while it gives ${readTrimmed(`${folder}/cgroup.subtree_control`)?.replace(/ /g, ", ")} to those below it: ${childNames(folder).join(", ")}`,
			`join ${name.slice(1)}/leaf, or give --leaf, which does that`,
		);
	if (error.errno === EINVAL && pid !== 0) {
		const isKernelThread = (statusField(pid, "VmSize") ?? "") === "" && statusField(pid, "State")?.startsWith("Z") === false;
		if (isKernelThread) return new ToolError(`${name}: ${process} cannot be moved`, "it is a thread of the kernel's, bound to its cpu");
	}
	if (error.errno === EINVAL && hierarchy.controllers.includes("cpu"))
		return new ToolError(`${name}: ${process} cannot enter: ${error.message}`, "a real-time process needs cpu.rt_runtime_us in its cgroup");
	if ((error.errno === EACCES || error.errno === EPERM) && hierarchy.version === 2)
		return new ToolError(
			`${name}: ${process} cannot enter: ${error.message}`,
			"one must own the process, and be allowed to write cgroup.procs in this cgroup and in the one that is above both the old and the new",
		);
	return explain(error, group, hierarchy);
}

/** Why a cgroup could not be removed. */
export function explainBusy(group: Group, folders: string[]): ToolError {
	const pids = [...new Set(folders.flatMap(pidsIn))];
	if (pids.length > 0)
		return new ToolError(
			`${shownName(group)}: has processes: ${nameProcesses(pids)}`,
			`\`tscgctl rm --kill ${shownName(group).slice(1)}\` ends them first`,
		);
	const names = [...new Set(folders.flatMap(childNames))];
	if (names.length > 0) return new ToolError(`${shownName(group)}: has cgroups below it: ${names.join(", ")}`, "-r removes them as well");
	return new ToolError(`${shownName(group)}: rmdir: Device or resource busy`);
}
