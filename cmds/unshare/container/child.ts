/**
 * The container's process from its birth in the new namespaces to the exec of its program.
 *
 * It has two halves. `setUp` does all that can fail and tells the parent; then it blocks, for as long as the sandbox is
 * held; `launch` gives up its rights and executes the program.
 *
 * What it must know of the host (sources of binds, the root) it opens first. Then it lets go of the old root and of every
 * descriptor, so that while it is held, and when the program runs, nothing leads back to the host.
 */

import { type CgroupEntry, enterCgroups } from "../../../native/linux/cgroup.ts";
import { setresgid, setresuid, umask } from "../../../native/linux/credential.ts";
import { EACCES, ENOENT } from "../../../native/linux/errno.ts";
import { chdir, close, dup2, O_DIRECTORY, O_PATH, O_RDONLY, open, read, write } from "../../../native/linux/fd.ts";
import { setLoopbackUp } from "../../../native/linux/loopback.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY } from "../../../native/linux/mount.ts";
import {
	CLONE_NEWCGROUP,
	CLONE_NEWNET,
	CLONE_NEWNS,
	CLONE_NEWTIME,
	CLONE_NEWUSER,
	NAMESPACES,
	namespaceInode,
	setdomainname,
	sethostname,
	setns,
	unshare,
} from "../../../native/linux/namespace.ts";
import { POLLHUP, poll } from "../../../native/linux/poll.ts";
import { execvp, exit, exitStatus, fork, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, prctl, setsid, wait } from "../../../native/linux/process.ts";
import { SIG_SETMASK, SIGKILL, sigprocmask } from "../../../native/linux/signal.ts";
import { checkExecutable } from "../../../native/linux/stat.ts";
import { strerror } from "../../../native/linux/strerror.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { setControllingTerminal } from "../../../native/linux/terminal.ts";
import { fail, show } from "../../common/errors.ts";
import { openOrMake } from "../../common/inside-root.ts";
import { closeAllBut, execute, refuseMagicLink } from "../../common/program.ts";
import { writeOwnIdMaps, writeSetgroups } from "../idmap.ts";
import { isOutsideOfRoot, leaveKeyring } from "../inside.ts";
import { writeTimeOffsets } from "../namespaces.ts";
import type { FilterSource } from "../seccomp/source.ts";
import { applyIdentity, findIdentity, type Identity, raiseLimits, restrict, setLimits } from "./credentials.ts";
import { makeTerminal } from "./dev.ts";
import { mountInside, openSources } from "./mounts.ts";
import type { Plan } from "./plan.ts";
import { describe, type Report } from "./report.ts";
import { bindRoot, changeRoot, isReadOnly, makePrivate, setAttributes } from "./rootfs.ts";

/** What the process has from its parent. */
export interface Birth {
	/** The parent writes a byte when it has done its part of each step; the end of it is the parent's end. */
	go: number;
	/** Reports go to the parent, a line of JSON each; it is closed by the exec. */
	report: number;
	/** What the program's standard streams are to be; undefined to keep ours. */
	stdio: (number | undefined)[];
	/** The cgroups that the process enters by itself. */
	cgroups: CgroupEntry | undefined;
	/** The seccomp filter, which depends on the capabilities. */
	filter: FilterSource | undefined;
	/** The signal mask that the program is to have. */
	mask: Uint8Array;
}

interface Program {
	argv: string[];
	environment: string[];
	identity: Identity;
	/** The file mode creation mask that we came with. */
	umask: number;
}

/** Does all of it; never returns. What fails is reported to the parent, in a dry run thrown. */
export function beChild(plan: Plan, birth: Birth): never {
	const tell = (report: Report) => write(birth.report, JSON.stringify(report));
	try {
		const { program, ...ready } = setUp(plan, birth);
		if (!isDryRun()) {
			tell({ ready });
			awaitParent(birth);
			if (ready.master !== undefined) close(ready.master);
			awaitParent(birth);
		}
		launch(plan, birth, program);
	} catch (error) {
		if (isDryRun()) throw error;
		const failure = describe(error);
		tell({ error: failure });
		exit(failure.status);
	}
}

/** Blocks until the parent has done its part. */
function awaitParent({ go }: Birth) {
	if (!isDryRun() && read(go, new Uint8Array(1)) === 0) exit(0);
}

/** If the parent dies, so do we, and in a PID namespace of its own all of the container. */
function dieWithParent({ go }: Birth) {
	prctl("PR_SET_PDEATHSIG", PR_SET_PDEATHSIG, SIGKILL);
	/* It may have died before that call. */
	if (((poll([{ fd: go, events: 0 }], 0)[0] as number) & POLLHUP) !== 0) exit(0);
}

