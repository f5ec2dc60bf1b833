/**
 * A program in a whole sandbox: all its namespaces, its cgroups, and no more rights than its own program has.
 *
 * Two processes. The parent stays outside: it carries bytes and signals, and is in nothing of the sandbox's but its PID
 * namespace (for its children). The child goes in. Who is in there already may be hostile: the child cannot be looked into
 * (it is not dumpable), and before it resolves any path of theirs it has closed all that is of the host, has the sandbox's
 * credentials, capabilities and seccomp policy, and knows nothing that they could reach through /proc (CVE-2016-9962,
 * CVE-2019-5736, CVE-2024-21626).
 */
import { CAP_SYS_ADMIN, capget, lastCapability } from "../../../native/linux/capability.ts";
import { type CgroupEntry, closeCgroups, enterCgroups } from "../../../native/linux/cgroup.ts";
import { EPERM } from "../../../native/linux/errno.ts";
import { chdir, close, dup2, fchdir, O_DIRECTORY, O_PATH, O_RDWR, open, readFileIfAny } from "../../../native/linux/fd.ts";
import { chroot } from "../../../native/linux/mount.ts";
import { CLONE_NEWPID, CLONE_NEWUSER, setns } from "../../../native/linux/namespace.ts";
import { POLLIN, poll } from "../../../native/linux/poll.ts";
import { exit, fork, getpid, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, pidfdOpen, prctl, setsid } from "../../../native/linux/process.ts";
import { loadFilter } from "../../../native/linux/seccomp/load.ts";
import {
	SIG_BLOCK,
	SIG_DFL,
	SIG_SETMASK,
	SIGCHLD,
	SIGKILL,
	SIGTTIN,
	SIGTTOU,
	setDisposition,
	signalfd,
	sigprocmask,
	sigsetAllBut,
} from "../../../native/linux/signal.ts";
import { AF_UNIX } from "../../../native/linux/sockaddr.ts";
import { SOCK_STREAM, socketpair } from "../../../native/linux/socket.ts";
import { recvmsg, rights, rightsOf, sendmsg } from "../../../native/linux/sockmsg.ts";
import { readlinkIfAny, stat } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { setControllingTerminal } from "../../../native/linux/terminal.ts";
import { parseUser } from "../../common/accounts.ts";
import { notA } from "../../common/command-line/options.ts";
import { warn } from "../../common/command-line/tool.ts";
import { fail, show } from "../../common/errors.ts";
import { closeAllBut, descriptorCount, endLike, execute, refuseMagicLink } from "../../common/program.ts";
import { type OwnRecord, readRecordIfAny, sandboxFolder } from "../../common/sandbox-state.ts";
import { getenv } from "../../common/state.ts";
import { openTerminal } from "../container/dev.ts";
import { type Joining, joinNamespaces, namespacesToJoin } from "../container/join.ts";
import { attend } from "../container/run.ts";
import { openStreams, type Streams } from "../container/streams.ts";
import { copySize } from "../container/tty.ts";
import { isOutsideOfRoot, leaveKeyring } from "../inside.ts";
import { readFilterFile } from "../seccomp/file.ts";
import { type FilterSource, filterFrom, filterSource } from "../seccomp/source.ts";
import { cgroupsOf } from "./cgroups.ts";
import type { EnterOptions } from "./options.ts";
import { forgoPrivileges, type Identity, type Possessions, possessionsOf, takeCapabilitiesAndIds, takeLimits } from "./possessions.ts";
import { type Entered, openOf, readOf } from "./target.ts";

/** All that is found out before the first namespace is joined, since from in there it would be something else. */
interface Found {
	record: OwnRecord | undefined;
	possessions: Possessions;
	filter: FilterSource | undefined;
	environment: string[];
	cgroups: CgroupEntry;
	/** The root of a process that is no sandbox's; that of a sandbox is its mount namespace's. */
	root: number | undefined;
	/** The working folder of the target's process, where no other is named. */
	folder: number | undefined;
}

