/**
 * podman (Debian 12's, with its CNI backend) on tsvethctl as its plugin: containers get their address, publish a port, are removed.
 *
 *     node test/peers/tsvethctl-podman.test.mjs      as root; needs podman, crun, nftables, iproute2, busybox-static
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const tool = fileURLToPath(new URL("../../bin/tsvethctl", import.meta.url));
const has = ["podman", "crun", "nft", "busybox"].every((name) => spawnSync("which", [name]).status === 0);

t.test(
	"podman's networks by our plugin",
	process.getuid() === 0 && has ? {} : { skip: "needs root, podman, crun, nft, busybox" },
	async (t) => {
		const folder = mkdtempSync(join(tmpdir(), "tsbox-podman-"));
		t.teardown(() => spawnSync("rm", ["-rf", folder]));
		writeFileSync(
			join(folder, "10-ts.conflist"),
			JSON.stringify({
				cniVersion: "0.4.0",
				name: "podman",
				plugins: [
					{
						type: "tsvethctl",
						bridge: "cni-podman0",
						isDefaultGateway: true,
						ipMasq: true,
						capabilities: { portMappings: true, ips: true, mac: true },
						ipam: { type: "host-local", subnet: "10.88.0.0/16" },
					},
				],
			}),
		);
		writeFileSync(
			join(folder, "containers.conf"),
			`[network]\nnetwork_backend="cni"\ncni_plugin_dirs=["${folder}"]\nnetwork_config_dir="${folder}"\ndefault_network="podman"\n[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\n[containers]\ncgroups="disabled"\ndefault_ulimits=["nofile=1024:1024","nproc=1024:1024"]\n`,
		);
		writeFileSync(join(folder, "storage.conf"), `[storage]\ndriver="vfs"\ngraphroot="${folder}/root"\nrunroot="${folder}/run"\n`);
		writeFileSync(join(folder, "policy.json"), '{"default":[{"type":"insecureAcceptAnything"}]}');
		/* podman's own clean-up calls the plugin without our environment: the state is where it always is. crun refuses a hybrid layout of cgroups; what is mounted is this test's own. */
		const script = `
		cd ${folder}; umount /sys/fs/cgroup/unified 2>/dev/null
		ip link set lo up; mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns
		mkdir -p /run/tsbox; mount -t tmpfs tmpfs /run/tsbox
		ln -s ${tool} tsvethctl
		mkdir -p bb/bin; cp "$(which busybox)" bb/bin/busybox; for a in sh ip nc echo; do ln -s busybox bb/bin/$a; done; tar -C bb -cf bb.tar .
		p() { podman --runtime crun --tmpdir ${folder}/tmp "$@"; }
		p import --signature-policy policy.json bb.tar bb:latest >/dev/null 2>&1 || p import bb.tar bb:latest >/dev/null
		p run -d --name web -p 8080:80 bb:latest sh -c 'while :; do echo hello | nc -l -p 80; done' >/dev/null
		echo "address: $(p exec web ip -o -4 addr show eth0 | grep -o 'inet [^ ]*')"
		sleep 0.5; echo "published: $(timeout 3 busybox nc 10.88.0.1 8080 </dev/null)"
		echo "wanted: $(p run --rm --ip 10.88.0.77 bb:latest ip -o -4 addr show eth0 | grep -o 'inet [^ ]*')"
		p rm -f -t 0 web >/dev/null
		for i in 1 2 3 4 5 6 7 8 9 10; do [ -z "$(ls /run/tsbox/networks/cni.podman/leases)" ] && break; sleep 0.3; done
		echo "leases: $(ls /run/tsbox/networks/cni.podman/leases)"; echo "rules: $(nft list ruleset)"; echo "veths: $(ip -o link show type veth)"`;
		const { stdout, stderr } = spawnSync("unshare", ["--net", "--mount", "--propagation", "private", "sh", "-c", script], {
			encoding: "utf8",
			env: {
				...process.env,
				CONTAINERS_CONF: join(folder, "containers.conf"),
				CONTAINERS_STORAGE_CONF: join(folder, "storage.conf"),
			},
			timeout: 120_000,
		});
		t.match(stdout, /^address: inet 10\.88\.0\.2\/16$/m, stderr);
		t.match(stdout, /^published: hello$/m);
		t.match(stdout, /^wanted: inet 10\.88\.0\.77\/16$/m);
		t.match(stdout, /^leases: $/m);
		t.match(stdout, /^rules: $/m);
		t.match(stdout, /^veths: $/m);
	},
);
