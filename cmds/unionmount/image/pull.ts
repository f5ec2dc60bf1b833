/** `image pull` and `image push`. */
import { close, O_NOFOLLOW, O_RDONLY, open } from "../../../native/linux/fd.ts";
import { lstatIfAny, unlinkIfAny } from "../../../native/linux/stat.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { startProgress } from "../../common/progress.ts";
import { isDigest, type Reference, reference, shortName, wholeName } from "./names.ts";
import type { Platform } from "./platform.ts";
import { download, openRegistry, type Registry } from "./registry.ts";
import {
	blobPath,
	blobsFolder,
	collectBlobs,
	type Descriptor,
	DOCKER_LIST,
	DOCKER_MANIFEST,
	getImage,
	holdBlobs,
	INDEX,
	MANIFEST,
	makeImages,
	putFile,
	putText,
} from "./store.ts";
import { addImage, type Blobs } from "./unpack.ts";

const ACCEPT = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST].map((type) => `Accept: ${type}`);

/* Kept under this name while it comes, so that another pull goes on where this one breaks off. */
const partOf = (digest: string) => `${blobsFolder()}/.part.${digest.slice(7)}`;

function blobsOf(registry: Registry, name: string): Blobs {
	const keep = (descriptor: Descriptor, what: string) => {
		const path = partOf(descriptor.digest);
		const fd = open(path, O_RDONLY | O_NOFOLLOW);
		try {
			putFile(fd, descriptor, true, what);
		} finally {
			close(fd);
			unlinkIfAny(path);
		}
	};
	return {
		fetch(descriptor, what) {
			if (/manifest|index/.test(descriptor.mediaType)) {
				const { text } = registry.ask({ url: `${registry.base}/manifests/${descriptor.digest}`, headers: ACCEPT, what });
				const put = putText(text);
				if (put.digest !== descriptor.digest) fail(`${what}: its digest is ${put.digest}, and should be ${descriptor.digest}`);
				return;
			}
			download(
				registry,
				name,
				[{ url: `${registry.base}/blobs/${descriptor.digest}`, output: partOf(descriptor.digest), size: descriptor.size, what }],
				() => {},
			);
			keep(descriptor, what);
		},
		fetchAll(descriptors) {
			const unique = [...new Map(descriptors.map((descriptor) => [descriptor.digest, descriptor])).values()];
			const progress = startProgress(
				"pulling",
				unique.reduce((sum, { size }) => sum + size, 0),
			);
			try {
				download(
					registry,
					name,
					unique.map(({ digest, size }) => ({
						url: `${registry.base}/blobs/${digest}`,
						output: partOf(digest),
						size,
						what: `layer ${digest.slice(7, 19)}`,
					})),
					(bytes) => progress.at(bytes),
				);
			} finally {
				progress.end();
			}
			for (const descriptor of unique) keep(descriptor, `layer ${descriptor.digest.slice(7, 19)}`);
		},
	};
}

export interface PullLine {
	options: { platform?: Platform; insecure?: true; quiet?: true };
	operands: string[];
}

/** Asks for the manifest by its tag, and tells which it is by the bytes that came. */
function resolve(registry: Registry, name: Reference, what: string): Descriptor {
	const wanted = name.digest ?? name.tag ?? "latest";
	const answer = registry.ask({ url: `${registry.base}/manifests/${wanted}`, headers: ACCEPT, what });
	const put = putText(answer.text);
	if (name.digest !== undefined && put.digest !== name.digest) fail(`${what}: its digest is ${put.digest}`);
	const said = answer.headers["docker-content-digest"];
	if (isDigest(said) && said !== put.digest) fail(`${what}: its digest is ${put.digest}, and the registry says ${said}`);
	return { mediaType: answer.headers["content-type"]?.replace(/;.*/, "").trim() || MANIFEST, ...put };
}

export function pullVerb({ options, operands }: PullLine) {
	if (operands.length !== 1) throw new UsageError("image pull: one NAME[:TAG|@DIGEST]");
	const name = reference(operands[0] as string);
	makeImages();
	const held = holdBlobs();
	try {
		const whole = wholeName(name);
		const registry = openRegistry(name, "pull", options.insecure === true);
		const top = resolve(registry, name, shortName(whole));
		print(`${addImage(blobsOf(registry, name.registry), top, [whole], options.platform)}\n`);
	} catch (error) {
		close(held);
		collectBlobs();
		throw error;
	}
	close(held);
}

/** Sends a blob that the registry does not have yet. */
function pushBlob(registry: Registry, { digest }: Descriptor) {
	const what = `blob ${digest.slice(7, 19)}`;
	const known = registry.ask({ url: `${registry.base}/blobs/${digest}`, method: "HEAD", what, allowed: [200, 404] });
	if (known.status === 200) return;
	const begun = registry.ask({ url: `${registry.base}/blobs/uploads/`, method: "POST", body: "", what, allowed: [202] });
	const location = begun.headers.location ?? fail(`${what}: the registry does not say where it is to go`);
	const url = absolute(location, registry.base);
	registry.ask({
		url: `${url}${url.includes("?") ? "&" : "?"}digest=${digest}`,
		method: "PUT",
		file: blobPath(digest),
		headers: ["Content-Type: application/octet-stream"],
		what,
		allowed: [201],
	});
}

function absolute(location: string, base: string): string {
	if (/^https?:\/\//.test(location)) return location;
	const origin = /^https?:\/\/[^/]+/.exec(base)?.[0] ?? "";
	return `${origin}${location.startsWith("/") ? "" : "/"}${location}`;
}

export function pushVerb({ options, operands }: { options: { insecure?: true }; operands: string[] }) {
	const [word, as] = operands;
	if (operands.length < 1 || operands.length > 2) throw new UsageError("image push: IMAGE [NAME]");
	const image = getImage(word as string);
	const name = reference(as ?? (word as string));
	if (name.digest !== undefined) throw new UsageError("image push: a NAME has no digest");
	const registry = openRegistry(name, "pull,push", options.insecure === true);
	for (const blob of [...image.manifest.layers, image.manifest.config]) {
		if (!lstatIfAny(blobPath(blob.digest))) fail(`${blob.digest}: is no longer there`);
		pushBlob(registry, blob);
	}
	registry.ask({
		url: `${registry.base}/manifests/${name.tag ?? "latest"}`,
		method: "PUT",
		file: blobPath(image.descriptor.digest),
		headers: [`Content-Type: ${image.manifest.mediaType ?? image.descriptor.mediaType}`],
		what: "manifest",
		allowed: [201, 200],
	});
	print(`${shortName(wholeName(name))}@${image.descriptor.digest}\n`);
}
