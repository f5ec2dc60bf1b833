/** Loop devices, which make a block device of a file: man 4 loop. */

import * as host from "#host";
import { encodeDev } from "./blockdev.ts";
import { EBUSY, EINVAL, ENOENT, ENOTTY } from "./errno.ts";
import { close, ioctl, O_RDONLY, O_RDWR, open, readdir, readFileIfAny } from "./fd.ts";
import * as nr from "./nr.ts";
import { mknod, S_IFBLK } from "./stat.ts";
import { struct } from "./struct.ts";
import { dryRun, SysError, tryCall } from "./syscall.ts";

export const LOOP_MAJOR = 7;
export const LOOP_SET_FD = 0x4c00;
export const LOOP_CLR_FD = 0x4c01;
export const LOOP_SET_STATUS64 = 0x4c04;
export const LOOP_SET_CAPACITY = 0x4c07;
export const LOOP_CONFIGURE = 0x4c0a;
export const LOOP_CTL_GET_FREE = 0x4c82;
export const LO_FLAGS_READ_ONLY = 1;
export const LO_FLAGS_AUTOCLEAR = 4;
export const LO_NAME_SIZE = 64;

export const loopInfo64 = /* @__PURE__ */ struct([
	["lo_device", "u64"],
	["lo_inode", "u64"],
	["lo_rdevice", "u64"],
	["lo_offset", "u64"],
	["lo_sizelimit", "u64"],
	["lo_number", "u32"],
	["lo_encrypt_type", "u32"],
	["lo_encrypt_key_size", "u32"],
	["lo_flags", "u32"],
	["lo_file_name", "u8[64]"],
	["lo_crypt_name", "u8[64]"],
	["lo_encrypt_key", "u8[32]"],
	["lo_init", "u8[16]"],
]);

export const loopConfig = /* @__PURE__ */ struct([
	["fd", "u32"],
	["block_size", "u32"],
	["info", "u8[232]"],
	["__reserved", "u8[64]"],
]);

/** A loop device: its number, and the descriptor that keeps it while nobody else has it open. */
export interface LoopDevice {
	number: number;
	fd: number;
}

function openLoop(number: number, flags: number): number {
	const path = `/dev/loop${number}`;
	try {
		return open(path, flags);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === ENOENT)) throw error;
		/* A /dev that is no devtmpfs, and no udev to fill it. */
		mknod(path, S_IFBLK | 0o600, encodeDev(LOOP_MAJOR, number));
		return open(path, flags);
	}
}

/**
 * Attaches an open file to a free loop device. It detaches by itself with its last user (LO_FLAGS_AUTOCLEAR), so that a
 * process that dies before a table holds the device leaves none behind. `path` is what losetup(8) will show.
 */
export function attachLoop(file: number, path: string): LoopDevice {
	if (dryRun(`LOOP_CONFIGURE ${path}`)) return { number: 0, fd: -1 };
	const name = new Uint8Array(LO_NAME_SIZE);
	name.set(new Uint8Array(host.encode(path)).subarray(0, LO_NAME_SIZE - 1));
	const info = loopInfo64.pack({ lo_flags: LO_FLAGS_AUTOCLEAR, lo_file_name: name });
	const control = open("/dev/loop-control", O_RDWR);
	try {
		/* Another process may be given the same free device, and be the faster one. */
		for (let tries = 0; ; tries++) {
			const number = ioctl(control, LOOP_CTL_GET_FREE);
			const fd = openLoop(number, O_RDWR);
			let result = tryCall("LOOP_CONFIGURE", nr.SYS_ioctl, fd, LOOP_CONFIGURE, loopConfig.pack({ fd: file, info }));
			/* Before Linux 5.8 it takes two steps. */
			if (result === -EINVAL || result === -ENOTTY) {
				result = tryCall("LOOP_SET_FD", nr.SYS_ioctl, fd, LOOP_SET_FD, file);
				if (result === 0) {
					result = tryCall("LOOP_SET_STATUS64", nr.SYS_ioctl, fd, LOOP_SET_STATUS64, info);
					if (result < 0) tryCall("LOOP_CLR_FD", nr.SYS_ioctl, fd, LOOP_CLR_FD, 0);
				}
			}
			if (result >= 0) return { number, fd };
			close(fd);
			if (result !== -EBUSY || tries >= 64) throw new SysError("LOOP_CONFIGURE", -result, path);
		}
	} finally {
		close(control);
	}
}

/** Makes a loop device as large as its file has become. */
export function updateLoopCapacity(number: number) {
	if (dryRun(`LOOP_SET_CAPACITY /dev/loop${number}`)) return;
	const fd = openLoop(number, O_RDONLY);
	try {
		ioctl(fd, LOOP_SET_CAPACITY);
	} finally {
		close(fd);
	}
}

/** The file behind a loop device, as the kernel knows it now; undefined where it has none. */
export function loopFile(number: number): string | undefined {
	return readFileIfAny(`/sys/block/loop${number}/loop/backing_file`)?.replace(/\n$/, "");
}

/** The loop devices in use. */
export function loopDevices(): number[] {
	return readdir("/sys/block")
		.map((name) => /^loop(\d+)$/.exec(name)?.[1])
		.filter((number): number is string => number !== undefined && loopFile(Number(number)) !== undefined)
		.map(Number);
}
