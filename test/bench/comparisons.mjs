/** What is compared: our command line, the other program's, and the ratio that is wanted, if one is. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { layerComparisons } from "./layers.mjs";
import { unionComparisons } from "./unions.mjs";

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
		...unionComparisons(),
		...joins(),
		...readdirSync("bin")
			.filter((name) => name.startsWith("ts"))
			.map((name) => ({ name: `${name} --version`, ours: `bin/${name} --version`, peer: "/bin/true" })),
	];
}

/** `join` of a ready network namespace, beside what others do for the same interface; all in a namespace of their own. */
function joins() {
	let folder = "";
	let host;
	let box;
	const tool = `${process.cwd()}/bin/tsvethctl`;
	const script = (name, lines) => writeFileSync(join(folder, name), `#!/bin/sh -e\n${lines.join("\n")}\n`, { mode: 0o755 });
	const before = () => {
		folder = mkdtempSync(join(tmpdir(), "tsbox-bench-join-"));
		host = spawn("unshare", ["--net", "sleep", "600"], { stdio: "ignore" });
		box = spawn("unshare", ["--net", "sleep", "600"], { stdio: "ignore" });
		spawnSync("sleep", ["0.3"]);
		mkdirSync("/run/netns", { recursive: true });
		const inside = `ip -n ../../proc/${box.pid}/ns/net`;
		const outer = [
			`link add tsx type veth peer name eth0 netns ${box.pid}`,
			"link set tsx mtu 1500",
			"link set tsx master web",
			"link set tsx up",
		];
		const inner = [
			"link set lo up",
			"link set eth0 address 02:42:0a:09:00:02",
			"addr add 10.9.0.2/16 dev eth0",
			"link set eth0 mtu 1500",
			"link set eth0 up",
			"route add default via 10.9.0.1",
		];
		writeFileSync(`${folder}/outer`, `${outer.join("\n")}\n`);
		writeFileSync(`${folder}/inner`, `${inner.join("\n")}\n`);
		const ipam = { type: "host-local", subnet: "10.33.0.0/16", dataDir: `${folder}/cni-data`, routes: [{ dst: "0.0.0.0/0" }] };
		const config = { cniVersion: "1.0.0", name: "bench", type: "bridge", bridge: "cnib0", isGateway: true, ipMasq: true, ipam };
		writeFileSync(`${folder}/cni.json`, JSON.stringify(config));
		script("ten", [...outer.map((line) => `ip ${line}`), ...inner.map((line) => `${inside} ${line}`)]);
		script("two", [`ip -batch ${folder}/outer`, `${inside} -batch ${folder}/inner`]);
		script("cni", [`CNI_COMMAND=ADD exec /usr/lib/cni/bridge < ${folder}/cni.json`]);
		script("clear", [
			"set +e",
			`${tool} leave ${box.pid}`,
			"ip link del tsx 2>/dev/null",
			`[ ! -e ${folder}/cni-data ] || CNI_COMMAND=DEL /usr/lib/cni/bridge < ${folder}/cni.json`,
			"true",
		]);
		const [program, ...args] = within();
		const made = spawnSync(program, [...args, "sh", "-c", `ip link set lo up; ${tool} network create web --subnet 10.9.0.0/16`], {
			encoding: "utf8",
		});
		if (made.status !== 0) throw new Error(made.stderr);
	};
	const within = () => [
		"nsenter",
		`--net=/proc/${host.pid}/ns/net`,
		"env",
		`TSBOX_RUN=${folder}/run`,
		`TSBOX_DATA=${folder}/data`,
		"CNI_PATH=/usr/lib/cni",
		"CNI_CONTAINERID=bench",
		"CNI_IFNAME=eth0",
		`CNI_NETNS=/proc/${box.pid}/ns/net`,
	];
	const after = () => {
		host?.kill("SIGKILL");
		box?.kill("SIGKILL");
		rmSync(folder, { recursive: true, force: true });
	};
	const beside = (other, peer, wanted) => ({
		name: "tsvethctl join (ready namespace)",
		other,
		ours: () => `${tool} join web ${box.pid}`,
		peer: () => `${folder}/${peer}`,
		wanted,
		runs: 0.2,
		before,
		after,
		within,
		prepare: () => [`${folder}/clear`, `${folder}/clear`],
	});
	return [beside("ten ip commands", "ten", "0.1"), beside("two ip -batch", "two", "0.5"), beside("CNI bridge plugin", "cni", "0.1")];
}
