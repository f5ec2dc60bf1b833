/**
 * Unpacks an archive below an open folder, as an attacker may have written it.
 *
 * No path of an entry is given to the kernel but to openat2(RESOLVE_IN_ROOT), which walks it as a chroot into the folder
 * would; what is made, is made by its last name in the folder so opened, and never through a link (O_EXCL). What an earlier
 * entry has put in the place of a new one is removed first.
 *
 * The memory used does not grow with the archive: folders get their times when they leave a list of a few open ones, and
 * one that is opened again has its times read, to be put back.
 */

import { getegid, geteuid } from "../credential.ts";
import { EEXIST, EINVAL, ENOENT, ENOTDIR, EOPNOTSUPP, EPERM } from "../errno.ts";
import {
	AT_SYMLINK_NOFOLLOW,
	close,
	O_CLOEXEC,
	O_CREAT,
	O_DIRECTORY,
	O_EXCL,
	O_NOFOLLOW,
	O_RDONLY,
	O_WRONLY,
	openHow,
	RESOLVE_IN_ROOT,
	RESOLVE_NO_MAGICLINKS,
} from "../fd.ts";
import * as nr from "../nr.ts";
import { removeTree } from "../remove.ts";
import { lstatIfAny, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT } from "../stat.ts";
import { call, SysError, tryCall } from "../syscall.ts";
import { aclBytes } from "./acl.ts";
import { TarError } from "./block.ts";
import { type Entry, openReader } from "./reader.ts";
import type { Source } from "./source.ts";

/** What a folder that no entry tells of is made like. */
export interface Attributes {
	mode: number;
	uid: number;
	gid: number;
	mtime: number;
	mtimeNanoseconds: number;
}

export interface ExtractOptions {
	/** The most that files may come to, their holes counted. */
	maxSize?: number;
	/** The most data that may be written. */
	maxStored?: number;
	/** Called before an entry is made as `name` in the open folder. True if there is nothing left to do for it. */
	before?(folder: number, name: string, entry: Entry): boolean;
	/** Called after a folder that took the place of something was made. */
	isOpaque?(folder: number): void;
	/** Under which name an extended attribute is set; undefined to leave it out. */
	xattr?(name: string, value: Uint8Array): string | undefined;
	/** For a folder that an entry stands in and that no entry tells of, by its path; undefined for root's, 0755. */
	implied?(path: string): Attributes | undefined;
	/** Makes the target of a hard link that is not in the archive. False if there is none. */
	linkTarget?(path: string): boolean;
	/** Told of what the file system cannot keep, once for each kind. */
	warn?(text: string): void;
	/** Told how much of the archive has been read, after each entry. */
	progress?(position: number): void;
}

export interface Extracted {
	entries: number;
	/** The sizes of all files, holes counted. */
	size: number;
}

const UTIME_OMIT = 0x3ffffffe;
const mostFolders = 8;
const wholeMode = 0o7777;
const specialBits = 0o7000;
const S_ISGID = 0o2000;

/** An open folder, and the times that it is to have in the end. */
interface Folder {
	path: string;
	fd: number;
	mtime: number;
	nanoseconds: number;
	/** Its own time is to be put back. */
	isChanged: boolean;
	/** What is made in it belongs to its group. */
	isSetgid: boolean;
	/** system.posix_acl_default: kept from what is made in it meanwhile. */
	defaultAcl?: Uint8Array | undefined;
}

/** atime (left alone) and mtime, as two struct timespec. */
const times = new Uint32Array(8);
times[2] = UTIME_OMIT;

function setTimes(seconds: number, nanoseconds: number) {
	times[4] = seconds;
	times[5] = Math.floor(seconds / 0x100000000);
	times[6] = nanoseconds;
}

const how = /* @__PURE__ */ (() => ({ bytes: undefined as Uint8Array | undefined }))();

