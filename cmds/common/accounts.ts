/** Users and groups by name: man 5 passwd, group, subuid. Reads the files, of this system or of a rootfs; no NSS. */

import { close, O_NONBLOCK, O_PATH, O_RDONLY, open, openat2, RESOLVE_IN_ROOT, readAll, readFileIfAny } from "../../native/linux/fd.ts";
import { S_IFMT, S_IFREG, stat } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { decode } from "../../native/linux/text.ts";

export interface Account {
	name: string;
	uid: number;
	gid: number;
	home: string;
	shell: string;
}

/** What is read of a file in a root: room for some 50,000 users. */
const LIMIT = 4 << 20;

/**
 * The lines of a file of /etc, split at colons, one at a time: a hostile file has millions of them. `root` is an open
 * folder that is taken for `/`: its content is not trusted.
 */
function* entries(path: string, root?: number): Generator<string[]> {
	const text = (root === undefined ? readFileIfAny(path) : readInside(root, path)) ?? "";
	for (let start = 0; start < text.length; ) {
		const newline = text.indexOf("\n", start);
		const end = newline < 0 ? text.length : newline;
		if (end > start && text[start] !== "#") yield text.slice(start, end).split(":");
		start = end + 1;
	}
}

/** A regular file's text; to open a device, as an image may have one in its place, may do something by itself. */
function readInside(root: number, path: string): string | undefined {
	let place: number | undefined;
	let file: number | undefined;
	try {
		place = openat2(root, path, O_PATH, RESOLVE_IN_ROOT);
		if ((stat("", place).mode & S_IFMT) !== S_IFREG) return undefined;
		/* By the descriptor: by its name another file could have come in between. Some files of /proc would block. */
		file = open(`/proc/self/fd/${place}`, O_RDONLY | O_NONBLOCK);
		return decode(readAll(file, LIMIT));
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		return undefined;
	} finally {
		if (file !== undefined) close(file);
		if (place !== undefined) close(place);
	}
}

const id = (text: string | undefined) =>
	text !== undefined && /^\d{1,10}$/.test(text) && Number(text) < 0xffffffff ? Number(text) : undefined;

/** A user by name or number. An empty home folder or shell is that of login(1). */
export function findUser(user: string | number, root?: number): Account | undefined {
	for (const [name = "", , uid, gid, , home, shell] of entries("/etc/passwd", root)) {
		const numbers = [id(uid), id(gid)];
		if ((name === user || numbers[0] === user) && numbers[0] !== undefined && numbers[1] !== undefined)
			return { name, uid: numbers[0], gid: numbers[1], home: home || "/", shell: shell || "/bin/sh" };
	}
	return undefined;
}

/** A group's number by its name. */
export function findGroup(group: string, root?: number): number | undefined {
	for (const [name, , gid] of entries("/etc/group", root)) if (name === group) return id(gid);
	return undefined;
}

/** The groups, beside the primary one, that list a user as member. */
export function groupsOf(user: string, root?: number): number[] {
	const found = new Set<number>();
	for (const [, , gid, members = ""] of entries("/etc/group", root)) {
		const number = id(gid);
		if (number !== undefined && members.split(",").includes(user)) found.add(number);
	}
	return [...found];
}

/** The ranges that /etc/subuid or /etc/subgid give a user, by name or number. */
export function subordinateIds(file: "/etc/subuid" | "/etc/subgid", user: Account): { start: number; count: number }[] {
	return [...entries(file)]
		.filter(([owner]) => owner === user.name || owner === String(user.uid))
		.map(([, start, count]) => ({ start: Number(start), count: Number(count) }));
}

/** "1000", "1000:100", "nobody", "nobody:nogroup" as ids; a user's own group where none is named. Undefined if unknown. */
export function parseUser(text: string, root?: number): { uid: number; gid: number; groups: number[]; account?: Account } | undefined {
	const [user = "", group] = text.split(":", 2);
	const number = id(user);
	const account = findUser(number ?? user, root);
	const uid = number ?? account?.uid;
	const gid = group === undefined ? (account?.gid ?? 0) : (id(group) ?? findGroup(group, root));
	if (uid === undefined || gid === undefined) return undefined;
	return { uid, gid, groups: account ? groupsOf(account.name, root).filter((g) => g !== gid) : [], ...(account && { account }) };
}
