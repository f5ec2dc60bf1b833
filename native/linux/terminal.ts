/** Terminals: man 4 tty_ioctl, man 3 termios, man 4 pts. */
import { ioctl, O_NOCTTY, O_RDWR, open } from "./fd.ts";
import * as nr from "./nr.ts";
import { tryCall } from "./syscall.ts";

const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TIOCSCTTY = 0x540e;
const TIOCNOTTY = 0x5422;
const TIOCGPGRP = 0x540f;
const TIOCSPGRP = 0x5410;
const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTN = 0x80045430;
const TIOCGPTPEER = 0x5441;

/** struct termios of the kernel: u32 c_iflag, c_oflag, c_cflag, c_lflag, u8 c_line, u8 c_cc[19] */
const TERMIOS_SIZE = 36;

export function isTerminal(fd: number): boolean {
	return tryCall("ioctl", nr.SYS_ioctl, fd, TCGETS, new Uint8Array(64)) === 0;
}

/** The terminal's settings, for `setAttributes` to restore. */
export function getAttributes(fd: number): Uint8Array {
	const bytes = new Uint8Array(TERMIOS_SIZE);
	ioctl(fd, TCGETS, bytes);
	return bytes;
}

export function setAttributes(fd: number, attributes: Uint8Array) {
	ioctl(fd, TCSETS, attributes);
}

/** The settings with all processing off, as cfmakeraw(3) does it. */
export function rawAttributes(attributes: Uint8Array): Uint8Array {
	const raw = attributes.slice();
	const view = new DataView(raw.buffer);
	/* IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON; OPOST; CSIZE PARENB, then CS8; ECHO ECHONL ICANON ISIG IEXTEN */
	view.setUint32(0, view.getUint32(0, true) & ~0o2753, true);
	view.setUint32(4, view.getUint32(4, true) & ~0o1, true);
	view.setUint32(8, (view.getUint32(8, true) & ~0o460) | 0o60, true);
	view.setUint32(12, view.getUint32(12, true) & ~0o100113, true);
	raw[17 + 6] = 1; /* VMIN */
	raw[17 + 5] = 0; /* VTIME */
	return raw;
}

/** struct winsize: u16 rows, columns, x pixels, y pixels. Undefined where the descriptor is no terminal. */
export function getWindowSize(fd: number): Uint8Array | undefined {
	const bytes = new Uint8Array(8);
	return tryCall("ioctl", nr.SYS_ioctl, fd, TIOCGWINSZ, bytes) === 0 ? bytes : undefined;
}

export function setWindowSize(fd: number, size: Uint8Array) {
	tryCall("ioctl", nr.SYS_ioctl, fd, TIOCSWINSZ, size);
}

/** The columns of the terminal at a descriptor, or undefined. */
export function columns(fd: number): number | undefined {
	const size = getWindowSize(fd);
	return (size && (size[2] as number) + 256 * (size[3] as number)) || undefined;
}

/** A new pseudo-terminal of the devpts whose multiplexer is at `ptmx`: its master, and its slave's number N (pts/N). */
export function openPseudoTerminal(ptmx = "/dev/ptmx"): { master: number; number: number } {
	return unlockMaster(open(ptmx, O_RDWR | O_NOCTTY));
}

/** The same, of a multiplexer that is open already. */
export function unlockMaster(master: number): { master: number; number: number } {
	ioctl(master, TIOCSPTLCK, new Int32Array([0]));
	const number = new Uint32Array(1);
	ioctl(master, TIOCGPTN, number);
	return { master, number: number[0] as number };
}

/** The slave end of a master, without a path. Linux 4.13. */
export function openPeer(master: number): number {
	return ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
}

/** Makes a terminal the controlling one of this session, whose leader we are. */
export function setControllingTerminal(fd: number) {
	ioctl(fd, TIOCSCTTY, 0);
}

/** ioctl(2) TIOCNOTTY: the calling process's session gives up its controlling terminal, if it is this one. */
export function disownTerminal(fd: number) {
	ioctl(fd, TIOCNOTTY, 0);
}

/** The process group in the terminal's foreground, or -errno. */
export function getForegroundGroup(fd: number): number {
	const group = new Int32Array(1);
	const result = tryCall("ioctl", nr.SYS_ioctl, fd, TIOCGPGRP, group);
	return result < 0 ? result : (group[0] as number);
}

/** tcsetpgrp(3): 0, or -errno (ENOTTY, ENXIO where there is no terminal). */
export function setForegroundGroup(fd: number, group: number): number {
	return tryCall("ioctl", nr.SYS_ioctl, fd, TIOCSPGRP, new Int32Array([group]));
}
