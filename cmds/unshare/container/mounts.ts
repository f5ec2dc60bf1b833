/** What is mounted in the container, in the order in which the command line has it. */
import { ELOOP, ENOENT, ENOTDIR, EXDEV } from "../../../native/linux/errno.ts";
import {
	AT_RECURSIVE,
	close,
	O_PATH,
	openat2,
	RESOLVE_BENEATH,
	RESOLVE_NO_MAGICLINKS,
	RESOLVE_NO_SYMLINKS,
	readdirOf,
} from "../../../native/linux/fd.ts";
import {
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
	moveMount,
	OPEN_TREE_CLONE,
	openTree,
} from "../../../native/linux/mount.ts";
import { fileSystemType, PROC_SUPER_MAGIC, S_IFBLK, S_IFCHR, S_IFDIR, S_IFMT, SYSFS_MAGIC, stat } from "../../../native/linux/stat.ts";
import { dryRun, isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { attachInside, attachPlain, openInside } from "../../common/inside-root.ts";
import { type Dev, makeDev } from "./dev.ts";
import type { MountStep, Plan } from "./plan.ts";
import { cloneMount, newMount, setAttributes } from "./rootfs.ts";

/**
 * The sources of the binds as detached mounts, by step. They are taken while mounts still spread as on the host: a copy
 * that is to stay shared with it, or its slave, must be made before they are all made private.
 */
export function openSources({ mounts }: Plan): (number | undefined)[] {
	return mounts.map(({ kind, source, options }) => {
		if (kind !== "bind") return undefined;
		try {
			return cloneMount(source, options.recursive, "--bind");
		} catch (error) {
			if (options.optional && error instanceof SysError && error.errno === ENOENT) return undefined;
			throw error;
		}
	});
}

/** A file system of the kernel's that we have mounted: what is below its place is looked up in it, never again by way of the root. */
interface Pseudo {
	target: string;
	fd: number;
}

/** What is mounted, as far as later steps need it. */
interface Mounted {
	root: number;
	pseudo: Pseudo[];
	dev: Dev | undefined;
	/** The empty folder that hides folders: one file system, mounted on each. */
	emptyFolder: number | undefined;
}

/** Mounts all; returns the minimal /dev, if there is one, for the terminal. */
export function mountInside(mounts: MountStep[], sources: (number | undefined)[], root: number, noDevices: boolean): Dev | undefined {
	const mounted: Mounted = { root, pseudo: [], dev: undefined, emptyFolder: undefined };
	mounts.forEach((step, i) => {
		const { kind, target, options } = step;
		if (kind === "bind") bind(step, sources[i], root, noDevices);
		else if (kind === "tmpfs") place(newMount("tmpfs", options.data, options.set), root, target);
		else if (kind === "proc") placePseudo(mounted, newMount("proc", {}, options.set), target, PROC_SUPER_MAGIC);
		else if (kind === "sysfs") placePseudo(mounted, newMount("sysfs", {}, options.set), target, SYSFS_MAGIC);
		else if (kind === "dev") mounted.dev = makeDev(root, target, noDevices);
		else for (const place of openPlaces(mounted, target)) (kind === "mask" ? mask : makeReadOnly)(mounted, place, target);
	});
	for (const { fd } of mounted.pseudo) close(fd);
	if (mounted.emptyFolder !== undefined) close(mounted.emptyFolder);
	return mounted.dev;
}

function place(mounted: number, root: number, target: string) {
	attachInside(mounted, root, target);
	close(mounted);
}

function placePseudo({ root, pseudo }: Mounted, fd: number, target: string, type: number) {
	if (!isDryRun() && fileSystemType(fd) !== type) fail(`mount ${show(target)}: not the file system that was asked for`);
	attachPlain(fd, root, target);
	pseudo.push({ target, fd });
}

function bind({ target, options }: MountStep, source: number | undefined, root: number, noDevices: boolean) {
	if (source === undefined) return;
	const { propagation, recursive } = options;
	attachInside(source, root, target);
	/* Writing to a device is no writing to its file system; changing its mode or times would be, and on the host (read-only mounts). */
	const set = options.set | (isDevice(source) ? MOUNT_ATTR_RDONLY : noDevices ? MOUNT_ATTR_NODEV : 0);
	/* A copy of a shared mount is shared with it; of one that is not, it can be shared with its own copies. */
	setAttributes(source, set, { recursive, propagation });
	close(source);
}

function isDevice(fd: number): boolean {
	const kind = stat("", fd).mode & S_IFMT;
	return kind === S_IFCHR || kind === S_IFBLK;
}

const SEALED = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/**
 * Opens what a path of --mask or --readonly-path names, each place once. What is not there need not be hidden. A `*` in a path
 * below proc or sysfs stands for all that a name begins with so far (cpu*).
 */
function openPlaces({ root, pseudo }: Mounted, path: string): number[] {
	if (isDryRun()) return [-1];
	const within = pseudo.find(({ target }) => path.startsWith(`${target}/`));
	if (!within) {
		const found = openInside(root, path);
		return found === undefined ? [] : [found];
	}
	const below = path.slice(within.target.length + 1);
	const star = below.indexOf("*");
	if (star < 0) return openBelow(within.fd, below);
	const slash = below.lastIndexOf("/", star);
	const rest = below.slice(star + 1);
	const start = below.slice(slash + 1, star);
	return openBelow(within.fd, below.slice(0, Math.max(slash, 0)) || ".", true).flatMap((folder) => {
		const names = readdirOf(folder).filter((name) => name.startsWith(start) && /^\d*$/.test(name.slice(start.length)));
		const found = names.flatMap((name) => openBelow(folder, `${name}${rest}`));
		close(folder);
		return found;
	});
}

/** Opens a place in a file system of the kernel's, not by any link. Other errors than its absence are errors: it would stay open to all. */
function openBelow(folder: number, path: string, toRead = false): number[] {
	try {
		const flags = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
		return [openat2(folder, path, toRead ? 0 : O_PATH, flags)];
	} catch (error) {
		if (error instanceof SysError && [ENOENT, ENOTDIR].includes(error.errno)) return [];
		/* /proc/fs/... and the like are no links in any kernel: then this is none of the kernel's places. */
		if (error instanceof SysError && [ELOOP, EXDEV].includes(error.errno))
			fail(`${show(path)}: a link, where the kernel has a file or folder`);
		throw error;
	}
}

/** Hides a folder behind an empty one, a file behind /dev/null. */
function mask(mounted: Mounted, target: number, path: string) {
	if (dryRun(`mask ${path}`)) return;
	const isFolder = (stat("", target).mode & S_IFMT) === S_IFDIR;
	const cover = isFolder ? emptyFolder(mounted) : nullDevice();
	moveMount(cover, target, path);
	if (!isFolder) setAttributes(cover, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	close(target);
	close(cover);
}

/** A copy of the one empty, read-only file system. */
function emptyFolder(mounted: Mounted): number {
	mounted.emptyFolder ??= newMount("tmpfs", { mode: "0555", size: "4k", nr_inodes: "1" }, SEALED);
	return openTree(mounted.emptyFolder, "", OPEN_TREE_CLONE);
}

const NULL_DEVICE = "1:3";

function nullDevice(): number {
	const copy = cloneMount("/dev/null", false, "--mask");
	const { mode, rdev } = stat("", copy);
	if ((mode & S_IFMT) !== S_IFCHR || rdev !== NULL_DEVICE)
		fail("/dev/null: not the null device", "what is to be hidden is hidden behind it");
	return copy;
}

function makeReadOnly(_: Mounted, target: number, path: string) {
	if (dryRun(`make ${path} read-only`)) return;
	const copy = openTree(target, "", OPEN_TREE_CLONE | AT_RECURSIVE);
	moveMount(copy, target, path);
	setAttributes(copy, MOUNT_ATTR_RDONLY, { recursive: true });
	close(target);
	close(copy);
}
