/** mkcontainer.sh beside docker: its verbs' options and special values mean what docker means, and never something on the host. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import t from "tap";
import { busyboxRoot, cannot, cgroupFile, cgroups, container, folder, leftovers, run, script, unique } from "../support/container.ts";

if (cannot) {
	t.plan(0, cannot);
	process.exit();
}
const root = busyboxRoot();

t.test("exec's options are docker's, and the first operand is always a container's name", async (t) => {
	const name = unique();
	await run(["-d", "--name", name, "--rootfs", root, "-e", "A=image", "sleep", "1000"]);
	const file = join(folder, "variables");
	writeFileSync(file, "# a comment\n\nC=3 4\n");
	const inside = async (args: string[], input?: string) =>
		(await container(["exec", ...args], input === undefined ? {} : { input })).stdout;
	t.equal(await inside(["-i", name, "hostname"], ""), name, "-i is not nsenter's --ipc");
	t.not(name, hostname());
	t.equal(await inside(["-i", name, "cat"], "typed"), "typed");
	t.equal(await inside([name, "cat"], "typed"), "", "without -i nothing is typed");
	t.equal(await inside(["-u", "ann", name, "id", "-u"]), "12");
	t.equal(await inside(["-u", "1000:100", name, "sh", "-c", "id -u; id -g"]), "1000\n100");
	t.equal(await inside(["-e", "B=2", "--env-file", file, "-w", "/etc", name, "sh", "-c", "echo $A $B $C; pwd"]), "image 2 3 4\n/etc");
	const own = /CapBnd:\t(\w+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
	t.equal(await inside(["--privileged", name, "grep", "CapEff", "/proc/self/status"]), `CapEff:\t${own}`);
	t.equal((await container(["exec", "-d", name, "sh", "-c", "sleep 0.2; echo done >/tmp-done"])).exitCode, 0);
	await new Promise((resolve) => setTimeout(resolve, 600));
	t.ok(existsSync(join(root, "tmp-done")), "-d lets it run on");
	for (const [args, message] of [
		[["exec", "-u", String(process.pid), "echo", "x"], /^mkcontainer\.sh: echo: no such container$/m],
		[["exec", "--ipc", name, "true"], /^mkcontainer\.sh: exec: --ipc: unknown option$/m],
		[["exec", String(process.pid), "true"], /not a name: it would be taken for a PID/],
		[["kill", String(process.pid)], /not a name: it would be taken for a PID/],
		[["wait", "1"], /not a name/],
		[["stop", ""], /: not a name/],
		[["rm", ""], /: not a name/],
		[["exec", name], /a container and a program are needed/],
	] as const)
		t.match(await container([...args]), { exitCode: 125, stderr: message }, args.join(" "));
	t.equal((await container(["rm", "-f", name])).exitCode, 0);
	t.same([cgroups(name), leftovers()], [[], []]);
});

t.test("docker's 0 and -1 are no limit, and -m alone is twice that with swap", async (t) => {
	const none = ["-m", "0", "--pids-limit", "-1", "--cpus", "0", "--cpu-shares", "0", "--blkio-weight", "0", "--memory-swap", "0"];
	t.match(await run([...none, "--rootfs", root, "echo", "fine"]), { exitCode: 0, stdout: "fine", stderr: "" });
	const name = unique();
	await run(["-d", "--name", name, "-m", "64m", "--cpu-quota", "50000", "--cpu-period", "100000", "--rootfs", root, "sleep", "1000"]);
	t.equal(cgroupFile(name, ["memory.limit_in_bytes", "memory.max"]), String(64 << 20));
	t.equal(
		cgroupFile(name, ["memory.memsw.limit_in_bytes", "memory.swap.max"]),
		cgroups(name).some((path) => path.includes("/memory/")) ? String(128 << 20) : String(64 << 20),
	);
	t.match(cgroupFile(name, ["cpu.cfs_quota_us", "cpu.max"]), /^50000( 100000)?$/, "a bare number is microseconds");
	await container(["rm", "-f", name]);
});

t.test("a working folder that is not there is made, halves of --user have defaults, a long host name is cut or refused", async (t) => {
	t.equal((await run(["--rootfs", root, "-w", "/not/there", "pwd"])).stdout, "/not/there");
	t.equal((await run(["--rootfs", root, "-u", "12:", "id", "-g"])).stdout, "34");
	t.equal((await run(["--rootfs", root, "-u", ":100", "sh", "-c", "id -u; id -g"])).stdout, "0\n100");
	const long = `n${"x".repeat(80)}`;
	t.equal((await run(["--name", long, "--rm", "--rootfs", root, "hostname"])).stdout, long.slice(0, 64));
	t.match(await run(["--hostname", long, "--rootfs", root, "true"]), { exitCode: 125, stderr: /at most 64 bytes/ });
});

t.test("capabilities, policy and masks are docker's, and --cap-drop, --cap-add and --privileged change them", async (t) => {
	const caps = async (...options: string[]) =>
		(await run([...options, "--rootfs", root, "sh", "-c", "grep -E '^(CapBnd|Seccomp):' /proc/self/status; ulimit -n"])).stdout.split(
			/\s+/,
		);
	t.same(await caps(), ["CapBnd:", "00000000a80425fb", "Seccomp:", "2", "1024"]);
	t.same((await caps("--cap-drop", "MKNOD", "--cap-add", "NET_ADMIN"))[1], "00000000a00435fb");
	t.same((await caps("--cap-drop", "ALL"))[1], "0000000000000000");
	t.same((await caps("--security-opt", "seccomp=unconfined"))[3], "0");
	t.same((await caps("--privileged")).slice(2, 4), ["Seccomp:", "0"]);
	t.same((await caps("--ulimit", "nofile=512"))[4], "512");
	t.equal((await run(["--rootfs", root, "sh", "-c", "cat /proc/interrupts /proc/keys | wc -c"])).stdout, "0");
});

t.test("with standard input closed the program has an empty one", async (t) => {
	const { stdout, exitCode } = await container([], {
		shell: ["sh", "-c", `exec 0<&-; exec "$0" run --rootfs ${root} sh -c 'cat; echo read'`],
	});
	t.same([exitCode, stdout], [0, "read"], script);
});

t.test("a network, a published port and a volume by name are stages of the pipe, and go with the container", async (t) => {
	const [name, volume] = [unique(), unique()];
	const serve = "mkdir -p /srv; echo page >/srv/index.html; exec httpd -f -p 80 -h /srv";
	const steps = `ip link set lo up; m=$0; run="$m run --rootfs ${root}"
		$run -d --name ${name} --network bridge -p 127.0.0.1:8089:80 -v ${volume}:/srv -- sh -c '${serve}'
		for i in 1 2 3 4 5 6 7 8 9; do busybox wget -qO- http://127.0.0.1:8089/ 2>/dev/null && break; sleep 0.1; done
		$run --network bridge -- sh -c 'ip -o -4 addr show eth0 | grep -o "inet [0-9.]*"; exit 5'; echo "status $?"
		echo typed | $run --network bridge -- cat
		$m stop -t 1 ${name}; $m rm ${name}; ip -o link | grep -c tsv; nft list ruleset | grep -c tsbox
		$run -v ${volume}:/srv:ro -- cat /srv/index.html`;
	const { stdout, stderr } = await container([], { shell: ["unshare", "-n", "sh", "-c", steps] });
	t.match(stdout, new RegExp(`^${name}\npage\ninet 172\\.\\d+\\.\\d+\\.\\d+\nstatus 5\ntyped\n0\n0\npage$`), stderr);
	t.same([cgroups(name), leftovers()], [[], []]);
});
