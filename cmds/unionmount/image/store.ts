/**
 * The images, kept as an OCI image layout (image-spec, image-layout.md), so that other programs can read it:
 *
 *     images/oci-layout              {"imageLayoutVersion":"1.0.0"}
 *     images/index.json              a descriptor of each image's manifest; its annotation
 *                                    org.opencontainers.image.ref.name is the image's whole name. An image of several
 *                                    names stands there once for each, one of no name has no annotation
 *     images/blobs/sha256/HEX        manifests, configs, and the layers' archives as they came
 *
 * Each layer is unpacked in the layer store under its chain ID (image-spec, config.md): the digest of the first is its
 * diffID, and of each further one sha256(CHAINID-BELOW + " " + DIFFID). So images share what they have in common.
 */

import { copyFile } from "../../../native/linux/copy.ts";
import { EXDEV } from "../../../native/linux/errno.ts";
import {
	close,
	fsync,
	memfdCreate,
	O_CREAT,
	O_DIRECTORY,
	O_EXCL,
	O_NOFOLLOW,
	O_RDONLY,
	O_RDWR,
	O_WRONLY,
	open,
	readdir,
	readdirOf,
	readFile,
	write,
} from "../../../native/linux/fd.ts";
import { flock, LOCK_EX, LOCK_NB, LOCK_SH } from "../../../native/linux/lock.ts";
import { getpid } from "../../../native/linux/process.ts";
import { removeTree } from "../../../native/linux/remove.ts";
import { linkOpen, lstatIfAny, mkdirAll, rename, S_IFMT, S_IFREG, stat, unlinkIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { dataFolder, makeStateFolder, readState, withLock, writeState } from "../../common/state.ts";
import { sha256 } from "../filter.ts";
import { isDigest, parseReference, wholeName } from "./names.ts";

export const REF_NAME = "org.opencontainers.image.ref.name";
export const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const INDEX = "application/vnd.oci.image.index.v1+json";
export const CONFIG = "application/vnd.oci.image.config.v1+json";
export const LAYER = "application/vnd.oci.image.layer.v1.tar";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
export const DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";

/** Of a manifest or config, as registries limit them. */
const LARGEST_JSON = 4 << 20;

export interface Descriptor {
	mediaType: string;
	digest: string;
	size: number;
	annotations?: Record<string, string>;
	platform?: { architecture?: string; os?: string; variant?: string };
}

export interface Manifest {
	schemaVersion: number;
	mediaType?: string;
	config: Descriptor;
	layers: Descriptor[];
}

export interface Index {
	schemaVersion: number;
	mediaType?: string;
	manifests: Descriptor[];
}

export interface Config {
	created?: string;
	architecture?: string;
	os?: string;
	variant?: string;
	author?: string;
	config?: Record<string, unknown>;
	rootfs?: { type?: string; diff_ids?: string[] };
	history?: unknown[];
}

export const imagesFolder = () => `${dataFolder()}/images`;
export const blobsFolder = () => `${imagesFolder()}/blobs/sha256`;
export const blobPath = (digest: string) => `${blobsFolder()}/${digest.slice(7)}`;

export function makeImages() {
	makeStateFolder(dataFolder());
	makeStateFolder(imagesFolder());
	mkdirAll(blobsFolder(), 0o700);
	if (!lstatIfAny(`${imagesFolder()}/oci-layout`)) writeState(`${imagesFolder()}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}\n', 0o644);
}

export function readIndex(): Index {
	return readState<Index>(`${imagesFolder()}/index.json`) ?? { schemaVersion: 2, mediaType: INDEX, manifests: [] };
}

/** Changes the index while nobody else does. */
export function changeIndex(change: (index: Index) => void) {
	makeImages();
	withLock(imagesFolder(), () => {
		const index = readIndex();
		change(index);
		writeState(`${imagesFolder()}/index.json`, `${JSON.stringify(index, null, 2)}\n`, 0o644);
	});
}

/** JSON of an open file, of a size that such a thing has. `what` is for the error. */
export function readJson<T>(fd: number, what: string): T {
	const { size } = stat("", fd);
	if (size > LARGEST_JSON) fail(`${what}: ${size} bytes are too many`);
	try {
		const value = JSON.parse(readFile(`/proc/self/fd/${fd}`)) as T;
		if (typeof value === "object" && value !== null) return value;
	} catch (error) {
		if (error instanceof SysError) throw error;
	}
	return fail(`${what}: not JSON`);
}

export function readBlob<T>(digest: string, what: string): T {
	if (!isDigest(digest)) fail(`${what}: ${show(String(digest))} is no sha256 digest`);
	const fd = open(blobPath(digest), O_RDONLY | O_NOFOLLOW);
	try {
		return readJson<T>(fd, what);
	} finally {
		close(fd);
	}
}

export const hasBlob = (digest: string) => lstatIfAny(blobPath(digest)) !== undefined;

/** The sha256 of a text. */
export function sha256Text(text: string): string {
	const fd = memfdCreate("text");
	write(fd, text);
	const again = open(`/proc/self/fd/${fd}`, O_RDONLY);
	close(fd);
	try {
		return sha256(again);
	} finally {
		close(again);
	}
}

const temporary = () => `${blobsFolder()}/.new.${getpid()}`;

/**
 * Puts an open file into the store. Its digest and size are checked first, where they are known. `isOurs`: nobody else can
 * change it, so that it is linked. Returns its digest.
 */
export function putFile(fd: number, expected: Partial<Descriptor>, isOurs: boolean, what: string): string {
	const found = stat("", fd);
	if ((found.mode & S_IFMT) !== S_IFREG) fail(`${what}: not a file`);
	if (expected.size !== undefined && found.size !== expected.size)
		fail(`${what}: has ${found.size} bytes, and should have ${expected.size}`);
	const name = temporary();
	unlinkIfAny(name);
	/* What is checked is what is kept: a copy of what others may change. */
	let kept = fd;
	try {
		if (isOurs) linkOpen(fd, name);
		else throw new SysError("link", EXDEV);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EXDEV)) throw error;
		const copy = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
		copyFile(fd, copy, found.size);
		close(copy);
		kept = open(name, O_RDONLY);
	}
	try {
		const digest = `sha256:${sha256(kept)}`;
		if (expected.digest !== undefined && digest !== expected.digest)
			fail(`${what}: its digest is ${digest}, and should be ${expected.digest}`);
		fsync(kept);
		rename(name, blobPath(digest));
		return digest;
	} catch (error) {
		unlinkIfAny(name);
		throw error;
	} finally {
		if (kept !== fd) close(kept);
	}
}

export function putText(text: string): { digest: string; size: number } {
	const name = temporary();
	writeState(name, text, 0o600);
	const fd = open(name, O_RDONLY);
	try {
		const digest = `sha256:${sha256(fd)}`;
		rename(name, blobPath(digest));
		return { digest, size: stat("", fd).size };
	} finally {
		close(fd);
	}
}

/** An image, by a name of its own. */
export interface Image {
	descriptor: Descriptor;
	manifest: Manifest;
	config: Config;
	names: string[];
}

/** Each image once, with all its names. */
export function allImages(): Image[] {
	const images = new Map<string, Image>();
	for (const descriptor of readIndex().manifests) {
		const name = descriptor.annotations?.[REF_NAME];
		let image = images.get(descriptor.digest);
		if (!image) {
			const manifest = readBlob<Manifest>(descriptor.digest, "manifest");
			image = { descriptor, manifest, config: readBlob<Config>(manifest.config.digest, "config"), names: [] };
			images.set(descriptor.digest, image);
		}
		if (name !== undefined) image.names.push(name);
	}
	return [...images.values()];
}

/** By a name, the digest of its manifest or config, or the beginning of that (4 digits). */
export function findImage(text: string): Image | undefined {
	const images = allImages();
	const reference = parseReference(text);
	if (reference) {
		const name = wholeName(reference);
		const named = images.find(
			(image) =>
				(reference.digest === undefined || image.descriptor.digest === reference.digest) && image.names.some((known) => known === name),
		);
		if (named) return named;
	}
	const hex = text.replace(/^sha256:/, "").replace(/^.*@sha256:/, "");
	if (!/^[0-9a-f]{4,64}$/.test(hex)) return undefined;
	const some = images.filter((image) => image.manifest.config.digest.startsWith(hex, 7) || image.descriptor.digest.startsWith(hex, 7));
	if (some.length > 1) fail(`${show(text)}: the beginning of more than one image's ID`);
	return some[0];
}

export function getImage(text: string): Image {
	return findImage(text) ?? fail(`${show(text)}: no such image`, "`tsunionmount image ls` shows those that there are");
}

export const diffIdsOf = (config: Config): string[] => config.rootfs?.diff_ids ?? [];

/** The chain IDs of layers with these diffIDs, the base's first: 64 digits each. */
export function chainIds(diffIds: string[]): string[] {
	const chain: string[] = [];
	for (const diffId of diffIds) {
		const below = chain[chain.length - 1];
		chain.push(below === undefined ? diffId.slice(7) : sha256Text(`sha256:${below} ${diffId}`));
	}
	return chain;
}

/** The topmost layer of an image; undefined for one without layers. */
export function topLayer(image: Image): string | undefined {
	const chain = chainIds(diffIdsOf(image.config));
	return chain[chain.length - 1];
}

/** While the descriptor is open, blobs that no image needs yet are left alone. */
export function holdBlobs(): number {
	const fd = open(`${imagesFolder()}/.using`, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
	flock(fd, LOCK_SH);
	return fd;
}

/** What killed imports and broken pulls have left; nothing while somebody is about to fetch an image. Returns the paths. */
export function collectImages(): string[] {
	if (!lstatIfAny(blobsFolder())) return [];
	return whileNobodyFetches(() => {
		const removed = collectUnneeded().map((name) => `${blobsFolder()}/${name}`);
		for (const folder of [imagesFolder(), blobsFolder()]) {
			const fd = open(folder, O_RDONLY | O_DIRECTORY);
			for (const name of readdirOf(fd)) {
				if (!/^\.(?:new|part)\./.test(name)) continue;
				removeTree(fd, name);
				removed.push(`${folder}/${name}`);
			}
			close(fd);
		}
		return removed;
	});
}

/** Removes blobs that no image of the index needs, unless somebody is about to fetch an image. Returns their names. */
export function collectBlobs(): string[] {
	return whileNobodyFetches(collectUnneeded);
}

function whileNobodyFetches(collect: () => string[]): string[] {
	const using = open(`${imagesFolder()}/.using`, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
	try {
		flock(using, LOCK_EX | LOCK_NB);
		return collect();
	} catch (error) {
		if (error instanceof SysError && error.call === "flock") return [];
		throw error;
	} finally {
		close(using);
	}
}

function collectUnneeded(): string[] {
	const needed = new Set<string>();
	for (const { descriptor, manifest } of allImages())
		for (const digest of [descriptor.digest, manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)])
			needed.add(digest.slice(7));
	const removed: string[] = [];
	for (const name of readdir(blobsFolder())) {
		if (needed.has(name) || name.startsWith(".")) continue;
		unlinkIfAny(`${blobsFolder()}/${name}`);
		removed.push(name);
	}
	return removed;
}
