/** `import`: an archive as a layer, a snapshot with the archive's changes; an image as a chain of them. */

import { umask } from "../../../native/linux/credential.ts";
import { close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open, readdir } from "../../../native/linux/fd.ts";
import { removeTree } from "../../../native/linux/remove.ts";
import { lstatIfAny, S_IFDIR, S_IFMT } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { TarError } from "../../../native/linux/tar/block.ts";
import { cleanPath, type ExtractOptions, extract } from "../../../native/linux/tar/extract.ts";
import type { Entry } from "../../../native/linux/tar/reader.ts";
import { openSource } from "../../../native/linux/tar/source.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { fail, show } from "../../common/errors.ts";
import { startProgress } from "../../common/progress.ts";
import { deactivate } from "../pool/activate.ts";
import { checkName, dmVolume, type PoolRecord, readPool, withPool } from "../store/pool.ts";
import { listVolumes, readVolume, type Volume, writeVolume } from "../store/volume.ts";
import { withFileSystem } from "../volume/filesystem.ts";
import { activated, self, snapshotOf, takeBack, takeOperands } from "../volume/manage.ts";
import { openRootfs } from "./base.ts";
import { decompress } from "./compression.ts";
import { withImage } from "./image.ts";

export interface ImportOptions {
	parent?: string;
	image?: true;
	size?: string;
}

/** `import POOL NAME [FILE]`. */
export function importVerb(operands: string[], options: ImportOptions) {
	const [poolName, layerName, file = "-"] = operands;
	takeOperands(operands.slice(0, 3), "POOL", "NAME", ...(operands.length > 2 ? ["FILE"] : []));
	const pool = readPool(poolName);
	const name = checkName(layerName, "NAME");
	const parent = readVolume(pool, options.parent ?? "base");
	if (!parent.layer) fail(`${parent.name}: is no layer`, `\`tsdmthin base ${pool.name}\` makes the first one`);
	const fd = file === "-" ? 0 : open(file, O_RDONLY);
	try {
		withImage(fd, file, options.image === true, (image) => {
			if (!image) return importLayer(pool, parent, name, fd, { label: name, size: options.size });
			importImage(pool, parent, name, image, options.size);
		});
	} finally {
		if (file !== "-") close(fd);
	}
	print(`${name}\n`);
}

/** Layers that are there already, on the same parent, are not made again. Those that were made go if one fails. */
function importImage(pool: PoolRecord, base: Volume, name: string, layers: { diffId: string; open(): number }[], size: string | undefined) {
	const made: Volume[] = [];
	let parent = base;
	try {
		layers.forEach((layer, i) => {
			const isLast = i === layers.length - 1;
			const known = listVolumes(pool.name).find(
				(volume) => volume.parent === parent.name && volume.diff_id === layer.diffId && volume.initialized && !volume.deleted,
			);
			if (known) {
				parent = known;
				return;
			}
			const fd = layer.open();
			try {
				parent = importLayer(pool, parent, isLast ? name : freeName(pool, layer.diffId), fd, {
					label: `layer ${layer.diffId.slice(0, 19)}`,
					diffId: layer.diffId,
					size,
				});
				made.push(parent);
			} finally {
				close(fd);
			}
		});
		/* The whole image is there under another name. */
		if (parent.name !== name) snapshotOf(pool, parent, name);
	} catch (error) {
		for (const volume of made.reverse()) takeBack(pool, volume);
		throw error;
	}
}

/** A layer's name: the beginning of its digest, and a number where another parent has one on it. */
function freeName(pool: PoolRecord, diffId: string): string {
	const names = new Set(listVolumes(pool.name).map(({ name }) => name));
	const start = diffId.replace(/^sha256:/, "").slice(0, 16);
	if (!/^[0-9a-f]{16}$/.test(start)) fail(`${show(diffId)}: not a sha256 digest`);
	let name = start;
	for (let i = 2; names.has(name); i++) name = `${start}-${i}`;
	return name;
}

interface LayerImport {
	label: string;
	diffId?: string;
	size: string | undefined;
}

/** Makes a layer of the archive that is read from `fd`; nothing is left where that fails. */
function importLayer(pool: PoolRecord, parent: Volume, name: string, fd: number, { label, diffId, size }: LayerImport): Volume {
	const volume = snapshotOf(pool, parent, name, size, {
		layer: true,
		initialized: false,
		maker: self(),
		...(diffId !== undefined && { diff_id: diffId }),
	});
	const mask = umask(0);
	const progress = startProgress(label);
	try {
		if (!isDryRun()) {
			const device = activated(pool, name);
			withFileSystem(device, parent.fs ?? "ext4", (fileSystem) => {
				const root = openRootfs(fileSystem);
				try {
					const plain = decompress(fd);
					extract(openSource(plain.output), root, {
						...changes(),
						warn: (text) => warn(text),
						progress: (at) => progress.at(at),
					});
					plain.finish();
				} finally {
					close(root);
				}
			});
			withPool(pool.name, () => deactivate(dmVolume(pool.name, name), name));
		}
		const { maker: _, ...done } = { ...volume, initialized: true };
		withPool(pool.name, () => writeVolume(pool.name, done));
		return done;
	} catch (error) {
		takeBack(pool, volume);
		if (error instanceof TarError) fail(`${label}: ${error.message}`);
		throw error;
	} finally {
		progress.end();
		umask(mask);
	}
}

/** Removes what is in an open folder, at `path`, and below, but for what the layer has put there itself. */
function removeOthers(folder: number, path: string, own: Set<string>) {
	for (const child of readdir(".", folder)) {
		const below = path === "" ? child : `${path}/${child}`;
		if (!own.has(below)) {
			removeTree(folder, child);
			continue;
		}
		if (((lstatIfAny(child, folder)?.mode ?? 0) & S_IFMT) !== S_IFDIR) continue;
		const fd = open(child, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, folder);
		try {
			removeOthers(fd, below, own);
		} finally {
			close(fd);
		}
	}
}

const PREFIX = ".wh.";
const OPAQUE = ".wh..wh..opq";

/**
 * Whiteouts as changes of the snapshot: `.wh.NAME` removes NAME, an opaque mark what layers below have in the folder, not
 * what this one has put there before the mark (the OCI image specification, "Whiteouts").
 */
export function changes(): ExtractOptions {
	const own = new Set<string>();
	return {
		before(folder, name, entry: Entry) {
			if (!name.startsWith(PREFIX)) {
				/* With each folder on its way: what is in one that is not marked keeps it. */
				for (let path = cleanPath(entry.name); path !== "" && !own.has(path); path = path.slice(0, Math.max(0, path.lastIndexOf("/"))))
					own.add(path);
				return false;
			}
			const path = cleanPath(entry.name);
			const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
			const below = (child: string) => (parent === "" ? child : `${parent}/${child}`);
			if (name === OPAQUE) {
				removeOthers(folder, parent, own);
				return true;
			}
			/* aufs's own files. */
			if (name.startsWith(`${PREFIX}${PREFIX}`)) return true;
			const target = name.slice(PREFIX.length);
			if (target === "" || target === "." || target === "..") throw new TarError("a whiteout of no name");
			if (!own.has(below(target))) removeTree(folder, target);
			return true;
		},
	};
}
