/** Who a process is: man 7 credentials. */
import * as nr from "./nr.ts";
import { call, change } from "./syscall.ts";

export function getuid(): number {
	return call("getuid", nr.SYS_getuid);
}

export function geteuid(): number {
	return call("geteuid", nr.SYS_geteuid);
}

export function getgid(): number {
	return call("getgid", nr.SYS_getgid);
}

export function getegid(): number {
	return call("getegid", nr.SYS_getegid);
}

/** All three user ids: real, effective and saved. */
export function setresuid(uid: number) {
	change("setresuid", nr.SYS_setresuid, uid, uid, uid);
}

export function setresgid(gid: number) {
	change("setresgid", nr.SYS_setresgid, gid, gid, gid);
}

export function setgroups(groups: number[]) {
	change("setgroups", nr.SYS_setgroups, groups.length, new Uint32Array(groups));
}

export function umask(mask: number): number {
	return call("umask", nr.SYS_umask, mask);
}
