/**
 * The layers of an image: of an archive that `docker save` wrote (manifest.json), or of an OCI layout (index.json), as an
 * archive or a folder. An archive is unpacked into a folder of the store first: its manifest may come last.
 */

import { umask } from "../../../native/linux/credential.ts";
import {
	close,
	lseek,
	O_DIRECTORY,
	O_NOFOLLOW,
	O_RDONLY,
	open,
	openat2,
	RESOLVE_IN_ROOT,
	RESOLVE_NO_MAGICLINKS,
	readAll,
	readdir,
} from "../../../native/linux/fd.ts";
import { removeTree } from "../../../native/linux/remove.ts";
import { mkdir, S_IFDIR, S_IFMT, S_IFREG, stat } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { TarError } from "../../../native/linux/tar/block.ts";
import { cleanPath, extract } from "../../../native/linux/tar/extract.ts";
import { openReader } from "../../../native/linux/tar/reader.ts";
import { openSource } from "../../../native/linux/tar/source.ts";
import { decode } from "../../../native/linux/text.ts";
import { fail, show } from "../../common/errors.ts";
import { isAlive } from "../../common/state.ts";
import { storeFolder } from "../store/pool.ts";
import { self } from "../volume/manage.ts";
import { decompress, isCompressed } from "./compression.ts";

export interface ImageLayer {
	diffId: string;
	/** Opens its archive, to be closed by the caller. */
	open(): number;
}

/** Folders of the store in which archives are unpacked: with the PID and the start time of who does it. */
const IMPORT = ".import.";

/** Removes those of processes that are gone; to be called under the store's lock. Their names. */
export function clearImports(): string[] {
	const store = open(storeFolder(), O_RDONLY | O_DIRECTORY);
	try {
		const isLeft = (name: string) => {
			const [pid, start] = name.slice(IMPORT.length).split(".").map(Number);
			return name.startsWith(IMPORT) && !isAlive({ pid: pid as number, start: start as number });
		};
		const left = readdir(".", store).filter(isLeft);
		for (const name of left) removeTree(store, name);
		return left;
	} finally {
		close(store);
	}
}

const LARGEST_JSON = 16 << 20;

