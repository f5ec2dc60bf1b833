/** tscgctl's translations, on layouts that are played: nothing here touches a cgroup. */

import t from "tap";
import { groupAt, lineage, shownName } from "../../cmds/cgctl/group/path.ts";
import { limitsFrom, optionsFor } from "../../cmds/cgctl/limits/current.ts";
import { plan } from "../../cmds/cgctl/limits/plan.ts";
import { type LimitOptions, pageSizeName, parseIoMax, parseKeyValue, readLimits } from "../../cmds/cgctl/limits/read.ts";
import { resourcesOf } from "../../cmds/cgctl/limits/resources.ts";
import type { Facts } from "../../cmds/cgctl/limits/step.ts";
import { blkioToIoWeight, ioToBfqWeight, ioToBlkioWeight, sharesToWeight, weightToShares } from "../../cmds/cgctl/limits/weights.ts";
import { parseConfiguration, toWords } from "../../cmds/cgctl/verbs/convert.ts";

/** A layout on which all controllers are of one version, and a cgroup with these files. */
function layout(version: 1 | 2, files: Record<string, string> = {}): Facts {
	return { version: () => version, read: (_, file) => files[file], device: (text) => (text === "/dev/sda" ? "8:0" : text) };
}

/** What options become, as FILE=VALUE. */
function writes(options: LimitOptions, version: 1 | 2, files: Record<string, string> = {}): string[] {
	return plan(readLimits(options), layout(version, files)).writes.map(({ file, value }) => `${file}=${value}`);
}

t.test("shares and weights by the kernel's formula keep their ratios, and meet at the defaults", async (t) => {
	t.equal(sharesToWeight(1024, "kernel"), 100);
	t.equal(sharesToWeight(512, "kernel"), 50);
	t.equal(sharesToWeight(3072, "kernel"), 300);
	t.equal(sharesToWeight(2, "kernel"), 1);
	t.equal(sharesToWeight(262144, "kernel"), 10000);
	t.equal(weightToShares(100, "kernel"), 1024);
	t.equal(weightToShares(300, "kernel"), 3072);
	t.equal(weightToShares(1, "kernel"), 10);
});

t.test("the linear formula gives what runc before 1.3.2 and Kubernetes gave", async (t) => {
	for (const [shares, weight] of [
		[2, 1],
		[1024, 39],
		[2000, 77],
		[2048, 79],
		[262144, 10000],
	] as const)
		t.equal(sharesToWeight(shares, "linear"), weight, String(shares));
});

t.test("the log formula gives what runc gives since 1.3.2", async (t) => {
	for (const [shares, weight] of [
		[2, 1],
		[102, 17],
		[512, 59],
		[1024, 100],
		[2000, 170],
		[22000, 1204],
		[262144, 10000],
	] as const)
		t.equal(sharesToWeight(shares, "log"), weight, String(shares));
});

t.test("a weight made of shares gives the weight back", async (t) => {
	for (const formula of ["linear", "log"] as const)
		for (const weight of [1, 2, 39, 100, 170, 1000, 9999, 10000])
			t.equal(sharesToWeight(weightToShares(weight, formula), formula), weight, `${formula} ${weight}`);
	for (const weight of [1, 2, 39, 100, 170, 1000, 9999, 10000])
		t.equal(sharesToWeight(weightToShares(weight, "kernel"), "kernel"), weight, `kernel ${weight}`);
});

t.test("weights of io: runc's line from blkio, systemd's meeting of the defaults the other way", async (t) => {
	t.same([10, 500, 1000].map(blkioToIoWeight), [1, 4950, 10000]);
	t.same([1, 100, 200, 10000].map(ioToBlkioWeight), [10, 500, 1000, 1000]);
	t.same([1, 100, 200, 10000].map(ioToBfqWeight), [1, 100, 109, 1000]);
});

t.test("--cpus is quota and period", async (t) => {
	t.same(writes({ cpus: "0.5" }, 1), ["cpu.cfs_quota_us=50000"]);
	t.same(writes({ cpus: "0.5" }, 2), ["cpu.max=50000 100000"]);
	t.same(writes({ cpus: "max" }, 1), ["cpu.cfs_quota_us=-1"]);
	t.same(writes({ cpus: "max" }, 2), ["cpu.max=max 100000"]);
	t.same(writes({ cpus: "2", cpuPeriod: "10ms" }, 2), ["cpu.max=20000 10000"]);
	t.throws(() => writes({ cpus: "0.001" }, 2), { message: /less than 1 ms in a period of 100 ms/ });
});

