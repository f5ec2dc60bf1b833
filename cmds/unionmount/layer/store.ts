/**
 * The layer store, on disk as Docker's overlay2 driver has it, so that whoever knows that finds the way:
 *
 *     layers/                       $TSBOX_DATA/layers
 *       ID/diff/                    the layer's own files; whiteouts are devices 0/0 (whiteout.ts)
 *       ID/link                     the layer's short name: 26 characters A-Z 0-9
 *       ID/lower                    the short names of the layers below it, topmost first: l/ABC...:l/DEF...
 *       ID/work/                    overlay's workdir
 *       ID/merged/                  the mount, while there is one
 *       l/SHORT -> ../ID/diff       500 layers of these fit where their paths would not: an option string has 4095 bytes,
 *                                   so 128 layers leave 31 bytes each; l/ and 26 characters and a colon are 29
 *     layerdb/ID.json               what a folder cannot say: parent, kind, time, size, digest of its archive
 *
 * A base layer has `diff` and `link` only. A container's layer stands on ID-init, in which are docker's mount points.
 *
 * With --layout aufs, as Docker's aufs driver has it, whiteouts being files `.wh.NAME`:
 *
 *     aufs/diff/ID/                 the layer's own files
 *     aufs/layers/ID                its parents, one a line, the nearest first; empty for a base layer
 *     aufs/mnt/ID/                  the mount
 *
 * A layer is made under the name `.new.PID.START.ID`, written through to the disk, and renamed: what has an ID is whole.
 */
