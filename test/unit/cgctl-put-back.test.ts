/** What puts a kernel file back as it was: the text that it takes for that, or nothing. */
import t from "tap";
import { contrary, putBack, type Undo } from "../../cmds/cgctl/limits/put-back.ts";

t.test("a file with one value gets it back", async (t) => {
	t.equal(contrary("pids.max", "max", "5"), "max");
	t.equal(contrary("cpu.max", "50000 100000", "max 100000"), "50000 100000");
	t.equal(contrary("cpu.cfs_quota_us", "-1", "50000"), "-1");
	t.equal(contrary("cpuset.cpus", "", "0-1"), "\n", "an empty list is a line, not nothing");
});

t.test("a file with a line a disk gets that disk's line back, or what a disk without one has", async (t) => {
	const now = "8:0 rbps=1 wbps=max riops=max wiops=max\n8:16 rbps=2 wbps=max riops=max wiops=max";
	t.equal(contrary("io.max", now, "8:16 rbps=9"), "8:16 rbps=2 wbps=max riops=max wiops=max");
	t.equal(contrary("io.max", now, "8:32 rbps=9"), "8:32 rbps=max wbps=max riops=max wiops=max");
	t.equal(contrary("io.weight", "default 100\n8:0 50", "8:0 70"), "8:0 50");
	t.equal(contrary("io.weight", "default 100\n8:0 50", "200"), "default 100");
	t.equal(contrary("io.bfq.weight", "100", "8:0 70"), "8:0 default");
	t.equal(contrary("blkio.throttle.read_bps_device", "", "8:0 5"), "8:0 0");
});

t.test("what keeps no value, or one that cannot be written, is left alone", async (t) => {
	t.equal(contrary("cgroup.procs", "1\n2", "3"), undefined);
	t.equal(contrary("memory.reclaim", "", "3"), undefined);
	t.equal(contrary("cpu.weight", "0", "50"), undefined, "an idle cgroup's");
	t.equal(contrary("memory.stat", "a 1\nb 2", "x"), undefined);
	t.equal(contrary("pids.max", undefined, "x"), undefined);
});

t.test("steps are taken back in the reverse order, and all of them, whatever one of them says", async (t) => {
	const done: number[] = [];
	const undo: Undo = [
		() => done.push(1),
		() => {
			done.push(2);
			throw new Error("not this one");
		},
		() => done.push(3),
	];
	putBack(undo);
	t.same(done, [3, 2, 1]);
	t.same(undo, []);
});
