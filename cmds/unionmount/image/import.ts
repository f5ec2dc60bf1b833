/** An image from a `docker save` archive (before and after Docker 25), or an OCI layout: a folder, an archive, a stream. */
import { umask } from "../../../native/linux/credential.ts";
import {
	close,
	O_DIRECTORY,
	O_NOFOLLOW,
	O_NONBLOCK,
	O_RDONLY,
	open,
	openat2,
	RESOLVE_IN_ROOT,
	RESOLVE_NO_MAGICLINKS,
} from "../../../native/linux/fd.ts";
import { processStat } from "../../../native/linux/proc.ts";
import { getpid } from "../../../native/linux/process.ts";
import { removeTree } from "../../../native/linux/remove.ts";
import { freeSpace, mkdir, S_IFDIR, S_IFMT, S_IFREG, stat } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { TarError } from "../../../native/linux/tar/block.ts";
import { extract } from "../../../native/linux/tar/extract.ts";
import { openSource } from "../../../native/linux/tar/source.ts";
import { fail, show } from "../../common/errors.ts";
import { startProgress } from "../../common/progress.ts";
import { compressionOf, decompress } from "../filter.ts";
import { parseReference, reference, wholeName } from "./names.ts";
import { choosePlatform, isAttestation, type Platform } from "./platform.ts";
import {
	CONFIG,
	collectBlobs,
	type Descriptor,
	holdBlobs,
	type Index,
	imagesFolder,
	LAYER,
	MANIFEST,
	type Manifest,
	makeImages,
	putFile,
	putText,
	REF_NAME,
	readJson,
} from "./store.ts";
import { addImage, type Blobs } from "./unpack.ts";

/** manifest.json of docker save. */
interface Saved {
	Config: string;
	RepoTags?: string[] | null;
	Layers: string[];
}

export interface ImportOptions {
	names?: string[] | undefined;
	platform?: Platform | undefined;
	maxSize?: number | undefined;
}