/** A folder below `root`, opened as a chroot into `root` would; -errno if that fails. */
function tryOpenBelow(root: number, path: string): number {
	if (path === "") return tryCall("openat", nr.SYS_openat, root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	how.bytes ??= openHow.pack({
		flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	});
	return tryCall("openat2", nr.SYS_openat2, root, path, how.bytes, how.bytes.length);
}

/**
 * A name of the archive as a path below the root: without a slash at its beginning, without "." and empty parts; "" is the
 * root itself. Throws TarError for one that goes up.
 */
export function cleanPath(name: string): string {
	let path = name;
	while (path.startsWith("./") || path.startsWith("/")) path = path.slice(path[0] === "/" ? 1 : 2);
	while (path.endsWith("/")) path = path.slice(0, -1);
	if (path === ".") return "";
	if (path.includes("//") || path.includes("./") || path.endsWith("/.") || path.includes("..")) {
		const parts = path.split("/").filter((part) => part !== "" && part !== ".");
		if (parts.includes("..")) throw new TarError("its name goes up (..)");
		path = parts.join("/");
	}
	return path;
}

/** major:minor as the kernel packs it. */
export function makedev(major: number, minor: number): number {
	if (major > 0xfff || minor > 0xfffff || major < 0 || minor < 0) throw new TarError("a device number out of range");
	return (minor & 0xff) + major * 256 + (minor & ~0xff) * 4096;
}

/**
 * Unpacks all of an archive below the open folder `root`. The process's umask must be 0.
 *
 * Throws TarError for an archive that is broken or hostile, SysError for what the file system refuses; both name the
 * entry. What was unpacked by then is left.
 */
export function extract(source: Source, root: number, options: ExtractOptions = {}): Extracted {
	const reader = openReader(source);
	const [ownUid, ownGid] = [geteuid(), getegid()];
	const maxSize = options.maxSize ?? Infinity;
	const maxStored = options.maxStored ?? Infinity;
	const done: Extracted = { entries: 0, size: 0 };
	let stored = 0;
	let folders: Folder[] = [];
	let current: Folder | undefined;
	let hasDefaultAcls = false;
	const warned: Record<string, true> = {};

	const warnOnce = (key: string, text: string) => {
		if (!warned[key]) options.warn?.(text);
		warned[key] = true;
	};

	const restore = (folder: Folder) => {
		if (folder.isChanged) {
			setTimes(folder.mtime, folder.nanoseconds);
			call("utimensat", nr.SYS_utimensat, folder.fd, null, times, 0);
		}
		folder.isChanged = false;
	};
	const letGo = (folder: Folder) => {
		const acl = folder.defaultAcl;
		if (acl) setXattr(folder.fd, "system.posix_acl_default", acl);
		restore(folder);
		close(folder.fd);
	};
	const letAllGo = () => {
		for (const folder of folders) letGo(folder);
		folders = [];
		current = undefined;
	};
	const keep = (folder: Folder): Folder => {
		if (folders.length === mostFolders) letGo(folders.shift() as Folder);
		folders.push(folder);
		current = folder;
		return folder;
	};

	const setXattr = (fd: number, name: string, value: Uint8Array) => {
		const result = tryCall("fsetxattr", nr.SYS_fsetxattr, fd, name, value, value.length, 0);
		if (result < 0) xattrFailed(name, -result);
	};
	const xattrFailed = (name: string, errno: number) => {
		/* Where the file system has none of that kind, or this user may not set them. */
		if (errno !== EOPNOTSUPP && errno !== EPERM && errno !== EINVAL) throw new SysError("setxattr", errno, name);
		const kind = name.slice(0, name.indexOf(".") + 1);
		warnOnce(kind, `extended attributes ${kind}* cannot be set here (${name}); they are left out`);
	};
	/** The entry's attributes, by the names that they are to have. */
	const eachXattr = (entry: Entry, set: (name: string, value: Uint8Array) => void) => {
		entry.xattrs?.forEach((value, name) => {
			const kept = options.xattr ? options.xattr(name, value) : name;
			if (kept !== undefined) set(kept, value);
		});
		if (entry.acl?.access) set("system.posix_acl_access", aclBytes(entry.acl.access));
		if (entry.acl?.default && entry.type === "directory") set("system.posix_acl_default", aclBytes(entry.acl.default));
	};

	/** Opens a folder below the root, and makes what there is not yet of it. */
	const openFolder = (path: string): Folder => {
		if (current && current.path === path) return current;
		for (const folder of folders)
			if (folder.path === path) {
				current = folder;
				return folder;
			}
		let fd = tryOpenBelow(root, path);
		if ((fd === -ENOENT || fd === -ENOTDIR) && path !== "") {
			makeImplied(path);
			const made = folders.find((folder) => folder.path === path);
			if (made) {
				current = made;
				return made;
			}
			fd = tryOpenBelow(root, path);
		}
		if (fd < 0) throw new SysError("open", -fd, path);
		/* It may be one of the open folders by another name: its time must be its own when it is read. */
		for (const folder of folders) restore(folder);
		const stat = exactTimes(fd);
		const folder: Folder = { path, fd, ...stat, isChanged: false };
		if (hasDefaultAcls) {
			const acl = new Uint8Array(65536);
			const length = tryCall("fgetxattr", nr.SYS_fgetxattr, fd, "system.posix_acl_default", acl, acl.length);
			if (length > 0) {
				folder.defaultAcl = acl.slice(0, length);
				tryCall("fremovexattr", nr.SYS_fremovexattr, fd, "system.posix_acl_default");
			}
		}
		return keep(folder);
	};

	/** The folders on a path that no entry has told of (yet). */
	const makeImplied = (path: string) => {
		for (let slash = path.indexOf("/"); ; slash = path.indexOf("/", slash + 1)) {
			const part = slash < 0 ? path : path.slice(0, slash);
			const fd = folders.some((folder) => folder.path === part) ? -EEXIST : tryOpenBelow(root, part);
			if (fd >= 0) close(fd);
			else if (fd !== -EEXIST) makeOneImplied(part);
			if (slash < 0) return;
		}
	};

	const makeOneImplied = (path: string) => {
		const slash = path.lastIndexOf("/");
		const parent = openFolder(slash < 0 ? "" : path.slice(0, slash));
		const name = path.slice(slash + 1);
		const old = lstatIfAny(name, parent.fd);
		/* Only a whiteout gives way to it; through anything else the path is wrong. */
		if (old && !((old.mode & S_IFMT) === S_IFCHR && old.rdev === "0:0")) throw new SysError("open", ENOTDIR, path);
		const like = options.implied?.(path) ?? { mode: 0o755, uid: ownUid, gid: ownGid, mtime: 0, mtimeNanoseconds: UTIME_OMIT };
		makeFolder(parent, path, name, { type: "directory", name: path, linkname: "", size: 0, stored: 0, devmajor: 0, devminor: 0, ...like });
	};

	/** Removes what is where the entry is to be made. */
	const makeRoom = (parent: Folder, name: string) => {
		if (!lstatIfAny(name, parent.fd)) return;
		const fd = parent.fd;
		/* Open folders may be below it. */
		folders = folders.filter((folder) => {
			if (folder !== parent) letGo(folder);
			return folder === parent;
		});
		current = parent;
		removeTree(fd, name);
	};

	const makeFolder = (parent: Folder, path: string, name: string, entry: Entry): Folder => {
		let result = tryCall("mkdirat", nr.SYS_mkdirat, parent.fd, name, entry.mode);
		let isNew = true;
		let isOpaque = false;
		if (result === -EEXIST) {
			const old = lstatIfAny(name, parent.fd);
			if (old && (old.mode & S_IFMT) === S_IFDIR) {
				isNew = false;
				result = 0;
			} else {
				isOpaque = old !== undefined && (old.mode & S_IFMT) === S_IFCHR && old.rdev === "0:0";
				makeRoom(parent, name);
				result = tryCall("mkdirat", nr.SYS_mkdirat, parent.fd, name, entry.mode);
			}
		}
		if (result < 0) throw new SysError("mkdirat", -result, path);
		parent.isChanged = true;
		if (!isNew) {
			/* Whatever holds it open has the old time. */
			letAllGo();
			return openExisting(path, entry);
		}
		const fd = tryCall("openat", nr.SYS_openat, parent.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) throw new SysError("open", -fd, path);
		const folder = keep({
			path,
			fd,
			mtime: entry.mtime,
			nanoseconds: entry.mtimeNanoseconds,
			isChanged: true,
			isSetgid: (entry.mode & S_ISGID) !== 0,
		});
		const isForeign = entry.uid !== ownUid || entry.gid !== ownGid || parent.isSetgid;
		if (isForeign) call("fchown", nr.SYS_fchown, fd, entry.uid, entry.gid);
		if (parent.isSetgid || (isForeign && (entry.mode & specialBits) !== 0)) call("fchmod", nr.SYS_fchmod, fd, entry.mode);
		if (entry.xattrs || entry.acl) decorate(folder, entry);
		if (isOpaque) options.isOpaque?.(fd);
		return folder;
	};

	/** Gives a folder that is there already the attributes of its entry. */
	const openExisting = (path: string, entry: Entry): Folder => {
		const folder = openFolder(path);
		call("fchown", nr.SYS_fchown, folder.fd, entry.uid, entry.gid);
		call("fchmod", nr.SYS_fchmod, folder.fd, entry.mode);
		folder.mtime = entry.mtime;
		folder.nanoseconds = entry.mtimeNanoseconds;
		folder.isChanged = true;
		folder.isSetgid = (entry.mode & S_ISGID) !== 0;
		decorate(folder, entry);
		return folder;
	};

	const decorate = (folder: Folder, entry: Entry) =>
		eachXattr(entry, (name, value) => {
			if (name === "system.posix_acl_default") {
				hasDefaultAcls = true;
				folder.defaultAcl = value;
			} else setXattr(folder.fd, name, value);
		});

	const makeFile = (parent: Folder, name: string, entry: Entry) => {
		const { mode, uid, gid } = entry;
		const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
		let fd = tryCall("openat", nr.SYS_openat, parent.fd, name, flags, mode);
		if (fd === -EEXIST) {
			makeRoom(parent, name);
			fd = tryCall("openat", nr.SYS_openat, parent.fd, name, flags, mode);
		}
		if (fd < 0) throw new SysError("open", -fd, name);
		try {
			if (entry.stored > 0) reader.copy(fd, (position) => call("lseek", nr.SYS_lseek, fd, position, 0));
			if (entry.segments) call("ftruncate", nr.SYS_ftruncate, fd, entry.size);
			const isForeign = uid !== ownUid || gid !== ownGid || parent.isSetgid;
			if (isForeign) call("fchown", nr.SYS_fchown, fd, uid, gid);
			/* A change of the owner and writing take setuid and setgid away. */
			if ((mode & specialBits) !== 0) call("fchmod", nr.SYS_fchmod, fd, mode);
			if (entry.xattrs || entry.acl) eachXattr(entry, (key, value) => setXattr(fd, key, value));
			setTimes(entry.mtime, entry.mtimeNanoseconds);
			call("utimensat", nr.SYS_utimensat, fd, null, times, 0);
		} finally {
			tryCall("close", nr.SYS_close, fd);
		}
	};

	const makeLink = (parent: Folder, name: string, entry: Entry) => {
		const target = cleanPath(entry.linkname);
		const slash = target.lastIndexOf("/");
		const from = slash < 0 ? "" : target.slice(0, slash);
		const base = target.slice(slash + 1);
		if (base === "") throw new TarError("a hard link to the root");
		const path = parent.path;
		const attempt = () => {
			const source = openFolder(from);
			const to = openFolder(path);
			return tryCall("linkat", nr.SYS_linkat, source.fd, base, to.fd, name, 0);
		};
		let result = attempt();
		if (result === -EEXIST) {
			if (target === (path === "" ? name : `${path}/${name}`)) return;
			makeRoom(openFolder(path), name);
			result = attempt();
		}
		if (result === -ENOENT && options.linkTarget?.(target)) {
			openFolder(from).isChanged = true;
			result = attempt();
		}
		if (result < 0) throw new SysError("linkat", -result, `${entry.name}: hard link to ${entry.linkname}`);
		openFolder(path).isChanged = true;
	};

	/** What has no data and is not opened: links and nodes. */
	const makeOther = (parent: Folder, name: string, entry: Entry) => {
		const make = (): number => {
			if (entry.type === "symlink") return tryCall("symlinkat", nr.SYS_symlinkat, entry.linkname, parent.fd, name);
			const format = entry.type === "character" ? S_IFCHR : entry.type === "block" ? S_IFBLK : S_IFIFO;
			const device = entry.type === "fifo" ? 0 : makedev(entry.devmajor, entry.devminor);
			return tryCall("mknodat", nr.SYS_mknodat, parent.fd, name, format | entry.mode, device);
		};
		let result = make();
		if (result === -EEXIST) {
			makeRoom(parent, name);
			result = make();
		}
		if (result < 0) throw new SysError(entry.type === "symlink" ? "symlinkat" : "mknodat", -result, name);
		const isForeign = entry.uid !== ownUid || entry.gid !== ownGid || parent.isSetgid;
		if (isForeign) call("fchownat", nr.SYS_fchownat, parent.fd, name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW);
		/* There is no link here: we have just made what it names. */
		if (entry.type !== "symlink" && (entry.mode & specialBits) !== 0)
			call("fchmodat", nr.SYS_fchmodat, parent.fd, name, entry.mode & wholeMode);
		if (entry.xattrs || entry.acl)
			eachXattr(entry, (key, value) => {
				const result = tryCall("lsetxattr", nr.SYS_lsetxattr, `/proc/self/fd/${parent.fd}/${name}`, key, value, value.length, 0);
				if (result < 0) xattrFailed(key, -result);
			});
		setTimes(entry.mtime, entry.mtimeNanoseconds);
		call("utimensat", nr.SYS_utimensat, parent.fd, name, times, AT_SYMLINK_NOFOLLOW);
	};

	const make = (entry: Entry) => {
		const path = cleanPath(entry.name);
		if (path === "") {
			if (entry.type !== "directory") throw new TarError("it would take the place of the root");
			letAllGo();
			openExisting("", entry);
			return;
		}
		const slash = path.lastIndexOf("/");
		const parent = openFolder(slash < 0 ? "" : path.slice(0, slash));
		const name = slash < 0 ? path : path.slice(slash + 1);
		if (options.before?.(parent.fd, name, entry)) {
			parent.isChanged = true;
			return;
		}
		if (entry.type === "directory") {
			makeFolder(parent, path, name, entry);
			return;
		}
		parent.isChanged = true;
		if (entry.type === "file") makeFile(parent, name, entry);
		else if (entry.type === "link") makeLink(parent, name, entry);
		else makeOther(parent, name, entry);
	};

	try {
		for (let entry = reader.next(); entry; entry = reader.next()) {
			done.entries++;
			done.size += entry.type === "file" ? entry.size : 0;
			stored += entry.stored;
			if (done.size > maxSize) throw new TarError(`${entry.name}: with it the archive is larger than ${maxSize} bytes`);
			if (stored > maxStored) throw new TarError(`${entry.name}: with it the archive is larger than the ${maxStored} bytes that are free`);
			try {
				make(entry);
			} catch (error) {
				if (error instanceof TarError) throw new TarError(`${entry.name}: ${error.message}`);
				if (error instanceof SysError) throw new SysError(error.call, error.errno, entry.name);
				throw error;
			}
			options.progress?.(source.position());
		}
		letAllGo();
		source.drain();
		return done;
	} finally {
		for (const folder of folders) close(folder.fd);
	}
}

const statxBytes = new Uint8Array(256);
const statxWords = /* @__PURE__ */ new Uint32Array(statxBytes.buffer);
const STATX_MODE = 2;
const STATX_MTIME = 0x40;
const AT_EMPTY_PATH = 0x1000;

/** mtime to the nanosecond, and whether the folder is setgid. */
function exactTimes(fd: number) {
	call("statx", nr.SYS_statx, fd, "", AT_EMPTY_PATH, STATX_MODE | STATX_MTIME, statxBytes);
	/* stx_mode is at 28, stx_mtime at 112: s64, u32. */
	return {
		mtime: (statxWords[28] as number) + ((statxWords[29] as number) | 0) * 0x100000000,
		nanoseconds: statxWords[30] as number,
		isSetgid: ((statxWords[7] as number) & S_ISGID) !== 0,
	};
}