t.test("--cpus keeps the period that a cgroup has", async (t) => {
	t.same(writes({ cpus: "0.5" }, 1, { "cpu.cfs_period_us": "20000" }), ["cpu.cfs_quota_us=10000"]);
	t.same(writes({ cpus: "0.5" }, 2, { "cpu.max": "max 20000" }), ["cpu.max=10000 20000"]);
});

t.test("v1's quota is taken away while the period changes, as the ratio between may be refused", async (t) => {
	t.same(writes({ cpuPeriod: "10ms" }, 1, { "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000" }), [
		"cpu.cfs_quota_us=-1",
		"cpu.cfs_period_us=10000",
		"cpu.cfs_quota_us=50000",
	]);
});

t.test("a burst is taken back before the quota changes, and set after", async (t) => {
	t.same(writes({ cpus: "0.1", cpuBurst: "5ms" }, 2, { "cpu.max": "50000 100000", "cpu.max.burst": "40000" }), [
		"cpu.max.burst=0",
		"cpu.max=10000 100000",
		"cpu.max.burst=5000",
	]);
	t.same(writes({ cpus: "0.1", cpuBurst: "5ms" }, 1), ["cpu.cfs_quota_us=10000", "cpu.cfs_burst_us=5000"]);
});

t.test("shares and weight are written as they are where the version has them, else translated with a note", async (t) => {
	t.same(writes({ cpuShares: "512" }, 1), ["cpu.shares=512"]);
	t.same(writes({ cpuWeight: "50" }, 2), ["cpu.weight=50"]);
	t.same(plan(readLimits({ cpuShares: "512" }), layout(2)), {
		writes: [{ controller: "cpu", file: "cpu.weight", value: "50", because: "--cpu-shares 512" }],
		notes: ["cpu.weight 50: --cpu-shares 512 by the kernel formula"],
	});
	t.same(plan(readLimits({ cpuWeight: "39", weightFormula: "linear" }), layout(1)).notes, [
		"cpu.shares 999: --cpu-weight 39 by the linear formula",
	]);
	t.same(writes({ cpuShares: "1024", weightFormula: "linear" }, 2), ["cpu.weight=39"]);
	t.throws(() => readLimits({ weightFormula: "log2" }), { message: '--weight-formula: "log2" is not kernel, log or linear' });
});

t.test("memory and swap together become swap alone on v2", async (t) => {
	t.same(writes({ memory: "1g", memorySwap: "1.5g" }, 1), ["memory.limit_in_bytes=1073741824", "memory.memsw.limit_in_bytes=1610612736"]);
	t.same(writes({ memory: "1g", memorySwap: "1.5g" }, 2), ["memory.max=1073741824", "memory.swap.max=536870912"]);
	t.same(writes({ memory: "1g", memorySwap: "1g" }, 2), ["memory.max=1073741824", "memory.swap.max=0"]);
	t.same(writes({ memory: "1g", memorySwap: "-1" }, 2), ["memory.max=1073741824", "memory.swap.max=max"]);
	t.same(writes({ memorySwap: "2g" }, 2, { "memory.max": "1073741824" }), ["memory.swap.max=1073741824"]);
	t.throws(() => writes({ memorySwap: "2g" }, 2, { "memory.max": "max" }), {
		message: /limits swap by itself/,
		hint: "give --memory as well, or --memory-swap-max",
	} as unknown as Error);
	t.throws(() => readLimits({ memory: "2g", memorySwap: "1g" }), { message: /cannot be less than --memory/ });
});

t.test("v1 is told first what is raised at the top, or lowered at the bottom", async (t) => {
	const now = { "memory.limit_in_bytes": "104857600", "memory.memsw.limit_in_bytes": "209715200" };
	const options = (memory: string, memorySwap: string) =>
		writes({ memory, memorySwap }, 1, now).map((write) => write.replace(/memory\.|_in_bytes.*/g, ""));
	t.same(options("400m", "800m"), ["memsw.limit", "limit"]);
	t.same(options("50m", "100m"), ["limit", "memsw.limit"]);
	t.same(options("50m", "-1"), ["memsw.limit", "limit"]);
	t.throws(() => writes({ memory: "300m" }, 1, now), { message: /more than the limit of memory and swap together, 200 MiB/ });
	t.throws(() => writes({ memorySwap: "50m" }, 1, now), { message: /less than the limit of memory, 100 MiB/ });
});

