/** Brings the loopback interface of a network namespace up: man 7 netdevice. */
import { close } from "./fd.ts";
import * as nr from "./nr.ts";
import { AF_INET } from "./sockaddr.ts";
import { SOCK_DGRAM, socket } from "./socket.ts";
import { struct } from "./struct.ts";
import { change } from "./syscall.ts";

const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
const IFF_RUNNING = 0x40;

/** struct ifreq, as far as the flags; its union is 24 bytes long. */
export const ifreqFlags = struct([
	["ifr_name", "char[16]"],
	["ifr_flags", "u16"],
	["ifr_pad", "u8[22]"],
]);

/** Sets `lo` up; the kernel then gives it 127.0.0.1 and ::1. Needs CAP_NET_ADMIN in the namespace. */
export function setLoopbackUp() {
	const fd = socket(AF_INET, SOCK_DGRAM);
	change("ioctl(SIOCSIFFLAGS lo)", nr.SYS_ioctl, fd, SIOCSIFFLAGS, ifreqFlags.pack({ ifr_name: "lo", ifr_flags: IFF_UP | IFF_RUNNING }));
	close(fd);
}
