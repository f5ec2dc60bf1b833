/** Starts a child, with the signals, the process group and the terminal as the init found them. */
import { EACCES, ENOENT } from "../../native/linux/errno.ts";
import { execvp, exit, fork, getpid, setpgid } from "../../native/linux/process.ts";
import { SIG_IGN, SIG_SETMASK, SIGCHLD, setDisposition, sigprocmask } from "../../native/linux/signal.ts";
import { strerror } from "../../native/linux/strerror.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { setForegroundGroup } from "../../native/linux/terminal.ts";
import { warn } from "../common/command-line/tool.ts";
import { show } from "../common/errors.ts";
import type { Init } from "./init.ts";
import { lead } from "./session.ts";

/** Statuses of a program that could not be run, as tini's: not found, not executable, anything else. */
export const NOT_FOUND = 127;
export const NOT_EXECUTABLE = 126;
export const NOT_RUN = 1;

/** Returns the PID. A program that cannot be executed ends its child with one of the statuses above. */
export function spawn(init: Init, argv: string[], environment: string[]): number {
	const pid = fork();
	if (pid !== 0) return pid;

	if (init.settings.newSession) lead();
	else setpgid(0, 0);
	/* From the background, which we are in by now, this asks for SIGTTOU; it is blocked. */
	if (init.ownsTerminal) setForegroundGroup(0, getpid());
	if (init.childIgnored) setDisposition(SIGCHLD, SIG_IGN);
	sigprocmask(SIG_SETMASK, init.mask);
	/* Sockets passed as man 3 sd_listen_fds says are meant for the process of this PID: the program now. */
	const listen = environment.indexOf(`LISTEN_PID=${init.pid}`);
	if (listen >= 0) environment[listen] = `LISTEN_PID=${getpid()}`;
	try {
		return execvp(argv, environment);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		warn(`exec ${show(argv[0] as string)}: ${strerror(error.errno)}`);
		exit(error.errno === ENOENT ? NOT_FOUND : error.errno === EACCES ? NOT_EXECUTABLE : NOT_RUN);
	}
}
