/** Resource limits: man 2 getrlimit. */
import { timeval } from "./clock.ts";
import * as nr from "./nr.ts";
import { struct } from "./struct.ts";
import { call, SysError, tryCall } from "./syscall.ts";

/** Linux's resource names, in the order of their numbers: the same on x86_64 and aarch64. */
export const RLIMITS = [
	"cpu",
	"fsize",
	"data",
	"stack",
	"core",
	"rss",
	"nproc",
	"nofile",
	"memlock",
	"as",
	"locks",
	"sigpending",
	"msgqueue",
	"nice",
	"rtprio",
	"rttime",
];

export const RLIM_INFINITY = -1;

export const rlimit64 = /* @__PURE__ */ struct([
	["rlim_cur", "u64"],
	["rlim_max", "u64"],
]);

/** Sets a resource limit of this process: an index of RLIMITS, soft and hard values or RLIM_INFINITY. */
export function setrlimit(resource: number, soft: number, hard: number) {
	const limits = rlimit64.pack({ rlim_cur: soft, rlim_max: hard });
	const result = tryCall("prlimit64", nr.SYS_prlimit64, 0, resource, limits, null);
	if (result < 0) throw new SysError("setrlimit", -result, RLIMITS[resource]);
}

/** man 2 getrusage; ru_maxrss is in KiB. */
export const rusage = /* @__PURE__ */ struct([
	["ru_utime", timeval],
	["ru_stime", timeval],
	["ru_maxrss", "s64"],
	["ru_ixrss", "s64"],
	["ru_idrss", "s64"],
	["ru_isrss", "s64"],
	["ru_minflt", "s64"],
	["ru_majflt", "s64"],
	["ru_nswap", "s64"],
	["ru_inblock", "s64"],
	["ru_oublock", "s64"],
	["ru_msgsnd", "s64"],
	["ru_msgrcv", "s64"],
	["ru_nsignals", "s64"],
	["ru_nvcsw", "s64"],
	["ru_nivcsw", "s64"],
]);

export const RUSAGE_CHILDREN = -1;

/** What was used by this process (0), or by its children that were waited for (RUSAGE_CHILDREN). */
export function getrusage(who: number) {
	const bytes = new Uint8Array(rusage.size);
	call("getrusage", nr.SYS_getrusage, who, bytes);
	return rusage.unpack(bytes);
}

/** Soft and hard value of a resource limit of this process, RLIM_INFINITY for none. */
export function getrlimit(resource: number): { soft: number; hard: number } {
	const bytes = new Uint8Array(rlimit64.size);
	call("prlimit64", nr.SYS_prlimit64, 0, resource, null, bytes);
	const limit = (value: number) => (value >= 2 ** 63 ? RLIM_INFINITY : value);
	const { rlim_cur, rlim_max } = rlimit64.unpack(bytes);
	return { soft: limit(rlim_cur), hard: limit(rlim_max) };
}
