/**
 * Packs the tree below an open folder, in the order of names. The tree may be changed meanwhile, and by an enemy: each file
 * is opened once, by its name in its open folder and never through a link, and what is written of it is what that open file
 * says.
 */

import * as host from "#host";
import { ENOENT, ENXIO } from "../errno.ts";
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, close, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } from "../fd.ts";
import * as nr from "../nr.ts";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from "../stat.ts";
import { call, SysError, tryCall } from "../syscall.ts";
import { TarError } from "./block.ts";
import { openWriter, type WriteEntry } from "./writer.ts";

/** What statx(2) says of a file. */
export interface NodeStat {
	mode: number;
	nlink: number;
	uid: number;
	gid: number;
	ino: number;
	size: number;
	/** Of 512 bytes. */
	blocks: number;
	mtime: number;
	mtimeNanoseconds: number;
	rdevMajor: number;
	rdevMinor: number;
	devMajor: number;
	devMinor: number;
}

export interface ArchiveOptions {
	/** For each entry before it is written. undefined leaves it out, with all that is below it. */
	entry?(entry: WriteEntry, folder: Folder, name: string, stat: NodeStat): WriteEntry | undefined;
	/** More entries at the beginning of a folder. */
	within?(folder: Folder): WriteEntry[];
	/** Under which name an extended attribute is written; undefined to leave it out. */
	xattr?(name: string): string | undefined;
	/** Leaves the folder's own entry out. */
	withoutRoot?: boolean;
	warn?(text: string): void;
	progress?(position: number): void;
}

/** A folder that is being packed. */
export interface Folder {
	fd: number;
	/** With a slash at its end; "" for the root. */
	path: string;
	/** All of its attributes, those too that are left out. */
	xattrs: [name: string, value: Uint8Array][];
}

const TYPES: Record<number, string> = {
	[S_IFREG]: "0",
	[S_IFLNK]: "2",
	[S_IFCHR]: "3",
	[S_IFBLK]: "4",
	[S_IFDIR]: "5",
	[S_IFIFO]: "6",
};
const DT_REG = 8;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const STATX_BASIC_STATS = 0x7ff;
/* Deeper folders are kept by name, and opened again by ".." on the way back. */
const mostOpen = 64;

const statBytes = new Uint8Array(256);
const words = /* @__PURE__ */ new Uint32Array(statBytes.buffer);
/* struct statx by words: 4 nlink, 5 uid, 6 gid, 7 mode (16 bits), 8 ino, 10 size, 12 blocks, 28 mtime, 32 rdev, 34 dev. */
function statOf(dirfd: number, name: string): NodeStat | number {
	const flags = name === "" ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
	const result = tryCall("statx", nr.SYS_statx, dirfd, name, flags, STATX_BASIC_STATS, statBytes);
	if (result < 0) return result;
	const u64 = (at: number) => (words[at] as number) + (words[at + 1] as number) * 0x100000000;
	return {
		nlink: words[4] as number,
		uid: words[5] as number,
		gid: words[6] as number,
		mode: (words[7] as number) & 0xffff,
		ino: u64(8),
		size: u64(10),
		blocks: u64(12),
		mtime: (words[28] as number) + ((words[29] as number) | 0) * 0x100000000,
		mtimeNanoseconds: words[30] as number,
		rdevMajor: words[32] as number,
		rdevMinor: words[33] as number,
		devMajor: words[34] as number,
		devMinor: words[35] as number,
	};
}

/** Names and types (DT_*) in an open folder, sorted by name. */
function list(fd: number): { names: string[]; types: Record<string, number> } {
	const names: string[] = [];
	const types: Record<string, number> = Object.create(null);
	const bytes = new Uint8Array(16384);
	for (;;) {
		const length = call("getdents64", nr.SYS_getdents64, fd, bytes, bytes.length);
		if (length === 0) break;
		/* linux_dirent64: u64 d_ino, s64 d_off, u16 d_reclen, u8 d_type, char d_name[] */
		for (let at = 0; at < length; ) {
			const name = host.decode(bytes, at + 19, bytes.indexOf(0, at + 19));
			if (name !== "." && name !== "..") {
				names.push(name);
				types[name] = bytes[at + 18] as number;
			}
			at += (bytes[at + 16] as number) + (bytes[at + 17] as number) * 256;
		}
	}
	return { names: names.sort(), types };
}

const listBytes = { names: undefined as Uint8Array | undefined, value: undefined as Uint8Array | undefined };

