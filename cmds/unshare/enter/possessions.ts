/**
 * What a process in a sandbox has and may do, for another one that is to be its equal: user and groups, capabilities,
 * no_new_privs, resource limits.
 */
import {
	CAPABILITIES,
	capget,
	capset,
	clearAmbient,
	dropFromBoundingSet,
	lastCapability,
	raiseAmbient,
} from "../../../native/linux/capability.ts";
import { setgroups, setresgid, setresuid } from "../../../native/linux/credential.ts";
import { EPERM } from "../../../native/linux/errno.ts";
import { readFile } from "../../../native/linux/fd.ts";
import { PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS, prctl } from "../../../native/linux/process.ts";
import { getrlimit, RLIM_INFINITY, RLIMITS, setrlimit } from "../../../native/linux/rlimit.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { type Entered, readOf } from "./target.ts";

/** Ids that have no number in the user namespace, and groups that may not be set in it, are left out. */
export interface Identity {
	uid?: number;
	gid?: number;
	groups?: number[];
}

export interface Possessions extends Identity {
	/** The numbers of the capabilities in the sets. */
	bounding: number[];
	ambient: number[];
	noNewPrivs: boolean;
	isFiltered: boolean;
	limits: { soft: number; hard: number }[];
}

function field(status: string, name: string): string {
	const at = `\n${status}`.indexOf(`\n${name}:`);
	return at < 0 ? "" : status.slice(at + name.length + 1, status.indexOf("\n", at)).trim();
}

/** The effective ids, as the target's user namespace numbers them where that `isEntered`, else as ours does. */
export function identityOf(target: Entered, isEntered: boolean, status = readOf(target, "status")): Identity {
	const numbers = (name: string) => field(status, name).split(/\s+/).filter(Boolean).map(Number);
	const inside = (file: string) => {
		if (!isEntered) return (id: number) => id;
		const map = readOf(target, file)
			.split("\n")
			.map((line) => line.trim().split(/\s+/).map(Number) as [number, number, number]);
		return (id: number) => {
			const range = map.find(([, outer, count]) => id >= outer && id < outer + count);
			return range && range[0] + id - range[1];
		};
	};
	const [uid, gid] = [inside("uid_map")(numbers("Uid")[1] ?? 0), inside("gid_map")(numbers("Gid")[1] ?? 0)];
	const groups = numbers("Groups")
		.map(inside("gid_map"))
		.filter((id): id is number => id !== undefined);
	/* setgroups(2) may be denied in the user namespace, as it is as long as that has no map. */
	const mayChange = !isEntered || (gid !== undefined && readOf(target, "setgroups").trim() === "allow");
	return { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }), ...(mayChange && { groups }) };
}

/** A set of capabilities, as /proc writes it: 64 bits in hexadecimal. */
export function capabilitySet(hex: string): number[] {
	const numbers: number[] = [];
	for (let i = 0; i < CAPABILITIES.length; i++) {
		const digit = Number.parseInt(hex[hex.length - 1 - (i >> 2)] ?? "0", 16);
		if ((digit >> (i & 3)) & 1) numbers.push(i);
	}
	return numbers;
}

/** The lines of /proc/PID/limits in the order of RLIMITS: a name of 26 columns, then soft and hard of 21 each. */
function limitsOf(text: string): { soft: number; hard: number }[] {
	const limit = (word: string) => (word.trim() === "unlimited" ? RLIM_INFINITY : Number(word));
	return text
		.split("\n")
		.slice(1, RLIMITS.length + 1)
		.map((line) => ({ soft: limit(line.slice(26, 47)), hard: limit(line.slice(47, 68)) }));
}

export function possessionsOf(target: Entered, isEntered: boolean): Possessions {
	const status = readOf(target, "status");
	return {
		...identityOf(target, isEntered, status),
		bounding: capabilitySet(field(status, "CapBnd")),
		ambient: capabilitySet(field(status, "CapAmb")),
		noNewPrivs: field(status, "NoNewPrivs") === "1",
		isFiltered: field(status, "Seccomp") === "2" && field(readFile("/proc/self/status"), "Seccomp") !== "2",
		limits: limitsOf(readOf(target, "limits")),
	};
}

/** Takes on the limits; where we may not have a larger one, ours stays. */
export function takeLimits(limits: { soft: number; hard: number }[]) {
	const least = (a: number, b: number) => (a === RLIM_INFINITY ? b : b === RLIM_INFINITY ? a : Math.min(a, b));
	limits.forEach(({ soft, hard }, resource) => {
		const own = getrlimit(resource);
		if (own.soft === soft && own.hard === hard) return;
		try {
			setrlimit(resource, soft, hard);
		} catch (error) {
			if (!(error instanceof SysError && error.errno === EPERM)) throw error;
			setrlimit(resource, least(soft, own.hard), least(hard, own.hard));
		}
	});
}

/**
 * Takes on the ids, and gives up all capabilities that the target cannot have. `between` is done while there are still those
 * that the sandbox's root has.
 */
export function takeCapabilitiesAndIds({ uid, gid, groups, bounding, ambient }: Possessions, between: () => void) {
	const last = lastCapability();
	for (let capability = 0; capability <= last; capability++)
		if (!bounding.includes(capability) && capability < CAPABILITIES.length) dropFromBoundingSet(capability);
	clearAmbient();
	/* An exec by root gives the bounding set, and what is inheritable besides. */
	const { effective, permitted } = capget();
	capset({ effective, permitted, inheritable: [] });
	between();
	if (ambient.length > 0) prctl("PR_SET_KEEPCAPS", PR_SET_KEEPCAPS, 1);
	if (groups) setgroups(groups);
	if (gid !== undefined) setresgid(gid);
	if (uid !== undefined) setresuid(uid);
	if (ambient.length > 0) {
		capset({ effective: ambient, permitted: ambient, inheritable: ambient });
		for (const capability of ambient) raiseAmbient(capability);
		return;
	}
	const left = capget().permitted.filter((capability) => bounding.includes(capability));
	capset({ effective: left, permitted: left, inheritable: [] });
}

export function forgoPrivileges() {
	prctl("PR_SET_NO_NEW_PRIVS", PR_SET_NO_NEW_PRIVS, 1);
}
