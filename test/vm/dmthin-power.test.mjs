// A guest in which tsdmthin works loses its power: after `pool activate` the store and the kernel agree, the metadata is clean,
// and what was committed is there.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { isFull, prelude } from "../support/dmthin-guest.mjs";
import { programs } from "../support/guest-programs.mjs";
import { cache } from "./kernel.mjs";
import { boot, kernels } from "./vm.mjs";

t.setTimeout(3_000_000);

const cuts = isFull ? 20 : 1;

for (const kernel of kernels) {
	t.test(`on ${kernel}: the power is cut ${cuts} times`, async (t) => {
		const folder = mkdtempSync(join(cache, `power-${process.pid}-`));
		t.teardown(() => rmSync(folder, { recursive: true }));
		const disks = ["store", "pool"].map((name) => ({ path: join(folder, name), size: "300m" }));
		const start = () => boot({ kernel, disks, files: programs("dmsetup", "thin_check", "thin_ls", "mkfs.ext4"), timeout: 600_000 });
		const mounted = `${prelude}
			mount -t ext4 /dev/vda /store; mkdir -p /store/sums`;
		let vm = await start();
		t.teardown(() => vm.close());
		const first = await vm.run(`mkfs.ext4 -q /dev/vda; ${mounted}
			tsdmthin pool create p --device /dev/vdb >/dev/null && tsdmthin create p origin --size 10m >/dev/null && fill origin /store/sums; sync`);
		t.match(first, { status: 0, stderr: "" });
		let volumes = 0;
		for (let cut = 1; cut <= cuts; cut++) {
			/* Volumes come and go until the guest is killed in the middle of it. */
			const work = vm.run(`${mounted}
				for i in $(seq 1000); do
					tsdmthin snapshot p origin c${cut}-$i >/dev/null; fill c${cut}-$i /run/sums; cp /run/sums/c${cut}-$i /store/sums/; sync
					tsdmthin create p d${cut}-$i --size 10m >/dev/null; tsdmthin rm p d${cut}-$i
					if [ $i -gt 3 ]; then rm -f /store/sums/c${cut}-$((i - 3)); sync; tsdmthin rm p c${cut}-$((i - 3)); fi
				done`);
			work.catch(() => {});
			await new Promise((resolve) => setTimeout(resolve, 1500 + Math.random() * 2500));
			await vm.close();
			vm = await start();
			const { stdout, stderr } = await vm.run(`${mounted}
				check /store/sums
				tsdmthin pool deactivate p --volumes; tsdmthin pool check p; tsdmthin pool activate p >/dev/null
				ls /store/sums | wc -l
				for file in /store/sums/c*; do [ -e $file ] || continue; rm $file; tsdmthin rm p \${file##*/}; done; sync`);
			const [checked, count, ...rest] = stdout.trim().split("\n");
			t.same([checked, rest, stderr], ["p: the metadata is whole", [], ""], `cut ${cut}`);
			volumes += Number(count);
		}
		t.comment(`${volumes} volumes were there after the cuts, each with its content`);
	});
}
