/** Limits: units, special values, what goes with what, and reading back. Nothing here touches a cgroup. */

import t from "tap";
import { differences, limitsFrom, optionsFor } from "../../cmds/cgctl/limits/current.ts";
import { plan } from "../../cmds/cgctl/limits/plan.ts";
import { type LimitOptions, neededControllers, readLimits } from "../../cmds/cgctl/limits/read.ts";
import type { Facts } from "../../cmds/cgctl/limits/step.ts";
import { type LimitRow, type Limits, limitOptions } from "../../cmds/cgctl/limits/table.ts";
import { bfqToIoWeight, ioToBfqWeight } from "../../cmds/cgctl/limits/weights.ts";

/** A layout on which all controllers are of one version, and a cgroup with these files. */
function layout(version: 1 | 2, files: Record<string, string> = {}): Facts {
	return { version: () => version, read: (_, file) => files[file], device: (text) => text };
}

function writes(options: LimitOptions, version: 1 | 2, files: Record<string, string> = {}): string[] {
	return plan(readLimits(options), layout(version, files)).writes.map(({ file, value }) => `${file}=${value}`);
}

t.test("a quota, period or burst without a unit is in microseconds, as runc and docker mean it", async (t) => {
	t.same(readLimits({ cpuQuota: "50000", cpuPeriod: "100000", cpuBurst: "20000" }), {
		cpuQuota: 50000,
		cpuPeriod: 100000,
		cpuBurst: 20000,
	});
	t.same(readLimits({ cpuQuota: "50ms", cpuPeriod: "0.1s" }), { cpuQuota: 50000, cpuPeriod: 100000 });
	t.same(readLimits({ cpuQuota: "-1" }), { cpuQuota: Infinity });
	t.throws(() => readLimits({ cpuQuota: "0.05" }), { message: /is not a time/ });
	t.throws(() => readLimits({ cpuQuota: "500" }), { message: /from 1000 to/ });
});

t.test("systemd's percents are of one cpu", async (t) => {
	t.same(readLimits({ cpus: "50%" }), { cpus: 0.5 });
	t.same(readLimits({ cpus: "150%" }), { cpus: 1.5 });
	t.same(readLimits({ cpuQuota: "20%" }), { cpus: 0.2 });
	t.throws(() => readLimits({ cpuQuota: "20%", cpus: "1" }), { message: /are the same limit/ });
});

t.test("docker's 0 is not set, and for pids no limit", async (t) => {
	for (const options of [
		{ memory: "0" },
		{ memory: "0m" },
		{ cpus: "0" },
		{ cpus: "0.0" },
		{ cpuShares: "0" },
		{ blkioWeight: "0" },
		{ memorySwap: "0" },
		{ cpuQuota: "0" },
		{ cpuPeriod: "0" },
	] as LimitOptions[])
		t.same(readLimits(options), {}, JSON.stringify(options));
	for (const pids of ["0", "-1", "max", "unlimited"]) t.same(readLimits({ pids }), { pids: Infinity }, pids);
	t.same(readLimits({ memory: "-1", memorySwap: "-1" }), { memory: Infinity, memorySwap: Infinity });
	for (const memoryReservation of ["0"]) {
		t.same(writes({ memoryReservation }, 1), ["memory.soft_limit_in_bytes=-1"]);
		t.same(writes({ memoryReservation }, 2), ["memory.low=0"]);
	}
});

t.test("--memory-swap double is twice the memory, where the kernel limits swap; else it is said", async (t) => {
	const options = { memory: "64m", memorySwap: "double" };
	t.same(
		writes(options, 1, { "memory.memsw.limit_in_bytes": "9223372036854771712" }),
		["memory.memsw.limit_in_bytes=134217728", "memory.limit_in_bytes=67108864"].reverse(),
	);
	t.same(writes(options, 2, { "memory.swap.max": "max" }), ["memory.max=67108864", "memory.swap.max=67108864"]);
	t.same(writes(options, 2), ["memory.max=67108864"]);
	t.match(plan(readLimits(options), layout(1)).notes, [/without swap/]);
	t.same(readLimits({ memory: "0", memorySwap: "double" }), {}, "no limit doubled is none");
	t.same(readLimits({ memory: "max", memorySwap: "double" }), { memory: Infinity });
	t.throws(() => readLimits({ memorySwap: "double" }), { message: /twice --memory/ });
});

