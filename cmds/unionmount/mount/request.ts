/** What a command line asks to be mounted: `mount --lower ...`, or the option string of the calling forms. */
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { MOUNT_ATTR_RDONLY } from "../../../native/linux/mount.ts";
import type { IdRange } from "../../../native/linux/namespace.ts";
import { show, UsageError } from "../../common/errors.ts";
import { withWord } from "../../common/mount-words.ts";
import { type Aufs, mountAufs } from "./aufs.ts";
import { type Made, mountWith } from "./detached.ts";
import { splitLayers, splitOptions, unescapeValue } from "./option-string.ts";
import { mountOverlay } from "./overlay.ts";

export interface Request extends Made {
	type: "overlay" | "aufs";
	lowerdir: string[];
	datadir: string[];
	upperdir?: string | undefined;
	workdir?: string | undefined;
	options: Record<string, string | true>;
	attributes: number;
	source?: string | undefined;
	/** The mode of AUFS's lower branches: `ro`, `ro+wh`. */
	lowerMode?: string | undefined;
	/** Those that were given one by one, by their index in lowerdir. */
	modes: Record<number, string>;
}

export function emptyRequest(): Request {
	return { type: "overlay", lowerdir: [], datadir: [], options: {}, attributes: 0, modes: {} };
}

/** Options of fuse-overlayfs that a file system of the kernel needs not, or that say what it does anyway. */
const NEEDLESS =
	/^(allow_other|allow_root|default_permissions|auto_unmount|nonempty|clone_fd|threaded|timeout|attr_timeout|entry_timeout|fsync|static_nlink|max_(read|write|idle_threads)|fsname|subtype|debug|noexec_daemon)$/;

/** Options of fuse-overlayfs that it does itself, file by file, and the kernel does not. */
const SQUASH = /^(squash_to_root|squash_to_uid|squash_to_gid|plugins|noacl)$/;

/** Adds the words of an option string (option-string.ts) to a request. */
export function addOptions(request: Request, text: string) {
	for (const { name, value } of splitOptions(text)) {
		const attributes = value === true ? withWord(request.attributes, name) : undefined;
		if (attributes !== undefined) request.attributes = attributes;
		else if (/^(x-|X-|comment=)/.test(name) || NEEDLESS.test(name)) continue;
		else if (name === "lowerdir" || name === "lowerdir+" || name === "datadir+") addLayers(request, name, required(name, value));
		else if (name === "upperdir" || name === "workdir") request[name] = unescapeValue(required(name, value));
		else if (name === "dirs" || name === "br") addBranches(request, required(name, value));
		else if (name === "uidmapping") addMapping(request, "uids", required(name, value));
		else if (name === "gidmapping") addMapping(request, "gids", required(name, value));
		else if (SQUASH.test(name))
			throw new UsageError(
				`option ${name}: the kernel's overlay cannot do it`,
				"uidmapping and gidmapping show files as other users'; or use fuse-overlayfs",
			);
		else request.options[name] = value === true ? true : unescapeValue(value);
	}
}

function required(name: string, value: string | true): string {
	if (value === true || value === "") throw new UsageError(`option ${name}: needs a value`);
	return value;
}

function addLayers(request: Request, name: string, value: string) {
	if (name === "lowerdir+") request.lowerdir.push(unescapeValue(value));
	else if (name === "datadir+") request.datadir.push(unescapeValue(value));
	else {
		const { lowerdir, datadir } = splitLayers(value);
		request.lowerdir.push(...lowerdir);
		request.datadir.push(...datadir);
	}
}

