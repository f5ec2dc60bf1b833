/**
 * The limits, a row each: option, type, controller, the kernel's files, the member of OCI's resources.
 *
 * A limit whose value is written to one file needs no more than its row. One that goes with others, or is translated
 * between the versions, names the step of plan.ts that knows how (and current.ts reads it back).
 */

import type { Option } from "../../common/command-line/options.ts";

/** What the value is, once read: limits.ts. */
interface Types {
	/** cpu time per wall time. */
	cpus: number;
	/** Microseconds. */
	time: number;
	/** A whole number, Infinity for max. */
	count: number;
	/** Bytes, Infinity for max. */
	size: number;
	flag: boolean;
	/** Numbers as cpusets have them: `0-2,4`. */
	list: string;
	formula: "kernel" | "log" | "linear";
	/** A page size as the kernel's files have it (2MB), and bytes. */
	pages: [size: string, limit: number];
	rates: IoMax;
	deviceWeight: { device: string; weight: number };
	/** A device rule. */
	rule: string;
	/** A kernel file by its name. */
	file: [key: string, value: string];
}

export interface IoMax {
	/** As written: 8:0, a node or a mount point. */
	device: string;
	rates: Partial<Record<Rate, number>>;
}

export type Rate = "rbps" | "wbps" | "riops" | "wiops";

export interface LimitRow extends Option {
	type: keyof Types;
	/** By v2's name; none for what goes with another limit. */
	controller?: string;
	/** The file that has the value, on each version. */
	v1?: string;
	v2?: string;
	/** The value that is no limit: what a new cgroup has. */
	none?: number | boolean | string;
	/** v1 fills it in from the cgroup above: that is no limit of its own either. */
	inherited?: true;
	/** The least and greatest value that is taken. */
	range?: [number, number];
	/** 0 is "not given", as docker and OCI have it: the option then counts as absent. */
	zero?: "absent";
	/** Where OCI's linux.resources has it. */
	oci?: string;
	/** The step of plan.ts. */
	plan?: "cpuTime" | "cpuWeight" | "memory" | "reservation" | "hugetlb" | "ioWeight" | "ioDeviceWeight" | "ioMax" | "elsewhere";
}

function limits<const T extends readonly LimitRow[]>(table: T): T {
	return table;
}

/** `--memory-swap double`: twice --memory, where the kernel limits swap at all. plan.ts knows whether it does. */
export const DOUBLE = -2;

const CPU = "CPU";
const MEMORY = "Memory";
const OTHER = "Processes and devices";

