/** What is to be mounted: the words of `docker run -v`, `--mount` and `--tmpfs`, as Docker reads them. */
import { getcwd } from "../../../native/linux/fd.ts";
import { show, UsageError } from "../../common/errors.ts";
import { parseSize } from "../../common/units.ts";
import { checkName } from "../store/volume.ts";

export interface Spec {
	type: "bind" | "volume" | "tmpfs" | "image";
	/** A volume's name (none: an anonymous one), a path of the host, an image. */
	source?: string | undefined;
	target: string;
	readonly: boolean;
	/** What is mounted below a bind's source comes along. */
	recursive: boolean;
	propagation?: string | undefined;
	/** The volume is not filled with what the image has at the target. */
	nocopy: boolean;
	/** A folder in the volume or image. */
	subpath?: string | undefined;
	/** A bind's source is made where it is not there. */
	makeSource: boolean;
	labels: Record<string, string>;
	options: Record<string, string>;
	/** Of a tmpfs. */
	tmpfs: Record<string, string>;
}

function emptySpec(type: Spec["type"], target: string): Spec {
	return { type, target, readonly: false, recursive: true, nocopy: false, makeSource: false, labels: {}, options: {}, tmpfs: {} };
}

const PROPAGATIONS = ["shared", "slave", "private", "rshared", "rslave", "rprivate"];
const isMode = (word: string) => /^(rw|ro|z|Z|nocopy|consistent|cached|delegated|default)$/.test(word) || PROPAGATIONS.includes(word);

/** A path in the container: absolute, not its root; cleaned of `.`, `..` and slashes too many. */
export function cleanTarget(path: string, option: string): string {
	if (path === "") throw new UsageError(`${option}: the path in the container is empty`);
	if (!path.startsWith("/")) throw new UsageError(`${option}: ${show(path)}: the path in the container must be absolute`);
	const parts: string[] = [];
	for (const part of path.split("/")) {
		if (part === "..") parts.pop();
		else if (part !== "" && part !== ".") parts.push(part);
	}
	if (parts.length === 0) throw new UsageError(`${option}: ${show(path)}: the path in the container cannot be /`);
	return `/${parts.join("/")}`;
}

/** `[SOURCE:]TARGET[:MODE,...]`, of -v. */
export function readVolume(text: string): Spec {
	const option = `-v ${show(text)}`;
	const parts = text.split(":");
	if (text === "" || parts.length > 3 || parts.includes("")) throw new UsageError(`-v: ${show(text)} is not [SOURCE:]TARGET[:MODE]`);
	if (parts.length === 1) return emptySpec("volume", cleanTarget(text, option));
	const [source = "", target = "", modes = ""] = parts;
	if (parts.length === 2 && target.split(",").every(isMode))
		throw new UsageError(`${option}: a mode without a source`, "SOURCE:TARGET:MODE, and a volume's name as SOURCE");
	const isPath = /^(\/|\.\.?(\/|$))/.test(source);
	const spec = emptySpec(isPath ? "bind" : "volume", cleanTarget(target, option));
	spec.source = isPath ? absolute(source) : checkName(source);
	spec.makeSource = isPath;
	if (parts.length === 3) readModes(spec, modes, option);
	return spec;
}

function absolute(path: string): string {
	return path.startsWith("/") ? path : `${getcwd()}/${path}`;
}

