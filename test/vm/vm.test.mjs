import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import t from "tap";
import { cache } from "./kernel.mjs";
import { boot, kernels, run } from "./vm.mjs";

t.setTimeout(600_000);

const content = randomBytes(1 << 20);

for (const kernel of kernels) {
	t.test(`on ${kernel}`, async (t) => {
		const vm = await boot({
			kernel,
			disks: [{ size: "1g" }, { size: "64m" }],
			files: {
				"/data/random": { content },
				"/data/say": { content: "#!/bin/sh\necho said\n", mode: 0o755 },
				"/data/test": import.meta.filename,
			},
		});
		t.teardown(() => vm.close());
		t.comment(`${vm.release} booted in ${vm.seconds.toFixed(1)} s`);

		/** What a script wrote that must succeed. */
		const output = async (t, script) => {
			const { status, stdout, stderr } = await vm.run(script);
			t.equal(stderr, "", script);
			t.equal(status, 0, script);
			return stdout.trim();
		};

		t.test("the kernel is the one that was asked for", async (t) => {
			t.equal(await output(t, "uname -r"), vm.release);
			t.match(vm.release, kernel === "newest" ? /-cloud-amd64$/ : new RegExp(`^${kernel.replace(".", "\\.")}\\.`));
			t.same(vm.missing, []);
		});

		t.test("cgroup v2 has every controller, and nothing else is mounted", async (t) => {
			const controllers = (await output(t, "cat /sys/fs/cgroup/cgroup.controllers")).split(" ");
			for (const name of ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"]) t.ok(controllers.includes(name), name);
			t.equal(await output(t, "grep -c cgroup /proc/mounts"), "1");
		});

		t.test("pressure is measured", async (t) => {
			t.match(await output(t, "cat /proc/pressure/cpu"), /^some avg10=/);
		});

		t.test("device-mapper is there, with thin provisioning", async () => {
			await output(t, "test -d /sys/module/dm_thin_pool && test -c /dev/mapper/control");
		});

		t.test("filesystems are there, or come with modprobe", async (t) => {
			const known = await output(t, "modprobe xfs && cat /proc/filesystems");
			for (const name of ["ext4", "overlay", "xfs"]) t.match(known, new RegExp(`\\b${name}\\b`));
		});

		t.test("the kernel loads by itself what a system call needs", async (t) => {
			t.match(await output(t, "ip link add v0 type vxlan id 1 && ip link show v0"), /v0:/);
		});

		t.test("pivot_root works, as it would not on the root of an initramfs", async () => {
			await output(t, "mkdir /r && mount -t tmpfs r /r && mkdir /r/old && unshare -m --propagation private pivot_root /r /r/old");
		});

		t.test("the disks have the sizes that were asked for", async (t) => {
			t.equal(await output(t, "cat /sys/block/vda/size /sys/block/vdb/size"), `${2 ** 30 / 512}\n${2 ** 26 / 512}`);
		});

		t.test("an exit status comes through, and both streams apart", async (t) => {
			for (const status of [0, 1, 2, 127, 255]) t.equal((await vm.run(`exit ${status}`)).status, status);
			t.equal((await vm.run("kill -9 $$")).status, 128 + 9);
			t.match(await vm.run("echo out; echo error >&2"), { status: 0, stdout: "out\n", stderr: "error\n" });
		});

		t.test("binary output comes through unharmed", async (t) => {
			const { stdout, stderr } = await vm.run("cat /data/random; cat /data/random >&2", { encoding: "buffer" });
			t.ok(stdout.equals(content) && stderr.equals(content));
		});

		t.test("files get in with their modes, and out", async (t) => {
			t.equal(await output(t, "/data/say; test ! -x /data/random"), "said");
			const { files } = await vm.run("cp /data/random '/tmp/it''s'", { fetch: ["/tmp/its", "/data/test"] });
			t.ok(files["/tmp/its"].equals(content));
			t.match(files["/data/test"].toString(), /files get in with their modes/);
			await t.rejects(vm.run("", { fetch: ["/absent"] }), { message: /^\/absent: cannot be fetched: .*No such file/ });
		});

		t.test("a process that a script leaves behind neither holds the script nor dies", async (t) => {
			const { stdout, seconds } = await vm.run("sleep 30 & echo $!");
			t.ok(seconds < 10);
			await output(t, `kill -0 ${stdout}`);
		});
	});
}

t.test("cgroup v1 has a hierarchy for each set of controllers", async (t) => {
	const { stdout } = await run("grep -c '^cgroup ' /proc/mounts; cat /sys/fs/cgroup/cpuacct/cgroup.procs | head -1", { cgroup: "v1" });
	t.match(stdout, /^1\d\n1\n$/);
});

t.test("the hybrid layout has v1 and an empty v2", async (t) => {
	const { stdout } = await run("ls -d /sys/fs/cgroup/memory/tasks; cat /sys/fs/cgroup/unified/cgroup.controllers", { cgroup: "hybrid" });
	t.equal(stdout.split("\n")[0], "/sys/fs/cgroup/memory/tasks");
});

t.test("a module that the kernel does not have is named", async (t) => {
	t.same((await run("", { modules: ["loop", "no-such-module"] })).missing, ["no-such-module"]);
});

t.test("a script that hangs is ended by the time limit", async (t) => {
	const hang = run("echo begun; echo to the console >/dev/console; sleep 1000", { timeout: 2000 });
	await t.rejects(hang, { message: /^no end within 2 s.*begun.*to the console/s, stdout: "begun\n" });
});

t.test("a panic is reported with what the kernel said", async (t) => {
	const panic = run("echo begun; sleep 0.5; echo c >/proc/sysrq-trigger");
	await t.rejects(panic, { message: /^the guest is gone.*Kernel panic - not syncing: sysrq triggered crash/s, stdout: "begun\n" });
});

t.test("several guests run side by side, and nothing is left of them", async (t) => {
	const scripts = [1, 2, 3].map((n) => run(`echo ${n}`, { disks: [{ size: "1g" }] }));
	t.same(
		(await Promise.all(scripts)).map(({ stdout }) => stdout),
		["1\n", "2\n", "3\n"],
	);
	t.same(
		(await readdir(cache)).filter((name) => name.startsWith(`run-${process.pid}-`)),
		[],
	);
});
