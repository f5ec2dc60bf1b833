/** The options that verbs share. Values stay text here: limits.ts and path.ts read them, once a verb needs them. */
import { options } from "../common/command-line/options.ts";

/** Which cgroup a path names. */
export const pathOptions = options([
	{ long: "root", value: "PATH", help: "the cgroup that paths are below: /tsbox, or $TSBOX_CGROUP_ROOT", group: "Common" },
]);

/** The same for a verb that changes cgroups. */
export const changeOptions = options([
	...pathOptions,
	{
		long: "force",
		help: "change also a cgroup that tsbox did not make; v2: set a limit of memory below what is used",
		group: "Common",
		rare: true,
	},
]);

export const limitOptions = options([
	{ long: "cpus", value: "N", help: "cpu time per wall time: 0.5 is half a cpu", group: "CPU" },
	{ long: "cpu-weight", value: "N", help: "share of a busy cpu: 1-10000, default 100", group: "CPU" },
	{ long: "cpu-shares", value: "N", help: "the same in v1's words: 2-262144, default 1024", group: "CPU", short: "c" },
	{
		long: "weight-formula",
		value: "NAME",
		help: "how shares and weight are made of each other: kernel (1024:100, as the scheduler does it), log (runc since 1.3.2) or linear (runc before)",
		group: "CPU",
		rare: true,
	},
	{ long: "cpu-burst", value: "TIME", help: "cpu time that may be saved up: 20ms", group: "CPU" },
	{ long: "cpu-period", value: "TIME", help: "the time within which --cpus holds: 1ms-1s, default 100ms", group: "CPU", rare: true },
	{ long: "cpu-quota", value: "TIME", help: "cpu time per period, in place of --cpus", group: "CPU", rare: true },
	{ long: "cpu-idle", help: "run only when nothing else wants the cpu", group: "CPU", rare: true },
	{ long: "cpuset-cpus", value: "LIST", help: "cpus to run on: 0-2,4", group: "CPU" },
	{ long: "cpuset-mems", value: "LIST", help: "memory nodes to use", group: "CPU", rare: true },
	{ long: "memory", short: "m", value: "SIZE", help: "limit: 512m, 1.5g, max", group: "Memory" },
	{ long: "memory-swap", value: "SIZE", help: "limit of memory and swap together", group: "Memory" },
	{ long: "memory-high", value: "SIZE", help: "reclaim and slow down above this (v2)", group: "Memory" },
	{ long: "memory-reservation", value: "SIZE", help: "keep this much when memory is short", group: "Memory", rare: true },
	{ long: "memory-min", value: "SIZE", help: "never reclaim this much (v2)", group: "Memory", rare: true },
	{ long: "memory-swappiness", value: "N", help: "0-100: how readily to swap (v1)", group: "Memory", rare: true },
	{ long: "oom-group", help: "out of memory ends all processes at once (v2)", group: "Memory" },
	{ long: "hugetlb", value: "SIZE=LIMIT", repeat: true, help: "limit of huge pages: 2MB=64m", group: "Memory", rare: true },
	{ long: "pids", value: "N", help: "limit of processes and threads", group: "Processes and devices", alias: ["pids-limit"] },
	{ long: "io-weight", value: "N", help: "share of a busy disk: 1-10000, default 100", group: "Processes and devices" },
	{
		long: "blkio-weight",
		value: "N",
		help: "the same in v1's words: 10-1000, default 500",
		group: "Processes and devices",
		rare: true,
	},
	{
		long: "io-max",
		value: "DEV:rbps=N,wbps=N,riops=N,wiops=N",
		repeat: true,
		help: "rate limits of a disk: its number, node or mount point",
		group: "Processes and devices",
	},
	{ long: "device", value: "RULE", repeat: true, help: "allow 'c 1:3 rwm', or deny '-c 1:3 w'", group: "Processes and devices" },
	{ long: "set", short: "r", value: "KEY=VALUE", repeat: true, help: "write a kernel file by its name", group: "Processes and devices" },
]);

/** How a cgroup is made, where the verb makes it. */
export const leafOption = options([{ long: "leaf", help: "v2: move processes that stand in the way to a child `leaf`" }]);

export const makeOptions = options([
	{ long: "controllers", short: "g", value: "LIST", help: "only on these: cpu,memory; v2 for a hybrid layout's v2" },
	...leafOption,
]);

/** For a verb that puts processes into a cgroup. */
export const thawOption = options([{ long: "thaw", help: "let a frozen cgroup go on first" }]);

export const jsonOption = options([{ long: "json", help: "print JSON" }]);

export const recursiveOption = options([{ long: "recursive", short: "r", help: "the cgroups below it as well" }]);