function openIn(root: number, path: unknown): number | undefined {
	if (typeof path !== "string") return undefined;
	try {
		const fd = openat2(root, path, O_RDONLY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
		if ((stat("", fd).mode & S_IFMT) === S_IFREG) return fd;
		close(fd);
		return undefined;
	} catch (error) {
		if (error instanceof SysError) return undefined;
		throw error;
	}
}

function readJson<T>(root: number, path: string): T | undefined {
	const fd = openIn(root, path);
	if (fd === undefined) return undefined;
	try {
		return JSON.parse(decode(readAll(fd, LARGEST_JSON))) as T;
	} catch (error) {
		if (error instanceof SyntaxError) return fail(`${show(path)}: not JSON`);
		throw error;
	} finally {
		close(fd);
	}
}

interface Descriptor {
	digest?: unknown;
	platform?: { os?: string; architecture?: string };
	annotations?: Record<string, string>;
}

interface Manifest {
	manifests?: Descriptor[];
	config?: Descriptor;
	layers?: Descriptor[];
}

interface Config {
	rootfs?: { diff_ids?: unknown[] };
}

function blobPath({ digest }: Descriptor): string {
	const found = /^sha256:([0-9a-f]{64})$/.exec(String(digest))?.[1];
	return found ? `blobs/sha256/${found}` : fail(`${show(String(digest))}: not a sha256 digest`);
}

const ARCHITECTURE = process.arch === "arm64" ? "arm64" : "amd64";

/** From an index to the manifest for this machine. */
function findManifest(root: number, top: Manifest, depth = 0): Manifest {
	if (!Array.isArray(top.manifests)) return top;
	const images = top.manifests.filter((one) => one.annotations?.["vnd.docker.reference.type"] === undefined);
	const chosen =
		images.find(({ platform }) => platform?.os === "linux" && platform.architecture === ARCHITECTURE) ??
		images.find(({ platform }) => platform === undefined || platform.architecture === undefined);
	if (!chosen || depth > 4) return fail(`index.json: no image for linux/${ARCHITECTURE} in it`);
	const next = readJson<Manifest>(root, blobPath(chosen));
	return next ? findManifest(root, next, depth + 1) : fail(`${blobPath(chosen)}: is not in the image`);
}

/** The layers of an open folder, the lowest first. */
export function layersIn(root: number): ImageLayer[] {
	const index = readJson<Manifest>(root, "index.json");
	let paths: unknown[];
	let config: Config | undefined;
	if (index) {
		const manifest = findManifest(root, index);
		paths = (manifest.layers ?? []).map(blobPath);
		config = readJson<Config>(root, blobPath(manifest.config ?? {}));
	} else {
		const saved = readJson<{ Config: string; Layers: string[] }[]>(root, "manifest.json")?.[0];
		if (!saved) return fail("neither index.json nor manifest.json is in it", "an OCI layout, or what `docker save` writes, is expected");
		paths = Array.isArray(saved.Layers) ? saved.Layers : [];
		config = readJson<Config>(root, String(saved.Config));
	}
	const ids = config?.rootfs?.diff_ids ?? [];
	if (paths.length === 0 || ids.length !== paths.length) fail(`the image has ${paths.length} layers, its config names ${ids.length}`);
	return paths.map((path, i) => ({
		diffId: String(ids[i]),
		open: () => openIn(root, path) ?? fail(`${show(String(path))}: is not in the image`),
	}));
}

/** True for a plain archive that can be read twice and has an image's manifest at its top. */
function looksLikeImage(fd: number): boolean {
	/* To decompress it all twice would take as long as to say --image. */
	if ((stat("", fd).mode & S_IFMT) !== S_IFREG || isCompressed(fd)) return false;
	const begin = lseek(fd, 0, 1);
	try {
		const reader = openReader(openSource(fd));
		for (let entry = reader.next(); entry; entry = reader.next()) {
			const name = cleanPath(entry.name);
			if (name === "manifest.json" || name === "oci-layout") return true;
			/* A root file system begins otherwise. */
			if (/^(bin|etc|usr|dev|lib)(\/|$)/.test(name)) return false;
		}
		return false;
	} catch (error) {
		if (error instanceof TarError) return false;
		throw error;
	} finally {
		lseek(fd, begin, 0);
	}
}

/** Does `work` with the layers of the image that is open, or with nothing where it is a plain archive. */
export function withImage(fd: number, label: string, isImage: boolean, work: (layers: ImageLayer[] | undefined) => void) {
	if ((stat("", fd).mode & S_IFMT) === S_IFDIR) return work(layersIn(fd));
	if (!isImage && !looksLikeImage(fd)) return work(undefined);
	const { pid, start } = self();
	const name = `${IMPORT}${pid}.${start}`;
	const store = open(storeFolder(), O_RDONLY | O_DIRECTORY);
	mkdir(name, 0o700, store);
	const root = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, store);
	const mask = umask(0o077);
	try {
		const plain = decompress(fd);
		extract(openSource(plain.output), root, {
			/* Owners and modes of its files are nothing to us. */
			before(_folder, _name, entry) {
				entry.uid = 0;
				entry.gid = 0;
				entry.mode = entry.type === "directory" ? 0o700 : 0o600;
				entry.xattrs = undefined;
				return !["file", "directory", "symlink", "link"].includes(entry.type);
			},
		});
		plain.finish();
		umask(mask);
		work(layersIn(root));
	} catch (error) {
		if (error instanceof TarError) fail(`${show(label)}: ${error.message}`);
		throw error;
	} finally {
		umask(mask);
		close(root);
		removeTree(store, name);
		close(store);
	}
}
