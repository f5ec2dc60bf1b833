/** `layer check` and `convert`: the store against the disk, and whiteouts of the one kind made into the other. */
import { close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open, readdir, readFileIfAny } from "../../../native/linux/fd.ts";
import { lstatIfAny, mknod, readlinkIfAny, S_IFCHR, S_IFDIR, S_IFMT, S_IFREG, type Stat, unlink } from "../../../native/linux/stat.ts";
import { xattrsOf } from "../../../native/linux/tar/archive.ts";
import { walkTree } from "../../../native/linux/walk.ts";
import { removeFileXattr, setFileXattr } from "../../../native/linux/xattr.ts";
import { print } from "../../common/command-line/tool.ts";
import { escapeControls, fail, ToolError, UsageError } from "../../common/errors.ts";
import { dataFolder, readState } from "../../common/state.ts";
import { isOverlayXattr, isWhiteoutNode, OPAQUE, OWN, opaqueOf, overlayName, PREFIX } from "../whiteout.ts";
import { mountedLayers } from "./mount.ts";
import { allLayers, chainOf, findLayer, getLayer, type LayerFacts, type Layout, layerIds, linkOf, openStore, readLower } from "./store.ts";

/** What is wrong with a layer's files: what would hide or show other files than its archive said. */
function forged(layer: LayerFacts): string[] {
	const problems: string[] = [];
	const store = openStore(layer.layout);
	const top = open(store.diff(layer.id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	const isWhiteoutOf = (name: string) => layer.layout === "overlay2" && name.startsWith(PREFIX);
	try {
		walkTree(top, {
			visit: (folder, name, path, stat) => {
				if (isWhiteoutOf(name)) problems.push(`${path}: a file with the name of a whiteout`);
				if (layer.layout === "aufs") {
					if (isWhiteoutNode(stat.mode, stat.rdev)) problems.push(`${path}: overlay's whiteout in a layer for aufs`);
					return true;
				}
				for (const [xattr] of xattrsOf(`/proc/self/fd/${folder}/${name}`))
					if (isOverlayXattr(xattr) && ["redirect", "metacopy"].includes(overlayName(xattr)))
						problems.push(`${path}: ${xattr}: shows other files than the layer's`);
				return true;
			},
		});
	} finally {
		close(top);
	}
	return problems;
}

function structure(layer: LayerFacts): string[] {
	const store = openStore(layer.layout);
	const problems: string[] = [];
	let chain: LayerFacts[];
	try {
		chain = chainOf(layer.id);
	} catch (error) {
		if (error instanceof ToolError) return [error.message];
		throw error;
	}
	if (layer.layout === "aufs") {
		const parents = readFileIfAny(`${store.root}/layers/${layer.id}`);
		const expected = chain
			.slice(1)
			.map((below) => `${below.id}\n`)
			.join("");
		if (parents !== expected) problems.push("its list of parents is not that of the layers below it");
		return problems;
	}
	const link = readFileIfAny(`${store.root}/${layer.id}/link`)?.trim();
	if (link === undefined) problems.push("its file `link` is missing");
	else if (readlinkIfAny(`${store.root}/l/${link}`) !== `../${layer.id}/diff`) problems.push(`l/${link} does not lead to it`);
	const expected = chain.slice(1).map((below) => {
		try {
			return `l/${linkOf(store, below.id)}`;
		} catch {
			return `(${below.id})`;
		}
	});
	if (readLower(store, layer.id).join(":") !== expected.join(":")) problems.push("its file `lower` is not that of the layers below it");
	if (layer.parent !== undefined && !lstatIfAny(`${store.root}/${layer.id}/work`)) problems.push("its folder `work` is missing");
	return problems;
}

/** What stands in the store and is no layer. */
function strays(): string[] {
	const problems: string[] = [];
	for (const id of layerIds()) if (!findLayer(id)) problems.push(`${id}: has facts, but no files`);
	const store = openStore("overlay2");
	for (const name of lstatIfAny(store.root) ? readdir(store.root) : []) {
		if (name.startsWith(".new.")) problems.push(`${name}: half made`);
		else if (name !== "l" && !name.startsWith(".") && !readState(`${dataFolder()}/layerdb/${name}.json`))
			problems.push(`${name}: has files, but no facts`);
	}
	for (const { layer, target } of mountedLayers()) if (!findLayer(layer)) problems.push(`${target}: the mount of a layer that is gone`);
	return problems;
}

export function checkVerb({ options, operands }: { options: { quick?: true }; operands: string[] }) {
	const layers = operands.length > 0 ? operands.map(getLayer) : allLayers();
	const lines = operands.length > 0 ? [] : strays();
	for (const layer of layers)
		for (const problem of [...structure(layer), ...(options.quick ? [] : forged(layer))]) lines.push(`${layer.id}: ${problem}`);
	print(lines.map((line) => `${escapeControls(line)}\n`).join(""));
	if (lines.length > 0)
		fail(
			`${lines.length} ${lines.length === 1 ? "thing is" : "things are"} wrong`,
			"`tsunionmount gc` removes what is half made or belongs to no layer",
		);
}

/** Makes the whiteouts and opaque folders below a folder those of the other kind. Returns how many. */
export function convertTree(path: string, to: Layout): number {
	let count = 0;
	const top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	const opaque = (fd: number) => {
		if (to === "overlay2") {
			if (!lstatIfAny(OPAQUE, fd)) return;
			unlink(OPAQUE, fd);
			setFileXattr(fd, "trusted.overlay.opaque", "y");
			count++;
			return;
		}
		const xattrs = xattrsOf(fd);
		if (opaqueOf(xattrs) === "y") {
			mknod(OPAQUE, S_IFREG | 0o444, 0, fd);
			count++;
		}
		for (const [name] of xattrs) if (isOverlayXattr(name)) removeFileXattr(fd, name);
	};
	const visit = (fd: number, name: string, _path: string, stat: Stat): boolean => {
		if (to === "overlay2" && name.startsWith(PREFIX) && name !== OPAQUE) {
			const isOwn = name.startsWith(OWN);
			/* aufs's own folders stay: what is in them is nobody's file. */
			if ((stat.mode & S_IFMT) === S_IFDIR) return false;
			unlink(name, fd);
			const target = name.slice(PREFIX.length);
			if (!isOwn && target !== "" && target !== "." && target !== ".." && !lstatIfAny(target, fd)) mknod(target, S_IFCHR, 0, fd);
			if (!isOwn) count++;
			return false;
		}
		if (to === "aufs" && isWhiteoutNode(stat.mode, stat.rdev)) {
			unlink(name, fd);
			mknod(PREFIX + name, S_IFREG | 0o444, 0, fd);
			count++;
		}
		return true;
	};
	try {
		walkTree(top, { visit, leave: opaque });
	} finally {
		close(top);
	}
	return count;
}

export function convertVerb({ options, operands }: { options: { to?: Layout }; operands: string[] }) {
	const { to } = options;
	if (to === undefined) throw new UsageError("convert: --to overlay2, or --to aufs");
	if (operands.length === 0 || operands.includes("")) throw new UsageError("convert: which folders?");
	for (const path of operands) print(`${convertTree(path, to)}\t${path}\n`);
}
