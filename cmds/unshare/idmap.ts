/**
 * User and group id maps: man 7 user_namespaces, man 5 subuid.
 *
 * One id of one's own can be mapped by anyone, from within the new namespace. Ranges must be written by a process of the
 * parent namespace that has CAP_SETUID (CAP_SETGID) there: a child of ours, or, for an ordinary user, the set-user-ID
 * programs newuidmap and newgidmap.
 */
import { CAP_SETUID, capget } from "../../native/linux/capability.ts";
import { getegid, geteuid } from "../../native/linux/credential.ts";
import { readFile, writeKernelFile } from "../../native/linux/fd.ts";
import { type IdRange, writeIdMap } from "../../native/linux/namespace.ts";
import { environ, execvp, exit, exitStatus, fork, getpid, wait } from "../../native/linux/process.ts";
import { dryRun, SysError } from "../../native/linux/syscall.ts";
import { findGroup, findUser, subordinateIds } from "../common/accounts.ts";
import { notA } from "../common/command-line/options.ts";
import { fail } from "../common/errors.ts";
import { helper } from "./helper.ts";
import { idNumber, MAX_ID } from "./inside.ts";

/** An `inner` that is not settled yet: the range starts at 0, or right behind the single id that is mapped there. */
const AUTO = -1;

/** What the command line asks to map: the present user or group as one id, and ranges. */
export interface Wanted {
	single?: number;
	ranges: IdRange[];
}

export interface WantedMaps {
	users: Wanted;
	groups: Wanted;
	owner?: { uid: number; gid: number };
}

export function userId(text: string, option: string): number {
	return idNumber(text) ?? findUser(text)?.uid ?? notA(option, text, "a user's name or number");
}

export function groupId(text: string, option: string): number {
	return idNumber(text) ?? findGroup(text) ?? notA(option, text, "a group's name or number");
}

/** Reads the options that ask for maps, in the order in which they are written: of those for one id the last one counts. */
export function wantedMaps(ordered: { long: string; value: unknown }[]): WantedMaps {
	const wanted: WantedMaps = { users: { ranges: [] }, groups: { ranges: [] } };
	const { users, groups } = wanted;
	for (const { long, value } of ordered) {
		const text = value as string;
		if (long === "map-root-user") users.single = groups.single = 0;
		else if (long === "map-current-user") {
			users.single = geteuid();
			groups.single = getegid();
		} else if (long === "map-user") users.single = userId(text, "--map-user");
		else if (long === "map-group") groups.single = groupId(text, "--map-group");
		else if (long === "map-users") users.ranges.push(...parseRanges(text, "uid", "--map-users"));
		else if (long === "map-groups") groups.ranges.push(...parseRanges(text, "gid", "--map-groups"));
		else if (long === "map-auto" || long === "map-subids") {
			const kind = long === "map-auto" ? "auto" : "subids";
			users.ranges.push(...parseRanges(kind, "uid", "--map-users"));
			groups.ranges.push(...parseRanges(kind, "gid", "--map-groups"));
		} else if (long === "owner") {
			const [uid, gid] = text.split(":").map(idNumber);
			if (uid === undefined || gid === undefined || text.split(":").length !== 2) notA("--owner", text, "UID:GID");
			wanted.owner = { uid, gid };
		}
	}
	return wanted;
}

/** `INNER:OUTER:COUNT`, or as it was before util-linux 2.39 `OUTER,INNER,COUNT`; `auto`, `subids`, `all`. */
export function parseRanges(text: string, kind: "uid" | "gid", option: string): IdRange[] {
	if (text === "all") return ownIds(kind);
	if (text === "auto" || text === "subids") {
		const { start, count } = firstSubordinate(kind);
		return [{ inner: text === "auto" ? AUTO : start, outer: start, count }];
	}
	const colons = /^(\d+):(\d+):(\d+)$/.exec(text);
	const commas = /^(\d+),(\d+),(\d+)$/.exec(text);
	const numbers = (colons ?? commas)?.slice(1).map(Number);
	if (!numbers) return notA(option, text, "a mapping (INNER:OUTER:COUNT, auto, subids or all)");
	const [inner, outer] = (colons ? numbers : [numbers[1], numbers[0]]) as [number, number];
	const count = numbers[2] as number;
	if (count < 1 || inner + count - 1 > MAX_ID || outer + count - 1 > MAX_ID)
		notA(option, text, `a mapping: the ids are from 0 to ${MAX_ID}, and at least one`);
	return [{ inner, outer, count }];
}

/** All ids that this user namespace has, each as itself. */
function ownIds(kind: "uid" | "gid"): IdRange[] {
	return readFile(`/proc/self/${kind}_map`)
		.split("\n")
		.filter((line) => line !== "")
		.map((line) => line.trim().split(/\s+/).map(Number) as [number, number, number])
		.map(([start, , count]) => ({ inner: start, outer: start, count }));
}

/** The first range that /etc/subuid or /etc/subgid gives the present user (for groups, too: that is how they are listed). */
function firstSubordinate(kind: "uid" | "gid"): { start: number; count: number } {
	const uid = geteuid();
	const user = findUser(uid) ?? { name: String(uid), uid, gid: uid, home: "/", shell: "" };
	const file = `/etc/sub${kind}` as const;
	const [first] = subordinateIds(file, user);
	if (first && idNumber(String(first.start)) !== undefined && first.count > 0 && first.start + first.count - 1 <= MAX_ID) return first;
	return fail(`${file}: no range for the user ${user.name}`, `as root: usermod --add-sub${kind}s 100000-165535 ${user.name}`);
}

