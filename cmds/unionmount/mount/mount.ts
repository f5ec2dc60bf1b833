import { readFileIfAny } from "../../../native/linux/fd.ts";
import { MOUNT_ATTR_RDONLY } from "../../../native/linux/mount.ts";
import { notA } from "../../common/command-line/options.ts";
import { UsageError } from "../../common/errors.ts";
import { addMapping, addOptions, emptyRequest, mountRequest } from "./request.ts";

export interface MountOptions {
	type?: string;
	lower?: string[];
	data?: string[];
	upper?: string;
	work?: string;
	tmp?: string | true;
	option?: string[];
	readOnly?: true;
	source?: string;
	mapUsers?: string[];
	mapGroups?: string[];
	lowerMode?: string;
}

/** Mounts the layers that the options name on a folder. */
export function mountVerb({ options, operands }: { options: MountOptions; operands: string[] }) {
	const [target, ...more] = operands;
	if (target === undefined) throw new UsageError("mount: no TARGET given");
	if (more.length > 0) throw new UsageError("mount: more than one TARGET given", "each layer is an option: --lower DIR --lower DIR");
	const request = emptyRequest();
	request.lowerdir.push(...(options.lower ?? []));
	request.datadir.push(...(options.data ?? []));
	for (const text of options.option ?? []) addOptions(request, text);
	if (options.upper !== undefined) request.upperdir = options.upper;
	if (options.work !== undefined) request.workdir = options.work;
	if (options.readOnly) request.attributes |= MOUNT_ATTR_RDONLY;
	if (options.source !== undefined) request.source = options.source;
	if (options.tmp !== undefined) request.temporary = options.tmp;
	if (options.lowerMode !== undefined) request.lowerMode = options.lowerMode;
	for (const text of options.mapUsers ?? []) addMapping(request, "uids", text);
	for (const text of options.mapGroups ?? []) addMapping(request, "gids", text);
	request.type = chooseType(options.type, request.type);
	mountRequest(request, target);
}

/** `auto` is overlay, but on a kernel that has aufs only. */
function chooseType(given: string | undefined, otherwise: "overlay" | "aufs"): "overlay" | "aufs" {
	if (given === undefined) return otherwise;
	if (given === "overlay" || given === "aufs") return given;
	if (given !== "auto") notA("--type", given, "overlay, aufs or auto");
	const known = (readFileIfAny("/proc/filesystems") ?? "").split("\n").map((line) => line.split("\t")[1]);
	return known.includes("aufs") && !known.includes("overlay") ? "aufs" : "overlay";
}
