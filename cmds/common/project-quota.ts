/**
 * Limits on folders by project quotas (native/linux/quota.ts): `--size` of volumes and of containers' layers.
 *
 * Each folder has a project of its own. Which numbers are taken is asked of the file system itself, under a lock of ours;
 * they begin where those of others, who count from 1, end.
 */
import { EOPNOTSUPP } from "../../native/linux/errno.ts";
import { close, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, open, readdirOf } from "../../native/linux/fd.ts";
import { mountinfo } from "../../native/linux/mount.ts";
import {
	nextProject,
	type ProjectQuota,
	projectOf,
	projectQuota,
	projectQuotaState,
	setProject,
	setProjectQuota,
} from "../../native/linux/quota.ts";
import { lstatIfAny, S_IFDIR, S_IFMT, S_IFREG, stat } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { fail, show } from "./errors.ts";
import { makeStateFolder, runFolder, withLock } from "./state.ts";

const FIRST_PROJECT = 1 << 20;

/** Why a folder's file system keeps no project limits, and the remedy; undefined where it does. */
export function quotaProblem(path: string): { why: string; hint: string } | undefined {
	const fd = open(path, O_RDONLY | O_DIRECTORY);
	try {
		return problemOf(fd);
	} finally {
		close(fd);
	}
}

function problemOf(fd: number): { why: string; hint: string } | undefined {
	const { mountId } = stat("", fd);
	const mount = mountinfo().find((entry) => entry.id === mountId);
	const type = mount?.type ?? "this file system";
	const where = mount ? `${mount.source} on ${mount.target}` : "it";
	if (type !== "ext4" && type !== "xfs") return { why: `${type} has no project quotas`, hint: "ext4 and xfs have them" };
	const state = projectQuotaState(fd);
	if (state === "enforced" && (type === "xfs" || projectOf(fd) !== undefined)) return undefined;
	if (type === "xfs")
		return {
			why: "project quotas are off",
			hint: `mount ${where} anew with -o prjquota (a remount does not do; for the root file system boot with rootflags=prjquota)`,
		};
	return {
		why: "project quotas are off",
		hint: `\`tune2fs -O project,quota -Q prjquota ${mount?.source ?? "DEVICE"}\` while it is not mounted, then mount ${where} with -o prjquota`,
	};
}

/**
 * Limits what is below a folder to so many bytes (0: no limit). What is in it already counts as well. Fails where the file
 * system keeps no project limits.
 */
export function limitFolder(path: string, bytes: number) {
	const folder = `${runFolder()}/projects`;
	makeStateFolder(runFolder());
	makeStateFolder(folder);
	const fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	try {
		const problem = problemOf(fd);
		if (problem) fail(`${show(path)}: cannot be limited in size: ${problem.why}`, problem.hint);
		withLock(folder, () => {
			const own = ownProject(fd);
			const project = own ?? freeProject(fd);
			setProjectQuota(fd, project, bytes);
			if (own === undefined) markTree(fd, project);
		});
	} catch (error) {
		if (error instanceof SysError && error.errno === EOPNOTSUPP)
			fail(
				`${show(path)}: cannot be limited in size: the file system has no projects`,
				"`tune2fs -O project DEVICE` gives them to an ext4 that is not mounted",
			);
		throw error;
	} finally {
		close(fd);
	}
}

/** The number of ours that a folder has. */
function ownProject(fd: number): number | undefined {
	const project = projectOf(fd);
	return project !== undefined && project >= FIRST_PROJECT ? project : undefined;
}

function freeProject(fd: number): number {
	let project = FIRST_PROJECT;
	while (nextProject(fd, project) === project) project++;
	return project;
}

/** Marks a folder and what is in it. Links, devices and the like cannot be opened for it, and hold next to nothing. */
function markTree(fd: number, project: number) {
	setProject(fd, project, true);
	for (const name of readdirOf(fd)) {
		const kind = (lstatIfAny(name, fd)?.mode ?? 0) & S_IFMT;
		if (kind !== S_IFDIR && kind !== S_IFREG) continue;
		const below = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, fd);
		try {
			if (kind === S_IFDIR) markTree(below, project);
			else setProject(below, project, false);
		} finally {
			close(below);
		}
	}
}

/** What a folder that `limitFolder` has limited may hold, and holds; undefined for others. */
export function folderQuota(path: string): ProjectQuota | undefined {
	const fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	try {
		const project = ownProject(fd);
		return project === undefined ? undefined : projectQuota(fd, project);
	} finally {
		close(fd);
	}
}

/** Forgets a folder's limit, before it is removed, so that its number can be used again. Folders without one are fine. */
export function unlimitFolder(path: string) {
	const fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	try {
		const project = ownProject(fd);
		if (project !== undefined) setProjectQuota(fd, project, 0);
	} finally {
		close(fd);
	}
}
