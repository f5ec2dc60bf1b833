/** The option tables of `image ...`. */
import { options } from "../../common/command-line/options.ts";
import { type Command, command } from "../../common/command-line/tool.ts";
import { size } from "../../common/units.ts";
import { jsonOption } from "../layer/options.ts";
import { importVerb } from "./import-verb.ts";
import { inspectVerb, lsVerb, mountVerb, rmVerb, tagVerb } from "./look.ts";
import { platform } from "./platform.ts";
import { pullVerb, pushVerb } from "./pull.ts";
import { saveVerb } from "./save.ts";

const platformOption = options([
	{ long: "platform", value: "OS/ARCH", parse: platform, help: "of an image for several machines: linux/arm64; this machine's otherwise" },
]);

const insecureOption = options([{ long: "insecure", help: "without TLS, as for localhost always", rare: true }]);

export function imageCommands(): Command[] {
	return [
		command({
			name: "image import",
			alias: "image load",
			summary: "take images from an archive of docker save, or an OCI layout",
			usageStatus: 2,
			operands: "[FILE|FOLDER|-]",
			options: options([
				{ long: "name", short: "n", value: "NAME", repeat: true, help: "the image's name, in place of those that it comes with" },
				...platformOption,
				{ long: "max-size", value: "SIZE", parse: size, help: "refuse an archive whose files come to more" },
			]),
			details: [
				"Digest and size of each blob, and the digest of each layer's archive (its diffID), are compared before a layer gets its name. The archives are kept as they came, so that save and push give the same digests.",
			],
			examples: [
				["docker save web | tsunionmount image import", "from Docker"],
				["skopeo copy docker://debian:12 oci:d:12; tsunionmount image import -n debian:12 d", "from an OCI layout"],
			],
			run(line) {
				importVerb(line);
			},
		}),
		command({
			name: "image pull",
			summary: "fetch an image from a registry",
			usageStatus: 2,
			operands: "NAME[:TAG|@DIGEST]",
			options: options([...platformOption, ...insecureOption]),
			details: [
				"curl does the transfers, so its proxies and certificates hold. Passwords are taken from docker's config.json (auths) or podman's auth.json. Every byte is checked against its digest before it is unpacked; what broke off is gone on with, also by another pull.",
			],
			run(line) {
				pullVerb(line);
			},
		}),
		command({
			name: "image push",
			rare: true,
			summary: "send an image to a registry",
			usageStatus: 2,
			operands: "IMAGE [NAME]",
			options: options([...insecureOption]),
			run(line) {
				pushVerb(line);
			},
		}),
		command({
			name: "image ls",
			alias: "image list",
			summary: "list the images",
			usageStatus: 2,
			operands: "",
			options: options([
				{ long: "quiet", short: "q", help: "IDs only" },
				{ long: "no-trunc", help: "whole IDs" },
				{ long: "digests", help: "the digests of the manifests too" },
				...jsonOption,
			]),
			run(line) {
				lsVerb(line);
			},
		}),
		command({
			name: "image inspect",
			summary: "show images as JSON: config, layers, digests",
			usageStatus: 2,
			operands: "IMAGE...",
			options: options([]),
			run(line) {
				inspectVerb(line);
			},
		}),
		command({
			name: "image tag",
			rare: true,
			summary: "give an image another name",
			usageStatus: 2,
			operands: "IMAGE NAME",
			options: options([]),
			run(line) {
				tagVerb(line);
			},
		}),
		command({
			name: "image rm",
			summary: "remove images, or their names",
			usageStatus: 2,
			operands: "IMAGE...",
			options: options([{ long: "force", short: "f", help: "all names of an image given by its ID; no error for one that is not there" }]),
			run(line) {
				rmVerb(line);
			},
		}),
		command({
			name: "image mount",
			summary: "mount an image read-only",
			usageStatus: 2,
			operands: "IMAGE TARGET",
			options: options([]),
			run(line) {
				mountVerb(line);
			},
		}),
		command({
			name: "image save",
			summary: "write images as an archive that docker load and skopeo read",
			usageStatus: 2,
			operands: "IMAGE...",
			options: options([{ long: "output", short: "o", value: "FILE", help: "instead of standard output" }]),
			run(line) {
				saveVerb(line);
			},
		}),
	];
}
