/** From what is asked for to what is mounted: volumes made and mounted, folders that are there, an order that can be kept. */
import { ENOENT } from "../../../native/linux/errno.ts";
import {
	AT_FDCWD,
	AT_RECURSIVE,
	close,
	O_DIRECTORY,
	O_NOFOLLOW,
	O_PATH,
	open,
	openat2,
	RESOLVE_IN_ROOT,
} from "../../../native/linux/fd.ts";
import { MNT_DETACH, moveMount, OPEN_TREE_CLONE, openTree, UMOUNT_NOFOLLOW, umount } from "../../../native/linux/mount.ts";
import { lstatIfAny, mkdirAll, readlink, rmdir, statIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { needProgram } from "../../common/run-program.ts";
import { runFolder } from "../../common/state.ts";
import { ensureMounted } from "../store/mount.ts";
import { type UsedMount, userOf } from "../store/users.ts";
import { readdirIfAny, type Volume, volumeIfAny } from "../store/volume.ts";
import { createVolume, makeAnonymous } from "../volume/create.ts";
import { readMount, readTmpfs, readVolume, type Spec } from "./spec.ts";

export interface AttachOptions {
	volume?: string[];
	mount?: string[];
	tmpfs?: string[];
	volumesFrom?: string[];
	remove?: true;
}

export interface Wanted {
	specs: Spec[];
	/** Those of another container; one of `specs` takes its place at the same target. */
	inherited: UsedMount[];
}

/** Reads the options. Throws UsageError where two are for one target, or there are none. */
export function readSpecs(options: AttachOptions): Wanted {
	const specs = [
		...(options.volume ?? []).map(readVolume),
		...(options.mount ?? []).map(readMount),
		...(options.tmpfs ?? []).map(readTmpfs),
	];
	const targets = specs.map(({ target }) => target);
	const twice = targets.find((target, i) => targets.indexOf(target) !== i);
	if (twice !== undefined) throw new UsageError(`two mounts on ${show(twice)}`);
	const inherited = (options.volumesFrom ?? []).flatMap(readVolumesFrom).filter(({ target }) => !targets.includes(target));
	if (specs.length + inherited.length === 0) throw new UsageError("nothing to attach", "-v, --mount, --tmpfs and --volumes-from say what");
	return { specs, inherited };
}

/** `ID[:ro]`: what that container or sandbox has attached, but for its tmpfs. */
function readVolumesFrom(text: string): UsedMount[] {
	const [id = "", mode = "", ...more] = text.split(":");
	if (id === "" || more.length > 0) throw new UsageError(`--volumes-from: ${show(text)} is not ID[:ro]`);
	if (!/^(|ro|rw|z|Z)$/.test(mode)) throw new UsageError(`--volumes-from ${show(text)}: ${show(mode)} is not a mode (ro, rw)`);
	const user =
		userOf(id) ?? fail(`--volumes-from ${show(id)}: no volumes of it are known`, "they are those that `tsvolctl attach` has given it");
	return user.mounts.filter(({ type }) => type !== "tmpfs").map((mount) => (mode === "ro" ? { ...mount, readonly: true } : mount));
}

export interface Resolved {
	mount: UsedMount;
	spec?: Spec;
	volume?: Volume;
	/** It was made just now, and goes again if something fails. */
	isNew: boolean;
}

/** Parents before what is mounted in them, as Docker orders them. */
export function inOrder(resolved: Resolved[]): Resolved[] {
	const depth = ({ mount }: Resolved) => mount.target.split("/").length;
	return [...resolved].sort((a, b) => depth(a) - depth(b));
}

/**
 * Makes what is not there yet, and says what is to be mounted. `before` has the anonymous volumes of an earlier run of the
 * same container, which are its again. `undo` gets what has been made as it is made.
 */
export function resolve({ specs, inherited }: Wanted, before: UsedMount[], undo: Resolved[]): Resolved[] {
	for (const spec of specs) undo.push(spec.type === "volume" ? resolveVolume(spec, before) : { mount: mountOf(spec), spec, isNew: false });
	for (const mount of inherited) {
		const volume = mount.name === undefined ? undefined : volumeIfAny(mount.name);
		if (mount.name !== undefined && !volume) fail(`${mount.name}: no such volume`);
		undo.push({ mount, isNew: false, ...(volume && { volume }) });
	}
	return inOrder(undo);
}

function resolveVolume(spec: Spec, before: UsedMount[]): Resolved {
	const { source, labels, options, target } = spec;
	const mine = source === undefined ? before.find((mount) => mount.target === target && mount.anonymous)?.name : source;
	const there = mine === undefined ? undefined : volumeIfAny(mine);
	const volume = there ?? (source === undefined ? makeAnonymous(options, labels) : createVolume(source, options, labels));
	const mount: UsedMount = { ...mountOf(spec), name: volume.name, source: volume.data, ...(source === undefined && { anonymous: true }) };
	return { mount, spec, volume, isNew: !there };
}

function mountOf({ type, source, target, readonly, recursive, propagation, tmpfs }: Spec): UsedMount {
	if (type === "tmpfs") return { type, target, readonly, options: tmpfs };
	return { type, target, readonly, recursive, ...(source !== undefined && { source }), ...(propagation !== undefined && { propagation }) };
}

/** Makes the source ready to be mounted: the host's path is there, the volume is mounted, a folder in it has a path of its own. */
export function prepareSource({ mount, spec, volume }: Resolved, id: string, index: number) {
	if (volume) ensureMounted(volume);
	if (mount.type === "bind") prepareBind(mount.source as string, spec?.makeSource === true);
	else if (mount.type === "image" && !mount.source?.startsWith("/")) mount.source = mountImage(mount.source as string, id, index);
	if (spec?.subpath !== undefined) mount.source = bindSubpath(mount.source as string, spec.subpath, id, index);
}

function prepareBind(source: string, make: boolean) {
	if (statIfAny(source) !== undefined) return;
	if (!make || lstatIfAny(source) !== undefined)
		fail(`bind source ${show(source)}: no such file or folder`, make ? undefined : "-v makes it, and --mount with bind-create-src");
	mkdirAll(source, 0o755);
}

/** The places of a user's sources that are mounted for it alone. */
function ownPlaces(id: string): string {
	return `${runFolder()}/volume-sources/${id}`;
}

/**
 * A folder in a volume, at a path that nobody can change: who writes to the volume could put a link in its place between
 * now and the mount.
 */
function bindSubpath(source: string, subpath: string, id: string, index: number): string {
	const root = open(source, O_PATH | O_DIRECTORY);
	const place = `${ownPlaces(id)}/${index}`;
	try {
		const below = openat2(root, subpath, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
		const tree = openTree(below, "", OPEN_TREE_CLONE | AT_RECURSIVE);
		close(below);
		mkdirAll(place, 0o700);
		const on = open(place, O_PATH | O_DIRECTORY | O_NOFOLLOW);
		moveMount(tree, on, place);
		for (const fd of [tree, on]) close(fd);
	} catch (error) {
		if (error instanceof SysError && error.errno === ENOENT) fail(`subpath ${show(subpath)}: there is no such folder in it`);
		throw error;
	} finally {
		close(root);
	}
	return place;
}

/** An image is mounted by the tool that keeps images. */
function mountImage(image: string, id: string, index: number): string {
	const place = `${ownPlaces(id)}/${index}.image`;
	mkdirAll(place, 0o700);
	const own = readlink("/proc/self/exe");
	needProgram([`${own.slice(0, own.lastIndexOf("/"))}/tsunionmount`, "image", "mount", image, place], "tsbox");
	return place;
}

/** Takes away what `prepareSource` has mounted for a user alone. */
export function releaseSources(id: string) {
	const folder = ownPlaces(id);
	for (const name of readdirIfAny(folder)) releaseSource(id, `${folder}/${name}`);
	if (lstatIfAny(folder)) rmdir(folder);
}

/** The same for one source; others are left alone. */
export function releaseSource(id: string, source: string | undefined) {
	if (!source?.startsWith(`${ownPlaces(id)}/`) || !lstatIfAny(source)) return;
	while (mountedOn(source)) umount(source, MNT_DETACH | UMOUNT_NOFOLLOW);
	rmdir(source);
}

function mountedOn(path: string): boolean {
	return lstatIfAny(path)?.mountId !== lstatIfAny(path.slice(0, path.lastIndexOf("/")))?.mountId;
}

/** A detached copy of a source. */
export function cloneSource({ source = "", recursive, type }: UsedMount): number {
	return openTree(AT_FDCWD, source, OPEN_TREE_CLONE | (type === "bind" && recursive !== false ? AT_RECURSIVE : 0));
}
