/** nsenter(1): runs a program in namespaces that there are, of a process or by their files; and in whole sandboxes. */

import { type CgroupEntry, enterCgroups } from "../../../native/linux/cgroup.ts";
import { setgroups, setresgid, setresuid } from "../../../native/linux/credential.ts";
import {
	AT_FDCWD,
	chdir,
	close,
	fchdir,
	ioctl,
	O_DIRECTORY,
	O_PATH,
	open,
	openat2,
	RESOLVE_NO_MAGICLINKS,
	writeKernelFile,
} from "../../../native/linux/fd.ts";
import { chroot } from "../../../native/linux/mount.ts";
import {
	CLONE_NEWNET,
	CLONE_NEWPID,
	CLONE_NEWUSER,
	NAMESPACES,
	type NamespaceKind,
	owningUserNamespace,
} from "../../../native/linux/namespace.ts";
import { fork, PR_SET_DUMPABLE, pidfdGetfd, prctl, setsid } from "../../../native/linux/process.ts";
import { SIG_DFL, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, setDisposition } from "../../../native/linux/signal.ts";
import { SIOCGSKNS } from "../../../native/linux/socket.ts";
import { exists } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { type CommandLine, notA } from "../../common/command-line/options.ts";
import { UsageError } from "../../common/errors.ts";
import { endLike, execute, keptEnvironment, waitForProgram } from "../../common/program.ts";
import { type Joining, joinNamespaces, namesFile, namesProgramUser, namespacesToJoin } from "../container/join.ts";
import { protectOwnBinary } from "../container/own-binary.ts";
import { forkProgram } from "../family.ts";
import { idNumber, isOutsideOfRoot } from "../inside.ts";
import { keepCapabilities } from "../keep-capabilities.ts";
import { cgroupsOf } from "./cgroups.ts";
import type { EnterOptions, enterOptions } from "./options.ts";
import { identityOf } from "./possessions.ts";
import { enterSandbox } from "./sandbox.ts";
import { type Entered, openEntered, openOf, readOf } from "./target.ts";

/** All that is opened before the first namespace is joined, since from in there it would be something else, or nothing. */
interface Opened {
	namespaces: Joining[];
	root?: number;
	folder?: number;
	environment: string[];
	cgroups?: CgroupEntry;
	uid?: number;
	gid?: number;
}

export function enter({ options, operands }: CommandLine<typeof enterOptions>) {
	const isByOperand = options.target === undefined && !namesFile(options);
	const name = isByOperand ? operands[0] : options.target;
	if (isByOperand && name === undefined) throw new UsageError("enter: no target: neither --target nor a sandbox's id, a PID or a FILE");
	const program = isByOperand ? operands.slice(operands[1] === "--" ? 2 : 1) : operands;
	/* Without a word on what to enter, all that makes the sandbox. */
	const isWhole =
		isByOperand && !options.all && !options.root && !options.userParent && options.netSocket === undefined && !namesAny(options);
	checkIds(options);

	for (const long of ["tty", "setEnv", "privileged", "detach"] as const)
		if (!isWhole && options[long] !== undefined)
			throw new UsageError(`--${long === "setEnv" ? "set-env" : long}: for a whole sandbox, without namespaces by option`);

	if (isWhole || options.all || options.root || options.mount) protectOwnBinary();
	const target = name === undefined ? undefined : openEntered(name);
	if (isWhole) return enterSandbox(needed(target, "enter"), program, options);
	const opened = openAll(options, target);
	const joins = (flag: number) => opened.namespaces.some(({ kind }) => kind.flag === flag);
	if (opened.namespaces.length === 0 && opened.root === undefined) throw new UsageError("enter: no namespace to enter: see --help");

	/* Who is in there already must not look into this process, nor take its descriptors, while it comes in (CVE-2016-9962). */
	prctl("PR_SET_DUMPABLE", PR_SET_DUMPABLE, 0);
	const setsIds = joins(CLONE_NEWUSER) && !options.preserveCredentials;
	const couldDropGroups = setsIds && dropGroups();
	joinNamespaces(opened.namespaces, target);
	changeFolders(options, opened);

	setDisposition(SIGCHLD, SIG_DFL);
	if (options.newSession) startSession(options.noFork === true);
	else if (joins(CLONE_NEWPID) && !options.noFork) {
		const pid = fork();
		if (pid !== 0) endLike(waitForProgram(pid, true));
	}
	if (opened.cgroups) enterCgroups(opened.cgroups, false);
	takeIds(opened, setsIds, couldDropGroups);
	if (options.keepCaps && joins(CLONE_NEWUSER)) keepCapabilities();
	execute(program, opened.environment);
}

function namesAny(options: EnterOptions): boolean {
	return NAMESPACES.some(({ name }) => {
		const value = options[name === "mnt" ? "mount" : (name as "net")];
		return value !== undefined && !(name === "user" && namesProgramUser(value));
	});
}

function checkIds(options: EnterOptions) {
	for (const name of ["setuid", "setgid"] as const) {
		const text = options[name];
		if (text !== undefined && text !== "follow" && idNumber(text) === undefined)
			notA(`--${name}`, text, "a number (0-4294967294) or follow");
	}
	if (options.wd !== undefined && options.wdns !== undefined) throw new UsageError("--wd and --wdns: only one of them");
	if (options.netSocket !== undefined && !/^\d{1,9}$/.test(options.netSocket))
		notA("--net-socket", options.netSocket, "a descriptor's number");
}

