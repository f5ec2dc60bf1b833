// tscgctl in guests: on pure cgroup v2 of each kernel, and on the layouts that this machine does not have.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { behaviours, prelude } from "../support/cgctl-behaviours.ts";
import { checkBehaviour } from "../support/cgctl-check.ts";
import { buildLoad } from "../support/cgctl-host.ts";
import { boot, kernels } from "./vm.mjs";

t.setTimeout(1_500_000);

const folder = mkdtempSync(join(tmpdir(), "tsbox-cgctl-vm-"));
t.teardown(() => rmSync(folder, { recursive: true }));
buildLoad(join(folder, "load"));

/** Boots a guest, and runs there the behaviours that are wanted. */
function testIn(name, options, wanted) {
	const { cgroup = "v2" } = options;
	t.test(name, async (t) => {
		const vm = await boot({
			memory: "2560m",
			cpus: 2,
			disks: [{ size: "64m" }],
			files: { "/bin/load": join(folder, "load") },
			timeout: 180_000,
			...options,
		});
		t.teardown(() => vm.close());
		t.comment(`${vm.release} booted in ${vm.seconds.toFixed(1)} s`);
		for (const behaviour of behaviours.filter(wanted)) {
			if (behaviour.hybrid || (behaviour.version !== undefined && behaviour.version !== (cgroup === "v2" ? 2 : 1))) continue;
			await t.test(behaviour.name, async (t) => {
				/* Scripts end with `exit`; the guest's shell must go on. */
				const result = await vm.run(`export DISK=/dev/vda\n(\n${prelude}${behaviour.script}\n)`);
				checkBehaviour(t, behaviour, result);
			});
		}
	});
}

for (const kernel of kernels) testIn(`v2 on ${kernel}`, { kernel }, () => true);
/* This machine is the hybrid one. Debian's kernels since 6.12 have no memory controller of v1 (CONFIG_MEMCG_V1). */
const older = kernels.find((kernel) => kernel === "5.10" || kernel === "6.1");
if (older) testIn(`v1 on ${older}`, { kernel: older, cgroup: "v1" }, ({ measures }) => !measures);
