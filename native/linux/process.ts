/** Processes: making, naming, waiting for and signalling them, and what prctl(2) sets. */
import * as host from "#host";
import { EACCES, ECHILD, ENOENT, ENOEXEC, ENOTDIR, ESRCH } from "./errno.ts";
import { AT_EMPTY_PATH } from "./fd.ts";
import * as nr from "./nr.ts";
import { checkExecutable } from "./stat.ts";
import { pointerArray, struct } from "./struct.ts";
import { call, change, dryRun, isDryRun, SysError, tryCall } from "./syscall.ts";

export function getpid(): number {
	return call("getpid", nr.SYS_getpid);
}

export function getppid(): number {
	return call("getppid", nr.SYS_getppid);
}

/** fork(2): 0 in the child. A dry run goes on as the child would. */
export function fork(): number {
	if (dryRun("fork()")) return 0;
	const pid = host.fork();
	if (pid < 0) throw new SysError("fork", -pid);
	return pid;
}

/** man 2 clone3, version 2 of the struct (Linux 5.7). */
export const cloneArgs = /* @__PURE__ */ struct([
	["flags", "u64"],
	["pidfd", "u64"],
	["child_tid", "u64"],
	["parent_tid", "u64"],
	["exit_signal", "u64"],
	["stack", "u64"],
	["stack_size", "u64"],
	["tls", "u64"],
	["set_tid", "u64"],
	["set_tid_size", "u64"],
	["cgroup", "u64"],
]);

export const CLONE_PIDFD = 0x1000;
export const CLONE_PARENT = 0x8000;
export const CLONE_INTO_CGROUP = 0x200000000;
const SIGCHLD = 17;

/**
 * clone3(2) without shared memory: a fork whose child starts in new namespaces (`flags`: CLONE_NEW*, CLONE_PARENT) and,
 * with `cgroup`, in the v2 cgroup of that descriptor. `pid` is 0 in the child; `pidfd` names it for good.
 */
export function clone(flags: number, cgroup?: number): { pid: number; pidfd: number } {
	const pidfd = new Int32Array(1);
	const parent = Math.floor(flags / CLONE_PARENT) % 2 === 1;
	const args = cloneArgs.pack({
		flags: flags + CLONE_PIDFD + (cgroup === undefined ? 0 : CLONE_INTO_CGROUP),
		pidfd: host.addressOf(pidfd),
		exit_signal: parent ? 0 : SIGCHLD,
		cgroup: cgroup ?? 0,
	});
	const pid = change("clone3", nr.SYS_clone3, args, args.length);
	return { pid, pidfd: pidfd[0] as number };
}

/** The environment, as a list of `NAME=value` (man 7 environ). */
export function environ(): string[] {
	return host.environ();
}

export function exit(code: number): never {
	return host.exit(code);
}

/** execve(2): returns only by throwing. `environment` is a list of `NAME=value`. */
export function execve(path: string, argv: string[], environment: string[]): never {
	if (dryRun(`execve(${JSON.stringify(path)}, ${JSON.stringify(argv)})`)) exit(0);
	call("execve", nr.SYS_execve, path, pointerArray(argv), pointerArray(environment));
	throw new Error("execve returned");
}

/** execveat(2) of an open file; returns only by throwing. `object` is what an error names. */
export function fexecve(fd: number, argv: string[], environment: string[], object: string): never {
	const result = tryCall("execveat", nr.SYS_execveat, fd, "", pointerArray(argv), pointerArray(environment), AT_EMPTY_PATH);
	throw new SysError("execveat", -result, object);
}

/**
 * Executes a program as execvp(3) does: a name without a slash is looked for along PATH, a script without an
 * interpreter line is given to /bin/sh. Throws SysError with ENOENT if there is none, else what execve(2) said. `name` is
 * the program, where it is not the same as argv[0] (a login shell's begins with a dash).
 */
export function execvp(argv: string[], environment: string[], name = argv[0] as string): never {
	const path = environment.find((entry) => entry.startsWith("PATH="))?.slice(5) ?? "/bin:/usr/bin";
	const candidates = name.includes("/") ? [name] : name === "" ? [] : path.split(":").map((folder) => `${folder || "."}/${name}`);
	let errno = ENOENT;
	for (const candidate of candidates) {
		/* One cheap question spares a failing exec for each folder of PATH. */
		const refused = candidates.length > 1 ? checkExecutable(candidate) : 0;
		if (refused === ENOENT || refused === ENOTDIR) continue;
		try {
			execve(candidate, argv, environment);
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
			if (error.errno === ENOEXEC) execve("/bin/sh", ["/bin/sh", candidate, ...argv.slice(1)], environment);
			if (error.errno === EACCES) errno = EACCES;
			else if (name.includes("/") || (error.errno !== ENOENT && error.errno !== ENOTDIR)) throw new SysError("execve", error.errno, name);
		}
	}
	/* Without the new root, in which it would be looked for, it need not be found. */
	if (isDryRun()) execve(name, argv, environment);
	throw new SysError("execve", errno, name);
}

/** How a child ended: by itself with `code`, or by signal `code`. */
export interface Ended {
	pid: number;
	code: number;
	signal: boolean;
}