/** The target, for an option that needs it. */
function needed(target: Entered | undefined, option: string): Entered {
	if (!target) throw new UsageError(`${option}: needs a target (--target PID)`);
	return target;
}

function openAll(options: EnterOptions, target: Entered | undefined): Opened {
	const namespaces = namespacesToJoin(options, options.all ? needed(target, "--all") : target, options.all === true);
	const kind = (flag: number) => NAMESPACES.find((one) => one.flag === flag) as NamespaceKind;
	const put = (joining: Joining) => {
		const at = namespaces.findIndex((one) => one.kind === joining.kind);
		if (at < 0) namespaces.push(joining);
		else namespaces[at] = joining;
	};
	for (const joining of namespaces)
		if (joining.fd === undefined) needed(target, `--${joining.kind.name === "mnt" ? "mount" : joining.kind.name}`);
	if (options.userParent) put({ kind: kind(CLONE_NEWUSER), fd: parentOfUsers(namespaces, target), object: "the parent user namespace" });
	if (options.netSocket !== undefined) {
		const socket = pidfdGetfd(needed(target, "--net-socket").pidfd, Number(options.netSocket));
		put({ kind: kind(CLONE_NEWNET), fd: ioctl(socket, SIOCGSKNS), object: "the socket's network namespace" });
	}
	const opened: Opened = { namespaces, environment: keptEnvironment({}) };

	const folder = (value: string | true | undefined, file: string) => {
		if (value === undefined) return undefined;
		if (value === true) return openOf(needed(target, `--${file === "cwd" ? "wd" : file}`), file, O_PATH | O_DIRECTORY);
		return open(value, O_PATH | O_DIRECTORY);
	};
	const root = folder(options.root, "root");
	if (root !== undefined) opened.root = root;
	const wd = folder(options.wd, "cwd");
	if (wd !== undefined) opened.folder = wd;
	if (options.env) opened.environment = environmentOf(needed(target, "--env"));
	if (options.joinCgroup) opened.cgroups = cgroupsOf(needed(target, "--join-cgroup"));
	const entersUsers = namespaces.some((one) => one.kind.flag === CLONE_NEWUSER && one.fd === undefined);
	const { setuid, setgid } = options;
	const followed = setuid === "follow" || setgid === "follow" ? identityOf(needed(target, "follow"), entersUsers) : {};
	const uid = setuid === "follow" ? followed.uid : setuid === undefined ? undefined : Number(setuid);
	const gid = setgid === "follow" ? followed.gid : setgid === undefined ? undefined : Number(setgid);
	if (uid !== undefined) opened.uid = uid;
	if (gid !== undefined) opened.gid = gid;
	if (options.followContext) followContext(needed(target, "--follow-context"));
	return opened;
}

/** The parent of the user namespace that is to be entered, or else of the one that owns the first of the others. */
function parentOfUsers(namespaces: Joining[], target: Entered | undefined): number {
	const [first] = [...namespaces].sort((a, b) => Number(b.kind.flag === CLONE_NEWUSER) - Number(a.kind.flag === CLONE_NEWUSER));
	const fd = first?.fd ?? openOf(needed(target, "--user-parent"), "ns/user");
	return owningUserNamespace(fd);
}

function environmentOf(target: Entered): string[] {
	return readOf(target, "environ")
		.split("\0")
		.filter((entry) => entry.includes("="));
}

/** SELinux only: the next exec changes to the target's context. Elsewhere there is none. */
function followContext(target: Entered) {
	if (exists("/sys/fs/selinux/enforce")) writeKernelFile("/proc/self/attr/exec", readOf(target, "attr/current"));
}

/** Drops all supplementary groups, where we may. */
function dropGroups(): boolean {
	try {
		setgroups([]);
		return true;
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		return false;
	}
}

/** The root and the working folder. Without a word about the latter it stays what it is, if that is below the new root. */
function changeFolders({ wd, wdns, mount }: EnterOptions, { root, folder }: Opened) {
	const before = root !== undefined && folder === undefined && wdns === undefined ? open(".", O_PATH | O_DIRECTORY) : folder;
	if (root !== undefined) {
		fchdir(root);
		chroot(".");
		chdir("/");
		close(root);
	}
	/* Not by a link to a descriptor of ours in /proc/self/fd, of which in there one could be put (CVE-2024-21626). */
	const after = wdns === undefined ? before : openat2(AT_FDCWD, wdns, O_PATH | O_DIRECTORY, RESOLVE_NO_MAGICLINKS);
	if (after === undefined) return;
	fchdir(after);
	close(after);
	const isNamed = typeof wd === "string";
	if (!isNamed && (root !== undefined || mount !== undefined) && isOutsideOfRoot()) chdir("/");
}

/** A leader of a process group, as a shell makes each job, cannot start a session. The terminal's signals no longer reach the child. */
function startSession(noFork: boolean) {
	if (!noFork) forkProgram([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2]);
	setsid();
}

/** The ids, where there is a user namespace to be root of, or where options say so. */
function takeIds({ uid, gid }: Opened, setsIds: boolean, couldDropGroups: boolean) {
	if (gid !== undefined || setsIds) {
		/* Once before and once after the user namespace was entered it may be allowed: once will do. */
		if (!dropGroups() && !couldDropGroups) setgroups([]);
		setresgid(gid ?? 0);
	}
	if (uid !== undefined || setsIds) setresuid(uid ?? 0);
}
