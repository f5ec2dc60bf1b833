/** `udevcomplete`, `udevflags`, `udevcookies`: what udev's rules and their debugger call dmsetup for. */

import { readFile } from "../../../native/linux/fd.ts";
import { parseSemaphores, semFind, semGet, semOperate } from "../../../native/linux/semaphore.ts";
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { table } from "../../common/table.ts";
import { COOKIE_MAGIC } from "./cookie.ts";

/** Names of the flags above a cookie's 16 bits: libdevmapper.h, DM_UDEV_*. */
const FLAGS = [
	"DM_UDEV_DISABLE_DM_RULES_FLAG",
	"DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG",
	"DM_UDEV_DISABLE_DISK_RULES_FLAG",
	"DM_UDEV_DISABLE_OTHER_RULES_FLAG",
	"DM_UDEV_LOW_PRIORITY_FLAG",
	"DM_UDEV_DISABLE_LIBRARY_FALLBACK_FLAG",
	"DM_UDEV_PRIMARY_SOURCE_FLAG",
];

function cookie(operands: string[]): number {
	const value = /^(0x[0-9a-f]+|\d+)$/i.test(operands[0] ?? "") ? Number(operands[0]) : Number.NaN;
	if (!(value > 0 && value <= 0xffffffff) || operands.length !== 1) throw new UsageError("no COOKIE given (a number)");
	return value;
}

/** Takes one off a cookie: the event that it came with is done. */
export function udevComplete(operands: string[]) {
	semOperate(semFind(COOKIE_MAGIC * 0x10000 + (cookie(operands) % 0x10000)), -1, 1);
}

export function udevFlags(operands: string[]) {
	const flags = Math.floor(cookie(operands) / 0x10000);
	for (let bit = 0; bit < 16; bit++) {
		if (((flags >> bit) & 1) === 0) continue;
		/* The upper byte is the subsystem's. */
		print(`${bit >= 8 ? `DM_SUBSYSTEM_UDEV_FLAG${bit - 8}` : (FLAGS[bit] ?? `DM_UDEV_FLAG${bit}`)}='1'\n`);
	}
}

export function udevCookies() {
	const found = parseSemaphores(readFile("/proc/sysvipc/sem")).filter(({ key }) => Math.floor(key / 0x10000) === COOKIE_MAGIC);
	print(
		table(found, [
			{ header: "COOKIE", value: ({ key }) => `0x${key.toString(16)}` },
			{ header: "SEMID", value: ({ id }) => id, right: true },
			{ header: "VALUE", value: ({ id }) => semGet(id), right: true },
			{ header: "MADE", value: ({ created }) => new Date(created * 1000).toISOString() },
		]),
	);
}