t.test("what a version cannot express is refused, with what would do", async (t) => {
	for (const options of [{ memoryHigh: "1g" }, { memoryMin: "1g" }, { oomGroup: true }] as LimitOptions[])
		t.throws(() => writes(options, 1), { message: /^--[a-z-]+: cgroup v1 cannot express it: /, hint: /./ });
	t.throws(() => writes({ memorySwappiness: "10" }, 2), { message: /^--memory-swappiness: cgroup v2 cannot/, hint: /--memory-swap/ });
	t.throws(() => plan({ ioWeight: 200 }, layout(1)), { message: /shares disks by no weight/, hint: /BFQ.*--io-max/ });
	t.throws(() => plan({ pids: 3 }, { ...layout(2), version: () => undefined }), { message: /no hierarchy here has the pids controller/ });
});

t.test("the rest has a file on each version", async (t) => {
	t.same(writes({ memoryReservation: "64m" }, 1), ["memory.soft_limit_in_bytes=67108864"]);
	t.same(writes({ memoryReservation: "64m" }, 2), ["memory.low=67108864"]);
	t.same(writes({ pids: "max" }, 1), ["pids.max=max"]);
	t.same(writes({ hugetlb: ["2m=64m", "1GB=max"] }, 1), ["hugetlb.2MB.limit_in_bytes=67108864", "hugetlb.1GB.limit_in_bytes=-1"]);
	t.same(writes({ hugetlb: ["2MB=64m"] }, 2), ["hugetlb.2MB.max=67108864"]);
	t.same(writes({ cpusetCpus: "0-1,3", cpusetMems: "0" }, 2), ["cpuset.cpus=0-1,3", "cpuset.mems=0"]);
	t.same(writes({ cpuIdle: true }, 1), ["cpu.idle=1"]);
});

t.test("a weight of io goes to the file that the kernel has", async (t) => {
	t.same(writes({ blkioWeight: "500" }, 1, { "blkio.weight": "" }), ["blkio.weight=500"]);
	t.same(writes({ blkioWeight: "500" }, 1, { "blkio.bfq.weight": "" }), ["blkio.bfq.weight=500"]);
	t.same(writes({ blkioWeight: "500" }, 2, { "io.weight": "" }), ["io.weight=4950"]);
	t.same(writes({ ioWeight: "200" }, 2, { "io.weight": "" }), ["io.weight=200"]);
	t.same(writes({ ioWeight: "200" }, 2, { "io.weight": "", "io.bfq.weight": "" }), ["io.bfq.weight=109"]);
	t.same(writes({ ioWeight: "200" }, 1, { "blkio.weight": "" }), ["blkio.weight=1000"]);
});

t.test("rates of io are one line on v2, a file each on v1", async (t) => {
	const options = { ioMax: ["/dev/sda:rbps=1m,wiops=100", "8:16:wbps=max"] };
	t.same(writes(options, 2), ["io.max=8:0 rbps=1048576 wiops=100", "io.max=8:16 wbps=max"]);
	t.same(writes(options, 1), [
		"blkio.throttle.read_bps_device=8:0 1048576",
		"blkio.throttle.write_iops_device=8:0 100",
		"blkio.throttle.write_bps_device=8:16 0",
	]);
	t.same(parseIoMax("/mnt/a:b:rbps=1k"), { device: "/mnt/a:b", rates: { rbps: 1024 } });
	for (const bad of ["8:0", "8:0:rbps", ":rbps=1", "8:0:rbps=0", "8:0:xbps=1", "8:0:rbps=1,,wbps=2"]) t.throws(() => parseIoMax(bad), bad);
});

t.test("values that are none are refused with what they should be", async (t) => {
	for (const options of [
		{ cpus: "-0.5" },
		{ cpus: "1e3" },
		{ cpuWeight: "0" },
		{ cpuWeight: "10001" },
		{ cpuShares: "1" },
		{ cpuBurst: "soon" },
		{ cpuPeriod: "2s" },
		{ cpusetCpus: "0-" },
		{ cpusetMems: "a" },
		{ memory: "1q" },
		{ memorySwappiness: "101" },
		{ hugetlb: ["2MB"] },
		{ hugetlb: ["x=1"] },
		{ pids: "-2" },
		{ blkioWeight: "9" },
		{ set: ["noequals"] },
		{ set: ["a/b=1"] },
		{ cpus: "1", cpuQuota: "1ms" },
		{ cpuWeight: "1", cpuShares: "2" },
	] as LimitOptions[])
		t.throws(() => readLimits(options), { name: "Error", message: /\S/ }, JSON.stringify(options));
	t.equal(pageSizeName("2048k"), "2MB");
	t.equal(pageSizeName("1g"), "1GB");
	t.same(parseKeyValue("memory.high=a=b"), ["memory.high", "a=b"]);
	for (const bad of ["../x=1", "..=1", "=1"]) t.throws(() => parseKeyValue(bad), bad);
});