import { EEXIST, ENOENT } from "../../../native/linux/errno.ts";
import {
	close,
	fsync,
	O_CREAT,
	O_DIRECTORY,
	O_EXCL,
	O_NOFOLLOW,
	O_PATH,
	O_RDONLY,
	O_WRONLY,
	open,
	readFileIfAny,
	syncfs,
	write,
} from "../../../native/linux/fd.ts";
import { processStat } from "../../../native/linux/proc.ts";
import { getpid, getrandom } from "../../../native/linux/process.ts";
import { removeTree } from "../../../native/linux/remove.ts";
import { lstatIfAny, mkdir, mkdirAll, readlinkIfAny, rename, symlink, unlinkIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { dataFolder, isName, listState, makeStateFolder, readState, withLock, writeState } from "../../common/state.ts";

export type Layout = "overlay2" | "aufs";

/** layerdb/ID.json */
export interface LayerFacts {
	id: string;
	parent?: string;
	/** A layer that was imported or committed is only read; a container's is written to. */
	kind: "image" | "init" | "container";
	layout: Layout;
	/** RFC 3339. */
	created: string;
	/** Bytes of its files. */
	size?: number;
	entries?: number;
	/** sha256 of its archive, where it was asked for or comes from an image. */
	diffId?: string;
	/** --size: the most bytes that may be written. */
	limit?: number;
	/** A copy-on-write view of the host's root. */
	hostRoot?: true;
}

export interface Store {
	layout: Layout;
	/** The folder of the layers. */
	root: string;
	diff(id: string): string;
	merged(id: string): string;
}

export function openStore(layout: Layout): Store {
	const data = dataFolder();
	if (layout === "aufs")
		return {
			layout,
			root: `${data}/aufs`,
			diff: (id) => `${data}/aufs/diff/${id}`,
			merged: (id) => `${data}/aufs/mnt/${id}`,
		};
	return { layout, root: `${data}/layers`, diff: (id) => `${data}/layers/${id}/diff`, merged: (id) => `${data}/layers/${id}/merged` };
}

export function makeStore(store: Store) {
	makeStateFolder(dataFolder());
	makeStateFolder(`${dataFolder()}/layerdb`);
	makeStateFolder(store.root);
	for (const folder of store.layout === "aufs" ? ["diff", "layers", "mnt"] : ["l"]) mkdirAll(`${store.root}/${folder}`, 0o700);
}

const dbPath = (id: string) => `${dataFolder()}/layerdb/${id}.json`;

/** Fails for what cannot be a layer's name. */
export function checkId(id: string): string {
	if (id === "") throw new UsageError('"" is not a layer');
	if (!isName(id) || id === "l") throw new UsageError(`${show(id)} is not a layer's name (letters, digits, _ . - ; 128 at most; not l)`);
	return id;
}

/** A layer's facts, or undefined. */
export function findLayer(id: string): LayerFacts | undefined {
	if (!isName(id)) return undefined;
	const facts = readState<LayerFacts>(dbPath(id));
	return facts && lstatIfAny(openStore(facts.layout).diff(id)) ? facts : undefined;
}

/** A layer by its name, or the beginning of it if that is the beginning of one only. */
export function getLayer(id: string): LayerFacts {
	checkId(id);
	const exact = findLayer(id);
	if (exact) return exact;
	const some = id.length < 4 ? [] : layerIds().filter((known) => known.startsWith(id) && !known.endsWith("-init"));
	const only = some.length === 1 ? findLayer(some[0] as string) : undefined;
	return only ?? fail(`${id}: ${some.length > 1 ? "the beginning of more than one layer's name" : "no such layer"}`);
}

export function layerIds(): string[] {
	return listState(`${dataFolder()}/layerdb`)
		.filter((name) => name.endsWith(".json"))
		.map((name) => name.slice(0, -5));
}

export function allLayers(): LayerFacts[] {
	return layerIds()
		.map(findLayer)
		.filter((facts): facts is LayerFacts => facts !== undefined);
}

/** The layer and those below it, topmost first. */
export function chainOf(id: string): LayerFacts[] {
	const chain: LayerFacts[] = [];
	for (let next: string | undefined = id; next !== undefined; ) {
		const facts = findLayer(next);
		if (!facts) return fail(`${next}: no such layer`, chain.length > 0 ? `${chain[chain.length - 1]?.id} stands on it` : undefined);
		if (chain.length > 1000) return fail(`${id}: its layers stand on each other in a circle`, "`tsunionmount layer check` tells more");
		chain.push(facts);
		next = facts.parent;
	}
	return chain;
}

export function linkOf(store: Store, id: string): string {
	return (
		readFileIfAny(`${store.root}/${id}/link`)?.trim() ??
		fail(`${id}: its file \`link\` is missing`, "`tsunionmount layer check` tells more")
	);
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** 26 characters, 130 random bits, as overlay2 has them. */
function shortName(): string {
	let text = "";
	for (const byte of getrandom(26)) text += LETTERS[byte & 31];
	return text;
}

/** 64 hexadecimal digits. */
export function randomId(): string {
	let text = "";
	for (const byte of getrandom(32)) text += byte.toString(16).padStart(2, "0");
	return text;
}

/** The time now, RFC 3339 with milliseconds. */
export function now(): string {
	return new Date().toISOString();
}

/** A layer that is being made: in the open folder `diff` its files can be put. */
export interface Draft {
	id: string;
	folder: string;
	/** Open for reading. */
	diff: number;
	/** Gives it its name: from then on it is there, whole. */
	commit(facts: Omit<LayerFacts, "id" | "layout">): void;
	/** Removes what there is of it. */
	discard(): void;
}

/** Begins a layer. Fails if there is one of that name. */
export function draftLayer(store: Store, id: string): Draft {
	makeStore(store);
	if (lstatIfAny(store.layout === "aufs" ? store.diff(id) : `${store.root}/${id}`)) fail(`${id}: there is such a layer already`);
	const name = `.new.${getpid()}.${processStat(getpid())?.start ?? 0}.${id}`;
	const folder = `${store.root}/${name}`;
	mkdir(folder, 0o700);
	mkdir(`${folder}/diff`, 0o755);
	const diff = open(`${folder}/diff`, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	const discard = () => {
		const root = open(store.root, O_PATH | O_DIRECTORY);
		try {
			removeTree(root, name);
		} finally {
			close(root);
		}
	};
	const commit = (facts: Omit<LayerFacts, "id" | "layout">) => {
		const whole: LayerFacts = { id, layout: store.layout, ...facts };
		const link = shortName();
		if (store.layout === "overlay2") {
			writeText(`${folder}/link`, link);
			if (facts.parent !== undefined) {
				const lower = [`l/${linkOf(store, facts.parent)}`, ...readLower(store, facts.parent)];
				writeText(`${folder}/lower`, lower.join(":"));
				mkdir(`${folder}/work`, 0o700);
			}
		}
		syncfs(diff);
		withLock(store.root, () => {
			if (facts.parent !== undefined && !findLayer(facts.parent)) fail(`${facts.parent}: the parent layer was removed meanwhile`);
			if (findLayer(id)) fail(`${id}: there is such a layer already`);
			writeState(dbPath(id), `${JSON.stringify(whole)}\n`);
			try {
				if (store.layout === "aufs") {
					const parents = facts.parent === undefined ? [] : chainOf(facts.parent).map((layer) => `${layer.id}\n`);
					writeState(`${store.root}/layers/${id}`, parents.join(""), 0o644);
					mkdirIfNone(`${store.root}/mnt/${id}`);
					rename(`${folder}/diff`, store.diff(id));
				} else {
					symlink(`../${id}/diff`, `${store.root}/l/${link}`);
					rename(folder, `${store.root}/${id}`);
				}
			} catch (error) {
				unlinkIfAny(dbPath(id));
				if (store.layout === "overlay2") unlinkIfAny(`${store.root}/l/${link}`);
				throw error;
			}
		});
		const root = open(store.root, O_RDONLY | O_DIRECTORY);
		fsync(root);
		close(root);
		if (store.layout === "aufs") discard();
		close(diff);
	};
	return {
		id,
		folder,
		diff,
		commit,
		discard() {
			close(diff);
			discard();
		},
	};
}

/** A file of a layer that is being made: it is written through with all the others. */
function writeText(path: string, text: string) {
	const fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
	write(fd, text);
	close(fd);
}

function mkdirIfNone(path: string) {
	try {
		mkdir(path, 0o755);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EEXIST)) throw error;
	}
}

/** Removes a layer's files. The caller holds the lock, and knows that nobody uses it. */
export function destroyLayer(store: Store, id: string) {
	const root = open(store.root, O_PATH | O_DIRECTORY);
	try {
		const link = store.layout === "overlay2" ? readFileIfAny(`${store.root}/${id}/link`)?.trim() : undefined;
		/* From here on it is none any more, however far the rest comes. */
		unlinkIfAny(dbPath(id));
		if (link && /^[A-Z0-9]+$/.test(link)) unlinkIfAny(`${store.root}/l/${link}`);
		if (store.layout === "aufs") {
			unlinkIfAny(`${store.root}/layers/${id}`);
			for (const folder of ["diff", "mnt"]) {
				const fd = open(`${store.root}/${folder}`, O_PATH | O_DIRECTORY);
				removeTree(fd, id);
				close(fd);
			}
		} else removeTree(root, id);
	} finally {
		close(root);
	}
}

/** Reads a file of the store's; undefined where there is none. */
export function readLower(store: Store, id: string): string[] {
	const text = readFileIfAny(`${store.root}/${id}/lower`);
	return text === undefined || text.trim() === "" ? [] : text.trim().split(":");
}

/** The folders of the layers below a layer, topmost first: by its short names alone, however many there are. */
export function foldersBelow(store: Store, id: string): string[] {
	if (store.layout === "aufs")
		return (readFileIfAny(`${store.root}/layers/${id}`) ?? "")
			.split("\n")
			.filter((line) => line !== "")
			.map((below) => store.diff(below));
	return readLower(store, id).map((link) => {
		const target = /^l\/[A-Z0-9]+$/.test(link) ? readlinkIfAny(`${store.root}/${link}`) : undefined;
		const below = target === undefined ? undefined : /^\.\.\/([^/]+)\/diff$/.exec(target)?.[1];
		return store.diff(below ?? fail(`${id}: ${show(link)}, a layer below it, is not there`, "`tsunionmount layer check` tells more"));
	});
}

export function updateFacts(facts: LayerFacts) {
	writeState(dbPath(facts.id), `${JSON.stringify(facts)}\n`);
}

export function isGone(error: unknown): boolean {
	return error instanceof SysError && error.errno === ENOENT;
}
