/**
 * udev's cookies: how we learn that udevd has made a device's nodes and has let go of the device.
 *
 * A cookie is a semaphore whose key is 0x0D4D and 16 random bits. Its value is one for us and one for each uevent that is
 * under way. An ioctl takes the 16 bits, with flags for the rules above them, and the kernel puts the number into the
 * uevent as DM_COOKIE. The last rule for it (95-dm-notify.rules) runs `dmsetup udevcomplete`, which takes one off. We take
 * ours off, wait for 0, and remove the semaphore.
 */

import { EAGAIN, EEXIST, EIDRM } from "../../../native/linux/errno.ts";
import { getrandom } from "../../../native/linux/process.ts";
import { semCreate, semOperate, semRemove, semSet } from "../../../native/linux/semaphore.ts";
import { exists } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { getenv } from "../../common/state.ts";
export const COOKIE_MAGIC = 0x0d4d;
/** DM_UDEV_PRIMARY_SOURCE_FLAG: the event comes from a change of the device, not from the rules themselves. */
const PRIMARY_SOURCE = 0x40;
/** Seconds to wait for udevd before the node is made without it. */
const PATIENCE = 10;

/** True where udevd runs and has not been ruled out: then it makes the nodes. */
export function isUdevRunning(): boolean {
	return getenv("DM_DISABLE_UDEV") === undefined && exists("/run/udev/control");
}

export interface Cookie {
	id: number;
	/** What an ioctl takes as its event number. */
	value: number;
}

export function openCookie(): Cookie {
	for (;;) {
		const random = getrandom(2);
		const base = ((random[0] as number) << 8) | (random[1] as number);
		if (base === 0) continue;
		try {
			const id = semCreate(COOKIE_MAGIC * 0x10000 + base);
			semSet(id, 2);
			return { id, value: PRIMARY_SOURCE * 0x10000 + base };
		} catch (error) {
			if (!(error instanceof SysError && error.errno === EEXIST)) throw error;
		}
	}
}

/** Waits until udevd is done with what the ioctl has sent; false if it is not within the time. */
function settle({ id }: Cookie, hasEvent: boolean): boolean {
	try {
		semOperate(id, hasEvent ? -1 : -2, 1);
		semOperate(id, 0, PATIENCE);
	} catch (error) {
		if (!(error instanceof SysError && (error.errno === EAGAIN || error.errno === EIDRM))) throw error;
		return error.errno === EIDRM;
	}
	return true;
}

/** Makes a change of a device, and where udevd runs waits until it has followed. `change` is given the cookie, 0 for none. */
export function withUdev<T extends { uevent: boolean }>(change: (cookie: number) => T): T {
	if (isDryRun() || !isUdevRunning()) return change(0);
	const cookie = openCookie();
	try {
		const info = change(cookie.value);
		settle(cookie, info.uevent);
		return info;
	} finally {
		semRemoveIfAny(cookie.id);
	}
}

function semRemoveIfAny(id: number) {
	try {
		semRemove(id);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
}
