/** Which of an index's manifests is for which machine: OS/ARCHITECTURE[/VARIANT]. */
import { notA } from "../../common/command-line/options.ts";
import { fail } from "../../common/errors.ts";
import type { Descriptor } from "./store.ts";

export interface Platform {
	os: string;
	architecture: string;
	variant?: string | undefined;
}

/** This machine's. */
export function ownPlatform(): Platform {
	return process.arch === "arm64" ? { os: "linux", architecture: "arm64", variant: "v8" } : { os: "linux", architecture: "amd64" };
}

/** For an option table. */
export function platform(text: string, option: string): Platform {
	const match = /^([a-z0-9_]+)\/([a-z0-9_]+)(?:\/([a-z0-9_.]+))?$/.exec(text);
	return match
		? { os: match[1] as string, architecture: match[2] as string, variant: match[3] }
		: notA(option, text, "OS/ARCHITECTURE[/VARIANT]");
}

/** What tells of how an image was built, and is none. */
export function isAttestation({ annotations, platform }: Descriptor): boolean {
	return (
		annotations?.["vnd.docker.reference.type"] === "attestation-manifest" ||
		(platform?.os === "unknown" && platform.architecture === "unknown")
	);
}

function describe({ platform }: Descriptor): string {
	return platform ? [platform.os, platform.architecture, platform.variant].filter(Boolean).join("/") : "any";
}

export function choosePlatform(manifests: Descriptor[], wanted: Platform = ownPlatform()): Descriptor {
	const images = manifests.filter((descriptor) => !isAttestation(descriptor));
	const fitting = images.filter(
		({ platform }) => !platform || (platform.os === wanted.os && platform.architecture === wanted.architecture),
	);
	const exact = fitting.find(({ platform }) => platform?.variant === wanted.variant);
	return (
		exact ??
		fitting[0] ??
		fail(
			`no image for ${wanted.os}/${wanted.architecture}`,
			images.length > 0 ? `there is one for ${images.map(describe).join(", ")}: --platform` : undefined,
		)
	);
}
