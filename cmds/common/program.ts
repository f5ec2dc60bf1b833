/** The program that runs in the end: its environment, its descriptors, its exec, and the wait for it. */
import { E2BIG, EACCES, ECHILD, ELOOP, ENOENT, ENOEXEC } from "../../native/linux/errno.ts";
import { AT_FDCWD, close, closeRange, O_PATH, openat2, RESOLVE_NO_MAGICLINKS } from "../../native/linux/fd.ts";
import { type Ended, environ, execvp, exit, getpid, kill, WUNTRACED, wait } from "../../native/linux/process.ts";
import { SIG_DFL, SIG_UNBLOCK, SIGCONT, SIGKILL, SIGSTOP, setDisposition, sigprocmask, sigset } from "../../native/linux/signal.ts";
import { statIfAny } from "../../native/linux/stat.ts";
import { strerror } from "../../native/linux/strerror.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { notA } from "./command-line/options.ts";
import { fail, show } from "./errors.ts";

/** The exit statuses of env(1), nohup(1) and the shells for a program that is found and cannot be run, or is not found. */
const EXIT_CANNOT_EXECUTE = 126;
const EXIT_NOT_FOUND = 127;

/** The program's environment by --clear-env and --whitelist-env: what is named and set is kept. */
export function keptEnvironment(options: { clearEnv?: true; whitelistEnv?: string }): string[] {
	/* What a start anew tells itself (container/own-binary.ts) is not the program's. */
	const all = environ().filter((entry) => !entry.startsWith("TSBOX_OWN_FOLDER="));
	if (options.whitelistEnv === undefined) return options.clearEnv ? [] : all;
	const names = options.whitelistEnv.split(",");
	return all.filter((entry) => names.includes(entry.slice(0, entry.indexOf("="))));
}

/** Closes all descriptors from `first` on but some. */
export function closeAllBut(kept: number[], first = 3) {
	let from = first;
	for (const fd of kept.filter((fd) => fd >= first).sort((a, b) => a - b)) {
		closeRange(from, fd - 1);
		from = fd + 1;
	}
	closeRange(from);
}

/**
 * Fails where a program of a container would be found by a link of the kernel's to a file or folder of a process
 * (/proc/PID/fd, exe, root): what that is, is not the container's to say (CVE-2024-21626, CVE-2019-5736).
 */
export function refuseMagicLink(name: string, environment: string[]) {
	const path = environment.find((entry) => entry.startsWith("PATH="))?.slice(5) ?? "";
	for (const candidate of name.includes("/") ? [name] : path.split(":").map((folder) => `${folder || "."}/${name}`)) {
		try {
			close(openat2(AT_FDCWD, candidate, O_PATH, RESOLVE_NO_MAGICLINKS));
			return;
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
			if (error.errno === ELOOP) fail(`execve ${show(name)}: leads through /proc to a file of a process`, undefined, EXIT_CANNOT_EXECUTE);
		}
	}
}

/** For --preserve-fds. */
export function descriptorCount(text: string | undefined): number {
	if (text === undefined) return 0;
	return /^\d{1,7}$/.test(text) ? Number(text) : notA("--preserve-fds", text, "a number of descriptors");
}

/** Executes the program, which may be told another name, or without one a login shell: $SHELL, else /bin/sh. */
export function execute(operands: string[], environment: string[], argv0 = operands[0]): never {
	const shell = environment.find((entry) => entry.startsWith("SHELL="))?.slice(6) || "/bin/sh";
	const [name, argv] =
		operands.length > 0
			? [operands[0] as string, [argv0 as string, ...operands.slice(1)]]
			: [shell, [`-${shell.slice(shell.lastIndexOf("/") + 1)}`]];
	try {
		execvp(argv, environment, name);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		const { errno } = error;
		fail(`execve ${show(name)}: ${strerror(errno)}`, executionHint(name, errno), errno === ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
	}
}

function executionHint(name: string, errno: number): string | undefined {
	if (errno === ENOENT && name.includes("/") && statIfAny(name))
		return "the file is there: the interpreter that it names, or its dynamic linker, is not";
	if (errno === ENOEXEC) return "the file is no program of this machine's architecture";
	if (errno === EACCES) return "the file or a folder above it is not executable for this user, or its mount has the option noexec";
	if (errno === E2BIG)
		return "the arguments and the environment are longer than a quarter of the stack limit (ulimit -s), or than 128 KiB each";
	return undefined;
}

/**
 * Waits for the program to end. With `mirrorsStops`, when it is stopped we stop as well, and when we are continued so is
 * it: to a shell we are the job.
 */
export function waitForProgram(pid: number, mirrorsStops = false): Ended {
	for (;;) {
		const ended = wait(pid, mirrorsStops ? WUNTRACED : 0);
		if (!ended) throw new SysError("wait4", ECHILD, String(pid));
		if (ended.stopped === undefined) return ended;
		kill(getpid(), SIGSTOP);
		kill(pid, SIGCONT);
	}
}

/** Ends as the program did: with its status, or by its signal. */
export function endLike(ended: Ended): never {
	if (!ended.signal) exit(ended.code);
	if (ended.code !== SIGKILL) setDisposition(ended.code, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, sigset([ended.code]));
	kill(getpid(), ended.code);
	/* PID 1 of a namespace does not get such a signal from itself. */
	exit(128 + ended.code);
}