t.test("limits are read back from the files of either version", async (t) => {
	const options: LimitOptions = {
		cpus: "0.5",
		memory: "64m",
		memorySwap: "96m",
		pids: "7",
		memoryReservation: "32m",
		hugetlb: ["2MB=4m"],
		ioMax: ["8:0:rbps=1048576,wiops=10"],
	};
	for (const version of [1, 2] as const) {
		const files: Record<string, string> = {};
		for (const { file, value } of plan(readLimits(options), layout(version)).writes) files[file] = value;
		t.same(limitsFrom(layout(version, files)), readLimits(options), `v${version}`);
	}
	t.same(limitsFrom(layout(1)), {}, "a new cgroup of v1 has none");
	t.same(limitsFrom(layout(2)), {}, "a new cgroup of v2 has none");
	t.same(
		limitsFrom(
			layout(1, { "cpuset.cpus": "0-1", "memory.swappiness": "60" }),
			layout(1, { "cpuset.cpus": "0-1", "memory.swappiness": "60" }),
		),
		{},
		"what v1 fills in from the cgroup above is no limit of its own",
	);
});

t.test("options made of limits give the same limits", async (t) => {
	const limits = readLimits({
		cpuQuota: "10ms",
		cpuPeriod: "20ms",
		cpuBurst: "5ms",
		cpuWeight: "300",
		cpusetCpus: "0",
		memory: "1g",
		memoryHigh: "900m",
		oomGroup: true,
		pids: "9",
		ioMax: ["8:0:rbps=5,wbps=6"],
	});
	const options: Record<string, unknown> = {};
	for (const [option, value = true] of optionsFor(limits)) {
		const key = option.slice(2).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
		options[key] = key === "ioMax" ? [value] : value;
	}
	t.same(readLimits(options as LimitOptions), limits);
});

const cgconfig = `
# a web server
mount { cpu = /cgroup/cpu; }
group www/front {
	perm { task { uid = root; gid = root; } admin { uid = root; } }
	cpu { cpu.shares = "2048"; cpu.cfs_quota_us = 50000; cpu.cfs_period_us = 100000; }
	memory { memory.limit_in_bytes = 256M; memory.memsw.limit_in_bytes = 384M; memory.swappiness = 10; memory.use_hierarchy = 1; }
	blkio { blkio.throttle.read_bps_device = "8:0 1048576
8:16 2097152"; }
	pids { pids.max = 100; }
}
group db { cpuset { cpuset.cpus = 0-3; cpuset.mems = 0; } }
`;

t.test("cgconfig.conf is converted to v2's words, and what is lost is named", async (t) => {
	const groups = parseConfiguration(cgconfig);
	t.same(
		groups.map(({ name }) => name),
		["www/front", "db"],
	);
	const [front, db] = groups as [(typeof groups)[0], (typeof groups)[0]];
	t.same(toWords(front, "v2", "kernel"), {
		lines: [
			"cpu.max=50000 100000",
			"cpu.weight=200",
			"memory.max=268435456",
			"memory.swap.max=134217728",
			"pids.max=100",
			"io.max=8:0 rbps=1048576",
			"io.max=8:16 rbps=2097152",
		],
		notes: ["cpu.weight 200: --cpu-shares 2048 by the kernel formula"],
		lost: ["memory.swappiness=10: v2 has no swappiness of a cgroup; memory.swap.max limits its swap"],
	});
	t.same(toWords(db, "v2", "kernel").lines, ["cpuset.cpus=0-3", "cpuset.mems=0"]);
	t.equal(
		toWords(front, "options", "kernel").lines.join(" "),
		"--cpus 0.5 --cpu-shares 2048 --memory 268435456 --memory-swap 402653184 --pids 100 --io-max 8:0:rbps=1048576 --io-max 8:16:rbps=2097152",
	);
});

t.test("cgget's lines are converted too", async (t) => {
	const [group] = parseConfiguration(
		"web:\ncpu.shares: 512\nmemory.limit_in_bytes: 9223372036854771712\nmemory.oom_control: oom_kill_disable 1\n\tunder_oom 0\ndevices.list: c 1:3 rwm\nfreezer.state: THAWED\nnet_cls.classid: 5\nx.y: 1\n",
	);
	t.equal(group?.name, "web");
	const { lines, lost } = toWords(group as NonNullable<typeof group>, "v2", "log");
	t.same(lines, ["cpu.weight=59"]);
	t.same(
		lost.map((line) => line.split(":")[0]),
		["memory.oom_control=oom_kill_disable 1", "devices.list=c 1", "net_cls.classid=5", "x.y=1"],
	);
	t.same(parseConfiguration("cpu.shares=512\npids.max 4"), [{ name: "", files: { "cpu.shares": "512", "pids.max": "4" } }]);
	t.throws(() => parseConfiguration("web:\n???"), { message: /not a setting/ });
	t.throws(() => parseConfiguration("group a { cpu { cpu.shares = 1;"), { message: /ends inside/ });
});