/** What a shell would say in `$?`: the exit status, or 128+N for signal N. */
export function exitStatus(ended: Ended): number {
	return ended.signal ? 128 + ended.code : ended.code;
}

export const WNOHANG = 1;
export const WUNTRACED = 2;
export const WEXITED = 4;
export const WCONTINUED = 8;
export const WNOWAIT = 0x01000000;
export const P_ALL = 0;
export const P_PID = 1;
export const P_PIDFD = 3;

/**
 * wait4(2) for a child (`pid`, or -1 for any). Returns undefined where there is none to wait for (ECHILD), or where
 * WNOHANG was given and none has ended. A stopped child (WUNTRACED) is reported with `code` 0x7f00+N in `stopped`.
 */
export function wait(pid: number, options = 0): (Ended & { stopped?: number }) | undefined {
	const status = new Int32Array(1);
	const result = tryCall("wait4", nr.SYS_wait4, pid, status, options, null);
	if (result === 0 || result === -ECHILD) return undefined;
	if (result < 0) throw new SysError("wait4", -result, String(pid));
	const word = status[0] as number;
	if ((word & 0xff) === 0x7f) return { pid: result, code: 0, signal: false, stopped: (word >> 8) & 0xff };
	return (word & 0x7f) === 0 ? { pid: result, code: (word >> 8) & 0xff, signal: false } : { pid: result, code: word & 0x7f, signal: true };
}

/** Whether there is a child left, running or ended: man 2 waitid. */
export function hasChildren(): boolean {
	const result = tryCall("waitid", nr.SYS_waitid, P_ALL, 0, null, WEXITED | WNOHANG | WNOWAIT, null);
	if (result < 0 && result !== -ECHILD) throw new SysError("waitid", -result);
	return result === 0;
}

export function kill(pid: number, signal: number) {
	change("kill", nr.SYS_kill, pid, signal);
}

/** kill(2), where a process that is gone already is fine. False if it was. */
export function killIfAny(pid: number, signal: number): boolean {
	const result = tryCall("kill", nr.SYS_kill, pid, signal);
	if (result < 0 && result !== -ESRCH) throw new SysError("kill", -result, String(pid));
	return result === 0;
}

/** A descriptor that names a process for good, however often its PID is used again. Linux 5.3. */
export function pidfdOpen(pid: number, flags = 0): number {
	const fd = tryCall("pidfd_open", nr.SYS_pidfd_open, pid, flags);
	if (fd < 0) throw new SysError("pidfd_open", -fd, String(pid));
	return fd;
}

/** Signals the process of a pidfd; false if it is gone. */
export function pidfdSendSignal(pidfd: number, signal: number): boolean {
	const result = tryCall("pidfd_send_signal", nr.SYS_pidfd_send_signal, pidfd, signal, null, 0);
	if (result < 0 && result !== -ESRCH) throw new SysError("pidfd_send_signal", -result);
	return result === 0;
}

/** A duplicate of another process's descriptor. Linux 5.6. */
export function pidfdGetfd(pidfd: number, fd: number): number {
	return call("pidfd_getfd", nr.SYS_pidfd_getfd, pidfd, fd, 0);
}

export function setsid(): number {
	return call("setsid", nr.SYS_setsid);
}

/** The session of this process: the PID of its leader. */
export function getsid(): number {
	return call("getsid", nr.SYS_getsid, 0);
}

export function setpgid(pid: number, pgid: number) {
	call("setpgid", nr.SYS_setpgid, pid, pgid);
}

/** This process's group; 0 if its leader is outside of the PID namespace. */
export function getpgrp(): number {
	return call("getpgid", nr.SYS_getpgid, 0);
}

export const PR_SET_PDEATHSIG = 1;
export const PR_GET_DUMPABLE = 3;
export const PR_SET_DUMPABLE = 4;
export const PR_SET_KEEPCAPS = 8;
export const PR_SET_NAME = 15;
export const PR_SET_SECCOMP = 22;
export const PR_CAPBSET_READ = 23;
export const PR_CAPBSET_DROP = 24;
export const PR_SET_SECUREBITS = 28;
export const PR_SET_CHILD_SUBREAPER = 36;
export const PR_GET_CHILD_SUBREAPER = 37;
export const PR_SET_NO_NEW_PRIVS = 38;
export const PR_CAP_AMBIENT = 47;

/** prctl(2). Throws SysError named after the option: `prctl(PR_SET_NO_NEW_PRIVS)`. */
export function prctl(optionName: string, option: number, a = 0, b = 0, c = 0, d = 0): number {
	const result = tryCall("prctl", nr.SYS_prctl, option, a, b, c, d);
	if (result < 0) throw new SysError(`prctl(${optionName})`, -result);
	return result;
}

/** Whether orphans among this process's descendants come to it: PR_SET_CHILD_SUBREAPER, which lasts through an exec. */
export function isChildSubreaper(): boolean {
	const marked = new Int32Array(1);
	prctl("PR_GET_CHILD_SUBREAPER", PR_GET_CHILD_SUBREAPER, host.addressOf(marked));
	return marked[0] === 1;
}

/** Random bytes; man 2 getrandom. */
export function getrandom(length: number): Uint8Array {
	const bytes = new Uint8Array(length);
	call("getrandom", nr.SYS_getrandom, bytes, length, 0);
	return bytes;
}
