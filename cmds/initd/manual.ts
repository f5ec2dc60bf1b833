/** The texts of the manual page and the help. Loaded when one of them is asked for. */

export function details(): string[] {
	return [
		"Options, environment variables and exit statuses are those of tini 0.19, so that tsinit can take the place of tini or docker-init. One difference: the first operand ends the options, as POSIX says, so that `tsinit ls -l` needs no `--`.",
		"TINI_SUBREAPER and TINI_KILL_PROCESS_GROUP, set to anything, do what -s and -g do. TINI_VERBOSITY is a number: 0 errors only, 1 warnings (the default), 2 to 4 what -v, -vv and -vvv say.",
		"Every signal is forwarded except SIGKILL and SIGSTOP, which nobody can catch; SIGCHLD, at which tsinit reaps; SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP and SIGSYS, which mean tsinit itself; and SIGTTIN and SIGTTOU, which it ignores. A rule of --rewrite for one of the last two groups makes it forward that one as well.",
		"Where tsinit is started in a terminal's foreground, it hands the foreground to the program. When the terminal's user stops the program (Ctrl-Z), tsinit stops too, and continues it when the shell does.",
		"With --new-session PROGRAM leads a session of its own, which gets the terminal if it is free; a SIGTSTP that reaches tsinit stops PROGRAM's group and tsinit itself, and the SIGCONT that continues tsinit is forwarded. That, and signals to the group, is what dumb-init does unless --single-child is given.",
		"Once PROGRAM has ended, its status is tsinit's. --wait-all first waits for the other processes; --kill-all then ends those that remain; --after runs when this is done. Other processes are all of the PID namespace for PID 1, and tsinit's descendants otherwise; only PID 1 and a subreaper (-s) get to know of orphans. Signals that come in that time go to all that are left.",
		"The grace time starts with the first SIGTERM that is received or forwarded (or signals named by --stop-signal; SIGINT and SIGQUIT are not among them unless named, since programs use them for other ends). What is left when it is over gets SIGKILL. If PROGRAM ends before and other processes remain, they get SIGKILL then, unless --wait-all or --kill-all leaves them the rest of the time. --term-all sends SIGTERM once and exits, as dumb-init does: for PID 1 the kernel ends the rest then. --max-time acts as if SIGTERM had come, with a grace time of 10 seconds if none is given.",
		"tsinit sleeps in the kernel until a signal comes, and reaps at once. What it cannot reap is a zombie whose parent is alive: that is the parent's to do. With -v, tsinit looks every 5 seconds for such zombies and names the parent.",
		"As soon as PROGRAM runs, tsinit closes all its descriptors beyond 2 and makes / its working folder, unless --after needs it.",
	];
}

export function examples(): [string, string][] {
	return [
		["tsinit -- httpd -f", "httpd with an init in front, as a container's PID 1"],
		["tsinit -s -g --grace 5s -- make -j8", "signals go to the whole group; what is left 5 s after SIGTERM is killed"],
		["tsinit --rewrite TERM:QUIT --kill-all -- nginx -g 'daemon off;'", "SIGTERM ends nginx gently, and nothing outlives it"],
	];
}

export function statuses(): [string, string][] {
	return [
		["1", "The command line is wrong, as in tini, or tsinit failed."],
		["124", "--max-time has passed."],
		["126", "PROGRAM cannot be executed."],
		["127", "PROGRAM is not found."],
		["128+N", "PROGRAM was ended by signal N. Other statuses are PROGRAM's own; --expect makes 0 of them."],
	];
}
