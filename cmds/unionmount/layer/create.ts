/** `layer create`: a layer that a container writes to, on ID-init, on an image's layers. */
import { umask } from "../../../native/linux/credential.ts";
import { close, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY, open } from "../../../native/linux/fd.ts";
import { chmod, chown, mkdir, S_IFDIR, S_IFMT, symlink } from "../../../native/linux/stat.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { limitFolder } from "../../common/project-quota.ts";
import { isName } from "../../common/state.ts";
import { findImage, topLayer } from "../image/store.ts";
import {
	chainOf,
	checkId,
	destroyLayer,
	draftLayer,
	findLayer,
	foldersBelow,
	getLayer,
	type LayerFacts,
	type Layout,
	now,
	openStore,
	randomId,
	type Store,
} from "./store.ts";
import { openUnion } from "./union.ts";

/** docker's mount points, in the order in which it makes them. */
const INIT: [path: string, kind: "dir" | "file" | string][] = [
	["dev/pts", "dir"],
	["dev/shm", "dir"],
	["proc", "dir"],
	["sys", "dir"],
	[".dockerenv", "file"],
	["etc/resolv.conf", "file"],
	["etc/hosts", "file"],
	["etc/hostname", "file"],
	["dev/console", "file"],
	["etc/mtab", "/proc/mounts"],
];

/**
 * Puts into the empty layer `diff` what the image lacks of docker's mount points. A link of the image on the way (an /etc that
 * is one) is covered by a folder, as docker does: it is never followed.
 */
function fillInit(diff: number, below: string[], layout: Layout) {
	const union = openUnion(below, layout);
	try {
		for (const [path, kind] of INIT) {
			const found = union.look(path);
			const isThere = found && (kind !== "dir" || (found.stat.mode & S_IFMT) === S_IFDIR);
			if (isThere) continue;
			const parts = path.split("/");
			const name = parts.pop() as string;
			let folder = diff;
			let walked = "";
			for (const part of parts) {
				walked += `${walked === "" ? "" : "/"}${part}`;
				folder = openOrMake(folder, part, walked, union.look(walked)?.stat);
			}
			if (kind === "dir") mkdir(name, 0o755, folder);
			else if (kind === "file") close(open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, path === ".dockerenv" ? 0o755 : 0o755, folder));
			else symlink(kind, name, folder);
			if (folder !== diff) close(folder);
		}
	} finally {
		union.close();
	}
}

/** A folder within the layer that is being made, with the image's mode and owner where it has it. */
function openOrMake(folder: number, name: string, path: string, like: { mode: number; uid: number; gid: number } | undefined): number {
	const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
	void path;
	try {
		return open(name, flags, 0, folder);
	} catch {
		mkdir(name, 0o755, folder);
		if (like && (like.mode & S_IFMT) === S_IFDIR) {
			chown(name, like.uid, like.gid, folder);
			chmod(name, like.mode & 0o7777, folder);
		}
		return open(name, flags, 0, folder);
	}
}

export interface CreateOptions {
	parent?: string | undefined;
	noInit?: boolean | undefined;
	size?: number | undefined;
	layout?: Layout | undefined;
	hostRoot?: boolean | undefined;
}

/** A layer, or an image by its name: its topmost layer. */
function parentLayer(word: string): LayerFacts {
	const layer = findLayer(word);
	if (layer) return layer;
	const image = findImage(word);
	if (!image) return isName(word) ? getLayer(word) : fail(`${show(word)}: no such layer or image`);
	return getLayer(topLayer(image) ?? fail(`${word}: an image without layers`));
}

/** Makes a container's layer, with its -init layer below. Fails, and leaves nothing, if one of both cannot be made. */
export function createLayer(id: string, options: CreateOptions): LayerFacts {
	const parent = options.parent === undefined ? undefined : parentLayer(options.parent);
	if (parent?.kind === "container")
		fail(`${parent.id}: is a container's layer`, "`tsunionmount layer commit` makes an image's layer of it");
	const store = openStore(options.layout ?? parent?.layout ?? "overlay2");
	if (findLayer(id) || findLayer(`${id}-init`)) fail(`${id}: there is such a layer already`);
	const mask = umask(0);
	let top = parent?.id;
	try {
		if (!options.noInit && !options.hostRoot && parent) {
			const draft = draftLayer(store, `${id}-init`);
			try {
				fillInit(draft.diff, [store.diff(parent.id), ...foldersBelow(store, parent.id)], store.layout);
				draft.commit({ kind: "init", created: now(), parent: parent.id });
			} catch (error) {
				draft.discard();
				throw error;
			}
			top = `${id}-init`;
		}
		makeTop(store, id, top, options);
	} catch (error) {
		if (top === `${id}-init`) destroyLayer(store, top);
		throw error;
	} finally {
		umask(mask);
	}
	return findLayer(id) as LayerFacts;
}

function makeTop(store: Store, id: string, parent: string | undefined, options: CreateOptions) {
	const draft = draftLayer(store, id);
	try {
		const like = parent === undefined ? undefined : rootOf(store, parent);
		if (like) {
			chown("", like.uid, like.gid, draft.diff);
			chmod(`/proc/self/fd/${draft.diff}`, like.mode & 0o7777);
		}
		if (options.size !== undefined) limitFolder(`${draft.folder}/diff`, options.size);
		draft.commit({
			kind: "container",
			created: now(),
			...(parent !== undefined && { parent }),
			...(options.size !== undefined && { limit: options.size }),
			...(options.hostRoot && { hostRoot: true }),
		});
	} catch (error) {
		draft.discard();
		throw error;
	}
}

/** The root folder of the union, as its topmost layer has it: the new layer's takes its place. */
function rootOf(store: Store, parent: string) {
	const layers = chainOf(parent).filter((layer) => layer.kind !== "init");
	const union = openUnion([store.diff((layers[0] ?? fail(`${parent}: no layer of an image below it`)).id)], store.layout);
	try {
		return union.look("")?.stat;
	} finally {
		union.close();
	}
}

export interface CreateLine {
	options: { parent?: string; init?: true; noInit?: true; size?: number; layout?: Layout };
	operands: string[];
}

export function createVerb({ options, operands }: CreateLine) {
	if (operands.length > 1) throw new UsageError("layer create: one ID, or none for a random one");
	const id = operands[0] === undefined ? randomId() : checkId(operands[0]);
	print(`${createLayer(id, options).id}\n`);
}
