/** The container's parent: makes its process in the new namespaces, and does for it what can be done from outside only. */

import { CAP_SETUID, capget } from "../../../native/linux/capability.ts";
import { closeCgroups, openCgroups } from "../../../native/linux/cgroup.ts";
import { geteuid } from "../../../native/linux/credential.ts";
import { close, O_RDONLY, open, pipe, read, write } from "../../../native/linux/fd.ts";
import { CLONE_NEWCGROUP, CLONE_NEWTIME, CLONE_NEWUSER, cloneFlagNames, setns } from "../../../native/linux/namespace.ts";
import { clone, exit, exitStatus, fork, PR_SET_DUMPABLE, pidfdGetfd, pidfdSendSignal, prctl, wait } from "../../../native/linux/process.ts";
import { SIGKILL } from "../../../native/linux/signal.ts";
import { dryRun } from "../../../native/linux/syscall.ts";
import { decode } from "../../../native/linux/text.ts";
import { warn } from "../../common/command-line/tool.ts";
import { fail } from "../../common/errors.ts";
import type { Failure } from "../../common/sandbox-state.ts";
import { writeState } from "../../common/state.ts";
import { runNewIdMap, writeIdMapsOf } from "../idmap.ts";
import { keepNamespaces } from "../persist.ts";
import { type FilterSource, filterSource } from "../seccomp/source.ts";
import { beChild } from "./child.ts";
import type { Joined, Plan } from "./plan.ts";
import { type Ready, type Report, thrown } from "./report.ts";

/** A container that is set up; its process waits for `release`. */
export interface Box {
	pid: number;
	pidfd: number;
	go: number;
	report: number;
	ns: Record<string, number>;
	/** The master of its terminal. */
	master: number | undefined;
	filter: FilterSource | undefined;
}

/**
 * Enters the namespaces that are to be shared: the container's process inherits them. Who is in there already must not
 * look into this process, nor into the new one from its birth on (CVE-2016-9962).
 */
function join(joined: Joined[]) {
	if (joined.length > 0) prctl("PR_SET_DUMPABLE", PR_SET_DUMPABLE, 0);
	for (const { file, flag } of joined) {
		const fd = open(file, O_RDONLY);
		setns(fd, flag, file);
		close(fd);
	}
}

/**
 * Makes the container's process and has it set everything up. Throws what failed in it; then nothing of it is left.
 * `mask` is the signal mask that the program is to have.
 */
export function begin(plan: Plan, stdio: (number | undefined)[], mask: Uint8Array): Box {
	const filter = plan.seccomp === undefined ? undefined : filterSource(plan.seccomp, (line) => warn(line));
	const cgroups = plan.cgroups.length > 0 ? openCgroups(plan.cgroups) : undefined;
	join(plan.joined);
	const go = pipe();
	const report = pipe();
	const birth = { go: go.reader, report: report.writer, stdio, cgroups, filter, mask };
	/* The process enters these itself: see child.ts. */
	const flags = plan.flags & ~(CLONE_NEWTIME | CLONE_NEWCGROUP);
	if (dryRun(`clone3({flags=${cloneFlagNames(flags) || 0}})`)) beChild(plan, birth);
	const { pid, pidfd } = clone(flags, cgroups?.v2?.fd);
	if (pid === 0) {
		close(go.writer);
		close(report.reader);
		beChild(plan, birth);
	}
	close(go.reader);
	close(report.writer);
	if (cgroups) closeCgroups(cgroups);
	for (const fd of stdio) if (fd !== undefined) close(fd);
	const box = { pid, pidfd, go: go.writer, report: report.reader };
	try {
		if ((flags & CLONE_NEWUSER) !== 0 && !plan.maps?.isOwn) {
			writeMaps(plan, pid);
			write(box.go, "m");
		}
		const { ns, master } = awaitReady(box.report);
		const ours = master === undefined ? undefined : pidfdGetfd(pidfd, master);
		keepNamespaces(plan.kept, pid);
		if (plan.pidfile !== undefined) writeState(plan.pidfile, `${pid}\n`, 0o644);
		write(box.go, "t");
		return { ...box, ns, master: ours, filter };
	} catch (error) {
		destroy(box);
		throw error;
	}
}

/** An ordinary user needs newuidmap(1) for all but one id. It ends us when it fails, so it gets a process of its own. */
function writeMaps({ maps }: Plan, pid: number) {
	if (!maps) return;
	if (geteuid() === 0 || capget().effective.includes(CAP_SETUID)) return writeIdMapsOf(pid, maps);
	const helper = fork();
	if (helper === 0) {
		runNewIdMap(pid, maps);
		exit(0);
	}
	const ended = wait(helper);
	if (ended && exitStatus(ended) !== 0) fail("the id maps could not be written");
}

/** Reports are short: one write(2) each, that a pipe keeps whole. */
function readReport(fd: number): Report | undefined {
	const bytes = new Uint8Array(65536);
	const length = read(fd, bytes);
	return length === 0 ? undefined : (JSON.parse(decode(bytes, 0, length)) as Report);
}

function awaitReady(fd: number): Ready {
	const report = readReport(fd);
	if (report?.error) throw thrown(report.error);
	return report?.ready ?? fail("the container's process ended before it was set up");
}

/** Lets the program run. Returns what is in its way, else undefined, as soon as it is executed. */
export function release({ go, report }: Box): Failure | undefined {
	write(go, "g");
	const answer = readReport(report);
	close(report);
	return answer?.error;
}

/** Ends the process of a container, and waits until it is gone. */
export function destroy({ pid, pidfd }: { pid: number; pidfd: number }) {
	pidfdSendSignal(pidfd, SIGKILL);
	wait(pid);
}
