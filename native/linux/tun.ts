/** TUN and TAP interfaces: Documentation/networking/tuntap.rst; linux/if_tun.h. */
import { close, O_RDWR, open } from "./fd.ts";
import { ifreqFlags } from "./loopback.ts";
import { SYS_ioctl } from "./nr.ts";
import { SysError, tryChange } from "./syscall.ts";

export const TUNSETIFF = 0x400454ca;
export const TUNSETPERSIST = 0x400454cb;
export const IFF_TUN = 1;
export const IFF_TAP = 2;
export const IFF_NO_PI = 0x1000;

/** Makes a persistent TUN or TAP interface in our namespace. Throws SysError. */
export function makeTunTap(name: string, kind: "tun" | "tap") {
	const fd = open("/dev/net/tun", O_RDWR);
	try {
		const request = ifreqFlags.pack({ ifr_name: name, ifr_flags: (kind === "tap" ? IFF_TAP : IFF_TUN) | IFF_NO_PI });
		const made = tryChange("ioctl(TUNSETIFF)", SYS_ioctl, fd, TUNSETIFF, request);
		if (made < 0) throw new SysError("ioctl(TUNSETIFF)", -made, name);
		const kept = tryChange("ioctl(TUNSETPERSIST)", SYS_ioctl, fd, TUNSETPERSIST, 1);
		if (kept < 0) throw new SysError("ioctl(TUNSETPERSIST)", -kept, name);
	} finally {
		close(fd);
	}
}
