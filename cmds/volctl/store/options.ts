/**
 * The options of a volume, --opt KEY=VALUE, as Docker's local driver reads them, and more:
 *
 *     type, device, o    what mount(8) takes as -t TYPE DEVICE -o OPTIONS; together, or none
 *     size               a limit; of a tmpfs its size
 *     uid, gid, mode     the owner and the mode of the volume's folder
 *
 * As podman has it, `o` alone may hold uid=, gid=, mode= and size= as well.
 */
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { S_IFBLK, S_IFMT, statIfAny } from "../../../native/linux/stat.ts";
import { parseUser } from "../../common/accounts.ts";
import { notA } from "../../common/command-line/options.ts";
import { show, UsageError } from "../../common/errors.ts";
import { parseSize } from "../../common/units.ts";

export interface Options {
	type?: string;
	device?: string;
	o?: string;
	/** Bytes. */
	size?: number;
	uid?: number;
	gid?: number;
	mode?: number;
}

const KNOWN = ["type", "device", "o", "size", "uid", "gid", "mode"];

/** Reads the words of --opt. Throws UsageError for one that is unknown or has no value. */
export function splitPairs(words: string[], option: string): Record<string, string> {
	const pairs: Record<string, string> = {};
	for (const word of words) {
		const equals = word.indexOf("=");
		const key = equals < 0 ? word : word.slice(0, equals);
		if (key === "") throw new UsageError(`${option}: ${show(word)}: a name is missing`);
		pairs[key] = equals < 0 ? "" : word.slice(equals + 1);
	}
	return pairs;
}

/** Checks the options of a volume, as far as that can be done without mounting it. */
export function readOptions(given: Record<string, string>): Options {
	const options: Options = {};
	for (const key in given) {
		const value = given[key] as string;
		if (!KNOWN.includes(key)) throw new UsageError(`--opt: ${show(key)} is not an option of a volume`, `there are ${KNOWN.join(", ")}`);
		if (value === "") throw new UsageError(`--opt ${key}: needs a value`);
		set(options, key, value);
	}
	if (options.type === undefined && options.device === undefined && options.o !== undefined) ofPodman(options, options.o);
	else if (options.type === undefined && options.device !== undefined) missing("type", "device");
	else if (options.type !== undefined && options.device === undefined) missing("device", "type");
	if (options.type !== undefined) checkMount(options as Options & { type: string; device: string });
	return options;
}

function missing(lacking: string, given: string): never {
	throw new UsageError(`--opt ${given}: needs --opt ${lacking} as well`);
}

function set(options: Options, key: string, value: string) {
	if (key === "type" || key === "device" || key === "o") options[key] = value;
	else if (key === "size") {
		const size = parseSize(value);
		if (!size) notA("--opt size", value, "a size (512k, 1.5g, 1GiB)");
		options.size = size;
	} else if (key === "mode") {
		if (!/^0?[0-7]{1,4}$/.test(value)) notA("--opt mode", value, "a mode (0755)");
		options.mode = Number.parseInt(value, 8);
	} else {
		const id = /^\d+$/.test(value) ? Number(value) : key === "uid" ? parseUser(value)?.uid : parseUser(`0:${value}`)?.gid;
		if (id === undefined || id > 0xfffffffe) notA(`--opt ${key}`, value, key === "uid" ? "a user" : "a group");
		options[key as "uid" | "gid"] = id;
	}
}

function ofPodman(options: Options, o: string) {
	for (const word of o.split(",")) {
		const [, key = "", value = ""] = /^(uid|gid|mode|size)=(.+)$/.exec(word) ?? [];
		if (key === "")
			throw new UsageError(
				`--opt o: ${show(word)}: needs --opt type and --opt device as well`,
				"alone it holds uid=, gid=, mode= and size=",
			);
		set(options, key, value);
	}
	delete options.o;
}

const isBind = (o: string | undefined) => (o ?? "").split(",").some((word) => word === "bind" || word === "rbind");

export function isBindVolume({ o }: Options): boolean {
	return isBind(o);
}

const NETWORK = /^(nfs|nfs3|nfs4|cifs|smb3)$/;

/** What would fail at the first use fails now. */
function checkMount({ type, device, o, size, uid, gid, mode }: Options & { type: string; device: string }) {
	if ((o ?? "").split(",").includes("remount")) throw new UsageError("--opt o: remount makes no volume");
	if (isBind(o)) {
		if (!device.startsWith("/")) throw new UsageError(`--opt device: ${show(device)}: the folder to bind is given by its absolute path`);
		if (statIfAny(device) === undefined) throw new UsageError(`--opt device: ${show(device)}: no such file or folder`);
		if (size !== undefined || uid !== undefined || gid !== undefined || mode !== undefined)
			throw new UsageError("--opt: size, uid, gid and mode are not for a bind");
		return;
	}
	if (/^(none|bind)$/.test(type)) throw new UsageError(`--opt type=${type}: needs --opt o=bind (or rbind)`);
	if (/^(nfs|nfs3|nfs4)$/.test(type)) {
		if (!device.includes(":"))
			throw new UsageError(`--opt device: ${show(device)}: an nfs volume's is HOST:/PATH, or :/PATH with addr=HOST in --opt o`);
		if (device.startsWith(":") && !/(^|,)addr=[^,]/.test(o ?? ""))
			throw new UsageError("--opt o: an nfs volume without a host in its device needs addr=HOST");
	} else if (NETWORK.test(type)) {
		if (!/^\/\/[^/]+\/./.test(device)) throw new UsageError(`--opt device: ${show(device)}: a ${type} volume's is //HOST/SHARE`);
	} else if (needsDevice(type)) {
		const found = statIfAny(device);
		if (!found) throw new UsageError(`--opt device: ${show(device)}: no such device`);
		if ((found.mode & S_IFMT) !== S_IFBLK) throw new UsageError(`--opt device: ${show(device)}: not a block device, which ${type} needs`);
	}
	if (size !== undefined && type !== "tmpfs") throw new UsageError(`--opt size: a ${type} volume is as large as its device`);
}

/** Whether the kernel knows a file system, and that it is on a block device. One that is a module yet to be loaded may be anything. */
function needsDevice(type: string): boolean {
	return (readFileIfAny("/proc/filesystems") ?? "").split("\n").includes(`\t${type}`);
}

/** A text with each password in it masked, for people and their logs: of cifs in `o`, of anybody's in an address. */
export function maskSecrets(text: string): string {
	return text.replace(/(^|,)(password2?|pass|passwd)=[^,]*/g, "$1$2=********").replace(/(\/\/[^/:@]+):[^/@]*@/g, "$1:********@");
}

export function maskOptions(options: Record<string, string>): Record<string, string> {
	const masked: Record<string, string> = {};
	for (const key in options) masked[key] = maskSecrets(options[key] as string);
	return masked;
}
