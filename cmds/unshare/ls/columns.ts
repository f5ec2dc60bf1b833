/** The columns of `tsunshare ls`: those of lsns(8), and KEPT. */

import { close, O_RDONLY, open, read } from "../../../native/linux/fd.ts";
import { processStat } from "../../../native/linux/proc.ts";
import { getNetnsid } from "../../../native/linux/route/nsid.ts";
import { statIfAny } from "../../../native/linux/stat.ts";
import { decode } from "../../../native/linux/text.ts";
import { findUser } from "../../common/accounts.ts";
import { ignoreErrors } from "./errors.ts";
import { type Namespace, openNamespace } from "./namespaces.ts";

/** A line of the list: a namespace, or a process in it. */
export interface Row {
	namespace: Namespace;
	/** The process, or the lowest PID of the namespace. */
	pid: number | undefined;
}

export interface Column {
	name: string;
	about: string;
	/** Numbers stand at the right of a table, and without quotes in JSON. */
	number?: true;
	value(row: Row): string | number | string[] | undefined;
}

/** Remembers the answers: several namespaces have the same lowest PID. */
function once<K, V>(ask: (key: K) => V): (key: K) => V {
	const answers = new Map<K, V>();
	return (key) => {
		let answer = answers.get(key);
		if (answer === undefined) {
			answer = ask(key);
			answers.set(key, answer);
		}
		return answer;
	};
}

/** The user of a process, as the owner of its /proc/PID; undefined if it has ended. */
export const userOf = once((pid: number) => statIfAny(`/proc/${pid}`)?.uid);
/** The parent of a process; undefined if it has ended. */
export const parentOf = once((pid: number) => processStat(pid)?.ppid);
const nameOf = once((uid: number) => findUser(uid)?.name ?? String(uid));

/** The command line, or the name where there is none: of a kernel thread, or a zombie. */
const commandOf = once((pid: number) => {
	const text = firstPage(`/proc/${pid}/cmdline`)?.replace(/\0+$/, "").replace(/\0/g, " ");
	return text || firstPage(`/proc/${pid}/comm`)?.replace(/\n$/, "");
});

/** As much of a file as a list can use: an argument list may have megabytes. Undefined if its process has ended. */
function firstPage(path: string): string | undefined {
	const fd = ignoreErrors(() => open(path, O_RDONLY));
	if (fd === undefined) return undefined;
	const bytes = new Uint8Array(4096);
	const length = ignoreErrors(() => read(fd, bytes));
	close(fd);
	return length === undefined ? undefined : decode(bytes, 0, length);
}

/** The user of the row's process; of a user namespace without one, the user who made it. */
function uid({ namespace, pid }: Row): number | undefined {
	return pid === undefined ? namespace.creator : userOf(pid);
}

/** What keeps the namespace alive. Its relatives are told of only where there is nothing else: most have some. */
export function kept({ pids, holders, dependents, type }: Namespace): string[] {
	const reasons = pids.length > 0 ? ["process", ...holders] : holders;
	if (reasons.length > 0) return reasons;
	return dependents.map((other) => `${other.type === type ? "child" : "owned"} ${other.type}:[${other.inode}]`);
}

const netnsidOf = once((namespace: Namespace) => {
	const fd = openNamespace(namespace);
	if (fd === undefined) return undefined;
	const id = ignoreErrors(() => getNetnsid(fd));
	close(fd);
	return id === -1 ? "unassigned" : id?.toString();
});

export const COLUMNS: Column[] = [
	{ name: "NS", number: true, about: "namespace identifier (inode number)", value: ({ namespace }) => namespace.inode },
	{ name: "TYPE", about: "kind of namespace", value: ({ namespace }) => namespace.type },
	{
		name: "PATH",
		about: "path to the namespace",
		value: ({ namespace, pid }) => (pid === undefined ? namespace.path : `/proc/${pid}/ns/${namespace.type}`),
	},
	{ name: "NPROCS", number: true, about: "number of processes in the namespace", value: ({ namespace }) => namespace.pids.length },
	{ name: "PID", number: true, about: "lowest PID in the namespace", value: ({ pid }) => pid },
	{ name: "PPID", number: true, about: "PPID of the PID", value: ({ pid }) => pid && parentOf(pid) },
	{ name: "COMMAND", about: "command line of the PID", value: ({ pid }) => pid && commandOf(pid) },
	{ name: "UID", number: true, about: "UID of the PID, or of who made the user namespace", value: uid },
	{
		name: "USER",
		about: "name of the UID",
		value: (row) => {
			const id = uid(row);
			return id === undefined ? undefined : nameOf(id);
		},
	},
	{
		name: "NETNSID",
		about: "namespace ID as used by network subsystem",
		value: ({ namespace }) => (namespace.type === "net" ? netnsidOf(namespace) : undefined),
	},
	{ name: "NSFS", about: "where it is mounted here", value: ({ namespace }) => namespace.mounts.join() || undefined },
	{
		name: "PNS",
		number: true,
		about: "parent namespace identifier (inode number)",
		value: ({ namespace }) => namespace.parent?.inode ?? 0,
	},
	{ name: "ONS", number: true, about: "owner namespace identifier (inode number)", value: ({ namespace }) => namespace.owner?.inode ?? 0 },
	{
		name: "KEPT",
		about: "what keeps it alive: process, mount, fd, socket, children, child, owned",
		value: ({ namespace }) => kept(namespace),
	},
];
