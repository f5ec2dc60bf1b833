/** What the errors of the device-mapper mean. Loaded once a call has failed. */
import { EACCES, ENODEV, ENOENT, EPERM } from "../../native/linux/errno.ts";
import type { SysError } from "../../native/linux/syscall.ts";

/** The hint for a failed system call, or undefined. */
export function dmthinHint({ errno, object }: SysError): string | undefined {
	if (object !== "/dev/mapper/control") return undefined;
	if (errno === ENOENT || errno === ENODEV)
		return "this kernel has no device-mapper, or its module is not loaded: modprobe dm_mod, and dm_thin_pool for pools";
	return errno === EACCES || errno === EPERM ? "device-mapper is root's" : undefined;
}
