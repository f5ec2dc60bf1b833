/** `image save`: images as an OCI layout in an archive, with docker's manifest.json beside it; so that either reads it. */
import { close, memfdCreate, O_CREAT, O_NOFOLLOW, O_RDONLY, O_TRUNC, O_WRONLY, open, write } from "../../../native/linux/fd.ts";
import { stat, unlinkIfAny } from "../../../native/linux/stat.ts";
import { openWriter, type Writer } from "../../../native/linux/tar/writer.ts";
import { isTerminal } from "../../../native/linux/terminal.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { startProgress } from "../../common/progress.ts";
import { shortName } from "./names.ts";
import { blobPath, type Descriptor, getImage, type Image, INDEX, REF_NAME } from "./store.ts";

const entry = (type: string, name: string, size: number, mode: number) => ({
	type,
	name,
	size,
	mode,
	uid: 0,
	gid: 0,
	mtime: 0,
	mtimeNanoseconds: 0,
});

function putText(writer: Writer, name: string, text: string) {
	const fd = memfdCreate("text");
	write(fd, text);
	const { size } = stat("", fd);
	writer.header(entry("0", name, size, 0o644));
	writer.data(fd, size, 0);
	writer.close(size);
	close(fd);
}

function putBlob(writer: Writer, digest: string) {
	const fd = open(blobPath(digest), O_RDONLY | O_NOFOLLOW);
	const { size } = stat("", fd);
	writer.header(entry("0", `blobs/sha256/${digest.slice(7)}`, size, 0o644));
	if (size > 0 && writer.data(fd, size, 0) < size) fail(`${digest}: has become shorter`);
	writer.close(size);
	close(fd);
}

/** What `manifest.json` says of an image. */
function saved(image: Image, names: string[]) {
	const path = (digest: string) => `blobs/sha256/${digest.slice(7)}`;
	return {
		Config: path(image.manifest.config.digest),
		RepoTags: names.map(shortName),
		Layers: image.manifest.layers.map((layer) => path(layer.digest)),
	};
}

export function saveImages(words: string[], output: number, progress: (bytes: number) => void) {
	const chosen = new Map<string, { image: Image; names: string[] }>();
	for (const word of words) {
		const image = getImage(word);
		const known = chosen.get(image.descriptor.digest) ?? { image, names: [] };
		const named = image.names.filter((name) => [name, shortName(name), shortName(name).replace(/:latest$/, "")].includes(word));
		known.names = [...new Set([...known.names, ...named])];
		chosen.set(image.descriptor.digest, known);
	}
	const writer = openWriter(output);
	writer.header(entry("5", "blobs/", 0, 0o755));
	writer.header(entry("5", "blobs/sha256/", 0, 0o755));
	const digests = new Set<string>();
	for (const { image } of chosen.values())
		for (const digest of [image.descriptor.digest, image.manifest.config.digest, ...image.manifest.layers.map((layer) => layer.digest)])
			digests.add(digest);
	for (const digest of [...digests].sort()) {
		putBlob(writer, digest);
		progress(writer.position());
	}
	const manifests: Descriptor[] = [];
	for (const { image, names } of chosen.values()) {
		const { mediaType, digest, size } = image.descriptor;
		if (names.length === 0) manifests.push({ mediaType, digest, size });
		for (const name of names)
			manifests.push({
				mediaType,
				digest,
				size,
				annotations: { "io.containerd.image.name": name, [REF_NAME]: name.slice(name.lastIndexOf(":") + 1) },
			});
	}
	putText(writer, "index.json", JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }));
	putText(writer, "manifest.json", JSON.stringify([...chosen.values()].map(({ image, names }) => saved(image, names))));
	putText(writer, "oci-layout", '{"imageLayoutVersion":"1.0.0"}');
	writer.end();
}

export function saveVerb({ options, operands }: { options: { output?: string }; operands: string[] }) {
	if (operands.length === 0) throw new UsageError("image save: which images?");
	if (options.output === "") throw new UsageError('--output: "" is not a file');
	const file = options.output === "-" ? undefined : options.output;
	if (file === undefined && isTerminal(1)) throw new UsageError("image save: standard output is a terminal", "-o FILE, or a pipe");
	for (const word of operands) getImage(word);
	const output = file === undefined ? 1 : open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600);
	const progress = startProgress("saving");
	try {
		saveImages(operands, output, (bytes) => progress.at(bytes));
	} catch (error) {
		if (file !== undefined) unlinkIfAny(file);
		throw error;
	} finally {
		progress.end();
	}
}