export function enterSandbox(target: Entered, program: string[], options: EnterOptions): never {
	const preserve = descriptorCount(options.preserveFds);
	const found = findOut(target, options);
	const streams = openStreams({ stdio: [undefined, undefined, undefined], tty: options.tty === true, preserve });
	const wanted = namespacesToJoin({}, target, true);

	/* Who is in there already must not look into this process, nor take its descriptors, while it comes in. */
	prctl("PR_SET_DUMPABLE", PR_SET_DUMPABLE, 0);
	setDisposition(SIGCHLD, SIG_DFL);
	const signals = sigsetAllBut([SIGTTIN, SIGTTOU]);
	const mask = sigprocmask(SIG_BLOCK, signals);
	const terminal = options.tty ? socketpair(AF_UNIX, SOCK_STREAM) : undefined;
	const isPidJoined = wanted.some(({ kind }) => kind.flag === CLONE_NEWPID);
	const isUserJoined =
		isPidJoined &&
		enterPidNamespace(
			target,
			wanted.some(({ kind }) => kind.flag === CLONE_NEWUSER),
		);
	const parent = pidfdOpen(getpid());
	const pid = fork();
	if (pid === 0) {
		if (!options.detach) endWithParent(parent);
		if (terminal) close(terminal[0]);
		const rest = wanted.filter(({ kind }) => kind.flag !== CLONE_NEWPID && !(isUserJoined && kind.flag === CLONE_NEWUSER));
		goIn(target, program, options, { found, streams, rest, mask, preserve, terminal: terminal?.[1] });
	}
	if (options.detach) exit(0);
	close(parent);
	const pidfd = pidfdOpen(pid);
	closeCgroups(found.cgroups);
	for (const fd of streams.program) if (fd !== undefined) close(fd);
	let master: number | undefined;
	if (terminal) {
		close(terminal[1]);
		master = rightsOf(recvmsg(terminal[0], new Uint8Array(1), 0, 64)?.control ?? [])[0];
		if (master !== undefined) copySize(master, 0, 1);
		/* Its end lets the child go on. */
		close(terminal[0]);
	}
	endLike(attend({ pid, pidfd, master }, streams, signalfd(signals)));
}

/** The PID namespace is for children, so it is joined before the fork. Who has no right to it may have one in its user namespace. */
function enterPidNamespace(target: Entered, hasUsers: boolean): boolean {
	const join = (flag: number, name: string) => {
		const fd = openOf(target, `ns/${name}`);
		setns(fd, flag, `/proc/${target.pid}/ns/${name}`);
		close(fd);
	};
	try {
		join(CLONE_NEWPID, "pid");
		return false;
	} catch (error) {
		if (!(hasUsers && error instanceof SysError && error.errno === EPERM)) throw error;
	}
	const pids = openOf(target, "ns/pid");
	join(CLONE_NEWUSER, "user");
	setns(pids, CLONE_NEWPID, `/proc/${target.pid}/ns/pid`);
	close(pids);
	return true;
}

function findOut(target: Entered, options: EnterOptions): Found {
	const id = target.record?.id;
	const record = id === undefined ? undefined : readRecordIfAny(id);
	const joinsUsers = namespacesToJoin({}, target, true).some(({ kind }) => kind.flag === CLONE_NEWUSER);
	const possessions = possessionsOf(target, joinsUsers);
	if (!record && possessions.isFiltered) warn("enter: the target has a seccomp filter, which this program does not get");
	return {
		record,
		possessions,
		filter: options.privileged ? undefined : policyOf(record),
		environment: environmentOf(target, record, options),
		cgroups: cgroupsOf(target),
		root: record ? undefined : openOf(target, "root", O_PATH | O_DIRECTORY),
		folder: (options.wdns ?? record?.cwd) === undefined ? openFolder(target) : undefined,
	};
}

function openFolder(target: Entered): number {
	const folder = openOf(target, "cwd", O_PATH | O_DIRECTORY);
	if (stat("", folder).nlink === 0)
		fail(`${readlinkIfAny("cwd", target.proc) ?? "the working folder"}: it has been removed`, "--wdns / starts the program in another");
	return folder;
}

/** The sandbox's seccomp policy, from the state that others cannot write. */
function policyOf(record: OwnRecord | undefined): FilterSource | undefined {
	if (record?.seccomp === undefined) return undefined;
	if (record.seccomp === "default") return filterSource("default", () => {});
	return filterFrom(readFilterFile(`${sandboxFolder(record.id)}/seccomp`), "the sandbox's seccomp policy", () => {});
}

/** The sandbox's environment, TERM where there is a terminal, and what --set-env says: in docker's order. */
function environmentOf(target: Entered, record: OwnRecord | undefined, options: EnterOptions): string[] {
	const stored = record && readFileIfAny(`${sandboxFolder(record.id)}/environment`);
	let environment = (stored ?? readOf(target, "environ")).split("\0").filter((entry) => entry.includes("=") && !/^(OLD)?PWD=/.test(entry));
	const set = (name: string, value: string | undefined) => {
		environment = environment.filter((entry) => !entry.startsWith(`${name}=`));
		if (value !== undefined) environment.push(`${name}=${value}`);
	};
	const terminal = getenv("TERM") ?? (options.tty ? "xterm" : undefined);
	if (terminal !== undefined) set("TERM", terminal);
	for (const text of options.setEnv ?? []) {
		const name = text.split("=", 1)[0] as string;
		if (name === "") notA("--set-env", text, "NAME=VALUE or NAME");
		if (text.includes("=")) set(name, text.slice(name.length + 1));
		else set(name, getenv(name));
	}
	return environment;
}

