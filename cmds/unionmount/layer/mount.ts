/** `layer mount`, `layer umount` and `leave`: a layer with those below it as one folder, and as the plan of a sandbox. */

import { EBUSY, EINVAL, ENOENT } from "../../../native/linux/errno.ts";
import { close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open, readFileIfAny } from "../../../native/linux/fd.ts";
import { MNT_DETACH, mountinfo, UMOUNT_NOFOLLOW, umount } from "../../../native/linux/mount.ts";
import type { IdRange } from "../../../native/linux/namespace.ts";
import { chown, lstatIfAny, mkdirAll, rmdir, S_IFDIR, S_IFMT, stat, unlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { leavers } from "../../common/sandbox-state.ts";
import { isName, listState, makeStateFolder, readState, runFolder, withLock, writeState } from "../../common/state.ts";
import { mountAufs } from "../mount/aufs.ts";
import { mountWith } from "../mount/detached.ts";
import { mountOverlay } from "../mount/overlay.ts";
import { addMapping, emptyRequest } from "../mount/request.ts";
import { createLayer } from "./create.ts";
import { removeLayer } from "./rm.ts";
import { checkId, findLayer, foldersBelow, getLayer, type LayerFacts, linkOf, openStore, readLower, type Store } from "./store.ts";

/** unionmount/ID.json in the run-time state: which layer a sandbox's root is. */
interface Mounted {
	id: string;
	layer: string;
	target: string;
}

const stateFolder = () => `${runFolder()}/unionmount`;
const statePath = (id: string) => `${stateFolder()}/${id}.json`;

export interface MountLine {
	options: {
		record?: true;
		readOnly?: true;
		hostRoot?: true;
		parent?: string;
		size?: number;
		userxattr?: true;
		option?: string[];
		mapUsers?: string[];
		mapGroups?: string[];
	};
	operands: string[];
}

interface PlanRecord {
	tsbox: 1;
	id: string;
	layer?: { id?: string; parent?: string };
	[member: string]: unknown;
}

/** The folders of a layer's mount. */
export function foldersOf(store: Store, layer: LayerFacts) {
	const below = foldersBelow(store, layer.id);
	const isWritten = layer.kind === "container";
	return {
		lowerdir: layer.hostRoot ? ["/"] : isWritten ? below : [store.diff(layer.id), ...below],
		...(isWritten && { upperdir: store.diff(layer.id), workdir: `${store.root}/${layer.id}/work` }),
	};
}

/** The short names of the same lower layers. */
function linksOf(store: Store, layer: LayerFacts): string[] {
	const below = readLower(store, layer.id);
	return layer.kind === "container" ? below : [`l/${linkOf(store, layer.id)}`, ...below];
}

/** Options that keep a layer readable by itself: a kernel may have been told to rename folders by reference. */
function plainOptions(): Record<string, string> {
	const options: Record<string, string> = {};
	for (const name of ["redirect_dir", "metacopy"])
		if (readFileIfAny(`/sys/module/overlay/parameters/${name}`)?.trim() === "Y") options[name] = "off";
	return options;
}

/** Mounts a layer on `target`; read-only if it is an image's. Fails where something is mounted there. */
export function mountLayer(
	layer: LayerFacts,
	target: string,
	more: Record<string, string | true> = {},
	readOnly = false,
	idmap?: { uids: IdRange[]; gids: IdRange[] },
) {
	const store = openStore(layer.layout);
	const { lowerdir, upperdir, workdir } = foldersOf(store, layer);
	if (layer.layout === "aufs") {
		const branches = lowerdir.map((path) => ({ path, mode: "ro+wh" }));
		return mountAufs({ branches: upperdir === undefined || readOnly ? branches : [{ path: upperdir, mode: "rw" }, ...branches] }, target);
	}
	if (workdir !== undefined && !isDryRun()) mkdirAll(workdir, 0o700);
	const links = layer.hostRoot ? undefined : { folder: store.root, names: linksOf(store, layer) };
	const upper = upperdir === undefined || workdir === undefined ? {} : { upperdir, workdir };
	/* A container on nothing: overlayfs wants a lower layer. */
	const empty = lowerdir.length === 0 ? emptyLower(store, layer.id) : undefined;
	const overlay = {
		lowerdir: empty === undefined ? lowerdir : [empty],
		...(readOnly && upper.upperdir !== undefined ? { lowerdir: [upper.upperdir, ...lowerdir] } : upper),
		options: { ...plainOptions(), ...more },
		...(links && empty === undefined && { links }),
	};
	if (!idmap) return mountOverlay(overlay, target);
	if (upperdir !== undefined && !isDryRun()) mapOwner(upperdir, idmap);
	mountWith(overlay, target, { idmap });
}

/** The root folder is the upper layer's, which is not mapped: its owner has to be. */
function mapOwner(folder: string, { uids, gids }: { uids: IdRange[]; gids: IdRange[] }) {
	const map = (id: number, ranges: IdRange[]) => {
		if (ranges.some(({ outer, count }) => id >= outer && id < outer + count)) return id;
		const range = ranges.find(({ inner, count }) => id >= inner && id < inner + count);
		return range ? range.outer + id - range.inner : id;
	};
	const fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	const { uid, gid } = stat("", fd);
	chown("", map(uid, uids), map(gid, gids), fd);
	close(fd);
}

function emptyLower(store: Store, id: string): string {
	const path = `${store.root}/${id}/empty`;
	if (!isDryRun()) mkdirAll(path, 0o755);
	return path;
}

export function isMountPoint(path: string): boolean {
	return mountinfo().some((mount) => mount.target === path);
}

/** `id=` of layer mount: options as mount(8) writes them. */
function parseOptions(texts: string[] = []): Record<string, string | true> {
	const options: Record<string, string | true> = {};
	for (const word of texts.flatMap((text) => text.split(","))) {
		const equals = word.indexOf("=");
		if (word !== "") options[equals < 0 ? word : word.slice(0, equals)] = equals < 0 ? true : word.slice(equals + 1);
	}
	return options;
}

/** --map-users and --map-groups: one of both alone is meant for both. */
function idmapOf({ mapUsers, mapGroups }: MountLine["options"]) {
	if (!mapUsers && !mapGroups) return undefined;
	const request = emptyRequest();
	for (const text of mapUsers ?? mapGroups ?? []) addMapping(request, "uids", text);
	for (const text of mapGroups ?? mapUsers ?? []) addMapping(request, "gids", text);
	return request.idmap;
}

/** The plan on standard input, where `layer mount` stands in a pipe; undefined where there is none. */
function planOf(lines: Iterable<string>): PlanRecord | undefined {
	for (const line of lines) {
		let record: PlanRecord;
		try {
			record = JSON.parse(line) as PlanRecord;
		} catch {
			return fail(`standard input: not a sandbox record: ${show(line.slice(0, 60))}`);
		}
		if (record?.tsbox !== 1 || typeof record.id !== "string" || !isName(record.id))
			return fail("standard input: not a sandbox record of format 1");
		return record;
	}
	return undefined;
}

export function mountVerb(line: MountLine, lines: () => Iterable<string>) {
	const { options, operands } = line;
	if (operands.length > 2) throw new UsageError("layer mount: ID [TARGET]");
	const [word, target] = operands;
	if (target === "") throw new UsageError('layer mount: "" is not a TARGET');
	const plan = word === undefined ? planOf(lines()) : undefined;
	if (word === undefined && !plan) throw new UsageError("layer mount: which layer? Give an ID, or a plan on standard input");
	const id = checkId(word ?? plan?.layer?.id ?? (plan?.id as string));
	const parent = options.parent ?? plan?.layer?.parent;
	let made: LayerFacts | undefined;
	let layer = findLayer(id);
	if (!layer && (parent !== undefined || options.hostRoot))
		layer = made = createLayer(id, { parent, size: options.size, hostRoot: options.hostRoot });
	layer ??= getLayer(id);
	const store = openStore(layer.layout);
	const on = target ?? store.merged(layer.id);
	const sandbox = plan?.id ?? layer.id;
	/* Without --record too: `leave` and `rm` are to find it. */
	try {
		if (target === undefined && !isDryRun()) mkdirAll(on, 0o755);
		if (isMountPoint(on)) fail(`${layer.id}: is mounted already on ${on}`, `tsunionmount layer umount ${layer.id}`);
		const more = { ...parseOptions(options.option), ...(options.userxattr && { userxattr: true as const }) };
		mountLayer(layer, on, more, options.readOnly, idmapOf(options));
	} catch (error) {
		if (target === undefined) removeTarget(store, layer.id);
		if (made) removeLayer(made.id);
		throw error;
	}
	if (isDryRun()) return;
	makeStateFolder(runFolder());
	makeStateFolder(stateFolder());
	writeState(statePath(sandbox), `${JSON.stringify({ id: sandbox, layer: layer.id, target: on })}\n`);
	if (options.record || plan) print(`${JSON.stringify(recordOf(sandbox, layer, store, on, plan))}\n`);
	else print(`${on}\n`);
}

function recordOf(id: string, layer: LayerFacts, store: Store, rootfs: string, plan: PlanRecord | undefined) {
	const { lowerdir, upperdir, workdir } = foldersOf(store, layer);
	return {
		tsbox: 1,
		id,
		...plan,
		leave: [...leavers(plan?.leave).filter((tool) => tool !== "tsunionmount"), "tsunionmount"],
		rootfs,
		layer: {
			...plan?.layer,
			id: layer.id,
			driver: layer.layout,
			lowerdir,
			...(upperdir !== undefined && { upperdir, workdir }),
			merged: rootfs,
		},
	};
}

function removeTarget(store: Store, id: string) {
	try {
		if (store.layout === "overlay2") rmdir(store.merged(id));
	} catch (error) {
		/* It was not there, or is mounted. */
		if (!(error instanceof SysError)) throw error;
	}
}

function unmountTarget(target: string, detach: boolean): boolean {
	const found = lstatIfAny(target);
	if (!found || (found.mode & S_IFMT) !== S_IFDIR) return false;
	try {
		umount(target, UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0));
		return true;
	} catch (error) {
		if (error instanceof SysError && (error.errno === EINVAL || error.errno === ENOENT)) return false;
		if (error instanceof SysError && error.errno === EBUSY)
			fail(`${target}: is in use`, "a process has a file open in it, or works in it; --lazy takes it away for all others at once");
		throw error;
	}
}

