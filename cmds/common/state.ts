/**
 * State: files that can be read with cat, under /run/tsbox and /var/lib/tsbox, or a user's own folders.
 *
 * A file is written under a temporary name, synced and renamed, so that a reader never sees half of one; a change of
 * what several processes share is made under a flock on its folder's `.lock`.
 */
import { geteuid } from "../../native/linux/credential.ts";
import { ENOENT } from "../../native/linux/errno.ts";
import { close, fsync, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, O_WRONLY, open, readdir, readFileIfAny, write } from "../../native/linux/fd.ts";
import { flock, LOCK_EX } from "../../native/linux/lock.ts";
import { processStat } from "../../native/linux/proc.ts";
import { environ, getpid } from "../../native/linux/process.ts";
import { lstatIfAny, mkdirAll, rename, rmdir, S_IFDIR, S_IFMT, statIfAny, unlinkIfAny } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { notA } from "./command-line/options.ts";
import { fail, show } from "./errors.ts";

/** A variable of the environment; undefined where it is unset or empty. */
export function getenv(name: string): string | undefined {
	const entry = environ().find((e) => e.startsWith(`${name}=`));
	return entry?.slice(name.length + 1) || undefined;
}

/** Where run-time state lives: $TSBOX_RUN, /run/tsbox, or without root $XDG_RUNTIME_DIR/tsbox. */
export function runFolder(): string {
	const given = getenv("TSBOX_RUN");
	if (given) return trusted("TSBOX_RUN", given);
	if (geteuid() === 0) return "/run/tsbox";
	const own = getenv("XDG_RUNTIME_DIR");
	return own ? `${own}/tsbox` : fail("no folder for run-time state", "set XDG_RUNTIME_DIR or TSBOX_RUN to a folder of your own");
}

/** The folders that have been looked at. */
const known: string[] = [];

/**
 * A folder that the environment names for root's state. Where others can write to it, or to one above it, they could put a
 * state of theirs in its place: then it is refused, as ssh refuses keys.
 */
function trusted(variable: string, path: string): string {
	if (geteuid() !== 0 || known.includes(path)) return path;
	for (let at = path; at !== ""; at = at.slice(0, Math.max(0, at.lastIndexOf("/")))) {
		const found = statIfAny(at);
		if (!found) continue;
		const isOthers = found.uid !== 0 || ((found.mode & OTHERS_WRITE) !== 0 && !(at !== path && (found.mode & STICKY) !== 0));
		if (isOthers)
			fail(
				`${variable}: ${show(at)}: others can write to it`,
				"what root keeps its state in is to be root's alone: chmod go-w, chown root",
			);
	}
	known.push(path);
	return path;
}

const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

/** Where data lives: $TSBOX_DATA, /var/lib/tsbox, or without root $XDG_DATA_HOME/tsbox. */
export function dataFolder(): string {
	const given = getenv("TSBOX_DATA");
	if (given) return trusted("TSBOX_DATA", given);
	if (geteuid() === 0) return "/var/lib/tsbox";
	const home = getenv("HOME");
	const own = getenv("XDG_DATA_HOME") ?? (home && `${home}/.local/share`);
	return own ? `${own}/tsbox` : fail("no folder for data", "set XDG_DATA_HOME, HOME or TSBOX_DATA");
}

/** Makes a state folder that only its owner may enter. */
export function makeStateFolder(path: string) {
	mkdirAll(path, 0o700);
	const found = lstatIfAny(path);
	/* In a folder that others write to, someone may have been first, and would read and change our state. */
	if (found && ((found.mode & S_IFMT) !== S_IFDIR || found.uid !== geteuid())) fail(`${path}: not a folder of this user's`);
}

/** For an option table: a name of a sandbox, volume, network, pool. */
export function name(text: string, option: string): string {
	return isName(text) ? text : notA(option, text, "a name (letters, digits, _ . - ; 128 at most; the first a letter or digit)");
}

export function isName(text: string): boolean {
	return /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(text);
}

/** Writes a state file whole or not at all. */
export function writeState(path: string, text: string | Uint8Array, mode = 0o600) {
	const temporary = `${path}.${getpid()}.new`;
	unlinkIfAny(temporary);
	const fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
	try {
		write(fd, text);
		/* What is lost with the machine's memory anyway need not be on a disk first. */
		if (!path.startsWith("/run/")) fsync(fd);
		rename(temporary, path);
	} catch (error) {
		unlinkIfAny(temporary);
		throw error;
	} finally {
		close(fd);
	}
}

/** Runs `change` while no other process runs one under a lock on the same folder. */
export function withLock<T>(folder: string, change: () => T): T {
	const fd = open(`${folder}/.lock`, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
	try {
		flock(fd, LOCK_EX);
		return change();
	} finally {
		close(fd);
	}
}

/** A state file's JSON; undefined where there is none. Fails where it is none of ours. */
export function readState<T>(path: string): T | undefined {
	const text = readFileIfAny(path);
	if (text === undefined) return undefined;
	try {
		return JSON.parse(text) as T;
	} catch {
		return fail(`${path}: not JSON`, "it may be left from an interrupted write; gc removes it");
	}
}

/** The names in a state folder, but for hidden and half-written files; none where there is no folder. */
export function listState(folder: string): string[] {
	try {
		return readdir(folder)
			.filter((entry) => isName(entry) && !entry.endsWith(".new"))
			.sort();
	} catch (error) {
		if (error instanceof SysError && error.errno === ENOENT) return [];
		throw error;
	}
}

/** Removes a state folder with the files in it; what is gone already is fine. Does not follow links, nor go deeper. */
export function removeStateFolder(path: string) {
	try {
		for (const entry of readdir(path)) unlinkIfAny(`${path}/${entry}`);
		rmdir(path);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === ENOENT)) throw error;
	}
}

/** The owner of a lease, rule or mount: a process, by its PID and start time. */
export interface Owner {
	pid: number;
	start: number;
}

/** False once the owner has ended, even if its PID is used again, or nobody has reaped it yet. */
export function isAlive(owner: Owner): boolean {
	const stat = processStat(owner.pid);
	return stat !== undefined && stat.start === owner.start && stat.state !== "Z" && stat.state !== "X";
}
