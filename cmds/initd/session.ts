/** --new-session: the program leads a session of its own, as under dumb-init. Loaded when asked for. */
import { getpid, getsid, kill, setsid } from "../../native/linux/process.ts";
import { SIGCONT, SIGHUP, SIGSTOP, sigset, sigtimedwait } from "../../native/linux/signal.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { disownTerminal, isTerminal, setControllingTerminal } from "../../native/linux/terminal.ts";
import { DEBUG, type Init, say } from "./init.ts";

/** A terminal controls one session. Where it is that of ours alone, gives it up, so that the program's session can have it. */
export function leaveTerminal() {
	if (getsid() !== getpid() || !isTerminal(0)) return;
	try {
		disownTerminal(0);
	} catch (error) {
		if (!(error instanceof SysError)) throw error; /* it was not ours */
		return;
	}
	/* A session whose leader gives up the terminal is told so (man 4 tty_ioctl): it is meant for us, not for the program. */
	for (const signal of [SIGHUP, SIGCONT]) sigtimedwait(sigset([signal]), 0);
}

/** In the child: makes the session, with the terminal if it is free. A shell's terminal stays the shell's. */
export function lead() {
	setsid();
	if (!isTerminal(0)) return;
	try {
		setControllingTerminal(0);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
}

/**
 * The terminal's user stops us (Ctrl-Z), whose session it is; the program's is another, in which the kernel discards SIGTSTP. So it gets
 * SIGSTOP, and we stop as well. The SIGCONT that continues us is forwarded like any signal.
 */
export function stopSession(init: Init) {
	say(init, DEBUG, "SIGSTOP to the program's group, and to tsinit");
	try {
		kill(-init.child, SIGSTOP);
	} catch (error) {
		if (!(error instanceof SysError)) throw error; /* it has ended */
	}
	kill(getpid(), SIGSTOP);
}