function setUp(plan: Plan, birth: Birth): { program: Program; ns: Record<string, number>; master?: number } {
	const has = (flag: number) => (plan.flags & flag) !== 0;
	if (birth.cgroups) enterCgroups(birth.cgroups, true);
	dieWithParent(birth);
	if (!isDryRun()) takeStreams(birth);
	if (plan.newSession) setsid();
	if (has(CLONE_NEWUSER)) becomeRoot(plan, birth);
	leaveKeyring();
	if (has(CLONE_NEWTIME)) enterTimeNamespace(plan);
	/* A hostile process that shares our PID namespace is not to look into us (CVE-2016-9962). */
	setDumpable(false);
	if (has(CLONE_NEWCGROUP) && !isEnteredLate(plan)) unshare(CLONE_NEWCGROUP);
	if (plan.hostname !== undefined) sethostname(plan.hostname);
	if (plan.domainname !== undefined) setdomainname(plan.domainname);
	if (has(CLONE_NEWNET)) setLoopbackUp();
	const ns = ownNamespaces(plan);

	/* Places in the root are made for all to pass, whatever the caller's mask is. */
	const mask = umask(0o022);
	const sources = openSources(plan);
	if (has(CLONE_NEWNS)) makePrivate(plan.rootfs === undefined ? plan.propagation : undefined);
	const root = plan.rootfs === undefined ? open("/", O_PATH | O_DIRECTORY) : bindRoot(plan.rootfs);
	if (plan.noDevices) setAttributes(root, MOUNT_ATTR_NODEV, { recursive: true });
	const topStaysWritable = plan.readOnly && protectBelow(root);
	const dev = mountInside(plan.mounts, sources, root, plan.noDevices);
	const identity = findIdentity(plan, plan.rootfs === undefined ? undefined : root);
	const terminal = plan.tty ? makeTerminal(root, dev, identity.uid) : undefined;
	for (const command of plan.setup) runSetup(command, plan, birth);
	/* docker makes the working folder where it is not there; who made the plan asks for what docker does. */
	if (plan.record && plan.cwd !== undefined && plan.rootfs !== undefined && !plan.readOnly) close(openOrMake(root, plan.cwd, "folder"));
	if (topStaysWritable) setAttributes(root, MOUNT_ATTR_RDONLY);
	if (plan.rootfs !== undefined) changeRoot(root);

	if (terminal && !isDryRun()) {
		for (const fd of [0, 1, 2]) dup2(terminal.slave, fd);
		setControllingTerminal(0);
	}
	if (!isDryRun()) closeAllBut([birth.go, birth.report, ...(terminal ? [terminal.master] : [])], 3 + plan.preserve);
	changeFolder(plan);
	const program = { ...findProgram(plan, identity), umask: mask };
	/* The parent and the filters of a held sandbox reach it through /proc; there is nothing of the host in it any more. */
	setDumpable(true);
	return { program, ns, ...(terminal && { master: terminal.master }) };
}

function takeStreams({ stdio }: Birth) {
	stdio.forEach((from, to) => {
		if (from !== undefined) dup2(from, to);
	});
}

function setDumpable(on: boolean) {
	prctl("PR_SET_DUMPABLE", PR_SET_DUMPABLE, on ? 1 : 0);
}

/** A map of one id, our own, we write ourselves; for others the parent has to do it. */
function becomeRoot(plan: Plan, birth: Birth) {
	if (plan.maps?.isOwn) writeOwnIdMaps(plan.maps);
	else awaitParent(birth);
	if (plan.setgroups !== undefined) writeSetgroups(plan.setgroups as "allow" | "deny");
	if (plan.maps?.gid?.some(({ inner }) => inner === 0)) setresgid(0);
	if (plan.maps?.uid?.some(({ inner }) => inner === 0)) setresuid(0);
	/* The change of ids has taken it back. */
	dieWithParent(birth);
}

/** unshare(2) makes a time namespace for children only; the clocks can be set until somebody is in it. */
function enterTimeNamespace(plan: Plan) {
	unshare(CLONE_NEWTIME);
	writeTimeOffsets(plan.offsets);
	const own = open("/proc/self/ns/time_for_children", O_RDONLY);
	setns(own, CLONE_NEWTIME, "/proc/self/ns/time_for_children");
	close(own);
}

/** The cgroup that is to be the root of a held sandbox's namespace is joined while it is held, unless it is planned. */
function isEnteredLate({ hold, cgroups }: Plan): boolean {
	return hold && cgroups.length === 0;
}