t.test("swap is limited by itself on v2, and beside a limit of memory on v1", async (t) => {
	t.same(writes({ memorySwapMax: "0" }, 2), ["memory.swap.max=0"]);
	t.same(writes({ memorySwapMax: "1m" }, 1, { "memory.limit_in_bytes": "1048576" }), ["memory.memsw.limit_in_bytes=2097152"]);
	t.throws(() => writes({ memorySwapMax: "1m" }, 1), { message: /needs a limit of memory too/ });
	t.throws(() => readLimits({ memorySwapMax: "1m", memorySwap: "2m" }), { message: /same limit/ });
});

t.test("a flag can be taken back: --cpu-idle=off, --oom-group=off", async (t) => {
	t.same(readLimits({ cpuIdle: true, oomGroup: "off" }), { cpuIdle: true, oomGroup: false });
	t.same(writes({ cpuIdle: "off" }, 2), ["cpu.idle=0"]);
	t.same(writes({ oomGroup: "off" }, 1), [], "what v1 does not have need not be taken back");
	t.throws(() => readLimits({ cpuIdle: "maybe" }), { message: /is not on or off/ });
});

t.test("idle and weight go in the order that the kernel takes", async (t) => {
	const idle = { "cpu.idle": "1" };
	t.same(writes({ cpuIdle: "off", cpuWeight: "50" }, 2, idle), ["cpu.idle=0", "cpu.weight=50"]);
	t.same(writes({ cpuIdle: true, cpuWeight: "50" }, 2), ["cpu.weight=50", "cpu.idle=1"]);
	t.same(writes({ cpuIdle: true, cpuShares: "512" }, 1, idle), ["cpu.idle=0", "cpu.shares=512", "cpu.idle=1"]);
	t.throws(() => writes({ cpuWeight: "50" }, 2, idle), { message: /the cgroup is idle/, hint: /--cpu-idle=off/ } as unknown as Error);
});

t.test("a quota below the burst lowers the burst first, and says so", async (t) => {
	const v1 = { "cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000", "cpu.cfs_burst_us": "20000" };
	t.same(writes({ cpus: "0.5", cpuPeriod: "10ms" }, 1, v1), [
		"cpu.cfs_burst_us=5000",
		"cpu.cfs_quota_us=-1",
		"cpu.cfs_period_us=10000",
		"cpu.cfs_quota_us=5000",
	]);
	const v2 = { "cpu.max": "50000 100000", "cpu.max.burst": "20000" };
	t.same(writes({ cpus: "0.1" }, 2, v2), ["cpu.max.burst=10000", "cpu.max=10000 100000"]);
	t.match(plan(readLimits({ cpus: "0.1" }), layout(2, v2)).notes, [/the burst cannot be more than the quota/]);
	t.same(writes({ cpus: "0.4" }, 2, v2), ["cpu.max=40000 100000"], "one that is above it does not");
	t.throws(() => writes({ cpus: "0.1", cpuBurst: "20ms" }, 2), { message: /more than the quota, 10000 us/ });
});

t.test("a disk has a weight of its own", async (t) => {
	t.same(writes({ ioWeightDevice: ["8:0:200"] }, 2, { "io.weight": "default 100" }), ["io.weight=8:0 200"]);
	t.same(writes({ blkioWeightDevice: ["8:0:500"] }, 1, { "blkio.bfq.weight_device": "" }), ["blkio.bfq.weight_device=8:0 500"]);
	t.same(writes({ blkioWeightDevice: ["8:0:500"] }, 1, { "blkio.weight_device": "" }), ["blkio.weight_device=8:0 500"]);
	t.same(limitsFrom(layout(2, { "io.weight": "default 300\n8:0 200\n8:16 default" })), {
		ioWeight: 300,
		ioWeightDevice: [{ device: "8:0", weight: 200 }],
	});
	for (const bad of ["8:0", "8:0:0", "8:0:10001", ":5"]) t.throws(() => readLimits({ ioWeightDevice: [bad] }), bad);
});