/** A file of a layout, wherever its links lead within that; undefined if there is none. */
function openIn(root: number, path: string): number | undefined {
	try {
		/* A FIFO must not make us wait. */
		return openat2(root, path, O_RDONLY | O_NONBLOCK, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	} catch (error) {
		if (error instanceof SysError) return undefined;
		throw error;
	}
}

/** Imports the images of an open folder. `isOurs`: nobody else can change its files. Returns their names, or digests. */
function importFolder(root: number, isOurs: boolean, options: ImportOptions): string[] {
	const index = openIn(root, "index.json");
	if (index !== undefined) {
		const content = readJson<Index>(index, "index.json");
		close(index);
		return importLayout(root, content, isOurs, options);
	}
	const saved = openIn(root, "manifest.json");
	if (saved === undefined)
		fail("neither index.json nor manifest.json is in it", "an OCI layout, or what `docker save` writes, is expected");
	const content = readJson<Saved[]>(saved as number, "manifest.json");
	close(saved as number);
	if (!Array.isArray(content)) fail("manifest.json: not a list");
	return content.map((one) => importSaved(root, one, isOurs, options));
}

function blobsOf(root: number, isOurs: boolean): Blobs {
	return {
		fetch(descriptor, what) {
			const path = `blobs/sha256/${descriptor.digest.slice(7)}`;
			const fd = openIn(root, path);
			if (fd === undefined) return fail(`${what}: ${path} is missing`);
			try {
				putFile(fd, descriptor, isOurs, what);
			} finally {
				close(fd);
			}
		},
	};
}

/** The name that an OCI layout gives: whole by containerd, a name or a tag only by others. */
function nameOf({ annotations }: Descriptor): string[] {
	const name = annotations?.["io.containerd.image.name"] ?? annotations?.[REF_NAME];
	const parsed = name === undefined ? undefined : parseReference(name);
	return parsed ? [wholeName(parsed)] : [];
}

function importLayout(root: number, index: Index, isOurs: boolean, options: ImportOptions): string[] {
	const blobs = blobsOf(root, isOurs);
	const wanted = (Array.isArray(index.manifests) ? index.manifests : []).filter((descriptor) => !isAttestation(descriptor));
	if (wanted.length === 0) fail("index.json: no image in it");
	/* Several names of one image, or one image for several platforms at the top itself. */
	const tops = wanted.every((descriptor) => descriptor.platform && nameOf(descriptor).length === 0)
		? [choosePlatform(wanted, options.platform)]
		: wanted;
	return tops.map((top) => addImage(blobs, top, options.names ?? nameOf(top), options.platform));
}

function importSaved(root: number, saved: Saved, isOurs: boolean, options: ImportOptions): string {
	if (typeof saved?.Config !== "string" || !Array.isArray(saved.Layers)) fail("manifest.json: an image without Config or Layers");
	const put = (path: string, mediaType: (fd: number) => string): Descriptor => {
		const fd = typeof path === "string" ? openIn(root, path) : undefined;
		if (fd === undefined) return fail(`manifest.json: ${show(String(path))} is not in the archive`);
		try {
			const digest = putFile(fd, {}, isOurs, path);
			return { mediaType: mediaType(fd), digest, size: stat("", fd).size };
		} finally {
			close(fd);
		}
	};
	const config = put(saved.Config, () => CONFIG);
	const layers = saved.Layers.map((path) =>
		put(path, (fd) => {
			const compression = compressionOf(fd);
			return compression === "none" ? LAYER : `${LAYER}+${compression}`;
		}),
	);
	const manifest: Manifest = { schemaVersion: 2, mediaType: MANIFEST, config, layers };
	const top = { mediaType: MANIFEST, ...putText(JSON.stringify(manifest)) };
	const names = (saved.RepoTags ?? []).map((tag) => wholeName(reference(tag)));
	/* All of it is there already. */
	return addImage({ fetch() {} }, top, options.names ?? names, options.platform);
}

/** Imports what an open file, folder or pipe is. `label` names it to people. Fails, and leaves nothing, if it is not whole. */
export function importImage(fd: number, label: string, options: ImportOptions): string[] {
	makeImages();
	const held = holdBlobs();
	let isDone = false;
	try {
		const isFolder = (stat("", fd).mode & S_IFMT) === S_IFDIR;
		const names = isFolder ? importFolder(fd, false, options) : importArchive(fd, label, options);
		isDone = true;
		return names;
	} finally {
		close(held);
		if (!isDone) collectBlobs();
	}
}

/** Unpacks the archive beside the images, and imports it as a folder that nobody else knows. */
function importArchive(fd: number, label: string, options: ImportOptions): string[] {
	const { mode, size } = stat("", fd);
	const name = `.new.${getpid()}.${processStat(getpid())?.start ?? 0}.archive`;
	mkdir(`${imagesFolder()}/${name}`, 0o700);
	const root = open(`${imagesFolder()}/${name}`, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	const progress = startProgress(label, (mode & S_IFMT) === S_IFREG ? size : undefined);
	const mask = umask(0o077);
	try {
		const plain = decompress(fd);
		extract(openSource(plain.output), root, {
			maxStored: Math.floor(freeSpace(root) * 0.95),
			...(options.maxSize !== undefined && { maxSize: options.maxSize }),
			progress: (position) => progress.at(position),
			/* Their owners are nothing to us. */
			before(_folder, _name, entry) {
				entry.uid = 0;
				entry.gid = 0;
				entry.mode = entry.type === "directory" ? 0o700 : 0o600;
				entry.xattrs = undefined;
				return !["file", "directory", "symlink", "link"].includes(entry.type);
			},
		});
		plain.finish();
		progress.end();
		return importFolder(root, true, options);
	} catch (error) {
		if (error instanceof TarError) return fail(`${label}: ${error.message}`);
		throw error;
	} finally {
		umask(mask);
		progress.end();
		close(root);
		const folder = open(imagesFolder(), O_RDONLY | O_DIRECTORY);
		removeTree(folder, name);
		close(folder);
	}
}
