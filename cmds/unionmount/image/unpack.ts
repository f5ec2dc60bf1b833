/** From a manifest's descriptor to an image with its layers: what an import and a pull have in common. */
import { close, O_NOFOLLOW, O_RDONLY, open } from "../../../native/linux/fd.ts";
import { stat } from "../../../native/linux/stat.ts";
import { fail, show } from "../../common/errors.ts";
import { startProgress } from "../../common/progress.ts";
import { decompress, hashing } from "../filter.ts";
import { importLayer } from "../layer/import.ts";
import { removeLayer } from "../layer/rm.ts";
import { findLayer, openStore } from "../layer/store.ts";
import { isDigest, shortName } from "./names.ts";
import { choosePlatform, type Platform } from "./platform.ts";
import {
	blobPath,
	type Config,
	chainIds,
	changeIndex,
	collectBlobs,
	type Descriptor,
	DOCKER_LIST,
	DOCKER_MANIFEST,
	diffIdsOf,
	hasBlob,
	holdBlobs,
	INDEX,
	type Index,
	MANIFEST,
	type Manifest,
	REF_NAME,
	readBlob,
} from "./store.ts";

/** Where blobs come from. */
export interface Blobs {
	/** Puts a blob into the store, its digest and size checked. */
	fetch(descriptor: Descriptor, what: string): void;
	/** The same for several, at once where that helps. */
	fetchAll?(descriptors: Descriptor[]): void;
}

function checkDescriptor(descriptor: Descriptor, what: string): Descriptor {
	if (typeof descriptor !== "object" || descriptor === null || !isDigest(descriptor.digest)) fail(`${what}: no sha256 digest`);
	if (!Number.isSafeInteger(descriptor.size) || descriptor.size < 0) fail(`${what}: no size`);
	return descriptor;
}

function fetchBlob(blobs: Blobs, descriptor: Descriptor, what: string) {
	if (!hasBlob(checkDescriptor(descriptor, what).digest)) blobs.fetch(descriptor, what);
}

/** From an index to the manifest for a platform, through as many indexes as there are. */
function findManifest(blobs: Blobs, top: Descriptor, platform: Platform | undefined): Descriptor {
	let descriptor = top;
	for (let depth = 0; ; depth++) {
		if (depth > 4) fail("indexes within indexes");
		fetchBlob(blobs, descriptor, "manifest");
		const content = readBlob<Partial<Index & Manifest>>(descriptor.digest, "manifest");
		const type = content.mediaType ?? descriptor.mediaType;
		if (!Array.isArray(content.manifests) || type === MANIFEST || type === DOCKER_MANIFEST) return descriptor;
		if (type !== INDEX && type !== DOCKER_LIST && type !== undefined) fail(`manifest: ${show(String(type))} is not known`);
		descriptor = choosePlatform(content.manifests, platform);
	}
}

/** Unpacks the layers that are not there yet; undone if one fails. */
function unpackLayers(manifest: Manifest, diffIds: string[]) {
	const store = openStore("overlay2");
	const chain = chainIds(diffIds);
	const made: string[] = [];
	try {
		chain.forEach((id, i) => {
			if (findLayer(id)) return;
			const layer = manifest.layers[i] as Descriptor;
			const fd = open(blobPath(layer.digest), O_RDONLY | O_NOFOLLOW);
			try {
				const plain = decompress(fd);
				const hashed = hashing(plain.output);
				importLayer(store, hashed.output, {
					id,
					parent: chain[i - 1],
					progress: startProgress(`layer ${id.slice(0, 12)}`, plain.output === fd ? stat("", fd).size : undefined),
					verify() {
						const digest = `sha256:${hashed.digest()}`;
						plain.finish();
						if (digest !== diffIds[i]) fail(`layer ${i + 1}: its archive's digest is ${digest}, and should be ${diffIds[i]}`);
						return digest;
					},
				});
				made.push(id);
			} finally {
				close(fd);
			}
		});
	} catch (error) {
		for (const id of made.reverse()) removeLayer(id);
		throw error;
	}
}

/** Fetches, checks and unpacks an image, and gives it its names. Returns the first of them, or its digest. */
export function addImage(blobs: Blobs, top: Descriptor, names: string[], platform: Platform | undefined): string {
	const held = holdBlobs();
	try {
		const descriptor = findManifest(blobs, checkDescriptor(top, "manifest"), platform);
		const manifest = readBlob<Manifest>(descriptor.digest, "manifest");
		if (!Array.isArray(manifest.layers)) fail("manifest: no layers in it");
		fetchBlob(blobs, manifest.config, "config");
		const config = readBlob<Config>(manifest.config.digest, "config");
		const diffIds = diffIdsOf(config);
		if (!Array.isArray(diffIds) || !diffIds.every(isDigest)) fail("config: rootfs.diff_ids are no sha256 digests");
		if (diffIds.length !== manifest.layers.length) fail(`config: ${diffIds.length} diff_ids for ${manifest.layers.length} layers`);
		const lacking = manifest.layers.filter((layer, i) => !hasBlob(checkDescriptor(layer, `layer ${i + 1}`).digest));
		if (blobs.fetchAll) blobs.fetchAll(lacking);
		else
			lacking.forEach((layer) => {
				fetchBlob(blobs, layer, `layer ${layer.digest.slice(7, 19)}`);
			});
		unpackLayers(manifest, diffIds);
		nameImage(descriptor, names);
		close(held);
		return names[0] === undefined ? manifest.config.digest : shortName(names[0]);
	} catch (error) {
		close(held);
		/* Blobs that came for nothing. */
		collectBlobs();
		throw error;
	}
}

/** Puts an image into the index under its names; what had one of these loses it. */
export function nameImage({ mediaType, digest, size }: Descriptor, names: string[]) {
	changeIndex((index) => {
		const others = index.manifests.filter((other) => !names.includes(other.annotations?.[REF_NAME] ?? ""));
		/* Who lost his only name stays, without one. */
		for (const lost of index.manifests)
			if (!others.some((other) => other.digest === lost.digest) && lost.digest !== digest)
				others.push({ mediaType: lost.mediaType, digest: lost.digest, size: lost.size });
		const plain = { mediaType, digest, size };
		if (names.length === 0 && !others.some((other) => other.digest === digest)) others.push(plain);
		const kept =
			names.length === 0 ? others : others.filter((other) => other.digest !== digest || other.annotations?.[REF_NAME] !== undefined);
		index.manifests = [...kept, ...names.map((name) => ({ ...plain, annotations: { [REF_NAME]: name } }))];
	});
}
