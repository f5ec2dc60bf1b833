/** Attack: a container whose root is the host's own talks to the host's services, and finds a second proc to write to. */
import { spawnSync } from "node:child_process";
import { chmodSync, closeSync, constants, copyFileSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { makeAttack } from "../../support/escapes.ts";
import { needsRoot } from "../../support/sandbox.ts";
import { tool } from "../../support/tools.ts";

const { program, container, env, remove } = makeAttack("host-root");
/* Neither below /tmp nor below /run, which a container has of its own. */
const folder = mkdtempSync("/var/tmp/tsbox-escape-");
chmodSync(folder, 0o755);
copyFileSync(program, join(folder, "escape"));
t.teardown(() => {
	remove();
	rmSync(folder, { recursive: true });
});

const got = (args: string[]) =>
	container(["run", "--", join(folder, "escape"), ...args])
		.stdout.split("\n")
		.filter(Boolean);

t.test("sockets and FIFOs of the host are not to be reached", needsRoot, async (t) => {
	const socket = join(folder, "socket");
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(socket, resolve));
	const fifo = join(folder, "fifo");
	spawnSync("mkfifo", [fifo]);
	t.same(got(["connect", socket]), []);
	/* The name may be there, as a FIFO of the container's own: what is written to it does not come out on the host. */
	const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
	container(["run", "--", "sh", "-c", `timeout 1 sh -c 'echo through > ${fifo}'`]);
	t.equal(readSync(reader, Buffer.alloc(16)), 0);
	closeSync(reader);
	server.close();
});

t.test("a second proc, sysfs or debugfs of the host is covered", needsRoot, (t) => {
	const script = `
		for type in proc sysfs debugfs; do mkdir -p ${folder}/$type; mount -t $type $type ${folder}/$type || exit 99; done
		"$M" run -- ${folder}/escape open w ${folder}/proc/sys/kernel/core_pattern ${folder}/proc/sysrq-trigger ${folder}/sysfs/kernel/uevent_helper ${folder}/sysfs/power/state
		"$M" run -- ${folder}/escape open r ${folder}/proc/kcore ${folder}/proc/keys ${folder}/proc/1/environ ${folder}/debugfs/sched/debug`;
	mkdirSync(join(folder, "proc"), { recursive: true });
	const { stdout, stderr, status } = spawnSync("unshare", ["-m", "sh", "-c", script], {
		encoding: "utf8",
		env: { ...env, TSBOX_DATA: join(folder, "data"), M: tool("mkcontainer.sh") },
	});
	t.not(status, 99, stderr);
	t.equal(stdout, "");
	t.end();
});