/** At most one of each kind: rw or ro; z or Z (a label of SELinux); a propagation; nocopy; a consistency, which means nothing on Linux. */
function readModes(spec: Spec, modes: string, option: string) {
	const seen: Record<string, true> = {};
	for (const mode of modes.split(",")) {
		if (!isMode(mode)) throw new UsageError(`${option}: ${show(mode)} is not a mode (ro, rw, z, Z, nocopy, ${PROPAGATIONS.join(", ")})`);
		const kind = /^r[ow]$/.test(mode)
			? "access"
			: /^z$/i.test(mode)
				? "label"
				: mode === "nocopy"
					? "copy"
					: PROPAGATIONS.includes(mode)
						? "propagation"
						: "consistency";
		if (seen[kind]) throw new UsageError(`${option}: two modes of one kind`);
		seen[kind] = true;
		if (mode === "ro") spec.readonly = true;
		if (kind === "propagation") spec.propagation = mode;
		if (mode === "nocopy") spec.nocopy = true;
	}
	if (spec.type === "volume" && seen.propagation) throw new UsageError(`${option}: a propagation is for a path of the host`);
	if (spec.type === "bind" && seen.copy) throw new UsageError(`${option}: nocopy is for a volume`);
}

/** The fields of a line of CSV: a field in quotation marks may hold commas, and "" stands for one mark. */
function csvFields(text: string): string[] {
	const fields: string[] = [];
	let field = "";
	let quoted = false;
	for (let i = 0; i < text.length; i++) {
		const letter = text[i] as string;
		if (quoted && letter === '"' && text[i + 1] === '"') {
			field += '"';
			i++;
		} else if (letter === '"' && (quoted || field === "")) quoted = !quoted;
		else if (letter === "," && !quoted) {
			fields.push(field);
			field = "";
		} else field += letter;
	}
	if (quoted) throw new UsageError(`--mount: ${show(text)}: a quotation mark is not closed`);
	return [...fields, field];
}

function truth(key: string, value: string): boolean {
	if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true;
	if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false;
	throw new UsageError(`--mount: ${key}: ${show(value)} is not true or false`);
}

/** `type=volume|bind|tmpfs|image,source=,target=,readonly,...`, of --mount. */
export function readMount(text: string): Spec {
	const spec: Spec = { ...emptySpec("volume", ""), recursive: true };
	const used: string[] = [];
	for (const field of csvFields(text)) {
		const equals = field.indexOf("=");
		const key = (equals < 0 ? field : field.slice(0, equals)).trim().toLowerCase();
		const value = equals < 0 ? undefined : field.slice(equals + 1);
		used.push(key);
		readField(spec, key, value, field);
	}
	if (spec.target === "") throw new UsageError(`--mount: ${show(text)}: needs target=PATH`);
	for (const kind of ["bind", "volume", "tmpfs", "image"] as const)
		if (spec.type !== kind && used.some((key) => key.startsWith(`${kind}-`)))
			throw new UsageError(`--mount: ${show(text)}: ${kind}-* does not go with type=${spec.type}`);
	if (spec.type === "bind" || spec.type === "image") {
		if (!spec.source) throw new UsageError(`--mount: ${show(text)}: type=${spec.type} needs source=`);
		if (spec.type === "bind") spec.source = bindSource(spec.source);
	} else if (spec.type === "tmpfs") {
		if (spec.source !== undefined) throw new UsageError(`--mount: ${show(text)}: a tmpfs has no source`);
	} else if (spec.source !== undefined) checkName(spec.source);
	return spec;
}

function bindSource(source: string): string {
	if (!/^(\/|\.\.?(\/|$))/.test(source)) throw new UsageError(`--mount: source: ${show(source)}: a path of the host must be absolute`);
	return absolute(source);
}

function readField(spec: Spec, key: string, given: string | undefined, field: string) {
	if (key === "readonly" || key === "ro") spec.readonly = given === undefined || truth(key, given);
	else if (key === "volume-nocopy") spec.nocopy = given === undefined || truth(key, given);
	else if (key === "bind-nonrecursive") spec.recursive = !(given === undefined || truth(key, given));
	else if (key === "bind-create-src") spec.makeSource = given === undefined || truth(key, given);
	else if (given === undefined) throw new UsageError(`--mount: ${show(field)}: must be KEY=VALUE`);
	else if (given === "") throw new UsageError(`--mount: ${show(field)}: needs a value`);
	else readValue(spec, key, given, field);
}

