/**
 * Finds the namespaces of the machine, with one walk over /proc.
 *
 * A namespace lives as long as something refers to it (man 7 namespaces):
 *
 *   a process in it           /proc/PID/ns/TYPE
 *   a process outside of it   whose children will be in it: /proc/PID/ns/{pid,time}_for_children
 *   an open file              /proc/PID/fd/N is a link to TYPE:[INODE]
 *   a socket                  of a network namespace: the ioctl SIOCGSKNS tells of which
 *   a bind mount              a line of mountinfo with the type nsfs and the root TYPE:[INODE] (ls-mounts.ts)
 *   a child                   of a user or PID namespace: NS_GET_PARENT tells of which
 *   a namespace that it owns  of a user namespace: NS_GET_USERNS tells of which
 *
 * A process may end at any time: what cannot be read is taken as not being there.
 */

import { EACCES, ENOENT, EPERM, ESRCH } from "../../../native/linux/errno.ts";
import { AT_FDCWD, close, ioctl, O_CLOEXEC, O_PATH, O_RDONLY, readdir } from "../../../native/linux/fd.ts";
import type { MountInfo } from "../../../native/linux/mount.ts";
import { NAMESPACES, namespaceOwner, namespaceType, owningUserNamespace, parentNamespace } from "../../../native/linux/namespace.ts";
import { SYS_openat, SYS_readlinkat } from "../../../native/linux/nr.ts";
import { processes } from "../../../native/linux/proc.ts";
import { pidfdGetfd, pidfdOpen } from "../../../native/linux/process.ts";
import { SIOCGSKNS } from "../../../native/linux/socket.ts";
import { fileSystemType, NSFS_MAGIC, stat } from "../../../native/linux/stat.ts";
import { tryCall } from "../../../native/linux/syscall.ts";
import { decode } from "../../../native/linux/text.ts";
import { ignoreErrors } from "./errors.ts";
import { nsfsMounts, nsfsMountsInside, visitMountNamespaces } from "./mounts.ts";

export interface Namespace {
	type: string;
	inode: number;
	/** The processes in it, the lowest PID first. */
	pids: number[];
	/** What keeps it besides: `mount PATH`, `fd PID:N`, `socket PID:N`, `children of PID`, `unseen`. */
	holders: string[];
	/** The paths at which our mount namespace has it mounted. */
	mounts: string[];
	/** The namespaces that are its children or that it owns. */
	dependents: Namespace[];
	/** The parent of a user or PID namespace; undefined where it has none or it is out of our sight. */
	parent?: Namespace | undefined;
	/** The user namespace that owns it. */
	owner?: Namespace | undefined;
	/** The user who made it, where it is a user namespace. */
	creator?: number | undefined;
	/** A path that opens it, beside those of its processes. */
	path?: string;
	/** Its parent, owner and creator have been asked for. */
	isRelated?: true;
}

/** The namespace that a link or root of nsfs names: `net:[4026531833]`. */
type Find = (link: string) => Namespace;

/** All namespaces of these types that can be seen, in the order of their inodes; those of other types that told of them too. */
export function findNamespaces(types: string[]): Namespace[] {
	const known = new Map<string, Namespace>();
	const find: Find = (link) => {
		let namespace = known.get(link);
		if (!namespace) {
			const type = typeOf(link);
			const inode = Number(link.slice(type.length + 2, -1));
			namespace = { type, inode, pids: [], holders: [], mounts: [], dependents: [] };
			known.set(link, namespace);
		}
		return namespace;
	};
	/* A user namespace may be kept by owning one of any type; bind mounts are found by way of mount namespaces. */
	const read = NAMESPACES.map(({ name }) => name).filter((name) => name === "mnt" || types.includes("user") || types.includes(name));
	const before: number[] = [];
	visitMountNamespaces((inode) => before.push(inode));
	const sockets = new Map<string, [pid: number, fd: number]>();
	for (const pid of processes()) if (readProcess(pid, read, find)) readDescriptors(pid, read, find, sockets);
	if (read.includes("net")) for (const [pid, fd] of sockets.values()) readSocket(pid, fd, find);
	readMounts(read, known, find);
	readUnseen(before, read, known, find);
	for (const namespace of [...known.values()]) {
		const fd = namespace.isRelated ? undefined : openNamespace(namespace);
		if (fd === undefined) continue;
		readRelations(fd, namespace, find);
		close(fd);
	}
	return [...known.values()].sort((a, b) => a.inode - b.inode);
}