/** Extended attributes, sorted by name. Of an open file, or of a path (a link itself). */
export function xattrsOf(file: number | string): [string, Uint8Array][] {
	listBytes.names ??= new Uint8Array(65536);
	const names = listBytes.names;
	const length =
		typeof file === "number"
			? tryCall("flistxattr", nr.SYS_flistxattr, file, names, names.length)
			: tryCall("llistxattr", nr.SYS_llistxattr, file, names, names.length);
	if (length <= 0) return [];
	listBytes.value ??= new Uint8Array(65536);
	const value = listBytes.value;
	const found: [string, Uint8Array][] = [];
	for (let at = 0; at < length; ) {
		const end = names.indexOf(0, at);
		const name = host.decode(names, at, end);
		at = end + 1;
		const size =
			typeof file === "number"
				? tryCall("fgetxattr", nr.SYS_fgetxattr, file, name, value, value.length)
				: tryCall("lgetxattr", nr.SYS_lgetxattr, file, name, value, value.length);
		if (size >= 0) found.push([name, value.slice(0, size)]);
	}
	return found.sort((a, b) => (a[0] < b[0] ? -1 : 1));
}

/** The stored segments of an open file with holes, as offset and length by turns. */
function segmentsOf(fd: number, size: number): number[] | undefined {
	const segments: number[] = [];
	for (let at = 0; at < size; ) {
		const data = tryCall("lseek", nr.SYS_lseek, fd, at, SEEK_DATA);
		if (data === -ENXIO || data >= size) break;
		if (data < 0) return undefined;
		const hole = Math.min(call("lseek", nr.SYS_lseek, fd, data, SEEK_HOLE), size);
		segments.push(data, hole - data);
		at = hole;
	}
	return segments.length === 2 && segments[0] === 0 && segments[1] === size ? undefined : segments;
}

/**
 * Writes an archive of the tree below the open folder `root` to `output`. Returns its size in bytes.
 * Throws SysError; TarError where the tree was changed so that it cannot be walked any more.
 */
