/** `image ls`, `image inspect`, `image tag`, `image rm`, `image mount`. */
import { print } from "../../common/command-line/tool.ts";
import { fail, ToolError, UsageError } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { formatSize } from "../../common/units.ts";
import { isMountPoint, mountLayer } from "../layer/mount.ts";
import { removeLayer } from "../layer/rm.ts";
import { findLayer, getLayer, openStore } from "../layer/store.ts";
import { reference, shortName, wholeName } from "./names.ts";
import { allImages, chainIds, changeIndex, collectBlobs, diffIdsOf, findImage, getImage, type Image, REF_NAME, topLayer } from "./store.ts";
import { nameImage } from "./unpack.ts";

/** Bytes of an image's files, of those layers that are there. */
function sizeOf(image: Image): number {
	return chainIds(diffIdsOf(image.config)).reduce((sum, id) => sum + (findLayer(id)?.size ?? 0), 0);
}

interface Row {
	image: Image;
	name: string | undefined;
}

function splitName(name: string | undefined): { repository: string; tag: string } {
	if (name === undefined) return { repository: "<none>", tag: "<none>" };
	const short = shortName(name);
	const colon = short.lastIndexOf(":");
	return colon > short.lastIndexOf("/") && !short.includes("@")
		? { repository: short.slice(0, colon), tag: short.slice(colon + 1) }
		: { repository: short, tag: "<none>" };
}

export function lsVerb({ options }: { options: { json?: true; quiet?: true; noTrunc?: true; digests?: true } }) {
	const images = allImages();
	const rows: Row[] = images.flatMap((image) =>
		(image.names.length > 0 ? image.names.sort() : [undefined]).map((name) => ({ image, name })),
	);
	const id = (image: Image) => (options.noTrunc ? image.manifest.config.digest : image.manifest.config.digest.slice(7, 19));
	if (options.json)
		return print(
			json(
				images.map((image) => ({
					id: image.manifest.config.digest,
					digest: image.descriptor.digest,
					names: image.names.map(shortName),
					created: image.config.created,
					size: sizeOf(image),
				})),
			),
		);
	if (options.quiet) return print([...new Set(images.map(id))].map((line) => `${line}\n`).join(""));
	print(
		table(rows, [
			{ header: "REPOSITORY", value: ({ name }) => splitName(name).repository },
			{ header: "TAG", value: ({ name }) => splitName(name).tag },
			...(options.digests ? [{ header: "DIGEST", value: ({ image }: Row) => image.descriptor.digest }] : []),
			{ header: "IMAGE ID", value: ({ image }) => id(image) },
			{ header: "CREATED", value: ({ image }) => image.config.created?.replace("T", " ").slice(0, 19) },
			{ header: "SIZE", value: ({ image }) => formatSize(sizeOf(image)), right: true },
		]),
	);
}

export function inspectVerb({ operands }: { operands: string[] }) {
	if (operands.length === 0) throw new UsageError("image inspect: which images?");
	print(
		json(
			operands.map((word) => {
				const image = getImage(word);
				const { config, descriptor, manifest, names } = image;
				const top = topLayer(image);
				return {
					Id: manifest.config.digest,
					RepoTags: names.map(shortName),
					RepoDigests: [...new Set(names.map((name) => `${splitName(name).repository}@${descriptor.digest}`))],
					Created: config.created ?? "",
					Author: config.author ?? "",
					Architecture: config.architecture ?? "",
					...(config.variant !== undefined && { Variant: config.variant }),
					Os: config.os ?? "",
					Size: sizeOf(image),
					Config: config.config ?? {},
					RootFS: { Type: "layers", Layers: diffIdsOf(config) },
					GraphDriver: {
						Name: "overlay2",
						Data: top === undefined ? {} : { UpperDir: openStore("overlay2").diff(top) },
					},
					Layer: top ?? "",
					Manifest: descriptor,
				};
			}),
		),
	);
}

export function tagVerb({ operands }: { operands: string[] }) {
	if (operands.length !== 2) throw new UsageError("image tag: IMAGE NAME");
	const image = getImage(operands[0] as string);
	const name = reference(operands[1] as string);
	if (name.digest !== undefined) throw new UsageError("image tag: a NAME has no digest");
	nameImage(image.descriptor, [...image.names, wholeName(name)]);
}

/** Takes one name off, or removes the image, with those of its layers that nobody else needs. */
export function removeImage(word: string, force = false): string[] {
	const image = getImage(word);
	const said: string[] = [];
	const isId = !image.names.some((name) => isNameOf(word, name));
	const name = isId ? undefined : image.names.find((known) => isNameOf(word, known));
	if (isId && image.names.length > 1 && !force)
		fail(`${word}: has the names ${image.names.map(shortName).join(", ")}`, "give the one that is to go, or --force for all");
	const isLast = isId || image.names.length === 1;
	const top = topLayer(image);
	if (isLast && top !== undefined) {
		const others = allImages().filter((other) => other.descriptor.digest !== image.descriptor.digest);
		/* First of all: a container on it keeps all of it. */
		removeLayers(image, others);
	}
	changeIndex((index) => {
		index.manifests = index.manifests.filter((other) =>
			isLast ? other.digest !== image.descriptor.digest : other.annotations?.[REF_NAME] !== name,
		);
	});
	for (const gone of isLast ? image.names : [name as string]) said.push(`Untagged: ${shortName(gone)}`);
	if (isLast) said.push(`Deleted: ${image.manifest.config.digest}`);
	collectBlobs();
	return said;
}

function isNameOf(word: string, name: string): boolean {
	const image = findImage(word);
	if (!image?.names.includes(name)) return false;
	return shortName(name) === word || name === word || shortName(name) === `${word}:latest` || name === `${word}:latest`;
}

function removeLayers(image: Image, others: Image[]) {
	const shared = new Set(others.flatMap((other) => chainIds(diffIdsOf(other.config))));
	for (const id of chainIds(diffIdsOf(image.config)).reverse()) {
		if (shared.has(id)) return;
		if (!findLayer(id)) continue;
		try {
			removeLayer(id);
		} catch (error) {
			/* The topmost one: the image is in use. Those below may be used by layers of other kinds. */
			if (error instanceof ToolError && id === topLayer(image)) throw error;
			return;
		}
	}
}

export function rmVerb({ options, operands }: { options: { force?: true }; operands: string[] }) {
	if (operands.length === 0) throw new UsageError("image rm: which images?");
	if (operands.includes("")) throw new UsageError('image rm: "" is not an image');
	for (const word of operands) {
		if (options.force && !findImage(word)) continue;
		print(
			removeImage(word, options.force)
				.map((line) => `${line}\n`)
				.join(""),
		);
	}
}

export function mountVerb({ operands }: { operands: string[] }) {
	const [word, target] = operands;
	if (operands.length !== 2 || !target) throw new UsageError("image mount: IMAGE TARGET");
	const image = getImage(word as string);
	const top = topLayer(image) ?? fail(`${word}: has no layers`);
	if (isMountPoint(target)) fail(`${target}: something is mounted there already`);
	mountLayer(getLayer(top), target);
	print(`${target}\n`);
}