/* Longer than any link of nsfs. Other links may be cut: they are not looked at. */
const target = new Uint8Array(64);

/** The target of a link in /proc, or the negative errno. */
function readLink(path: string): string | number {
	const length = tryCall("readlinkat", SYS_readlinkat, AT_FDCWD, path, target, target.length);
	return length < 0 ? length : decode(target, 0, length);
}

/** Takes in the namespaces that a process is in. False if it may not be looked at or is gone. */
function readProcess(pid: number, read: string[], find: Find): boolean {
	const folder = `/proc/${pid}/ns/`;
	for (const name of read) {
		const link = readLink(folder + name);
		/* ENOENT: this kernel has no such type, or a zombie has left it already. */
		if (link === -EACCES || link === -EPERM || link === -ESRCH) return false;
		if (typeof link === "number") continue;
		find(link).pids.push(pid);
		if (name !== "pid" && name !== "time") continue;
		const path = `${folder}${name}_for_children`;
		const forChildren = readLink(path);
		if (typeof forChildren !== "string" || forChildren === link) continue;
		const namespace = find(forChildren);
		namespace.holders.push(`children of ${pid}`);
		namespace.path ??= path;
	}
	return true;
}

/** Takes in the namespaces that a process has open, and notes its sockets, each socket once. */
function readDescriptors(pid: number, read: string[], find: Find, sockets: Map<string, [number, number]>) {
	/* A kernel thread has no program, and no descriptors: most processes of a quiet machine are such. */
	if (readLink(`/proc/${pid}/exe`) === -ENOENT) return;
	const folder = `/proc/${pid}/fd/`;
	for (const name of ignoreErrors(() => readdir(folder)) ?? []) {
		const path = folder + name;
		let link: string | number | undefined = readLink(path);
		/* Opened by way of a bind mount that has been taken away since, as `ip netns delete` does it. */
		if (link === "/") link = linkOf(path);
		if (typeof link !== "string" || !link.endsWith("]")) continue;
		const kind = typeOf(link);
		if (kind === "socket") {
			if (!sockets.has(link)) sockets.set(link, [pid, Number(name)]);
		} else if (read.includes(kind)) {
			const namespace = find(link);
			namespace.holders.push(`fd ${pid}:${name}`);
			namespace.path ??= path;
		}
	}
}

/** Takes in the network namespace of another process's socket. pidfd_getfd(2): Linux 5.6. */
function readSocket(pid: number, fd: number, find: Find) {
	const opened: number[] = [];
	const keep = (descriptor: number) => {
		opened.push(descriptor);
		return descriptor;
	};
	ignoreErrors(() => {
		const net = keep(ioctl(keep(pidfdGetfd(keep(pidfdOpen(pid)), fd)), SIOCGSKNS));
		const namespace = find(`net:[${stat("", net).ino}]`);
		/* A process in it has sockets of it: that is not worth a word. */
		if (namespace.pids.length === 0) namespace.holders.push(`socket ${pid}:${fd}`);
		readRelations(net, namespace, find);
	});
	for (const descriptor of opened) close(descriptor);
}

/** Takes in the namespaces that are bind-mounted in the mount namespaces that we know. */
function readMounts(read: string[], known: Map<string, Namespace>, find: Find) {
	const own = readLink("/proc/self/ns/mnt");
	/* Mount namespaces that this finds are added at the end, and have their turn as well. */
	for (const [link, namespace] of known) {
		if (namespace.type !== "mnt") continue;
		const { pids, inode } = namespace;
		if (link === own) takeMounts(nsfsMounts("self"), (target) => target, read, find);
		/* Any process of it will do; the first may have ended by now. */ else if (pids.length > 0)
			pids.slice(0, 4).some((pid) => takeMounts(nsfsMounts(pid), (target) => `/proc/${pid}/root${target}`, read, find));
		else {
			const fd = openNamespace(namespace);
			if (fd === undefined) continue;
			takeMounts(nsfsMountsInside(fd), (target) => `${target} in mnt:[${inode}]`, read, find);
			close(fd);
		}
	}
}

