/** What is mounted in the container, in the order in which the command line has it. */
import { ENOENT } from "../../../native/linux/errno.ts";
import { AT_RECURSIVE, close } from "../../../native/linux/fd.ts";
import {
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
	moveMount,
	OPEN_TREE_CLONE,
	openTree,
} from "../../../native/linux/mount.ts";
import { S_IFDIR, S_IFMT, stat } from "../../../native/linux/stat.ts";
import { dryRun, SysError } from "../../../native/linux/syscall.ts";
import { makeDev } from "./dev.ts";
import type { MountStep, Plan } from "./plan.ts";
import { attach, cloneMount, newMount, openInside, setAttributes } from "./rootfs.ts";

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

export function mountInside(mounts: MountStep[], sources: (number | undefined)[], root: number) {
	mounts.forEach((step, i) => {
		const { kind, target, options } = step;
		if (kind === "bind") bind(step, sources[i], root);
		else if (kind === "tmpfs") place(newMount("tmpfs", options.data, options.set), root, target);
		else if (kind === "proc") place(newMount("proc", {}, options.set), root, target);
		else if (kind === "sysfs") place(newMount("sysfs", {}, options.set), root, target);
		else if (kind === "dev") makeDev(root, target);
		else if (kind === "mask") mask(root, target);
		else makeReadOnly(root, target);
	});
}

function place(mounted: number, root: number, target: string) {
	attach(mounted, root, target);
	close(mounted);
}

function bind({ target, options }: MountStep, source: number | undefined, root: number) {
	if (source === undefined) return;
	const { set, propagation, recursive } = options;
	attach(source, root, target);
	/* A copy of a shared mount is shared with it; of one that is not, it can be shared with its own copies. */
	setAttributes(source, set, { recursive, propagation });
	close(source);
}

const SEALED = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/** Hides a folder behind an empty one, a file behind /dev/null. What is not there need not be hidden. */
function mask(root: number, path: string) {
	if (dryRun(`mask ${path}`)) return;
	const target = openInside(root, path);
	if (target === undefined) return;
	const isFolder = (stat("", target).mode & S_IFMT) === S_IFDIR;
	const cover = isFolder ? newMount("tmpfs", { mode: "0755", size: "4k" }, SEALED) : cloneMount("/dev/null", false, "--mask");
	moveMount(cover, target, path);
	close(target);
	close(cover);
}

function makeReadOnly(root: number, path: string) {
	if (dryRun(`make ${path} read-only`)) return;
	const target = openInside(root, path);
	if (target === undefined) return;
	const copy = openTree(target, "", OPEN_TREE_CLONE | AT_RECURSIVE);
	moveMount(copy, target, path);
	setAttributes(copy, MOUNT_ATTR_RDONLY, { recursive: true });
	close(target);
	close(copy);
}
