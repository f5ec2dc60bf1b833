/** Users and groups by name: man 5 passwd, group, subuid. Reads the files, of this system or of a rootfs; no NSS. */

import * as host from "#host";
import { close, O_RDONLY, openat2, RESOLVE_IN_ROOT, readAll, readFileIfAny } from "../../native/linux/fs.ts";
import { SysError } from "../../native/linux/syscall.ts";

export interface Account {
	name: string;
	uid: number;
	gid: number;
	home: string;
	shell: string;
}

const LIMIT = 16 << 20;

/** The lines of a file of /etc, split at colons. `root` is an open folder that is taken for `/`: its content is not trusted. */
function entries(path: string, root?: number): string[][] {
	let text: string | undefined;
	if (root === undefined) text = readFileIfAny(path);
	else {
		try {
			const fd = openat2(root, path, O_RDONLY | 0o4000 /* O_NONBLOCK: it might be a FIFO */, RESOLVE_IN_ROOT);
			text = host.decode(readAll(fd, LIMIT));
			close(fd);
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
		}
	}
	return (text ?? "")
		.split("\n")
		.filter((line) => line !== "" && !line.startsWith("#"))
		.map((line) => line.split(":"));
}

const id = (text: string | undefined) =>
	text !== undefined && /^\d{1,10}$/.test(text) && Number(text) < 0xffffffff ? Number(text) : undefined;

/** A user by name or number. */
export function findUser(user: string | number, root?: number): Account | undefined {
	for (const [name = "", , uid, gid, , home = "/", shell = "/bin/sh"] of entries("/etc/passwd", root)) {
		const numbers = [id(uid), id(gid)];
		if ((name === user || numbers[0] === user) && numbers[0] !== undefined && numbers[1] !== undefined)
			return { name, uid: numbers[0], gid: numbers[1], home, shell };
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
	const found: number[] = [];
	for (const [, , gid, members = ""] of entries("/etc/group", root)) {
		const number = id(gid);
		if (number !== undefined && members.split(",").includes(user)) found.push(number);
	}
	return found;
}

/** The ranges that /etc/subuid or /etc/subgid give a user, by name or number. */
export function subordinateIds(file: "/etc/subuid" | "/etc/subgid", user: Account): { start: number; count: number }[] {
	return entries(file)
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
