/** Job control: how the init follows a program that the terminal's user has stopped. Loaded when that happens. */
import { getpgrp, getpid, getsid, kill } from "../../native/linux/process.ts";
import { SIG_BLOCK, SIG_UNBLOCK, SIGCONT, SIGTSTP, sigprocmask, sigset, sigtimedwait } from "../../native/linux/signal.ts";
import { getForegroundGroup, setForegroundGroup } from "../../native/linux/terminal.ts";
import type { Init } from "./init.ts";

/**
 * Stops like the program did, so that the shell which waits for us gets the terminal back; once the shell continues us
 * (`fg`, `bg`), continues the program.
 *
 * Where no shell could continue us, we stay awake: as PID 1, as the session's leader, and in an orphaned process group,
 * for which the kernel discards SIGTSTP (it would not discard SIGSTOP).
 *
 * Returns a signal that is to be forwarded: a SIGCONT that has come meanwhile, which our own SIGTSTP would discard.
 */
export function followStop(init: Init): number | undefined {
	if (sigtimedwait(sigset([SIGCONT]), 0)) return SIGCONT;
	if (init.pid === 1 || getsid() === init.pid) return undefined;
	kill(getpid(), SIGTSTP);
	sigprocmask(SIG_UNBLOCK, sigset([SIGTSTP])); /* here it stops */
	sigprocmask(SIG_BLOCK, sigset([SIGTSTP]));
	/* The signal that continued us is blocked, thus still pending. None: it did not stop. */
	if (!sigtimedwait(sigset([SIGCONT]), 0)) return undefined;
	if (init.ownsTerminal && getForegroundGroup(0) === getpgrp()) setForegroundGroup(0, init.child);
	kill(-init.child, SIGCONT);
	return undefined;
}