export function archive(root: number, output: number, options: ArchiveOptions = {}): number {
	const writer = openWriter(output);
	const links = new Map<string, string>();

	const keptXattrs = (all: [string, Uint8Array][]): [string, Uint8Array][] | undefined => {
		if (all.length === 0) return undefined;
		const kept: [string, Uint8Array][] = [];
		for (const [name, value] of all) {
			const as = options.xattr ? options.xattr(name) : name;
			if (as !== undefined) kept.push([as, value]);
		}
		return kept.length > 0 ? kept : undefined;
	};

	const entryOf = (path: string, stat: NodeStat, type: string): WriteEntry => ({
		type,
		name: path,
		mode: stat.mode & 0o7777,
		uid: stat.uid,
		gid: stat.gid,
		mtime: stat.mtime,
		mtimeNanoseconds: stat.mtimeNanoseconds,
		size: 0,
	});

	/** The entry of a file that stands in the archive already under another name; else remembers it. */
	const earlier = (path: string, stat: NodeStat): string | undefined => {
		if (stat.nlink < 2) return undefined;
		const key = `${stat.devMajor}:${stat.devMinor}:${stat.ino}`;
		const known = links.get(key);
		if (known === undefined) links.set(key, path);
		return known;
	};

	const asLink = (entry: WriteEntry, target: string): WriteEntry => ({ ...entry, type: "1", linkname: target, size: 0, xattrs: undefined });

	const packFile = (folder: Folder, name: string) => {
		const fd = tryCall("openat", nr.SYS_openat, folder.fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd === -ENOENT) return;
		if (fd < 0) throw new SysError("open", -fd, folder.path + name);
		try {
			const stat = statOf(fd, "");
			if (typeof stat === "number") throw new SysError("statx", -stat, folder.path + name);
			if ((stat.mode & S_IFMT) !== S_IFREG) return;
			const path = folder.path + name;
			let entry: WriteEntry | undefined = entryOf(path, stat, "0");
			entry.size = stat.size;
			entry.xattrs = keptXattrs(xattrsOf(fd));
			if (options.entry) entry = options.entry(entry, folder, name, stat);
			if (!entry) return;
			if (entry.type !== "0") {
				writer.header(entry);
				return;
			}
			const target = earlier(path, stat);
			if (target !== undefined) {
				writer.header(asLink(entry, target));
				return;
			}
			if (stat.blocks * 512 < stat.size) entry.segments = segmentsOf(fd, stat.size);
			writer.header(entry);
			let stored = 0;
			const segments = entry.segments ?? [0, stat.size];
			for (let i = 0; i < segments.length; i += 2) {
				const [offset, length] = [segments[i] as number, segments[i + 1] as number];
				if (length === 0) continue;
				const copied = writer.data(fd, length, offset);
				if (copied < length) {
					options.warn?.(`${path}: has become shorter; the rest is zeros`);
					writer.zeros(length - copied);
				}
				stored += length;
			}
			writer.close(stored);
		} finally {
			tryCall("close", nr.SYS_close, fd);
		}
	};

	/** Anything but a file. True for a folder, which is to be gone through. */
	const packNode = (folder: Folder, name: string): boolean => {
		const stat = statOf(folder.fd, name);
		if (stat === -ENOENT) return false;
		if (typeof stat === "number") throw new SysError("statx", -stat, folder.path + name);
		const format = stat.mode & S_IFMT;
		const type = TYPES[format];
		if (type === "0") {
			packFile(folder, name);
			return false;
		}
		if (type === "5") return true;
		const path = folder.path + name;
		if (type === undefined) {
			if (format === S_IFSOCK) options.warn?.(`${path}: a socket is left out`);
			return false;
		}
		let entry: WriteEntry | undefined = entryOf(path, stat, type);
		if (type === "2") {
			const target = new Uint8Array(4096);
			const length = tryCall("readlinkat", nr.SYS_readlinkat, folder.fd, name, target, target.length);
			if (length < 0) return false;
			entry.linkname = host.decode(target, 0, length);
		} else if (type === "3" || type === "4") {
			entry.devmajor = stat.rdevMajor;
			entry.devminor = stat.rdevMinor;
		}
		entry.xattrs = keptXattrs(xattrsOf(`/proc/self/fd/${folder.fd}/${name}`));
		if (options.entry) entry = options.entry(entry, folder, name, stat);
		if (!entry) return false;
		const target = earlier(path, stat);
		writer.header(target === undefined ? entry : asLink(entry, target));
		return false;
	};

	interface Level extends Folder {
		names: string[];
		types: Record<string, number>;
		next: number;
		ino: number;
	}

	/** Writes a folder's entry, and lists it. */
	const enter = (fd: number, path: string, parent: Folder | undefined, name: string): Level | undefined => {
		const stat = statOf(fd, "");
		if (typeof stat === "number") throw new SysError("statx", -stat, path);
		const level: Level = { fd, path, xattrs: xattrsOf(fd), names: [], types: {}, next: 0, ino: stat.ino };
		if (parent || !options.withoutRoot) {
			let entry: WriteEntry | undefined = entryOf(path === "" ? "./" : path, stat, "5");
			entry.xattrs = keptXattrs(level.xattrs);
			if (options.entry) entry = options.entry(entry, parent ?? level, name, stat);
			if (!entry) return undefined;
			writer.header(entry);
		}
		for (const more of options.within?.(level) ?? []) writer.header(more);
		Object.assign(level, list(fd));
		return level;
	};

	const top = call("openat", nr.SYS_openat, root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const first = enter(top, "", undefined, "");
	const stack: Level[] = first ? [first] : [];
	try {
		while (stack.length > 0) {
			const level = stack[stack.length - 1] as Level;
			const name = level.names[level.next++];
			if (name === undefined) {
				stack.pop();
				const parent = stack[stack.length - 1];
				if (parent && parent.fd < 0) {
					parent.fd = call("openat", nr.SYS_openat, level.fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
					const stat = statOf(parent.fd, "");
					if (typeof stat === "number" || stat.ino !== parent.ino) throw new TarError(`${level.path}: was moved while it was packed`);
				}
				close(level.fd);
				continue;
			}
			if (level.types[name] === DT_REG) packFile(level, name);
			else if (packNode(level, name)) {
				const fd = tryCall("openat", nr.SYS_openat, level.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
				if (fd === -ENOENT) continue;
				if (fd < 0) throw new SysError("open", -fd, level.path + name);
				const below = enter(fd, `${level.path}${name}/`, level, name);
				if (!below) {
					close(fd);
					continue;
				}
				stack.push(below);
				const far = stack[stack.length - 1 - mostOpen];
				if (far && far.fd >= 0) {
					close(far.fd);
					far.fd = -1;
				}
			}
			options.progress?.(writer.position());
		}
	} finally {
		for (const { fd } of stack) if (fd >= 0) close(fd);
	}
	writer.end();
	return writer.position();
}
