/**
 * Names of images as Docker has them: [REGISTRY/]PATH[:TAG][@DIGEST]. What has no registry is docker.io's, and there what has
 * no folder is in `library`; without a tag it is `latest`.
 */
import { fail, show } from "../../common/errors.ts";

export interface Reference {
	registry: string;
	repository: string;
	tag: string | undefined;
	digest: string | undefined;
}

const HOST = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;
const PATH = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

export const isDigest = (text: unknown): text is string => typeof text === "string" && /^sha256:[0-9a-f]{64}$/.test(text);

/** Undefined for what is no name. */
export function parseReference(text: string): Reference | undefined {
	const at = text.indexOf("@");
	const digest = at < 0 ? undefined : text.slice(at + 1);
	let rest = at < 0 ? text : text.slice(0, at);
	const colon = rest.lastIndexOf(":");
	let tag: string | undefined;
	if (colon > rest.lastIndexOf("/")) {
		tag = rest.slice(colon + 1);
		rest = rest.slice(0, colon);
	}
	const slash = rest.indexOf("/");
	const first = slash < 0 ? "" : rest.slice(0, slash);
	const hasRegistry = /[.:]/.test(first) || first === "localhost";
	let registry = hasRegistry ? first : "docker.io";
	if (registry === "index.docker.io") registry = "docker.io";
	let repository = hasRegistry ? rest.slice(slash + 1) : rest;
	if (registry === "docker.io" && !repository.includes("/")) repository = `library/${repository}`;
	if (!HOST.test(registry) || !PATH.test(repository) || repository.length > 255) return undefined;
	if ((tag !== undefined && !TAG.test(tag)) || (digest !== undefined && !isDigest(digest))) return undefined;
	return { registry, repository, tag: tag ?? (digest === undefined ? "latest" : undefined), digest };
}

/** A name from a command line. Fails for what is none. */
export function reference(text: string): Reference {
	return parseReference(text) ?? fail(`${show(text)}: not an image's name`, "[REGISTRY/]PATH[:TAG], in small letters");
}

/** The whole name, as it is kept: docker.io/library/debian:latest */
export function wholeName({ registry, repository, tag, digest }: Reference): string {
	return `${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${tag === undefined && digest !== undefined ? `@${digest}` : ""}`;
}

/** The name as people write it: debian:latest */
export function shortName(whole: string): string {
	return whole.replace(/^docker\.io\/(?:library\/)?/, "");
}
