/**
 * A terminal that is drawn on and given back as it was: its alternate screen, without echo and line buffering. Signals
 * are taken from a signalfd, so that every one that would end or stop us finds the terminal restored first.
 */
import { read, write } from "../../../native/linux/fd.ts";
import { POLLERR, POLLHUP, POLLIN, poll } from "../../../native/linux/poll.ts";
import { getpid, kill } from "../../../native/linux/process.ts";
import {
	readSignal,
	SIG_BLOCK,
	SIG_SETMASK,
	SIG_UNBLOCK,
	SIGCONT,
	SIGHUP,
	SIGINT,
	SIGQUIT,
	SIGTERM,
	SIGTSTP,
	SIGWINCH,
	signalfd,
	sigprocmask,
	sigset,
} from "../../../native/linux/signal.ts";
import { getAttributes, getWindowSize, isTerminal, setAttributes } from "../../../native/linux/terminal.ts";

/* xterm's control sequences: the alternate screen on and off, the cursor's visibility, long lines cut or wrapped. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/** To the top left, and what to do at the end of a line and of the picture. */
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** struct termios: c_lflag's ICANON and ECHO. */
const LFLAG = 12;
const ICANON_ECHO = 0o12;

export interface Screen {
	/** Rows and columns, as they are now. */
	size(): { rows: number; columns: number };
	draw(lines: string[]): void;
	/**
	 * Waits `seconds` for keys: the one that was pressed, "resize", or "" when time is up. Undefined once the terminal is
	 * gone. A signal that ends us does so from here.
	 */
	wait(seconds: number): string | undefined;
}

/** Runs `work` on the terminal that is standard output, and restores it however that ends. */
export function withScreen(work: (screen: Screen) => void) {
	const keyboard = isTerminal(0) ? 0 : -1;
	const before = keyboard < 0 ? undefined : getAttributes(keyboard);
	const taken = sigset([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH]);
	const mask = sigprocmask(SIG_BLOCK, taken);
	const signals = signalfd(taken);

	const enter = () => {
		if (before) {
			const attributes = before.slice();
			const view = new DataView(attributes.buffer);
			view.setUint32(LFLAG, view.getUint32(LFLAG, true) & ~ICANON_ECHO, true);
			setAttributes(keyboard, attributes);
		}
		write(1, ENTER);
	};
	const leave = () => {
		try {
			write(1, LEAVE);
			if (before) setAttributes(keyboard, before);
		} catch {
			/* A terminal that is gone needs no restoring. */
		}
	};
	/** Lets a signal do what it does by default, on a terminal that is in order. */
	const obey = (signal: number) => {
		leave();
		kill(getpid(), signal);
		sigprocmask(SIG_UNBLOCK, sigset([signal]));
		/* It stopped us, and we go on. */
		sigprocmask(SIG_BLOCK, taken);
		enter();
	};

	enter();
	try {
		work({
			size() {
				const bytes = getWindowSize(1) ?? new Uint8Array(8);
				const view = new DataView(bytes.buffer);
				return { rows: view.getUint16(0, true) || 24, columns: view.getUint16(2, true) || 80 };
			},
			draw(lines) {
				write(1, HOME + lines.map((line) => line + CLEAR_LINE).join("\n") + CLEAR_BELOW);
			},
			wait(seconds) {
				const [key = 0, signal = 0] = poll(
					[
						{ fd: keyboard, events: POLLIN },
						{ fd: signals, events: POLLIN },
					],
					seconds,
				);
				if (signal & POLLIN) {
					const number = readSignal(signals)?.signal;
					if (number === SIGCONT) enter();
					else if (number !== undefined && number !== SIGWINCH) obey(number);
					return "resize";
				}
				if (key & (POLLERR | POLLHUP)) return undefined;
				if ((key & POLLIN) === 0) return "";
				const bytes = new Uint8Array(16);
				return read(keyboard, bytes) === 0 ? undefined : String.fromCharCode(bytes[0] as number);
			},
		});
	} finally {
		leave();
		sigprocmask(SIG_SETMASK, mask);
	}
}
