/**
 * Volumes on disk, as Docker's local driver has them, so that either reads the other's:
 *
 *     volumes/NAME/_data         what the volume holds
 *     volumes/NAME/opts.json     {"MountType":"nfs","MountOpts":"addr=...","MountDevice":":/x","Quota":{"Size":0}}, where it has any
 *     volumes/NAME/volume.json   ours: {"CreatedAt":"2026-11-28T08:00:00Z","Labels":{},"Options":{}}. Docker has these in a database
 *     volumes/NAME/image         the file system of a limited volume, where there are no project quotas
 *
 * below the data folder. A volume that is being made is called `.NAME.PID.new`, one that is being removed `.NAME.PID.old`: a
 * rename is the moment from which it is there, and is not.
 */

import { EEXIST, ENOENT, ENOTEMPTY } from "../../../native/linux/errno.ts";
import { AT_FDCWD, close, fsync, O_DIRECTORY, O_RDONLY, open, readdir, readFileIfAny } from "../../../native/linux/fd.ts";
import { startTime } from "../../../native/linux/proc.ts";
import { getpid } from "../../../native/linux/process.ts";
import { removeTree } from "../../../native/linux/remove.ts";
import { chmod, lstatIfAny, mkdir, mkdirAll, rename, S_IFDIR, S_IFMT, stat } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { dataFolder, isName, makeStateFolder, readState, withLock, writeState } from "../../common/state.ts";
import { type Options, readOptions } from "./options.ts";

export interface Volume {
	name: string;
	folder: string;
	/** Where its content is: folder/_data. */
	data: string;
	/** RFC 3339, UTC. */
	createdAt: string;
	labels: Record<string, string>;
	/** As they were given: type, device, o, size, uid, gid, mode. */
	options: Record<string, string>;
}

/** The label of a volume that nobody has named, as Docker has it. */
export const ANONYMOUS = "com.docker.volume.anonymous";

export function volumesFolder(): string {
	return `${dataFolder()}/volumes`;
}

/** Docker's folder of volumes is 0701, and each volume's: who is let in by name finds only what he knows. */
const FOLDER_MODE = 0o701;

/** Runs a change of which volumes there are, and who uses them. */
export function withVolumes<T>(change: () => T): T {
	const users = `${dataFolder()}/volume-users`;
	makeStateFolder(users);
	return withLock(users, change);
}

/** A volume's name as Docker takes it. */
export function checkName(name: string): string {
	if (name === "") throw new UsageError("a volume's name is empty");
	if (name.length === 1 && isName(name)) throw new UsageError(`${name}: a volume's name has two characters at least`);
	if (!isName(name))
		throw new UsageError(
			`${show(name)}: not a volume's name (letters, digits, _ . - ; 2 to 128; the first a letter or digit)`,
			name.includes("/") ? "a folder of the host is given by its absolute path" : undefined,
		);
	return name;
}

export function volumeIfAny(name: string): Volume | undefined {
	const folder = `${volumesFolder()}/${name}`;
	const found = isName(name) ? lstatIfAny(`${folder}/_data`) : undefined;
	if (!found || (found.mode & S_IFMT) !== S_IFDIR) return undefined;
	const own = readState<{ CreatedAt: string; Labels: Record<string, string>; Options: Record<string, string> }>(`${folder}/volume.json`);
	return {
		name,
		folder,
		data: `${folder}/_data`,
		createdAt: own?.CreatedAt ?? rfc3339(stat(folder).mtime),
		labels: own?.Labels ?? {},
		options: own?.Options ?? dockersOptions(folder),
	};
}

export function volumeOf(name: string): Volume {
	return volumeIfAny(checkName(name)) ?? fail(`${name}: no such volume`, "`tsvolctl ls` shows those that there are");
}

/** All volumes by name, without those half made. */
export function allVolumes(): Volume[] {
	return volumeNames().flatMap((name) => volumeIfAny(name) ?? []);
}

function volumeNames(): string[] {
	return readdirIfAny(volumesFolder()).filter(isName).sort();
}

export function readdirIfAny(path: string): string[] {
	try {
		return readdir(path);
	} catch (error) {
		if (error instanceof SysError && error.errno === ENOENT) return [];
		throw error;
	}
}

