import { CLOCK_REALTIME, clockGettime } from "../../../native/linux/clock.ts";
import { ENOSYS } from "../../../native/linux/errno.ts";
import { close, O_DIRECTORY, O_PATH, open } from "../../../native/linux/fd.ts";
import {
	fsmount,
	MNT_DETACH,
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
	MS_PRIVATE,
	MS_SHARED,
	MS_SLAVE,
	mountSetattr,
} from "../../../native/linux/mount.ts";
import { startTime } from "../../../native/linux/proc.ts";
import { stat, statIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show, ToolError, UsageError } from "../../common/errors.ts";
import { attachInside, openInside } from "../../common/inside-root.ts";
import { filterRecords, type PlanRecord, type Target, withLeave } from "../../common/record.ts";
import { registerLeave } from "../../common/sandbox-state.ts";
import { forgetUser, isActive, isContainer, processId, type UsedMount, type User, userOf, writeUser } from "../store/users.ts";
import { volumeIfAny, withVolumes } from "../store/volume.ts";
import { removeUnused } from "../volume/rm.ts";
import { fillEmpty } from "./fill.ts";
import { inMountNamespace, openRoot, umountOpen } from "./inside.ts";
import {
	type AttachOptions,
	cloneSource,
	prepareSource,
	type Resolved,
	readSpecs,
	releaseSources,
	resolve,
	type Wanted,
} from "./sources.ts";

/** Mounts volumes, host paths and tmpfs in sandboxes: those yet to be made (plans), held ones and running ones. */
export function attach({ options, operands }: { options: AttachOptions; operands: string[] }) {
	if (operands.includes("")) throw new UsageError("attach: an ID is empty");
	const wanted = readSpecs(options);
	const remove = options.remove === true;
	filterRecords(
		operands,
		(target) => attachLive(target, wanted, remove),
		(plan) => attachPlan(plan, wanted, remove),
	);
}

/** What was attached to the same container before; of a sandbox that has ended, nothing. */
function earlier(id: string): User | undefined {
	const user = userOf(id);
	return user && (isContainer(id) || isActive(user)) ? user : undefined;
}

/**
 * Notes the user, does `work` with what is to be mounted, and undoes it all if that fails: the note is as it was, volumes
 * that were made for it are removed.
 */
function whileNoted<T>(user: Omit<User, "mounts" | "created">, wanted: Wanted, work: (resolved: Resolved[]) => T): T {
	const before = earlier(user.id);
	const made: Resolved[] = [];
	try {
		const resolved = resolve(wanted, before?.mounts ?? [], made);
		note(user, before, resolved);
		const offset = before?.mounts.length ?? 0;
		resolved.forEach((each, i) => {
			prepareSource(each, user.id, offset + i);
		});
		/* A folder in a volume, and an image, have got a path of their own. */
		if (resolved.some(({ spec }) => spec?.subpath !== undefined || spec?.type === "image")) note(user, before, resolved);
		return work(resolved);
	} catch (error) {
		withVolumes(() => (before ? writeUser(before) : forgetUser(user.id)));
		if (!before) releaseSources(user.id);
		for (const { volume, isNew } of made) if (volume && isNew) removeIfUnused(volume.name);
		throw error;
	}
}

function note(user: Omit<User, "mounts" | "created">, before: User | undefined, resolved: Resolved[]) {
	withVolumes(() => {
		for (const { volume } of resolved)
			if (volume && !volumeIfAny(volume.name)) fail(`${volume.name}: the volume has been removed meanwhile`);
		const targets = resolved.map(({ mount }) => mount.target);
		const kept = (before?.mounts ?? []).filter(({ target }) => !targets.includes(target));
		const created = Math.floor(clockGettime(CLOCK_REALTIME));
		const remove = user.remove || before?.remove;
		writeUser({ ...user, created, ...(remove && { remove }), mounts: [...kept, ...resolved.map(({ mount }) => mount)] });
	});
}

function removeIfUnused(name: string) {
	const volume = volumeIfAny(name);
	try {
		if (volume) removeUnused(volume);
	} catch (error) {
		/* Somebody else has begun to use it: it is theirs now. */
		if (!(error instanceof ToolError || error instanceof SysError)) throw error;
	}
}