const TYPES = ["bind", "volume", "tmpfs", "image"];

function readValue(spec: Spec, key: string, value: string, field: string) {
	if (key === "type") {
		if (!TYPES.includes(value)) throw new UsageError(`--mount: type: ${show(value)} is not bind, volume, tmpfs or image`);
		spec.type = value as Spec["type"];
	} else if (key === "source" || key === "src") spec.source = value;
	else if (key === "target" || key === "dst" || key === "destination") spec.target = cleanTarget(value, `--mount ${show(field)}`);
	else if (key === "bind-propagation") {
		if (!PROPAGATIONS.includes(value))
			throw new UsageError(`--mount: bind-propagation: ${show(value)} is not one of ${PROPAGATIONS.join(", ")}`);
		spec.propagation = value;
	} else if (key === "bind-recursive") {
		if (!/^(enabled|disabled|writable|readonly)$/.test(value))
			throw new UsageError(`--mount: bind-recursive: ${show(value)} is not enabled, disabled, writable or readonly`);
		spec.recursive = value !== "disabled";
	} else if (key === "volume-subpath" || key === "image-subpath") {
		if (value.startsWith("/") || value.split("/").includes(".."))
			throw new UsageError(`--mount: ${key}: ${show(value)}: must be a path below the ${key.slice(0, -8)}`);
		spec.subpath = value;
	} else if (key === "volume-label" || key === "volume-opt") {
		const equals = value.indexOf("=");
		const pairs = key === "volume-label" ? spec.labels : spec.options;
		pairs[equals < 0 ? value : value.slice(0, equals)] = equals < 0 ? "" : value.slice(equals + 1);
	} else if (key === "volume-driver") {
		if (value !== "local") throw new UsageError(`--mount: volume-driver: ${show(value)}: local is the only one`);
	} else if (key === "tmpfs-size") {
		if (parseSize(value) === undefined) throw new UsageError(`--mount: tmpfs-size: ${show(value)} is not a size (64m, 1g)`);
		spec.tmpfs.size = String(parseSize(value));
	} else if (key === "tmpfs-mode") {
		if (!/^0?[0-7]{1,4}$/.test(value)) throw new UsageError(`--mount: tmpfs-mode: ${show(value)} is not a mode (1777)`);
		spec.tmpfs.mode = value;
	} else if (key !== "consistency")
		throw new UsageError(
			`--mount: ${show(key)} is not known here`,
			"there are type, source, target, readonly, bind-*, volume-*, tmpfs-*, image-subpath",
		);
}

/** `TARGET[:size=64m,mode=1777,...]`, of --tmpfs. */
export function readTmpfs(text: string): Spec {
	const colon = text.indexOf(":");
	const spec = emptySpec("tmpfs", cleanTarget(colon < 0 ? text : text.slice(0, colon), `--tmpfs ${show(text)}`));
	for (const word of colon < 0 ? [] : text.slice(colon + 1).split(",")) {
		const equals = word.indexOf("=");
		const [key, value] = equals < 0 ? [word, ""] : [word.slice(0, equals), word.slice(equals + 1)];
		if (word === "ro") spec.readonly = true;
		else if (/^(rw|nosuid|nodev|noexec|exec|suid|dev|relatime|noatime)$/.test(word)) continue;
		else if (!/^(size|mode|uid|gid|nr_inodes|nr_blocks)$/.test(key) || value === "")
			throw new UsageError(`--tmpfs: ${show(word)} is not an option of a tmpfs (size=, mode=, uid=, gid=, nr_inodes=, ro)`);
		else spec.tmpfs[key] = key === "size" && !value.endsWith("%") ? String(parseSize(value) ?? invalidSize(value)) : value;
	}
	return spec;
}

function invalidSize(text: string): never {
	throw new UsageError(`--tmpfs: ${show(text)} is not a size (64m, 1g)`);
}