export const limitOptions = limits([
	{
		long: "cpus",
		value: "N",
		help: "cpu time per wall time: 0.5 or 50% is half a cpu",
		group: CPU,
		type: "cpus",
		controller: "cpu",
		none: Infinity,
		zero: "absent",
		plan: "cpuTime",
	},
	{
		long: "cpu-weight",
		value: "N",
		help: "share of a busy cpu: 1-10000, default 100",
		group: CPU,
		type: "count",
		range: [1, 10000],
		controller: "cpu",
		none: 100,
		plan: "cpuWeight",
	},
	{
		long: "cpu-shares",
		value: "N",
		help: "the same in v1's words: 2-262144, default 1024",
		group: CPU,
		short: "c",
		type: "count",
		range: [2, 262144],
		controller: "cpu",
		none: 1024,
		zero: "absent",
		oci: "cpu.shares",
		plan: "cpuWeight",
	},
	{
		long: "weight-formula",
		value: "NAME",
		help: "how shares and weight are made of each other: kernel (1024:100, as the scheduler does it), log (runc since 1.3.2) or linear (runc before)",
		group: CPU,
		rare: true,
		type: "formula",
		plan: "cpuWeight",
	},
	{
		long: "cpu-burst",
		value: "TIME",
		help: "cpu time that may be saved up: 20ms; without a unit microseconds",
		group: CPU,
		rare: true,
		type: "time",
		range: [0, 1e12],
		controller: "cpu",
		none: 0,
		oci: "cpu.burst",
		plan: "cpuTime",
	},
	{
		long: "cpu-period",
		value: "TIME",
		help: "the time within which --cpus holds: 1ms-1s, default 100ms",
		group: CPU,
		rare: true,
		type: "time",
		range: [1000, 1000000],
		controller: "cpu",
		none: 100000,
		zero: "absent",
		oci: "cpu.period",
		plan: "cpuTime",
	},
	{
		long: "cpu-quota",
		value: "TIME",
		help: "cpu time per period, in place of --cpus: 50ms; without a unit microseconds",
		group: CPU,
		rare: true,
		type: "time",
		range: [1000, 1e12],
		controller: "cpu",
		none: Infinity,
		zero: "absent",
		oci: "cpu.quota",
		plan: "cpuTime",
	},
	{
		long: "cpu-idle",
		value: "on|off",
		optional: "long",
		help: "run only when nothing else wants the cpu",
		group: CPU,
		rare: true,
		type: "flag",
		controller: "cpu",
		none: false,
		oci: "cpu.idle",
		plan: "cpuWeight",
	},
	{
		long: "cpuset-cpus",
		value: "LIST",
		help: "cpus to run on: 0-2,4",
		group: CPU,
		type: "list",
		controller: "cpuset",
		v1: "cpuset.cpus",
		inherited: true,
		v2: "cpuset.cpus",
		none: "",
		oci: "cpu.cpus",
	},
	{
		long: "cpuset-mems",
		value: "LIST",
		help: "memory nodes to use",
		group: CPU,
		rare: true,
		type: "list",
		controller: "cpuset",
		v1: "cpuset.mems",
		inherited: true,
		v2: "cpuset.mems",
		none: "",
		oci: "cpu.mems",
	},
	{
		long: "memory",
		short: "m",
		value: "SIZE",
		help: "limit: 512m, 1.5g, max",
		group: MEMORY,
		type: "size",
		controller: "memory",
		none: Infinity,
		zero: "absent",
		oci: "memory.limit",
		plan: "memory",
	},
	{
		long: "memory-swap",
		value: "SIZE",
		help: "of memory and swap together; double: twice --memory",
		group: MEMORY,
		type: "size",
		controller: "memory",
		none: Infinity,
		zero: "absent",
		oci: "memory.swap",
		plan: "memory",
	},
	{
		long: "memory-swap-max",
		value: "SIZE",
		help: "limit of swap alone",
		group: MEMORY,
		rare: true,
		type: "size",
		controller: "memory",
		none: Infinity,
		plan: "memory",
	},
	{
		long: "memory-high",
		value: "SIZE",
		help: "reclaim and slow down above this (v2)",
		group: MEMORY,
		type: "size",
		controller: "memory",
		v2: "memory.high",
		none: Infinity,
	},
	{
		long: "memory-reservation",
		value: "SIZE",
		help: "keep this much when memory is short",
		group: MEMORY,
		rare: true,
		type: "size",
		controller: "memory",
		none: 0,
		oci: "memory.reservation",
		plan: "reservation",
	},
	{
		long: "memory-min",
		value: "SIZE",
		help: "never reclaim this much (v2)",
		group: MEMORY,
		rare: true,
		type: "size",
		controller: "memory",
		v2: "memory.min",
		none: 0,
	},
	{
		long: "memory-swappiness",
		value: "N",
		help: "0-100: how readily to swap (v1)",
		group: MEMORY,
		rare: true,
		type: "count",
		range: [0, 100],
		controller: "memory",
		v1: "memory.swappiness",
		inherited: true,
		none: 60,
		oci: "memory.swappiness",
	},
	{
		long: "oom-group",
		value: "on|off",
		optional: "long",
		help: "out of memory ends all processes at once (v2)",
		group: MEMORY,
		type: "flag",
		controller: "memory",
		v2: "memory.oom.group",
		none: false,
	},
	{
		long: "hugetlb",
		value: "SIZE=LIMIT",
		repeat: true,
		help: "limit of huge pages: 2MB=64m",
		group: MEMORY,
		rare: true,
		type: "pages",
		controller: "hugetlb",
		plan: "hugetlb",
	},
	{
		long: "pids",
		value: "N",
		help: "limit of processes and threads; 0, -1, max: none",
		group: OTHER,
		alias: ["pids-limit"],
		type: "count",
		range: [0, 4194304],
		controller: "pids",
		v1: "pids.max",
		v2: "pids.max",
		none: Infinity,
		oci: "pids.limit",
	},
	{
		long: "io-weight",
		value: "N",
		help: "share of a busy disk: 1-10000, default 100",
		group: OTHER,
		type: "count",
		range: [1, 10000],
		controller: "io",
		none: 100,
		plan: "ioWeight",
	},
	{
		long: "blkio-weight",
		value: "N",
		help: "the same in v1's words: 10-1000, default 500",
		group: OTHER,
		rare: true,
		type: "count",
		range: [10, 1000],
		controller: "io",
		none: 500,
		zero: "absent",
		oci: "blockIO.weight",
		plan: "ioWeight",
	},
	{
		long: "io-weight-device",
		value: "DEV:N",
		repeat: true,
		help: "the share of one disk: its number, node or mount point",
		group: OTHER,
		rare: true,
		type: "deviceWeight",
		range: [1, 10000],
		controller: "io",
		plan: "ioDeviceWeight",
	},
	{
		long: "blkio-weight-device",
		value: "DEV:N",
		repeat: true,
		help: "the same in v1's words",
		group: OTHER,
		rare: true,
		type: "deviceWeight",
		range: [10, 1000],
		controller: "io",
		plan: "ioDeviceWeight",
	},
	{
		long: "io-max",
		value: "DEV:rbps=N,wbps=N,riops=N,wiops=N",
		repeat: true,
		help: "rate limits of a disk: its number, node or mount point",
		group: OTHER,
		type: "rates",
		controller: "io",
		plan: "ioMax",
	},
	{
		long: "device",
		value: "RULE",
		repeat: true,
		help: "allow 'c 1:3 rwm', or deny '-c 1:3 w'",
		group: OTHER,
		type: "rule",
		controller: "devices",
		plan: "elsewhere",
	},
	{
		long: "set",
		short: "r",
		value: "KEY=VALUE",
		repeat: true,
		help: "write a kernel file by its name",
		group: OTHER,
		type: "file",
		plan: "elsewhere",
	},
]);

type Row = (typeof limitOptions)[number];
type Camel<S extends string> = S extends `${infer A}-${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;
type Value<R extends Row> = R extends { repeat: true } ? Types[R["type"]][] : Types[R["type"]];

/** Limits as they are asked for, or as a cgroup has them: by the options' names in camel case. What is absent is left as it is. */
export type Limits = { -readonly [R in Row as Camel<R["long"]>]?: Value<R> };