/** Adds mounts to a plan; the volumes that are empty are filled from its root. */
function attachPlan(plan: PlanRecord, wanted: Wanted, remove: boolean) {
	const planned = plan.mounts ?? [];
	const both = wanted.specs.find(({ target }) => planned.some((mount) => mount.target === target));
	if (both) fail(`${plan.id}: two mounts on ${show(both.target)}`);
	return whileNoted({ id: plan.id, ...(remove && { remove }) }, wanted, (resolved) => {
		if (plan.rootfs !== undefined) {
			const root = open(plan.rootfs, O_PATH | O_DIRECTORY);
			try {
				for (const each of resolved) fillEmpty(each, root);
			} finally {
				close(root);
			}
		}
		return { mounts: [...planned, ...resolved.map(({ mount }) => plain(mount))], ...withLeave(plan, "tsvolctl") };
	});
}

/** As a plan has it. */
function plain({ anonymous: _, ...mount }: UsedMount) {
	return mount;
}

/** Mounts in a process's namespace, held or running. */
function attachLive(target: Target, wanted: Wanted, remove: boolean) {
	const { pid, record, isSandbox } = target;
	const start = startTime(pid) ?? fail(`${pid}: has ended`);
	const id = record && isSandbox ? record.id : processId({ pid, start });
	const root = openRoot(target);
	try {
		if (isSandbox) registerLeave(id, "tsvolctl");
		const user = { id, pid, start, ...(remove && { remove }) };
		const present = earlier(id)?.mounts ?? [];
		const targets = wanted.specs.map((spec) => spec.target);
		const both = present.find((mount) => targets.includes(mount.target) && isAttached(mount, root));
		if (both)
			fail(
				`${id}: ${show(both.target)}: something is attached there already`,
				`\`tsvolctl detach ${both.target} ${record?.id ?? pid}\` takes it away`,
			);
		return whileNoted(user, wanted, (resolved) => {
			for (const each of resolved) fillEmpty(each, root);
			mountAll(target, root, resolved);
			const added = resolved.map(({ mount }) => plain(mount));
			return { mounts: [...((record?.mounts as unknown[] | undefined) ?? []), ...added] };
		});
	} finally {
		close(root);
	}
}

/** Whether what is noted is there: of an earlier run of the same container it is not. */
function isAttached({ source, target }: UsedMount, root: number): boolean {
	const place = openInside(root, target);
	if (place === undefined) return false;
	const there = stat("", place);
	close(place);
	const from = source === undefined ? undefined : statIfAny(source);
	return from !== undefined && from.dev === there.dev && from.ino === there.ino;
}

function mountAll(target: Target, root: number, resolved: Resolved[]) {
	const detached = resolved.map(({ mount }) => openMount(mount));
	try {
		inMountNamespace(target, (here) => {
			const done: number[] = [];
			try {
				resolved.forEach(({ mount }, i) => {
					attachInside(detached[i] as number, root, mount.target);
					done.push(detached[i] as number);
				});
			} catch (error) {
				for (const fd of done.reverse()) umountOpen(here, fd, MNT_DETACH);
				throw error;
			}
		});
	} finally {
		for (const fd of detached) close(fd);
	}
}

const PROPAGATION: Record<string, number> = { private: MS_PRIVATE, slave: MS_SLAVE, shared: MS_SHARED };

/** A mount as it is to be, attached nowhere yet. */
function openMount(mount: UsedMount): number {
	if (mount.type === "tmpfs") {
		const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | (mount.readonly ? MOUNT_ATTR_RDONLY : 0);
		return fsmount("tmpfs", { source: "tmpfs", ...mount.options }, attributes);
	}
	const fd = cloneSource(mount);
	try {
		const { propagation = "rprivate" } = mount;
		const attributes = mount.readonly || mount.type === "image" ? MOUNT_ATTR_RDONLY : 0;
		mountSetattr(fd, attributes, {
			recursive: propagation.startsWith("r"),
			propagation: PROPAGATION[propagation.replace(/^r(?=[ps])/, "")] ?? MS_PRIVATE,
		});
		return fd;
	} catch (error) {
		close(fd);
		if (error instanceof SysError && error.errno === ENOSYS)
			fail("mount_setattr: this kernel does not have it", "attaching to a running process needs Linux 5.12; a plan does not");
		throw error;
	}
}
