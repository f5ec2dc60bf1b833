/**
 * What `ls` and `tree` show of a cgroup, by as few files as that takes: there may be hundreds of cgroups. The same facts
 * as usage.ts has, and more, for one.
 */

import { hierarchyOf } from "../group/layout.ts";
import { folderIn, type Group } from "../group/path.ts";
import { readTrimmed } from "../group/read.ts";
import { v1Limit, v2Limit } from "../limits/step.ts";

export interface Glance {
	frozen: boolean;
	/** Seconds, cpus' worth, bytes; absent is what the kernel does not tell, a limit is null where there is none. */
	cpu?: number;
	cpus: number | null;
	memory?: number;
	memoryLimit: number | null;
	pids?: number;
	pidsLimit: number | null;
}

function number(text: string | undefined): number | undefined {
	return text === undefined || text === "" ? undefined : Number(text);
}

function orNull(limit: number): number | null {
	return limit === Infinity ? null : limit;
}

/** The number in a line `key number` of a long file. */
function field(text: string | undefined, key: string): number | undefined {
	const at = text === undefined ? -1 : `\n${text}`.indexOf(`\n${key} `);
	return at < 0 ? undefined : Number.parseInt((text as string).slice(at + key.length + 1, at + key.length + 22), 10);
}

export function glance(group: Group): Glance {
	const folder = (controller: string) => {
		const hierarchy = hierarchyOf(group.layout, controller);
		return hierarchy && { version: hierarchy.version, path: folderIn(group, hierarchy) };
	};
	const seen: Glance = { frozen: false, cpus: null, memoryLimit: null, pidsLimit: null };
	const freezer = folder("freezer");
	if (freezer?.version === 1) seen.frozen = readTrimmed(`${freezer.path}/freezer.state`) === "FROZEN";
	else if (freezer) seen.frozen = field(readTrimmed(`${freezer.path}/cgroup.events`), "frozen") === 1;
	Object.assign(seen, cpu(folder("cpuacct"), folder("cpu")), memory(folder("memory")));
	const pids = folder("pids");
	const current = pids && number(readTrimmed(`${pids.path}/pids.current`));
	if (pids && current !== undefined) {
		seen.pids = current;
		seen.pidsLimit = orNull(v2Limit(readTrimmed(`${pids.path}/pids.max`)));
	}
	return seen;
}

type Folder = { version: 1 | 2; path: string } | undefined;

function cpu(account: Folder, folder: Folder): Partial<Glance> {
	const seen: Partial<Glance> = {};
	const used =
		account?.version === 1
			? number(readTrimmed(`${account.path}/cpuacct.usage`))
			: account && field(readTrimmed(`${account.path}/cpu.stat`), "usage_usec");
	if (used !== undefined) seen.cpu = used / (account?.version === 1 ? 1e9 : 1e6);
	if (folder?.version === 1) {
		const quota = Number(readTrimmed(`${folder.path}/cpu.cfs_quota_us`) ?? -1);
		if (quota >= 0) seen.cpus = quota / Number(readTrimmed(`${folder.path}/cpu.cfs_period_us`));
	} else if (folder) {
		const [quota = "max", period] = (readTrimmed(`${folder.path}/cpu.max`) ?? "max").split(" ");
		if (quota !== "max") seen.cpus = Number(quota) / Number(period);
	}
	return seen;
}

/** As `docker stats`: without page cache that has not been used for a while. */
function memory(folder: Folder): Partial<Glance> {
	if (!folder) return {};
	const [current, limit, inactive] =
		folder.version === 1
			? ["memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"]
			: ["memory.current", "memory.max", "inactive_file"];
	const charged = number(readTrimmed(`${folder.path}/${current}`));
	if (charged === undefined) return {};
	const bound = readTrimmed(`${folder.path}/${limit}`);
	return {
		/* Where little is charged, there is little to take off: the long file need not be made. */
		memory: charged === 0 ? 0 : Math.max(0, charged - (field(readTrimmed(`${folder.path}/memory.stat`), inactive as string) ?? 0)),
		memoryLimit: orNull(folder.version === 1 ? v1Limit(bound) : v2Limit(bound)),
	};
}
