/** A layer as an archive, whiteouts as OCI has them: `layer export`, and what is made of one: `layer commit`, `layer squash`. */
import { umask } from "../../../native/linux/credential.ts";
import { close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open, pipe, readdirOf } from "../../../native/linux/fd.ts";
import { OPEN_TREE_CLONE, openTree } from "../../../native/linux/mount.ts";
import { exit, fork, wait } from "../../../native/linux/process.ts";
import { removeTree } from "../../../native/linux/remove.ts";
import { freeSpace } from "../../../native/linux/stat.ts";
import { type ArchiveOptions, archive, xattrsOf } from "../../../native/linux/tar/archive.ts";
import { type ExtractOptions, extract } from "../../../native/linux/tar/extract.ts";
import { openSource } from "../../../native/linux/tar/source.ts";
import type { WriteEntry } from "../../../native/linux/tar/writer.ts";
import { warn } from "../../common/command-line/tool.ts";
import { fail } from "../../common/errors.ts";
import type { Progress } from "../../common/progress.ts";
import { hashing } from "../filter.ts";
import { openOverlay } from "../mount/overlay.ts";
import { hasWhiteoutXattr, isOverlayXattr, isWhiteoutStat, OPAQUE, OWN, opaqueOf, PREFIX } from "../whiteout.ts";
import { importLayer, whiteoutHooks } from "./import.ts";
import { foldersOf, isMountPoint } from "./mount.ts";
import { chainOf, draftLayer, findLayer, type LayerFacts, type Layout, now, openStore, type Store } from "./store.ts";

const whiteout = (path: string): WriteEntry => ({
	type: "0",
	name: path,
	mode: 0,
	uid: 0,
	gid: 0,
	mtime: 0,
	mtimeNanoseconds: 0,
	size: 0,
});

/** How a layer's files are packed: overlay's own attributes stay behind, what hides becomes a file. */
export function layerOptions(layout: Layout): ArchiveOptions {
	return {
		warn: (text) => warn(text),
		xattr: (name) => (isOverlayXattr(name) ? undefined : name),
		within: (folder) => (layout === "overlay2" && opaqueOf(folder.xattrs) === "y" ? [whiteout(folder.path + OPAQUE)] : []),
		entry(entry, folder, name, stat) {
			if (layout === "aufs") return name.startsWith(OWN) && name !== OPAQUE ? undefined : entry;
			if (isWhiteoutStat(stat)) return whiteout(folder.path + PREFIX + name);
			if (entry.type === "0" && stat.size === 0 && opaqueOf(folder.xattrs) === "x")
				if (hasWhiteoutXattr(xattrsOf(`/proc/self/fd/${folder.fd}/${name}`))) return whiteout(folder.path + PREFIX + name);
			if (!name.startsWith(PREFIX)) return entry;
			warn(`${folder.path}${name}: is left out: in an archive it would hide a file`);
			return undefined;
		},
	};
}

