/** What the program runs as: user and groups, capabilities, limits; man 7 credentials, capabilities. */
import {
	CAP_MKNOD,
	CAP_SETGID,
	CAP_SYS_ADMIN,
	capabilityNumber,
	capget,
	capset,
	clearAmbient,
	dropFromBoundingSet,
	lastCapability,
	raiseAmbient,
} from "../../../native/linux/capability.ts";
import { geteuid, setgroups, setresgid, setresuid } from "../../../native/linux/credential.ts";
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { PR_CAPBSET_READ, PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS, prctl } from "../../../native/linux/process.ts";
import { getrlimit, RLIM_INFINITY, setrlimit } from "../../../native/linux/rlimit.ts";
import { type Filter, loadFilter } from "../../../native/linux/seccomp/load.ts";
import { findUser, parseUser } from "../../common/accounts.ts";
import { fail, show } from "../../common/errors.ts";
import type { FilterSource } from "../seccomp/source.ts";
import { USUAL_CAPABILITIES } from "../usual-capabilities.ts";
import type { Limit, Plan } from "./plan.ts";

/** The program's identity, settled before the root is let go of. */
export interface Identity {
	uid: number;
	gid: number;
	/** The supplementary groups; undefined to keep what there is. */
	groups: number[] | undefined;
	home: string | undefined;
	shell: string | undefined;
	/** Nothing of the user or group is to be set. */
	isKept: boolean;
}

/** Looks the user up in the files of the root, whose content is not trusted. */
export function findIdentity(plan: Plan, root: number | undefined): Identity {
	const keepsGroups = !canSetGroups();
	if (plan.user === undefined) {
		const account = root === undefined ? undefined : findUser(geteuid(), root);
		const groups = root === undefined || keepsGroups ? undefined : [];
		return {
			uid: geteuid(),
			gid: 0,
			groups,
			home: root === undefined ? undefined : (account?.home ?? "/"),
			shell: account?.shell,
			isKept: true,
		};
	}
	const found = parseUser(plan.user, root);
	if (!found)
		fail(`--user ${show(plan.user)}: no such user or group${root === undefined ? "" : " in the container's /etc/passwd or group"}`);
	const { uid, gid, groups, account } = found;
	checkMapped("uid", [uid]);
	checkMapped("gid", [gid, ...groups]);
	return { uid, gid, groups: keepsGroups ? undefined : groups, home: account?.home ?? "/", shell: account?.shell, isKept: false };
}

/** The kernel would say EINVAL. */
function checkMapped(kind: "uid" | "gid", ids: number[]) {
	const map = readFileIfAny(`/proc/self/${kind}_map`);
	if (map === undefined) return;
	const ranges = map.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
	const unmapped = ids.find((id) => !ranges.some(([inner = NaN, , count = NaN]) => id >= inner && id < inner + count));
	if (unmapped === undefined) return;
	fail(
		`--user: ${kind} ${unmapped} is not mapped in the user namespace`,
		"--map-auto maps the ranges of /etc/subuid and subgid; --map-users and --map-groups others",
	);
}

/** Raises hard limits, while there is the capability for it that the program may not have. */
export function raiseLimits(limits: Limit[]) {
	for (const { resource, hard } of limits) {
		const own = getrlimit(resource);
		if (own.hard !== RLIM_INFINITY && (hard === RLIM_INFINITY || hard > own.hard)) setrlimit(resource, own.soft, hard);
	}
}

/** To be done late: without memory or descriptors our own steps would fail. */
export function setLimits(limits: Limit[]) {
	for (const { resource, soft, hard } of limits) setrlimit(resource, soft, hard);
}

function numbers(names: string[], all: number[]): Set<number> {
	const found = new Set<number>();
	for (const name of names) {
		if (/^ALL$/i.test(name)) for (const capability of all) found.add(capability);
		else if (/^DEFAULT$/i.test(name)) for (const capability of USUAL_CAPABILITIES) found.add(capabilityNumber(capability) as number);
		else found.add(capabilityNumber(name) as number);
	}
	return found;
}

/**
 * Changes to the program's user, groups and capabilities. The bounding set first, while CAP_SETPCAP is there; what a user
 * that is not root is to have needs the ambient set, and PR_SET_KEEPCAPS to live through setresuid(2). The inheritable set
 * is left empty for root: it would let files' capabilities give more than was meant (CVE-2022-24769). Returns the seccomp
 * filter if it is yet to be put in force, by `restrict`.
 */
export function applyIdentity(plan: Plan, identity: Identity, filter: FilterSource | undefined): Filter | undefined {
	const changes = plan.capDrop.length > 0 || plan.capAdd.length > 0 || plan.noDevices;
	const caps = changes || plan.keepCaps ? limitBoundingSet(plan) : undefined;
	const made = filter?.make(caps?.kept ?? boundingSet());
	const late = filter && comesLast(plan, filter) ? made : undefined;
	if (made && !late) loadFilter(made);
	if (caps) prctl("PR_SET_KEEPCAPS", PR_SET_KEEPCAPS, 1);
	if (identity.groups) setgroups(identity.groups);
	if (!identity.isKept) {
		setresgid(identity.gid);
		setresuid(identity.uid);
	}
	if (!caps) return late;

	const isRoot = geteuid() === 0;
	const held = capget().permitted.filter((capability) => caps.kept.includes(capability));
	/* A user that is not root gets by an exec what is ambient, and no more. */
	const ambient = isRoot ? [] : held.filter((capability) => plan.keepCaps || caps.added.has(capability));
	const left = isRoot ? held : ambient;
	clearAmbient();
	capset({ effective: left, permitted: left, inheritable: ambient });
	for (const capability of ambient) raiseAmbient(capability);
	return late;
}

function boundingSet(): number[] {
	const bounding: number[] = [];
	for (let i = 0, last = lastCapability(); i <= last; i++) if (prctl("PR_CAPBSET_READ", PR_CAPBSET_READ, i) === 1) bounding.push(i);
	return bounding;
}

/**
 * A policy is put in force while there is CAP_SYS_ADMIN, so that the program can do with set-user-ID files; where there is
 * none, and for a program that may forbid us anything, it is the last of all, with no_new_privs.
 */
function comesLast(plan: Plan, filter: FilterSource): boolean {
	return plan.noNewPrivs || filter.isProgram || !capget().effective.includes(CAP_SYS_ADMIN);
}

/** Drops from the bounding set what --cap-drop names and --cap-add does not. */
function limitBoundingSet({ capDrop, capAdd, noDevices }: Plan): { kept: number[]; added: Set<number> } {
	const bounding = boundingSet();
	const dropped = numbers(capDrop, bounding);
	const added = numbers(capAdd, bounding);
	const kept = bounding
		.filter((capability) => !dropped.has(capability) || added.has(capability))
		.filter((capability) => !(noDevices && capability === CAP_MKNOD));
	for (const capability of bounding) if (!kept.includes(capability)) dropFromBoundingSet(capability);
	return { kept, added };
}

/** In a user namespace whose single group its maker mapped, setgroups(2) is denied for good. */
function canSetGroups(): boolean {
	return readFileIfAny("/proc/self/setgroups")?.trim() !== "deny" && capget().effective.includes(CAP_SETGID);
}

/** The last steps before the exec: from here on the process can do less than the program. */
export function restrict(plan: Plan, filter: Filter | undefined) {
	if (plan.noNewPrivs || filter) prctl("PR_SET_NO_NEW_PRIVS", PR_SET_NO_NEW_PRIVS, 1);
	if (filter) loadFilter(filter);
}
