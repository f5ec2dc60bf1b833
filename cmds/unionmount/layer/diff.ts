/** `layer diff`: what a layer changes of those below it, as `docker diff` lists it. */
import { close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open, readdirOf } from "../../../native/linux/fd.ts";
import { lstatIfAny, S_IFDIR, S_IFMT, S_IFREG, type Stat } from "../../../native/linux/stat.ts";
import { xattrsOf } from "../../../native/linux/tar/archive.ts";
import { walkTree } from "../../../native/linux/walk.ts";
import { print } from "../../common/command-line/tool.ts";
import { escapeControls, UsageError } from "../../common/errors.ts";
import { json } from "../../common/table.ts";
import { hasWhiteoutXattr, isWhiteoutNode, OPAQUE, OWN, opaqueOf, PREFIX } from "../whiteout.ts";
import { foldersBelow, getLayer, type Layout, openStore } from "./store.ts";
import { type Found, openUnion, type Union } from "./union.ts";

export interface Change {
	/** A: added, C: changed, D: deleted. */
	kind: "A" | "C" | "D";
	/** From the root, with a slash. */
	path: string;
}

const isFolder = (stat: Stat) => (stat.mode & S_IFMT) === S_IFDIR;

/** The changes that the layer with the files in `diff` makes to the union below, sorted by path. */
export function changesOf(diff: string, below: Union, layout: Layout): Change[] {
	const changes = new Map<string, Change["kind"]>();
	const add = (kind: Change["kind"], path: string) => {
		changes.set(path, kind);
		/* What a changed file stands in counts as changed. */
		for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
			const folder = path.slice(0, slash);
			if (changes.has(folder)) return;
			changes.set(folder, "C");
		}
	};

	/* Folders in which whiteouts are xattrs; and the last one that is new as a whole. */
	const xattrFolders = new Set<string>();
	let newFolder = "-";
	const opaqueness = (folder: number) => (layout === "aufs" ? (lstatIfAny(OPAQUE, folder) ? "y" : undefined) : opaqueOf(xattrsOf(folder)));

	const visit = (fd: number, name: string, path: string, stat: Stat): boolean => {
		const folder = path.slice(0, path.length - name.length - 1);
		if (layout === "aufs" && name.startsWith(PREFIX)) {
			if (!name.startsWith(OWN)) add("D", `${folder}/${name.slice(PREFIX.length)}`);
			return false;
		}
		const isXattrWhiteout =
			xattrFolders.has(folder) &&
			(stat.mode & S_IFMT) === S_IFREG &&
			stat.size === 0 &&
			hasWhiteoutXattr(xattrsOf(`/proc/self/fd/${fd}/${name}`));
		if (layout === "overlay2" && (isWhiteoutNode(stat.mode, stat.rdev) || isXattrWhiteout)) {
			add("D", path);
			return false;
		}
		/* Below what is new all is new. */
		const old = folder === newFolder || folder.startsWith(`${newFolder}/`) ? undefined : below.look(path);
		if (!old) {
			add("A", path);
			if (isFolder(stat) && folder !== newFolder && !folder.startsWith(`${newFolder}/`)) newFolder = path;
		} else if (!isFolder(stat) || !isFolder(old.stat) || differs(stat, old.stat)) add("C", path);
		return true;
	};

	const enter = (folder: number, path: string, names: string[]) => {
		const opaque = opaqueness(folder);
		if (opaque === "x") xattrFolders.add(path);
		if (opaque !== "y" || path === "" || path === newFolder || path.startsWith(`${newFolder}/`)) return;
		const old = below.look(path);
		if (old && isFolder(old.stat)) hidden(old, names, path);
	};

	/** A folder that was removed and made again: what it had and has no more. */
	const hidden = (old: Found, names: string[], path: string) => {
		const before = new Set<string>();
		for (const fd of old.folders) {
			if (fd < 0) continue;
			const again = open(".", O_RDONLY | O_DIRECTORY, 0, fd);
			for (const name of readdirOf(again)) before.add(name);
			close(again);
		}
		for (const name of before) if (!names.includes(name) && below.look(`${path}/${name}`)) add("D", `${path}/${name}`);
	};

	const top = open(diff, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	try {
		walkTree(top, { visit, enter });
	} finally {
		close(top);
	}
	return [...changes].map(([path, kind]) => ({ kind, path })).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Whether a folder is another than below: docker compares mode, owner and time. */
function differs(a: Stat, b: Stat): boolean {
	return a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid || a.mtime !== b.mtime;
}

export function diffVerb({ options, operands }: { options: { json?: true }; operands: string[] }) {
	if (operands.length !== 1) throw new UsageError("layer diff: one layer");
	const layer = getLayer(operands[0] as string);
	const store = openStore(layer.layout);
	const below = openUnion(foldersBelow(store, layer.id), layer.layout);
	const changes = changesOf(store.diff(layer.id), below, layer.layout);
	if (options.json) print(json(changes));
	else print(changes.map(({ kind, path }) => `${kind} ${escapeControls(path)}\n`).join(""));
}