t.test("limits round trip: options to files, files to limits, limits to options", async (t) => {
	const cases: [LimitOptions, Record<string, string>][] = [
		[{ cpuIdle: true }, { "cpu.shares": "3", "cpu.weight": "0" }],
		[{ memorySwapMax: "0" }, {}],
		[{ memory: "64m", memorySwap: "64m" }, {}],
		[{ ioWeight: "500" }, { "io.bfq.weight": "", "blkio.bfq.weight": "" }],
		[{ memoryReservation: "1m", pids: "5", cpusetCpus: "0" }, {}],
		[{ hugetlb: ["2MB=4m"], ioMax: ["8:0:rbps=1"] }, {}],
	];
	for (const version of [1, 2] as const)
		for (const [options, there] of cases) {
			if (version === 1 && options.memorySwapMax !== undefined) continue;
			const files = { ...there };
			for (const { file, value } of plan(readLimits(options), layout(version, there)).writes) files[file] = value;
			const limits = limitsFrom(layout(version, files));
			const again = { ...there };
			for (const { file, value } of plan(limits, layout(version, there)).writes) again[file] = value;
			t.same(again, files, `v${version}: ${JSON.stringify(options)}`);
		}
	for (let weight = 1; weight <= 1000; weight++) t.equal(ioToBfqWeight(bfqToIoWeight(weight)), weight);
});

t.test("every row of the table round trips through its option", async (t) => {
	const samples: Record<LimitRow["type"], [string, unknown]> = {
		cpus: ["0.5", 0.5],
		time: ["5000us", 5000],
		count: ["50", 50],
		size: ["1048576", 1048576],
		flag: ["", true],
		list: ["0-1", "0-1"],
		formula: ["kernel", "kernel"],
		pages: ["2MB=4194304", ["2MB", 4194304]],
		rates: ["8:0:rbps=1", { device: "8:0", rates: { rbps: 1 } }],
		deviceWeight: ["8:0:50", { device: "8:0", weight: 50 }],
		rule: ["c 1:3 rwm", "c 1:3 rwm"],
		file: ["pids.max=1", ["pids.max", "1"]],
	};
	for (const row of limitOptions as readonly LimitRow[]) {
		const key = row.long.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
		const [text, value] = samples[row.type];
		const given = row.type === "flag" ? true : row.repeat ? [text] : text;
		const limits = readLimits({ [key]: given } as LimitOptions);
		t.same(limits, { [key]: row.repeat ? [value] : value }, row.long);
		if (row.type === "formula") continue;
		t.same(optionsFor(limits), [row.type === "flag" ? [`--${row.long}`] : [`--${row.long}`, text]], row.long);
		t.same(neededControllers(limits), [row.controller ?? "pids"], row.long);
		t.ok(row.plan || row.v1 || row.v2, `${row.long} is written somewhere`);
	}
});

t.test("to take another cgroup's limits is to take those too that it does not have", async (t) => {
	const now: Limits = {
		cpus: 1,
		memory: 5,
		pids: 3,
		cpuIdle: true,
		hugetlb: [["2MB", 1]],
		ioMax: [{ device: "8:0", rates: { rbps: 1, wbps: 2 } }],
	};
	t.same(differences(now, { memory: 7, cpuQuota: 2000, ioMax: [{ device: "8:0", rates: { rbps: 9 } }] }), {
		memory: 7,
		cpuQuota: 2000,
		pids: Infinity,
		cpuIdle: false,
		hugetlb: [["2MB", Infinity]],
		ioMax: [{ device: "8:0", rates: { rbps: 9, wbps: Infinity } }],
	});
	t.same(differences({}, { pids: 1 }), { pids: 1 });
});
