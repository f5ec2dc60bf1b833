/** System V semaphores, sets of one: man 7 sysvipc, 2 semget, semop, semctl. */

import * as nr from "./nr.ts";
import { struct } from "./struct.ts";
import { call, SysError, tryCall } from "./syscall.ts";

export const IPC_CREAT = 0o1000;
export const IPC_EXCL = 0o2000;
export const IPC_NOWAIT = 0o4000;
export const IPC_RMID = 0;
export const GETVAL = 12;
export const SETVAL = 16;

/** The set is made anew; throws EEXIST where the key is taken, ENOSPC at the limit of the kernel (/proc/sys/kernel/sem). */
export function semCreate(key: number, mode = 0o600): number {
	return call("semget", nr.SYS_semget, key, 1, IPC_CREAT | IPC_EXCL | mode);
}

/** The set of a key. Throws ENOENT. */
export function semFind(key: number): number {
	return call("semget", nr.SYS_semget, key, 1, 0);
}

export function semSet(id: number, value: number) {
	call("semctl", nr.SYS_semctl, id, 0, SETVAL, value);
}

export function semGet(id: number): number {
	return call("semctl", nr.SYS_semctl, id, 0, GETVAL);
}

export function semRemove(id: number) {
	call("semctl", nr.SYS_semctl, id, 0, IPC_RMID);
}

export const sembuf = /* @__PURE__ */ struct([
	["sem_num", "u16"],
	["sem_op", "u16"],
	["sem_flg", "u16"],
]);

/**
 * Adds to the value, or waits until it is 0 (`operation` 0). Throws EAGAIN when `timeout` seconds have passed, EIDRM when
 * the set was removed meanwhile.
 */
export function semOperate(id: number, operation: number, timeout: number) {
	const time = new Uint8Array(16);
	const view = new DataView(time.buffer);
	view.setUint32(0, Math.floor(timeout), true);
	view.setUint32(8, Math.floor((timeout % 1) * 1e9), true);
	const result = tryCall("semtimedop", nr.SYS_semtimedop, id, sembuf.pack({ sem_op: operation & 0xffff }), 1, time);
	if (result < 0) throw new SysError("semtimedop", -result);
}

/** The sets that there are: /proc/sysvipc/sem, man 5 proc_sysvipc. Keys are unsigned. */
export function parseSemaphores(text: string): { key: number; id: number; created: number }[] {
	return text
		.split("\n")
		.slice(1)
		.map((line) => line.trim().split(/\s+/))
		.filter((fields) => fields.length >= 10)
		.map((fields) => ({ key: Number(fields[0]) >>> 0, id: Number(fields[1]), created: Number(fields[9]) }));
}