/** AUFS's `dirs=PATH=rw:PATH=ro...`: the first writable one is the upper. */
function addBranches(request: Request, value: string) {
	request.type = "aufs";
	value.split(":").forEach((word, i) => {
		const equals = word.indexOf("=");
		const path = equals < 0 ? word : word.slice(0, equals);
		const mode = equals < 0 ? (i === 0 ? "rw" : "ro") : word.slice(equals + 1);
		if (path === "") throw new UsageError(`option dirs: ${show(value)}: a branch's path is empty`);
		if (mode.startsWith("rw") && i === 0) request.upperdir = path;
		else if (mode.startsWith("rw")) throw new UsageError(`option dirs: ${show(word)}: only the first branch can be writable here`);
		else {
			request.modes[request.lowerdir.length] = mode;
			request.lowerdir.push(path);
		}
	});
}

/** `0:100000:65536[:INNER:OUTER:COUNT...]`, as fuse-overlayfs and subuid ranges have it. */
export function addMapping(request: Request, kind: "uids" | "gids", text: string) {
	const numbers = text.split(":");
	const isWrong = numbers.length % 3 !== 0 || numbers.some((n) => !/^\d{1,10}$/.test(n) || Number(n) > 0xffffffff);
	if (isWrong)
		throw new UsageError(`${kind === "uids" ? "uidmapping" : "gidmapping"}: ${show(text)} is not INNER:OUTER:COUNT (0:100000:65536)`);
	const ranges: IdRange[] = [];
	for (let i = 0; i < numbers.length; i += 3)
		ranges.push({ inner: Number(numbers[i]), outer: Number(numbers[i + 1]), count: Number(numbers[i + 2]) });
	request.idmap ??= { uids: [], gids: [] };
	request.idmap[kind].push(...ranges);
}

/** Checks what only the whole request shows, and mounts it. */
export function mountRequest(request: Request, target: string) {
	if (request.lowerdir.length === 0) throw new UsageError("no lower layer given");
	if ([...request.lowerdir, ...request.datadir, target, request.upperdir, request.workdir].includes(""))
		throw new UsageError("a path is empty");
	if (request.idmap) completeMap(request.idmap);
	if (request.type === "aufs") return mountAufs(asAufs(request), target);
	const { lowerdir, datadir, upperdir, workdir, options, attributes, source, idmap, temporary } = request;
	if (temporary && upperdir !== undefined) throw new UsageError("--tmp: there is an upper layer already");
	/* Outside of the initial user namespace nobody may set trusted.overlay.*. */
	if (!("userxattr" in options) && !isInitialUserNamespace()) options.userxattr = true;
	const overlay = { lowerdir, datadir, upperdir, workdir, options, attributes, source };
	if (idmap || temporary) mountWith(overlay, target, { idmap, temporary });
	else mountOverlay(overlay, target);
}

/** One kind of ids alone is meant for both. */
function completeMap(idmap: { uids: IdRange[]; gids: IdRange[] }) {
	if (idmap.gids.length === 0) idmap.gids = idmap.uids;
	if (idmap.uids.length === 0) idmap.uids = idmap.gids;
}

/** The same layers in AUFS's words. */
export function asAufs({
	lowerdir,
	datadir,
	upperdir,
	workdir,
	options,
	attributes,
	source,
	lowerMode = "ro",
	modes,
	idmap,
	temporary,
}: Request): Aufs {
	if (datadir.length > 0 || idmap || temporary)
		throw new UsageError("aufs has no data-only layers, idmapped layers or --tmp", "--type overlay has them");
	/* Given for overlay, which needs it; aufs keeps its work in the upper itself. */
	void workdir;
	const lowers = lowerdir.map((path, i) => ({ path, mode: modes[i] ?? lowerMode }));
	return {
		branches: upperdir === undefined ? lowers : [{ path: upperdir, mode: "rw" }, ...lowers],
		options,
		attributes: upperdir === undefined ? attributes | MOUNT_ATTR_RDONLY : attributes,
		source,
	};
}

function isInitialUserNamespace(): boolean {
	return /^\s*0\s+0\s+4294967295\s*$/.test(readFileIfAny("/proc/self/uid_map") ?? "0 0 4294967295");
}
