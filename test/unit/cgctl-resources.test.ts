/** OCI's resources: what is wrong is named, what cannot be expressed too. */
import t from "tap";
import { resourcesOf } from "../../cmds/cgctl/limits/resources.ts";

t.test("a member of a wrong type is an error that names it", async (t) => {
	for (const [resources, message] of [
		[{ memory: { limit: "64m" } }, 'resources: memory.limit: "64m" is not a whole number'],
		[{ memory: [1] }, "resources: memory: [1] is not an object"],
		[{ memory: 1 }, "resources: memory: 1 is not an object"],
		[{ devices: [null] }, "resources: devices[0]: null is not an object"],
		[{ devices: {} }, "resources: devices: {} is not a list"],
		[{ devices: [{ allow: "yes" }] }, 'resources: devices[0].allow: "yes" is not true or false'],
		[{ devices: [{ type: "c" }] }, "resources: devices[0].allow: is not given"],
		[{ devices: [{ allow: true, type: "x" }] }, 'resources: devices[0].type: "x" is not a, b or c'],
		[{ devices: [{ allow: true, major: "1" }] }, 'resources: devices[0].major: "1" is not a whole number'],
		[{ cpu: { cpus: 3 } }, "resources: cpu.cpus: 3 is not a string"],
		[{ cpu: { period: 5 } }, "resources: cpu.period: 5 is not from 1000 to 1000000"],
		[{ cpu: { quota: 1.5 } }, "resources: cpu.quota: 1.5 is not a whole number"],
		[{ pids: { limit: true } }, "resources: pids.limit: true is not a whole number"],
		[{ blockIO: { weight: 5 } }, "resources: blockIO.weight: 5 is not from 10 to 1000"],
		[{ blockIO: { throttleReadBpsDevice: [{ major: 8 }] } }, "resources: blockIO.throttleReadBpsDevice[0].minor: is not given"],
		[{ hugepageLimits: [{ pageSize: "x", limit: 1 }] }, 'resources: hugepageLimits[0].pageSize: "x" is not a page size'],
		[{ unified: { "memory.high": 5 } }, "resources: unified.memory.high: 5 is not a string"],
		[[], "resources: not a JSON object"],
		[null, "resources: not a JSON object"],
		["memory", "resources: not a JSON object"],
	] as const)
		t.throws(() => resourcesOf(resources), { message }, message);
	t.throws(() => resourcesOf({ unified: { "../x": "1" } }), { message: /not the name of a cgroup's file/ });
});

t.test("null is as good as absent", async (t) => {
	t.same(resourcesOf({ memory: { limit: null }, cpu: null, devices: null, unified: null }), { limits: {}, extra: [], lost: [] });
});

t.test("what one version or kernel alone has is kept by its file, and the rest is named", async (t) => {
	const { limits, extra, lost } = resourcesOf({
		memory: { kernel: 1, kernelTCP: 2, disableOOMKiller: true, reservation: -1, swap: -1, limit: -1, useHierarchy: true },
		cpu: { realtimeRuntime: 950000, realtimePeriod: 1000000, shares: 1 },
		blockIO: { leafWeight: 20, weightDevice: [{ major: 8, minor: 0, weight: 300, leafWeight: 40 }] },
		network: { classID: 5, priorities: [{ name: "eth0", priority: 7 }] },
		rdma: { mlx5: { hcaHandles: 3 } },
		unified: { "memory.high": "1" },
		later: 1,
	});
	t.same(limits, {
		memory: Infinity,
		memorySwap: Infinity,
		memoryReservation: 0,
		cpuShares: 2,
		blkioWeightDevice: [{ device: "8:0", weight: 300 }],
	});
	t.same(
		extra.map(({ key, value }) => `${key}=${value}`),
		[
			"blkio.leaf_weight=20",
			"blkio.leaf_weight_device=8:0 40",
			"memory.kmem.tcp.limit_in_bytes=2",
			"memory.oom_control=1",
			"cpu.rt_period_us=1000000",
			"cpu.rt_runtime_us=950000",
			"net_cls.classid=5",
			"net_prio.ifpriomap=eth0 7",
			"rdma.max=mlx5 hca_handle=3 hca_object=max",
			"memory.high=1",
		],
	);
	t.match(lost, [/^resources: later: not known/, /^resources: memory\.kernel: not applied/]);
});
