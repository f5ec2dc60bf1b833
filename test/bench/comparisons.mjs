/** What is compared: our command line, the other program's, and the ratio that is wanted, if one is. */
import { readdirSync } from "node:fs";
import { execa } from "execa";
import { layerComparisons } from "./layers.mjs";

const run = (line) => execa(line, { shell: true });

/** `runs` is a share of the usual number; `before` and `after` set up and clean up. */
export function comparisons() {
	const cgroup = `bench-${process.pid}`;
	const both = "mpfinu";
	return [
		{ name: "tsunshare --mount true", ours: "bin/tsunshare --mount /bin/true", peer: "unshare --mount /bin/true", wanted: "1.25" },
		{
			name: `tsunshare -${both} --mount-proc true`,
			ours: `bin/tsunshare -${both} --mount-proc /bin/true`,
			peer: `unshare -${both} --mount-proc /bin/true`,
			wanted: "1.15",
		},
		{ name: "tsunshare -r true", ours: "bin/tsunshare -r /bin/true", peer: "unshare -r /bin/true" },
		{
			name: "tsunshare enter -t PID -u -n true",
			ours: `bin/tsunshare enter -t ${process.pid} -u -n /bin/true`,
			peer: `nsenter -t ${process.pid} -u -n /bin/true`,
		},
		{ name: "tsunshare ls", ours: "bin/tsunshare ls", peer: "lsns", runs: 0.2 },
		{
			name: "tsunshare --rootfs / (container)",
			ours: "bin/tsunshare --pid --net --ipc --uts --rootfs / --read-only --proc --dev -- /bin/true",
			peer: "bwrap --unshare-pid --unshare-net --unshare-ipc --unshare-uts --ro-bind / / --proc /proc --dev /dev /bin/true",
			runs: 0.25,
		},
		{
			name: "mkcontainer.sh run true",
			ours: "bin/mkcontainer.sh run /bin/true",
			peer: "bwrap --unshare-pid --unshare-net --unshare-ipc --unshare-uts --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp --tmpfs /run /bin/true",
			runs: 0.1,
		},
		{ name: "tsinit -s true", ours: "bin/tsinit -s -- /bin/true", peer: "tini -s -- /bin/true", wanted: "1.3" },
		{
			name: "tscgctl run true",
			ours: `bin/tscgctl run ${cgroup} -- /bin/true`,
			peer: `cgexec -g cpu,memory:tsbox/${cgroup} /bin/true`,
			wanted: "1.0",
			before: () => run(`bin/tscgctl create -g cpu,memory ${cgroup}`),
			after: () => run(`bin/tscgctl rm ${cgroup}`),
		},
		{
			/* Of one controller: cgdelete 2.0.2 removes a cgroup from the first hierarchy only. */
			name: "tscgctl create, rm",
			other: "cgcreate, cgdelete",
			ours: `sh -c 'bin/tscgctl create -g cpu ${cgroup} && bin/tscgctl rm ${cgroup}'`,
			peer: `sh -c 'cgcreate -g cpu:tsbox/${cgroup} && cgdelete -g cpu:tsbox/${cgroup}'`,
			wanted: "1.0",
			/* The folder above it stays, for both. */
			before: () => run(`bin/tscgctl create -g cpu ${cgroup}-other`),
			after: () => run(`bin/tscgctl rm ${cgroup}-other`),
		},
		...layerComparisons(),
		...readdirSync("bin")
			.filter((name) => name.startsWith("ts"))
			.map((name) => ({ name: `${name} --version`, ours: `bin/${name} --version`, peer: "/bin/true" })),
	];
}
