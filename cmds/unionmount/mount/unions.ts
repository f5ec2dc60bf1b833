/** The union mounts that there are, with their layers: /proc/PID/mountinfo, and for AUFS /sys/fs/aufs. */
import { ENOENT } from "../../../native/linux/errno.ts";
import { close, O_PATH, open, readdir, readFileIfAny } from "../../../native/linux/fd.ts";
import { type MountInfo, mountinfo } from "../../../native/linux/mount.ts";
import { readlink, statIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { splitLayers, unescapeValue } from "./option-string.ts";

export interface UnionLayer {
	path: string;
	/** `rw`, `ro`, `data`, or a mode of AUFS such as `ro+wh`. */
	mode: string;
}

export interface Union {
	/** The mount's number in mountinfo. */
	id: number;
	target: string;
	type: string;
	source: string;
	device: string;
	readOnly: boolean;
	/** The topmost first. */
	layers: UnionLayer[];
	upperdir?: string;
	workdir?: string;
	/** The other options of the file system, as the kernel lists them. */
	options: string[];
}

/** The union mounts that a process sees, in the order in which they were mounted. */
export function unions(pid: number | "self" = "self"): Union[] {
	return mountinfo(pid).flatMap((entry) => {
		if (entry.type === "overlay" || entry.type === "fuse.fuse-overlayfs") return [overlayOf(entry)];
		return entry.type === "aufs" ? [aufsOf(entry)] : [];
	});
}

/** A path as the kernel lists it: with its links followed. */
export function realPath(path: string): string {
	const fd = open(path, O_PATH);
	try {
		return readlink(`/proc/self/fd/${fd}`);
	} finally {
		close(fd);
	}
}

function unionOf(entry: MountInfo): Union {
	const words = entry.options.split(",");
	const { id, target, type, source, device } = entry;
	return {
		id,
		target,
		type,
		source,
		device,
		readOnly: words.includes("ro") || entry.superOptionList.includes("ro"),
		layers: [],
		options: [],
	};
}

function overlayOf(entry: MountInfo): Union {
	const union = unionOf(entry);
	const lowers: UnionLayer[] = [];
	for (const option of entry.superOptionList) {
		const equals = option.indexOf("=");
		const [name, value] = equals < 0 ? [option, ""] : [option.slice(0, equals), option.slice(equals + 1)];
		if (name === "upperdir" || name === "workdir") union[name] = plain(value);
		else if (name === "lowerdir+") lowers.push({ path: value, mode: "ro" });
		else if (name === "datadir+") lowers.push({ path: value, mode: "data" });
		else if (name === "lowerdir") lowers.push(...lowersOf(value));
		else if (name !== "ro" && name !== "rw") union.options.push(option);
	}
	union.layers = union.upperdir === undefined ? lowers : [{ path: union.upperdir, mode: union.readOnly ? "ro" : "rw" }, ...lowers];
	return union;
}

/** An upperdir is listed as it was given: with the escapes of a text, without them by a descriptor. */
function plain(value: string): string {
	return value.includes("\\") && statIfAny(value) === undefined ? unescapeValue(value) : value;
}

function lowersOf(value: string): UnionLayer[] {
	try {
		const { lowerdir, datadir } = splitLayers(value);
		return [...lowerdir.map((path) => ({ path, mode: "ro" })), ...datadir.map((path) => ({ path, mode: "data" }))];
	} catch {
		/* It is the kernel's list, and it may write what we would not: then it is shown as it is. */
		return [{ path: value, mode: "ro" }];
	}
}

/** AUFS lists only `si=ID`; /sys/fs/aufs/si_ID has a file `brN` for each branch, "PATH=MODE". */
function aufsOf(entry: MountInfo): Union {
	const union = unionOf(entry);
	const id = entry.superOptionList.map((option) => /^si=([0-9a-f]+)$/.exec(option)?.[1]).find((found) => found !== undefined);
	union.options = entry.superOptionList.filter((option) => option !== "ro" && option !== "rw");
	if (id === undefined) return union;
	union.layers = aufsBranches(`/sys/fs/aufs/si_${id}`);
	const upper = union.layers.find(({ mode }) => mode.startsWith("rw"));
	if (upper) union.upperdir = upper.path;
	return union;
}

/** The branches as a folder of sysfs has them: br0 is the topmost. A blank or control character in a path is \ooo. */
export function aufsBranches(folder: string): UnionLayer[] {
	try {
		return readdir(folder)
			.map((name) => /^br(\d+)$/.exec(name)?.[1])
			.filter((number): number is string => number !== undefined)
			.sort((a, b) => Number(a) - Number(b))
			.flatMap((number) => {
				const line = (readFileIfAny(`${folder}/br${number}`) ?? "").replace(/\n$/, "");
				const equals = line.lastIndexOf("=");
				if (equals < 0) return [];
				const path = line.slice(0, equals).replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
				return [{ path, mode: line.slice(equals + 1) }];
			});
	} catch (error) {
		if (error instanceof SysError && error.errno === ENOENT) return [];
		throw error;
	}
}