/** Takes in what is mounted; `name` is how a mount point is called from here. False if the mounts could not be seen. */
function takeMounts(mounts: MountInfo[] | undefined, name: (target: string) => string, read: string[], find: Find): boolean {
	for (const { root, target } of mounts ?? []) {
		if (!read.includes(typeOf(root))) continue;
		const namespace = find(root);
		const place = name(target);
		namespace.holders.push(`mount ${place}`);
		if (place === target) namespace.mounts.push(target);
		if (place.endsWith(target)) namespace.path ??= place;
	}
	return mounts !== undefined;
}

/**
 * Takes in the mount namespaces that nothing leads to, of those that were there before the walk: something that /proc
 * does not show keeps them, a thread or a descriptor on its way through a socket.
 */
function readUnseen(before: number[], read: string[], known: Map<string, Namespace>, find: Find) {
	const unseen = new Set(before.filter((inode) => !known.has(`mnt:[${inode}]`)));
	if (unseen.size === 0) return;
	visitMountNamespaces((inode, fd) => {
		if (!unseen.has(inode)) return;
		const namespace = find(`mnt:[${inode}]`);
		namespace.holders.push("unseen");
		readRelations(fd, namespace, find);
		takeMounts(nsfsMountsInside(fd), (target) => `${target} in mnt:[${inode}]`, read, find);
	});
}

/** Takes in the parent and the owner of a namespace, by an open file of it, and who made it. */
function readRelations(fd: number, namespace: Namespace, find: Find) {
	if (namespace.isRelated) return;
	namespace.isRelated = true;
	const relative = (type: string, ask: (fd: number) => number): Namespace | undefined => {
		const other = ignoreErrors(() => ask(fd)); /* EPERM: there is none, or it is out of our sight */
		if (other === undefined) return undefined;
		const found = find(`${type}:[${stat("", other).ino}]`);
		found.dependents.push(namespace);
		/* Now: this file may be the only way to it. */
		readRelations(other, found, find);
		close(other);
		return found;
	};
	if (namespace.type === "user") namespace.creator = ignoreErrors(() => namespaceOwner(fd));
	if (namespace.type === "user" || namespace.type === "pid") namespace.parent = relative(namespace.type, parentNamespace);
	/* A user namespace is owned by its parent. */
	namespace.owner = namespace.type === "user" ? namespace.parent : relative("user", owningUserNamespace);
}

/** Opens a namespace by one of its processes, or by what else holds it. */
export function openNamespace({ type, inode, pids, path }: Namespace): number | undefined {
	for (const pid of pids.slice(0, 4)) {
		const fd = tryCall("openat", SYS_openat, AT_FDCWD, `/proc/${pid}/ns/${type}`, O_RDONLY | O_CLOEXEC, 0);
		if (fd >= 0) return fd;
	}
	const fd = path === undefined ? undefined : openNsfs(path);
	if (fd === undefined || stat("", fd).ino === inode) return fd;
	close(fd); /* Another file has come to be at this path meanwhile. */
	return undefined;
}

/**
 * Opens a path only if it is a file of nsfs: what a hostile process holds, or puts in the way, could be a FIFO or a
 * device, whose opening alone has consequences. O_PATH has none.
 */
function openNsfs(path: string): number | undefined {
	const place = tryCall("openat", SYS_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC, 0);
	if (place < 0) return undefined;
	const isNsfs = fileSystemType(place) === NSFS_MAGIC;
	const fd = isNsfs ? tryCall("openat", SYS_openat, AT_FDCWD, `/proc/self/fd/${place}`, O_RDONLY | O_CLOEXEC, 0) : -1;
	close(place);
	return fd < 0 ? undefined : fd;
}

/** The link of nsfs that a file should have, or undefined if it is none of nsfs. */
function linkOf(path: string): string | undefined {
	const fd = openNsfs(path);
	if (fd === undefined) return undefined;
	const type = namespaceType(fd);
	const name = NAMESPACES.find(({ flag }) => flag === type)?.name;
	const link = name && `${name}:[${stat("", fd).ino}]`;
	close(fd);
	return link;
}

function typeOf(link: string): string {
	return link.slice(0, link.indexOf(":["));
}