/** The inodes of the new namespaces. That of the cgroup namespace is made when a held sandbox starts. */
function ownNamespaces(plan: Plan): Record<string, number> {
	const ns: Record<string, number> = {};
	for (const { name, flag } of NAMESPACES) {
		const isMade = (plan.flags & flag) !== 0 && !(flag === CLONE_NEWCGROUP && isEnteredLate(plan));
		const inode = isMade ? namespaceInode("self", name) : undefined;
		if (inode !== undefined) ns[name] = inode;
	}
	return ns;
}

/** Makes all that is mounted below the root read-only at once; the root itself only when all places in it are made. */
function protectBelow(root: number): boolean {
	if (isReadOnly(root)) return false;
	setAttributes(root, MOUNT_ATTR_RDONLY, { recursive: true });
	setAttributes(root, 0, { clear: MOUNT_ATTR_RDONLY });
	return true;
}

/** Runs a command of the host in the new namespaces; it finds the root in $TSBOX_ROOTFS. */
function runSetup(command: string, plan: Plan, birth: Birth) {
	const child = fork();
	if (child === 0) {
		dieWithParent(birth);
		sigprocmask(SIG_SETMASK, birth.mask);
		const own = [`TSBOX_ROOTFS=${plan.rootfs ?? "/"}`, ...(plan.id === undefined ? [] : [`TSBOX_ID=${plan.id}`])];
		execvp(["/bin/sh", "-c", command], [...plan.environment, ...own]);
	}
	const ended = wait(child);
	if (ended && exitStatus(ended) !== 0) fail(`--setup ${show(command)}: it ended with status ${exitStatus(ended)}`);
}

function changeFolder({ cwd, rootfs }: Plan) {
	if (cwd === undefined && rootfs === undefined) return;
	chdir(cwd ?? "/");
	/* By way of /proc a folder of the host could be named (CVE-2024-21626). */
	if (rootfs !== undefined && isOutsideOfRoot()) fail(`--cwd ${show(cwd ?? "/")}: leads out of the container`);
}

/** The program's arguments and environment. A program that is not there is found out now, before the sandbox is held. */
function findProgram(plan: Plan, identity: Identity): Omit<Program, "umask"> {
	const hasRoot = plan.rootfs !== undefined;
	let environment = plan.environment;
	const set = (name: string, value: string) => {
		environment = [...environment.filter((entry) => !entry.startsWith(`${name}=`)), `${name}=${value}`];
	};
	if (identity.home !== undefined && !plan.hasHome) set("HOME", identity.home);
	if (hasRoot) environment = environment.filter((entry) => !/^(OLD)?PWD=/.test(entry));
	if (plan.tty && !environment.some((entry) => entry.startsWith("TERM="))) set("TERM", "xterm");
	const argv = plan.argv.length === 0 && hasRoot ? [identity.shell ?? "/bin/sh"] : plan.argv;
	if (argv[0] !== undefined && !isDryRun()) checkProgram(argv[0], environment);
	return { argv, environment, identity };
}

/** As execvp(3) looks for it. */
function checkProgram(name: string, environment: string[]) {
	const path = environment.find((entry) => entry.startsWith("PATH="))?.slice(5) ?? "";
	const candidates = name.includes("/") ? [name] : path.split(":").map((folder) => `${folder || "."}/${name}`);
	const errnos = candidates.map(checkExecutable);
	if (errnos.includes(0)) return;
	const errno = errnos.includes(EACCES) ? EACCES : name.includes("/") ? (errnos[0] as number) : ENOENT;
	fail(`execve ${show(name)}: ${strerror(errno)}`, undefined, errno === ENOENT ? 127 : 126);
}

function launch(plan: Plan, birth: Birth, { argv, environment, identity, umask: mask }: Program): never {
	/* Only now is the process in the cgroup that is to be its root. */
	if (isEnteredLate(plan) && (plan.flags & CLONE_NEWCGROUP) !== 0) unshare(CLONE_NEWCGROUP);
	setDumpable(false);
	umask(mask);
	raiseLimits(plan.limits);
	const filter = applyIdentity(plan, identity, birth.filter);
	dieWithParent(birth);
	sigprocmask(SIG_SETMASK, birth.mask);
	setLimits(plan.limits);
	restrict(plan, filter);
	/* From here on paths of the container are resolved; but for the report's pipe there is nothing of the host to come by. */
	if (plan.rootfs !== undefined && argv[0] !== undefined) refuseMagicLink(argv[0], environment);
	execute(argv, environment, plan.argv0);
}