interface Going {
	found: Found;
	streams: Streams;
	rest: Joining[];
	mask: Uint8Array;
	preserve: number;
	/** Where the terminal's master is sent to; its end is the word to go on. */
	terminal: number | undefined;
}

/** If the parent is killed nobody carries the streams any more, or knows the status. */
function endWithParent(parent?: number) {
	prctl("PR_SET_PDEATHSIG", PR_SET_PDEATHSIG, SIGKILL);
	/* It may have died before that call. */
	if (parent !== undefined && poll([{ fd: parent, events: POLLIN }], 0)[0] !== 0) exit(0);
}

/** The child, step by step. What fails is said on the program's standard error. */
function goIn(target: Entered, program: string[], options: EnterOptions, going: Going): never {
	const { found, streams, preserve } = going;
	enterCgroups(found.cgroups, false);
	if (options.detach) leaveStreams();
	streams.program.forEach((from, to) => {
		if (from !== undefined) dup2(from, to);
	});
	setsid();
	joinNamespaces(going.rest, target);
	if (found.root !== undefined) {
		fchdir(found.root);
		chroot(".");
	}
	chdir("/");
	const root = open("/", O_PATH | O_DIRECTORY);
	if (found.folder !== undefined) fchdir(found.folder);
	if (isOutsideOfRoot()) chdir("/");
	const identity = identityIn(root, found, options);
	if (going.terminal !== undefined) takeTerminal(root, identity.uid ?? 0, going.terminal);
	closeAllBut([], 3 + preserve);

	leaveKeyring();
	takeLimits(found.possessions.limits);
	const possessions = { ...found.possessions, ...identity, ...(options.privileged && { bounding: allCapabilities() }) };
	const forgoes = !options.privileged && (possessions.noNewPrivs || found.record?.noNewPrivs === true);
	const filter = found.filter?.make(possessions.bounding);
	const comesLast = found.filter !== undefined && (forgoes || found.filter.isProgram || !mayLoadFilter());
	takeCapabilitiesAndIds(possessions, () => {
		if (filter && !comesLast) loadFilter(filter);
	});
	/* The change of ids has taken it back. */
	if (!options.detach) endWithParent();
	sigprocmask(SIG_SETMASK, going.mask);
	if (forgoes || (filter && comesLast)) forgoPrivileges();
	if (filter && comesLast) loadFilter(filter);

	/* From here on paths of the sandbox are resolved, by somebody who is no more than its own program. */
	const folder = options.wdns ?? found.record?.cwd;
	if (folder !== undefined) chdir(folder);
	if (folder !== undefined && isOutsideOfRoot()) fail(`--wdns ${show(folder)}: leads out of the sandbox`);
	const environment = identity.home === undefined ? found.environment : [...found.environment, `HOME=${identity.home}`];
	const argv = program.length > 0 ? program : [identity.shell ?? "/bin/sh"];
	refuseMagicLink(argv[0] as string, environment);
	execute(argv, environment);
}

function leaveStreams() {
	const none = open("/dev/null", O_RDWR);
	for (const fd of [0, 1, 2]) dup2(none, fd);
}

interface EnteredIdentity extends Identity {
	home?: string;
	shell?: string;
}

/** Who --user names, or the sandbox's own, looked up in its files; else who the target's process is. */
function identityIn(root: number, { record, environment, possessions }: Found, options: EnterOptions): EnteredIdentity {
	const text = typeof options.user === "string" ? options.user : record?.user;
	const hasHome = environment.some((entry) => entry.startsWith("HOME=")) && typeof options.user !== "string";
	if (text === undefined) return {};
	const found = parseUser(text, root);
	if (!found) return fail(`--user ${show(text)}: no such user or group in the sandbox's /etc/passwd or group`);
	const { uid, gid, groups, account } = found;
	return {
		uid,
		gid,
		...(possessions.groups && { groups }),
		...(!hasHome && { home: account?.home ?? "/" }),
		...(account && { shell: account.shell }),
	};
}

/** A new terminal of the sandbox's devpts: the master goes to the parent, and is closed here, before anything of theirs is resolved. */
function takeTerminal(root: number, uid: number, socket: number) {
	const { master, slave } = openTerminal(root, uid);
	sendmsg(socket, new Uint8Array([1]), { control: [rights([master])] });
	close(master);
	for (const fd of [0, 1, 2]) dup2(slave, fd);
	close(slave);
	setControllingTerminal(0);
	/* The parent closes its end when it has set the terminal's size. */
	recvmsg(socket, new Uint8Array(1));
}

/** Without no_new_privs a filter takes CAP_SYS_ADMIN. */
function mayLoadFilter(): boolean {
	return capget().effective.includes(CAP_SYS_ADMIN);
}

function allCapabilities(): number[] {
	return Array.from({ length: lastCapability() + 1 }, (_, capability) => capability);
}