interface DockersOptions {
	MountType?: string;
	MountOpts?: string;
	MountDevice?: string;
	Quota?: { Size?: number };
}

function dockersOptions(folder: string): Record<string, string> {
	const found = readState<DockersOptions>(`${folder}/opts.json`);
	const options: Record<string, string> = {};
	if (found?.MountType) options.type = found.MountType;
	if (found?.MountDevice) options.device = found.MountDevice;
	if (found?.MountOpts) options.o = found.MountOpts;
	if (found?.Quota?.Size) options.size = String(found.Quota.Size);
	return options;
}

/** Seconds since 1970 as 2026-11-28T08:00:00Z. */
export function rfc3339(seconds: number): string {
	return new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, "Z");
}

/** What a volume is to be like; `folder` and `data` follow from the name. */
export type NewVolume = Pick<Volume, "name" | "createdAt" | "labels" | "options">;

/**
 * Makes a volume's folders and files: all of it, or nothing. `fill` does what else is to be done before it is there, in the
 * folder that will become it. Undefined where somebody else was first.
 */
export function makeVolume(volume: NewVolume, fill: (folder: string, options: Options) => void): Volume | undefined {
	const folder = `${volumesFolder()}/${volume.name}`;
	const options = readOptions(volume.options);
	mkdirAll(dataFolder(), 0o711);
	mkdirAll(volumesFolder(), FOLDER_MODE);
	const half = hiddenFolder(volume.name, "new");
	mkdir(half, FOLDER_MODE);
	try {
		mkdir(`${half}/_data`, 0o755);
		/* As the umask may have it. */
		chmod(half, FOLDER_MODE);
		chmod(`${half}/_data`, 0o755);
		writeFiles(half, volume, options);
		fill(half, options);
		/* One of two that make it at once finds a folder there that is not empty. */
		rename(half, folder);
		syncFolder(volumesFolder());
	} catch (error) {
		removeTree(AT_FDCWD, half);
		if (!(error instanceof SysError && (error.errno === ENOTEMPTY || error.errno === EEXIST))) throw error;
		if (volumeIfAny(volume.name)) return undefined;
		return fail(`${volume.name}: there is a folder of this name already, which is no volume`);
	}
	return { ...volume, folder, data: `${folder}/_data` };
}

/** A folder of a volume that is not there yet, or no longer; gc finds it by the process. */
function hiddenFolder(name: string, end: "new" | "old"): string {
	return `${volumesFolder()}/.${name}.${getpid()}.${end}`;
}

/** Takes a volume away at once, and then removes what it held. */
export function removeVolume({ name, folder }: Volume, meanwhile: (change: () => void) => void) {
	const gone = hiddenFolder(name, "old");
	meanwhile(() => rename(folder, gone));
	removeTree(AT_FDCWD, gone);
}

/** Removes the folders of volumes that were half made, or half removed, by processes that are gone. Returns how many. */
export function removeHalves(): number {
	const left = readdirIfAny(volumesFolder()).filter((entry) => {
		const maker = /^\.[^/]+\.(\d+)\.(new|old)$/.exec(entry);
		return maker && startTime(Number(maker[1])) === undefined;
	});
	for (const entry of left) removeTree(AT_FDCWD, `${volumesFolder()}/${entry}`);
	return left.length;
}

function syncFolder(path: string) {
	const fd = open(path, O_RDONLY | O_DIRECTORY);
	fsync(fd);
	close(fd);
}

/** Writes a volume's options and labels anew. */
export function writeFiles(
	folder: string,
	{ createdAt, labels, options }: Pick<Volume, "createdAt" | "labels" | "options">,
	read: Options,
) {
	writeState(`${folder}/volume.json`, `${JSON.stringify({ CreatedAt: createdAt, Labels: labels, Options: options })}\n`);
	const { type = "", device = "", o = "", size = 0 } = read;
	if (Object.keys(options).length === 0 && readFileIfAny(`${folder}/opts.json`) === undefined) return;
	writeState(`${folder}/opts.json`, JSON.stringify({ MountType: type, MountOpts: o, MountDevice: device, Quota: { Size: size } }));
}