/** Packs the layer's own files. */
export function exportLayer(layer: LayerFacts, output: number, progress?: Progress) {
	const diff = open(openStore(layer.layout).diff(layer.id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	try {
		archive(diff, output, { ...layerOptions(layer.layout), progress: (position) => progress?.at(position) });
	} finally {
		close(diff);
		progress?.end();
	}
}

/** The layer and those below it as one folder, open for reading; not what is mounted within. */
export function openMerged(layer: LayerFacts): number {
	const store = openStore(layer.layout);
	const merged = store.merged(layer.id);
	if (isMountPoint(merged)) return openTree(-100, merged, OPEN_TREE_CLONE);
	if (layer.layout === "aufs") fail(`${layer.id}: is not mounted`, `tsunionmount layer mount ${layer.id}`);
	const { lowerdir, upperdir } = foldersOf(store, layer);
	const all = upperdir === undefined ? lowerdir : [upperdir, ...lowerdir];
	return (
		openOverlay({ lowerdir: all }) ?? fail(`${layer.id}: this kernel mounts it only on a folder`, `tsunionmount layer mount ${layer.id}`)
	);
}

/** Packs the whole of a container or image, as `docker export` does. */
export function exportMerged(layer: LayerFacts, output: number, progress?: Progress) {
	const root = openMerged(layer);
	try {
		archive(root, output, { warn: (text) => warn(text), progress: (position) => progress?.at(position) });
	} finally {
		close(root);
		progress?.end();
	}
}

/** A layer's archive, packed by a child while it is read. */
function startExport(layer: LayerFacts): { output: number; finish(): void } {
	const { reader, writer } = pipe();
	const pid = fork();
	if (pid === 0) {
		close(reader);
		try {
			exportLayer(layer, writer);
			exit(0);
		} catch (error) {
			warn(error instanceof Error ? error.message : "failed");
			exit(1);
		}
	}
	close(writer);
	return {
		output: reader,
		finish() {
			close(reader);
			const ended = wait(pid);
			if (ended && (ended.signal || ended.code !== 0)) fail(`${layer.id}: could not be packed`);
		},
	};
}

/** What a container has written, as a layer of an image: on the image's layers, without the mount points of -init. */
export function commitLayer(layer: LayerFacts, id: string): LayerFacts {
	if (layer.kind !== "container") fail(`${layer.id}: is no container's layer`);
	const store = openStore(layer.layout);
	const parent = chainOf(layer.id).find((below) => below.kind === "image")?.id;
	const packed = startExport(layer);
	const hashed = hashing(packed.output);
	const made = importLayer(store, hashed.output, {
		id,
		parent,
		verify() {
			const digest = `sha256:${hashed.digest()}`;
			packed.finish();
			return digest;
		},
	});
	return made;
}

/** Whiteouts take effect on what earlier layers have put there, and stay if there are layers below. */
function squashHooks(store: Store, isKept: boolean): ExtractOptions {
	const hooks = whiteoutHooks(store.layout, "trusted");
	return {
		...hooks,
		before(folder, name, entry) {
			if (name === OPAQUE) {
				const again = open(".", O_RDONLY | O_DIRECTORY, 0, folder);
				for (const old of readdirOf(again)) removeTree(folder, old);
				close(again);
				return isKept && store.layout === "overlay2" ? (hooks.before?.(folder, name, entry) ?? false) : !isKept;
			}
			if (name.startsWith(PREFIX) && !name.startsWith(OWN)) {
				removeTree(folder, name.slice(PREFIX.length));
				return isKept ? (hooks.before?.(folder, name, entry) ?? false) : true;
			}
			return hooks.before?.(folder, name, entry) ?? false;
		},
	};
}

/** One layer of `layer` and those below it down to `onto`, which it then stands on. */
export function squashLayer(layer: LayerFacts, onto: string | undefined, id: string): LayerFacts {
	const store = openStore(layer.layout);
	const chain = chainOf(layer.id);
	const end = onto === undefined ? chain.length : chain.findIndex((below) => below.id === onto);
	if (end < 0) fail(`${onto}: is not below ${layer.id}`);
	if (end === 0) fail(`${onto}: is the layer itself`);
	const parts = chain.slice(0, end).filter((part) => part.kind !== "init");
	const draft = draftLayer(store, id);
	const mask = umask(0);
	try {
		const totals = { size: 0, entries: 0 };
		for (const part of parts.reverse()) {
			const packed = startExport(part);
			const done = extract(openSource(packed.output), draft.diff, {
				...squashHooks(store, onto !== undefined),
				maxStored: Math.floor(freeSpace(draft.diff) * 0.95),
				warn: (text) => warn(text),
			});
			packed.finish();
			totals.size += done.size;
			totals.entries += done.entries;
		}
		draft.commit({ kind: "image", created: now(), ...totals, ...(onto !== undefined && { parent: onto }) });
	} catch (error) {
		draft.discard();
		throw error;
	} finally {
		umask(mask);
	}
	return findLayer(id) as LayerFacts;
}
