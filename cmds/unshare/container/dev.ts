/** A minimal /dev: the nodes that programs count on, terminals, shared memory, message queues, and the usual links. */
import { EINVAL, EPERM } from "../../../native/linux/errno.ts";
import { close, O_NOCTTY, O_RDWR, openat2, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS } from "../../../native/linux/fd.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY } from "../../../native/linux/mount.ts";
import { chmod, chown, DEVPTS_SUPER_MAGIC, fileSystemType, mkdir, mknod, S_IFCHR, stat, symlink } from "../../../native/linux/stat.ts";
import { dryRun, isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { openPeer, unlockMaster } from "../../../native/linux/terminal.ts";
import { fail } from "../../common/errors.ts";
import { attachInside, attachPlain, openInside } from "../../common/inside-root.ts";
import { cloneMount, newMount, setAttributes } from "./rootfs.ts";

/** Documentation/admin-guide/devices.txt */
const NODES: [name: string, major: number, minor: number][] = [
	["null", 1, 3],
	["zero", 1, 5],
	["full", 1, 7],
	["random", 1, 8],
	["urandom", 1, 9],
	["tty", 5, 0],
];

const LINKS: [name: string, target: string][] = [
	["fd", "/proc/self/fd"],
	["stdin", "/proc/self/fd/0"],
	["stdout", "/proc/self/fd/1"],
	["stderr", "/proc/self/fd/2"],
	["core", "/proc/kcore"],
	["ptmx", "pts/ptmx"],
];

const PSEUDO = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV;

/** The minimal /dev, open for what is added to it later. */
export interface Dev {
	/** Its root. */
	fd: number;
	/** Its devpts. */
	pts: number;
}

/** Mounts the minimal /dev at a place in the root. With `noOthers` no other node in it can be used. */
export function makeDev(root: number, path: string, noOthers = false): Dev | undefined {
	const nodev = noOthers ? MOUNT_ATTR_NODEV : 0;
	const fd = newMount("tmpfs", { mode: "0755", size: "64k" }, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | nodev);
	attachPlain(fd, root, path);
	if (dryRun(`${NODES.length} nodes, ${LINKS.length} links, pts, shm and mqueue in ${path}`)) return undefined;
	for (const [name, major, minor] of NODES)
		if (noOthers) bindNode(fd, name, major, minor);
		else makeNode(fd, name, major, minor);
	for (const [name, target] of LINKS) symlink(target, name, fd);
	const pts = newDevpts();
	attachInside(pts, fd, "/pts");
	attachInside(newMount("tmpfs", { mode: "1777", size: "64m" }, PSEUDO), fd, "/shm");
	makeMqueue(fd);
	return { fd, pts };
}

/** In a user namespace a node cannot be made, nor used on a tmpfs that was mounted there: there the host's is bound, read-only. */
function makeNode(dev: number, name: string, major: number, minor: number) {
	try {
		mknod(name, S_IFCHR, major * 256 + minor, dev);
		/* The umask has cut the mode that mknod(2) was given. */
		chmod(name, 0o666, dev);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EPERM)) throw error;
		bindNode(dev, name, major, minor);
	}
}

function bindNode(dev: number, name: string, major: number, minor: number) {
	const copy = cloneMount(`/dev/${name}`, false, "--dev");
	if (stat("", copy).rdev !== `${major}:${minor}`) fail(`/dev/${name}: not the device ${major}:${minor}`);
	attachInside(copy, dev, `/${name}`);
	setAttributes(copy, MOUNT_ATTR_RDONLY);
	close(copy);
}

/** Group 5, tty, has to exist in the user namespace to be named. */
function newDevpts(): number {
	const options = { ptmxmode: "0666", mode: "0620" };
	try {
		return newMount("devpts", { ...options, gid: "5" }, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EINVAL)) throw error;
		return newMount("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	}
}

/** Message queues belong to the IPC namespace; those of another user namespace's are not for us to show. */
function makeMqueue(dev: number) {
	mkdir("mqueue", 0o1777, dev);
	try {
		attachInside(newMount("mqueue", {}, PSEUDO), dev, "/mqueue");
	} catch (error) {
		/* The folder stays, empty. */
		if (!(error instanceof SysError && error.errno === EPERM)) throw error;
	}
}

/** Major numbers of the slaves of pseudo-terminals (Documentation/admin-guide/devices.txt). */
const isSlave = (device: string) => /^(13[6-9]|14[0-3]):/.test(device);

/**
 * A new pseudo-terminal of the container's own devpts: the master's descriptor, and the slave's, which belongs to `uid`
 * and is also /dev/console.
 */
export function makeTerminal(root: number, dev: Dev | undefined, uid: number): { master: number; slave: number } {
	if (isDryRun()) return { master: -1, slave: -1 };
	const pts = dev?.pts ?? openPts(root);
	const { master, slave, number } = terminalOf(pts, uid);
	const console = cloneMount(String(number), false, "--tty", pts);
	attachInside(console, dev?.fd ?? root, dev ? "/console" : "/dev/console");
	close(console);
	return { master, slave };
}

/** A new pseudo-terminal of a container that there is, by its root. */
export function openTerminal(root: number, uid: number): { master: number; slave: number } {
	const pts = openPts(root);
	const made = terminalOf(pts, uid);
	close(pts);
	return made;
}

function terminalOf(pts: number, uid: number): { master: number; slave: number; number: number } {
	const { master, number } = unlockMaster(openat2(pts, "ptmx", O_RDWR | O_NOCTTY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
	const slave = openPeer(master);
	if (!isSlave(stat("", slave).rdev)) fail("--tty: the devpts inside has given something else than a terminal");
	if (uid !== 0) chown(String(number), uid, -1, pts);
	return { master, slave, number };
}

function openPts(root: number): number {
	const pts = openInside(root, "/dev/pts");
	return pts !== undefined && fileSystemType(pts) === DEVPTS_SUPER_MAGIC
		? pts
		: fail("--tty: no devpts at /dev/pts inside", "--dev mounts one");
}
