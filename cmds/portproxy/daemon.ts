/** The proxy of a sandbox: a process beside it that serves all its published ports, and puts away what is published when it ends. */
import { CAP_NET_ADMIN, CAP_SYS_RESOURCE, capget, capset } from "../../native/linux/capability.ts";
import { chdir, close, closeRange, dup2, O_CLOEXEC, O_RDONLY, O_RDWR, open, pipe, read, readAll, write } from "../../native/linux/fd.ts";
import { CLONE_NEWNET, setns } from "../../native/linux/namespace.ts";
import { startTime } from "../../native/linux/proc.ts";
import { exit, fork, getpid, PR_SET_NO_NEW_PRIVS, pidfdSendSignal, prctl, setsid } from "../../native/linux/process.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { decode } from "../../native/linux/text.ts";
import { fail, ToolError } from "../common/errors.ts";
import { removeElements } from "../common/firewall/change.ts";
import type { Owner } from "../common/state.ts";
import { openControl, serveControl } from "./control.ts";
import { removeIptables } from "./iptables.ts";
import { PUBLISHER, SANDBOX } from "./proxy/kinds.ts";
import { makeProxy, type Settings } from "./proxy/loop.ts";
import type { Mapping } from "./proxy/port.ts";
import { reportStats } from "./proxy/stats.ts";
import { firewallName, type Publication, publicationFolder, readPublication, removePublication, writePublication } from "./publication.ts";

export interface Served {
	name: string;
	/** The sandbox's process. */
	pid: number;
	pidfd: number;
	/** What the record says; with `inside` it connects from inside the sandbox's network namespace. */
	publication: Omit<Publication, "owner">;
	ports: { mapping: Mapping; fd: number }[];
	settings: Settings;
	stats: string | true | undefined;
}

/**
 * Starts the proxy; returns once it serves, with a descriptor to `settle`: closed without that, by our end too, the proxy puts
 * everything away. Fails with what it says.
 */
export function startDaemon(served: Served): { owner: Owner; commit: number } {
	const { reader, writer } = pipe();
	const commit = pipe();
	const pid = fork();
	if (pid === 0) {
		close(reader);
		close(commit.writer);
		serve(served, writer, commit.reader);
	}
	close(writer);
	close(commit.reader);
	const said = readAll(reader);
	close(reader);
	const text = decode(said);
	if (text !== "0\n") fail(text.slice(2) || "the proxy ended while it was started");
	return { owner: { pid, start: startTime(pid) ?? 0 }, commit: commit.writer };
}

/** All that belongs to the publication is done: the proxy is on its own. */
export function settle(commit: number) {
	write(commit, "0");
	close(commit);
}

function serve(served: Served, status: number, commit: number): never {
	const { name, ports, pidfd, settings, publication } = served;
	const { inside } = publication.destination;
	let proxy: ReturnType<typeof makeProxy>;
	try {
		setsid();
		const control = openControl(`${publicationFolder(name)}/control`);
		if (inside) enterNetwork(served);
		detach([status, commit, control, pidfd, ...ports.map(({ fd }) => fd)]);
		dropRights(!inside || settings.transparent);
		proxy = makeProxy(settings);
		for (const { mapping, fd } of ports) proxy.add(mapping, fd);
		const record = { owner: { pid: getpid(), start: startTime(getpid()) ?? 0 }, ...publication };
		writePublication(name, record);
		serveControl(proxy, control, (published) => {
			record.ports = published;
			writePublication(name, record);
		});
		proxy.watch(pidfd, SANDBOX, 0, proxy.end);
		proxy.watch(commit, PUBLISHER, 0, () => {
			if (read(commit, new Uint8Array(1)) === 0) proxy.end();
			close(commit);
		});
		write(status, "0\n");
		close(status);
	} catch (error) {
		const message = error instanceof SysError || error instanceof ToolError ? error.message : String(error);
		write(status, `1\n${message}`);
		exit(1);
	}
	const report = () => reportStats(proxy, served.stats);
	proxy.run(report);
	if (served.stats) report();
	putAway(name);
	exit(0);
}

/** Takes out all that is published under a name, if the proxy is us or has gone. */
function putAway(name: string) {
	try {
		if (readPublication(name)?.owner.pid !== getpid()) return;
		removeElements(firewallName(name));
		removeIptables(name);
		removePublication(name);
	} catch (error) {
		/* Nobody is there to be told; gc does it again. */
		if (!(error instanceof SysError || error instanceof ToolError)) throw error;
	}
}

function enterNetwork({ pid, pidfd }: Served) {
	const net = open(`/proc/${pid}/ns/net`, O_RDONLY | O_CLOEXEC);
	/* While the pidfd's process lives, the PID is its. */
	if (!pidfdSendSignal(pidfd, 0)) fail(`${pid}: has ended`);
	setns(net, CLONE_NEWNET);
	close(net);
}

/** Lets go of whatever the caller had open: a lock, a terminal, the pipe that a shell waits for. */
function detach(kept: number[]) {
	const none = open("/dev/null", O_RDWR);
	for (const fd of [0, 1, 2]) dup2(none, fd);
	let first = 3;
	for (const fd of kept.sort((a, b) => a - b)) {
		closeRange(first, fd - 1);
		first = fd + 1;
	}
	closeRange(first);
	chdir("/");
}

/** What it talks to may be hostile: it keeps the right to take its rules out again, and to have large pipes. */
function dropRights(keepsNetwork: boolean) {
	prctl("PR_SET_NO_NEW_PRIVS", PR_SET_NO_NEW_PRIVS, 1);
	const { permitted } = capget();
	const kept = permitted.filter((capability) => capability === CAP_SYS_RESOURCE || (capability === CAP_NET_ADMIN && keepsNetwork));
	capset({ effective: kept, permitted: kept, inheritable: [] });
}