t.test("-1 in a v1 configuration is max on v2, and v2's own keys pass", async (t) => {
	const lines = (files: Record<string, string>) => toWords({ name: "", files }, "v2", "kernel");
	t.same(lines({ "memory.limit_in_bytes": "-1" }), { lines: ["memory.max=max"], notes: [], lost: [] });
	t.same(lines({ "memory.limit_in_bytes": "-1", "memory.memsw.limit_in_bytes": "-1" }).lines, ["memory.max=max", "memory.swap.max=max"]);
	t.same(lines({ "memory.limit_in_bytes": "64M", "memory.memsw.limit_in_bytes": "-1" }).lines, [
		"memory.max=67108864",
		"memory.swap.max=max",
	]);
	t.same(lines({ "memory.soft_limit_in_bytes": "-1" }).lines, ["memory.low=0"]);
	t.same(lines({ "cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000" }), { lines: [], notes: [], lost: [] });
	t.match(lines({ "memory.memsw.limit_in_bytes": "5" }).lost, [/v2 limits swap by itself/]);
	t.same(lines({ "memory.high": "1G", "io.max": "8:0 rbps=1\n8:16 wbps=2", "cpu.weight": "50", "pids.max": "5" }), {
		lines: ["pids.max=5", "memory.high=1G", "io.max=8:0 rbps=1", "io.max=8:16 wbps=2", "cpu.weight=50"],
		notes: [],
		lost: [],
	});
	t.same(toWords({ name: "", files: { "io.max": "8:0 rbps=1" } }, "options", "kernel").lines, ["--set 'io.max=8:0 rbps=1'"]);
});

t.test("an OCI resources object gives the limits that runc update would set", async (t) => {
	t.same(
		resourcesOf({
			memory: { limit: 1024, swap: -1, reservation: 0 },
			cpu: { shares: 0, quota: -1, period: 50000, cpus: "0-1", idle: 1 },
			pids: { limit: 5 },
			blockIO: { weight: 100, throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 7 }] },
			hugepageLimits: [{ pageSize: "2MB", limit: 9 }],
			devices: [
				{ allow: false, access: "rwm" },
				{ allow: true, type: "c", major: 1, minor: 3, access: "rw" },
			],
			unified: { "memory.high": "10" },
		}),
		{
			limits: {
				memory: 1024,
				memorySwap: Infinity,
				cpuQuota: Infinity,
				cpuPeriod: 50000,
				cpusetCpus: "0-1",
				cpuIdle: true,
				pids: 5,
				blkioWeight: 100,
				ioMax: [{ device: "8:0", rates: { wbps: 7 } }],
				hugetlb: [["2MB", 9]],
				device: ["deny a *:* rwm", "allow c 1:3 rw"],
			},
			extra: [{ key: "memory.high", value: "10", member: "resources: unified.memory.high" }],
			lost: [],
		},
	);
});

t.test("a path names a cgroup below the root, and none outside", async (t) => {
	const layout = { kind: "v2" as const, hierarchies: [], named: [] };
	const name = (path: string, root?: string) => groupAt(path, root === undefined ? {} : { root }, layout).name;
	t.equal(name("web"), "/tsbox/web");
	t.equal(name("/web"), "/tsbox/web");
	t.equal(name("web//a/./b/"), "/tsbox/web/a/b");
	t.equal(name("/tsbox/web"), "/tsbox/web", "as a sandbox record has it");
	t.equal(name("tsbox/web"), "/tsbox/tsbox/web");
	t.equal(name("/tsboxes"), "/tsbox/tsboxes");
	t.equal(name("/"), "/tsbox");
	t.equal(name("web", "/"), "/web");
	t.equal(name("web", "a/b"), "/a/b/web");
	for (const bad of ["..", "../x", "a/../../b", "a/..", "x\ny", "a".repeat(256)]) t.throws(() => name(bad), bad);
	const group = groupAt("a/b", {}, layout);
	t.equal(shownName(group), "/a/b");
	t.equal(shownName({ ...group, name: "/tsbox" }), "/");
	t.same(
		lineage(group).map((each) => each.name),
		["/tsbox", "/tsbox/a", "/tsbox/a/b"],
	);
});
