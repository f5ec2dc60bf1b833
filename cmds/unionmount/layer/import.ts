/** An archive as a layer: `layer import`, and the layers of images. */

import { umask } from "../../../native/linux/credential.ts";
import { EEXIST } from "../../../native/linux/errno.ts";
import { removeTree } from "../../../native/linux/remove.ts";
import { freeSpace, lstatIfAny, mknod, S_IFCHR, S_IFDIR, S_IFMT, S_IFREG } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { TarError } from "../../../native/linux/tar/block.ts";
import { type Attributes, type ExtractOptions, extract } from "../../../native/linux/tar/extract.ts";
import type { Entry } from "../../../native/linux/tar/reader.ts";
import { openSource } from "../../../native/linux/tar/source.ts";
import { setFileXattr } from "../../../native/linux/xattr.ts";
import { warn } from "../../common/command-line/tool.ts";
import { fail, show } from "../../common/errors.ts";
import type { Progress } from "../../common/progress.ts";
import { isOverlayXattr, OPAQUE, OWN, overlayName, PREFIX } from "../whiteout.ts";
import { draftLayer, findLayer, foldersBelow, type LayerFacts, type Layout, type Store } from "./store.ts";
import { openUnion, type Union } from "./union.ts";

export interface ImportOptions {
	id: string;
	parent?: string | undefined;
	maxSize?: number | undefined;
	/** Overlay's attributes are user.overlay.*. */
	userxattr?: boolean | undefined;
	diffId?: string | undefined;
	progress?: Progress | undefined;
	/** Called when the archive was read, before the layer gets its name: a digest to be checked. Returns the layer's diffId. */
	verify?: (() => string | undefined) | undefined;
}

/** Where the layer's whiteouts and opaque folders are made as its layout has them. */
export function whiteoutHooks(layout: Layout, prefix: "trusted" | "user"): ExtractOptions {
	const setOpaque = (folder: number) => setFileXattr(folder, `${prefix}.overlay.opaque`, "y");

	/** Hides `target`. What the same layer has there stays: whiteouts are about the layers below. */
	const hide = (folder: number, target: string) => {
		const old = lstatIfAny(target, folder);
		if (!old) mknod(target, S_IFCHR, 0, folder);
		else if ((old.mode & S_IFMT) === S_IFDIR) {
			const path = `/proc/self/fd/${folder}/${target}`;
			setFileXattr(path, `${prefix}.overlay.opaque`, "y");
		}
	};
	const hideAsFile = (folder: number, target: string) => {
		try {
			mknod(PREFIX + target, S_IFREG | 0o444, 0, folder);
		} catch (error) {
			if (!(error instanceof SysError && error.errno === EEXIST)) throw error;
		}
	};

	return {
		before(folder, name, entry: Entry) {
			const isNode = entry.type === "character" && entry.devmajor === 0 && entry.devminor === 0;
			if (isNode) {
				if (layout === "aufs") hideAsFile(folder, name);
				else hide(folder, name);
				return true;
			}
			if (!name.startsWith(PREFIX)) return false;
			if (name === OPAQUE) {
				if (layout === "aufs") return false;
				setOpaque(folder);
				return true;
			}
			/* aufs's own files; what they are links to is taken from .wh..wh.plnk. */
			if (name.startsWith(OWN)) return true;
			const target = name.slice(PREFIX.length);
			if (target === "" || target === "." || target === "..") throw new TarError("a whiteout of no name");
			if (layout === "aufs") return false;
			hide(folder, target);
			return true;
		},
		isOpaque(folder) {
			if (layout === "overlay2") setOpaque(folder);
		},
		xattr(name, value) {
			if (!isOverlayXattr(name)) return name;
			/* redirect and metacopy would show files of other layers. */
			if (overlayName(name) === "opaque" && value.length === 1 && value[0] === 0x79 && layout === "overlay2")
				return `${prefix}.overlay.opaque`;
			return undefined;
		},
	};
}

/** What a folder of the layers below is like: for one that the archive has files in and no entry of. */
function impliedFrom(union: Union, path: string): Attributes | undefined {
	const found = union.look(path);
	if (!found || (found.stat.mode & S_IFMT) !== S_IFDIR) return undefined;
	const { mode, uid, gid, mtime } = found.stat;
	return { mode: mode & 0o7777, uid, gid, mtime, mtimeNanoseconds: 0 };
}

/** Makes a layer of the archive that is read from `fd`. Fails, and leaves nothing, where the archive is broken or hostile. */
export function importLayer(store: Store, fd: number, options: ImportOptions): LayerFacts {
	const { id, parent, progress } = options;
	/* Opened when an archive wants it: few do. */
	let below: Union | undefined;
	const openBelow = (id: string) => {
		below ??= openUnion([store.diff(id), ...foldersBelow(store, id)], store.layout);
		return below;
	};
	const draft = draftLayer(store, id);
	const mask = umask(0);
	try {
		const hooks = whiteoutHooks(store.layout, options.userxattr ? "user" : "trusted");
		const done = extract(openSource(fd), draft.diff, {
			...hooks,
			...(options.maxSize !== undefined && { maxSize: options.maxSize }),
			/* A full disk is everybody's trouble. */
			maxStored: Math.floor(freeSpace(draft.diff) * 0.95),
			...(parent !== undefined && { implied: (path: string) => impliedFrom(openBelow(parent), path) }),
			warn: (text) => warn(text),
			progress: (position) => progress?.at(position),
		});
		removeTree(draft.diff, ".wh..wh.plnk");
		const diffId = options.verify?.() ?? options.diffId;
		draft.commit({
			kind: "image",
			created: new Date().toISOString(),
			size: done.size,
			entries: done.entries,
			...(parent !== undefined && { parent }),
			...(diffId !== undefined && { diffId }),
		});
	} catch (error) {
		draft.discard();
		if (error instanceof TarError) return fail(error.message);
		throw error;
	} finally {
		umask(mask);
		below?.close();
		progress?.end();
	}
	return findLayer(id) ?? fail(`${show(id)}: was removed meanwhile`);
}