/**
 * The lines of the map. The single id takes what it overlaps out of a range: the rest of the range keeps its order on both
 * sides, moves together, and loses its topmost id.
 */
export function resolveMap({ single, ranges }: Wanted, own: number): IdRange[] {
	const inner = single ?? -1;
	const outer = single === undefined ? -1 : own;
	return [...(single === undefined ? [] : [{ inner, outer, count: 1 }]), ...ranges.flatMap((range) => punch(range, inner, outer))];
}

function punch(range: IdRange, inner: number, outer: number): IdRange[] {
	const start = range.inner === AUTO ? 0 : range.inner;
	const holeAt = (id: number, from: number) => (id >= from && id < from + range.count ? id - from : Infinity);
	const innerHole = holeAt(inner, start);
	const outerHole = holeAt(outer, range.outer);
	/* Above an automatic range there is room inside. */
	const shrinks = outerHole < Infinity || (innerHole < Infinity && range.inner !== AUTO);
	const count = range.count - (shrinks ? 1 : 0);
	/* The n-th id of either side that is left, cut wherever one of the sides skips its hole. */
	const pieces: IdRange[] = [];
	const cuts = [0, innerHole, outerHole].filter((cut) => cut < count).sort((a, b) => a - b);
	cuts.forEach((from, i) => {
		const to = cuts[i + 1] ?? count;
		if (to > from)
			pieces.push({
				inner: start + from + (from >= innerHole ? 1 : 0),
				outer: range.outer + from + (from >= outerHole ? 1 : 0),
				count: to - from,
			});
	});
	return pieces;
}

/** The maps to write, and by whom. */
export interface IdMaps {
	uid?: IdRange[];
	gid?: IdRange[];
	/** Each maps one id, that of the process: it may write them itself, from within. */
	isOwn: boolean;
}

/** Settles the maps of a user namespace that this process, with the ids of now, is about to make. */
export function idMaps({ users, groups, owner }: WantedMaps): IdMaps {
	const map = (wanted: Wanted, own: number) =>
		wanted.single === undefined && wanted.ranges.length === 0 ? undefined : resolveMap(wanted, own);
	const [euid, egid] = [geteuid(), getegid()];
	const uid = map(users, euid);
	const gid = map(groups, egid);
	const isSingle = (lines: IdRange[] | undefined, own: number) =>
		!lines || (lines.length === 1 && lines[0]?.count === 1 && lines[0].outer === own);
	return { ...(uid && { uid }), ...(gid && { gid }), isOwn: !owner && isSingle(uid, euid) && isSingle(gid, egid) };
}

/**
 * Writes the maps of the user namespace that this process is in, from within it.
 *
 * Since Linux 3.19 a group may be mapped only once setgroups(2) is denied for good: else a process could drop a group that
 * takes rights away.
 */
export function writeOwnIdMaps(maps: IdMaps) {
	if (maps.uid) writeIdMap("self", "uid_map", maps.uid);
	if (maps.gid) {
		denySetgroups();
		writeIdMap("self", "gid_map", maps.gid);
	}
}

function denySetgroups() {
	writeSetgroups("deny");
}

export function writeSetgroups(control: "allow" | "deny") {
	writeKernelFile("/proc/self/setgroups", control);
}

/** Gets ready to write maps from outside, before the namespace is made; what is returned does it, once it is there. */
export function prepareIdMaps(maps: IdMaps): () => void {
	const pid = getpid();
	const direct = geteuid() === 0 || capget().effective.includes(CAP_SETUID);
	return helper(() => (direct ? writeIdMapsOf(pid, maps) : runNewIdMap(pid, maps)));
}

/** Writes the maps of another process's user namespace, whose parent is ours. Needs CAP_SETUID and CAP_SETGID. */
export function writeIdMapsOf(pid: number, maps: IdMaps) {
	if (maps.uid) writeIdMap(pid, "uid_map", maps.uid);
	if (maps.gid) writeIdMap(pid, "gid_map", maps.gid);
}

/** Lets newuidmap and newgidmap (package uidmap) write the maps: they hold the ranges against /etc/subuid and subgid. */
export function runNewIdMap(pid: number, maps: IdMaps) {
	for (const kind of ["uid", "gid"] as const) {
		const map = maps[kind];
		if (!map) continue;
		const program = `new${kind}map`;
		const argv = [program, String(pid), ...map.flatMap(({ inner, outer, count }) => [inner, outer, count]).map(String)];
		if (dryRun(argv.join(" "))) continue;
		const child = fork();
		if (child === 0) {
			try {
				execvp(argv, environ());
			} catch (error) {
				if (!(error instanceof SysError)) throw error;
				fail(error.message, `an ordinary user needs ${program} to map ranges; Debian has it in the package uidmap`);
			}
		}
		const ended = wait(child);
		/* It has said why. */
		if (ended && exitStatus(ended) !== 0) exit(1);
	}
}