/** Where layers are mounted by us. */
export function mountedLayers(): Mounted[] {
	return listState(stateFolder())
		.filter((name) => name.endsWith(".json"))
		.map((name) => readState<Mounted>(`${stateFolder()}/${name}`))
		.filter((mounted): mounted is Mounted => mounted !== undefined);
}

export function umountVerb({ options, operands }: { options: { lazy?: true }; operands: string[] }) {
	if (operands.length === 0) throw new UsageError("layer umount: which layer?");
	for (const word of operands) checkId(word);
	for (const word of operands) {
		const layer = getLayer(word);
		const store = openStore(layer.layout);
		const targets = new Set([
			store.merged(layer.id),
			...mountedLayers()
				.filter((m) => m.layer === layer.id)
				.map((m) => m.target),
		]);
		let count = 0;
		for (const target of targets) while (isMountPoint(target) && unmountTarget(target, options.lazy === true)) count++;
		forget((mounted) => mounted.layer === layer.id);
		removeTarget(store, layer.id);
		if (count === 0) fail(`${layer.id}: is not mounted`);
	}
}

function forget(which: (mounted: Mounted) => boolean) {
	for (const mounted of mountedLayers()) if (which(mounted)) unlinkIfAny(statePath(mounted.id));
}

/** The inverse of a mount for a sandbox: what is gone already is fine. */
export function leave(ids: string[]) {
	if (ids.length === 0) throw new UsageError("leave: which sandbox?");
	for (const id of ids) if (!isName(id)) throw new UsageError(`${show(id)} is not a sandbox's id`);
	for (const id of ids) {
		const mounted = readState<Mounted>(statePath(id));
		if (!mounted) continue;
		withLock(stateFolder(), () => {
			/* Others may have its files open still: the sandbox is gone all the same. */
			while (isMountPoint(mounted.target) && unmountTarget(mounted.target, true));
			unlinkIfAny(statePath(id));
		});
		const layer = findLayer(mounted.layer);
		if (layer) removeTarget(openStore(layer.layout), layer.id);
	}
}
