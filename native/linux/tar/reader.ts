/** The entries of an archive: what headers, PAX records and GNU long names say together. */
import * as host from "#host";
import { blockSize, type Header, parseHeader, TarError } from "./block.ts";
import { decimal, type PaxRecords, parsePax, parsePaxTime } from "./pax.ts";
import type { Source } from "./source.ts";
import { parseMap, readMap, readOldMap, SegmentMap } from "./sparse.ts";

export type EntryType = "file" | "directory" | "link" | "symlink" | "character" | "block" | "fifo";

export interface Entry {
	type: EntryType;
	/** As the archive has it: it may be absolute, or go up. */
	name: string;
	/** The target of a symbolic link; for a hard link the name of an entry before. */
	linkname: string;
	mode: number;
	uid: number;
	gid: number;
	/** Seconds since 1970 (may be negative), and nanoseconds above them. */
	mtime: number;
	mtimeNanoseconds: number;
	/** The file's size, its holes counted. */
	size: number;
	/** Bytes of data in the archive. */
	stored: number;
	segments?: SegmentMap | undefined;
	devmajor: number;
	devminor: number;
	xattrs?: Map<string, Uint8Array> | undefined;
	/** SCHILY.acl.access and .default, as text. */
	acl?: { access?: string; default?: string } | undefined;
}

/** A header that is about another is refused beyond this: real ones are a few kilobytes. */
const longestMeta = 1 << 20;

const TYPES: Record<string, EntryType> = {
	"0": "file",
	"1": "link",
	"2": "symlink",
	"3": "character",
	"4": "block",
	"5": "directory",
	"6": "fifo",
	"7": "file",
	S: "file",
	D: "directory",
};

export interface Reader {
	/** The next entry; the data of the one before, if it was not taken, is passed over. Throws TarError, SysError. */
	next(): Entry | undefined;
	/** Copies the present entry's data to an open file, at its position; of a sparse file segment by segment. */
	copy(fd: number, seek: (position: number) => void): void;
}

export function openReader(source: Source): Reader {
	/* Data of the present entry that has not been taken, and what fills up its last block. */
	let left = 0;
	let padding = 0;
	let entry: Entry | undefined;
	let isOver = false;
	let globals: Record<string, string> | undefined;

	const meta = (header: Header): Uint8Array => {
		if (header.size > longestMeta) throw new TarError(`an extended header of ${header.size} bytes`);
		const bytes = source.take(header.size);
		source.pad(-header.size & (blockSize - 1));
		return bytes;
	};
	/* A long name is closed by a NUL, which counts. */
	const longName = (header: Header): string => {
		const bytes = meta(header);
		const end = bytes.indexOf(0);
		return host.decode(bytes, 0, end < 0 ? bytes.length : end);
	};

	/** Reads headers up to one of a file. */
	const next = (): Entry | undefined => {
		if (left > 0) source.skip(left);
		if (padding > 0) source.pad(padding);
		left = 0;
		padding = 0;
		let name: string | undefined;
		let linkname: string | undefined;
		let pax: PaxRecords | undefined;
		while (!isOver) {
			const at = source.block();
			const header = at < 0 ? undefined : parseHeader(source.bytes, source.words, at);
			if (!header) {
				isOver = true;
				if (name !== undefined || linkname !== undefined || pax) throw new TarError("the archive ends after an extended header");
				return undefined;
			}
			switch (header.type) {
				case "L":
					name = longName(header);
					break;
				case "K":
					linkname = longName(header);
					break;
				case "x":
				case "X":
					/* Of several the last one counts. */
					pax = parsePax(meta(header));
					break;
				case "g":
					globals = { ...globals, ...parsePax(meta(header)).values };
					break;
				case "V":
					source.skip(header.size);
					source.pad(-header.size & (blockSize - 1));
					break;
				default:
					entry = combine(source, at, header, name, linkname, pax, globals);
					left = entry.stored;
					padding = -entry.stored & (blockSize - 1);
					return entry;
			}
		}
		return undefined;
	};

	return {
		next,
		copy(fd, seek) {
			if (!entry || left === 0) return;
			const { segments } = entry;
			if (!segments) source.copy(fd, left);
			else
				for (let i = 0; 2 * i < segments.length; i++) {
					seek(segments.offset(i));
					source.copy(fd, segments.bytes(i));
				}
			left = 0;
		},
	};
}

const NUMBERS = ["uid", "gid", "size"] as const;

function combine(
	source: Source,
	at: number,
	header: Header,
	name: string | undefined,
	linkname: string | undefined,
	pax: PaxRecords | undefined,
	globals: Record<string, string> | undefined,
): Entry {
	const type = TYPES[header.type];
	if (!type) throw new TarError(`an entry of type ${JSON.stringify(header.type)}, which is not known`);
	const entry: Entry = {
		type,
		name: name ?? header.name,
		linkname: linkname ?? header.linkname,
		mode: header.mode,
		uid: header.uid,
		gid: header.gid,
		mtime: header.mtime,
		mtimeNanoseconds: 0,
		size: header.size,
		stored: header.size,
		devmajor: header.devmajor,
		devminor: header.devminor,
	};
	if (header.type === "S") {
		entry.segments = new SegmentMap();
		entry.size = readOldMap(source, at, entry.segments);
	}
	if (pax || globals) applyPax(source, entry, pax, globals);
	/* The convention of archives that know no directories. */
	if (entry.type === "file" && entry.name.endsWith("/")) entry.type = "directory";
	/* Only files have data; a size that another entry has says nothing. So do tar -x, Go and Python read it. */
	if (entry.type !== "file" && header.type !== "D") entry.stored = entry.size = 0;
	entry.segments?.check(entry.size, entry.stored);
	if (entry.uid < 0 || entry.gid < 0 || entry.uid >= 0xffffffff || entry.gid >= 0xffffffff)
		throw new TarError(`${entry.name}: an owner out of range`);
	return entry;
}

/** What records say of an entry. They never apply to a header that is about another, which has its own size. */
function applyPax(source: Source, entry: Entry, pax: PaxRecords | undefined, globals: Record<string, string> | undefined) {
	const values: Record<string, string> = globals ? { ...globals, ...pax?.values } : (pax?.values ?? {});
	const { path, linkpath, mtime } = values;
	if (path) entry.name = path;
	if (linkpath) entry.linkname = linkpath;
	for (const key of NUMBERS) {
		const value = values[key];
		if (value) entry[key] = decimal(value, key);
	}
	if (values.size) entry.stored = entry.size;
	if (mtime) {
		const time = parsePaxTime(mtime);
		entry.mtime = time.seconds;
		entry.mtimeNanoseconds = time.nanoseconds;
	}
	if (values["SCHILY.devmajor"]) entry.devmajor = decimal(values["SCHILY.devmajor"], "devmajor");
	if (values["SCHILY.devminor"]) entry.devminor = decimal(values["SCHILY.devminor"], "devminor");
	const access = values["SCHILY.acl.access"];
	const inherited = values["SCHILY.acl.default"];
	if (access || inherited) entry.acl = { ...(access && { access }), ...(inherited && { default: inherited }) };
	entry.xattrs = pax?.xattrs;
	const real = values["GNU.sparse.realsize"] ?? values["GNU.sparse.size"];
	if (real === undefined || entry.type !== "file") return;
	if (values["GNU.sparse.name"]) entry.name = values["GNU.sparse.name"];
	const map = new SegmentMap();
	const stored = entry.stored;
	if (values["GNU.sparse.major"] === "1") entry.stored -= readMap(source, stored, map);
	else if (values["GNU.sparse.map"] !== undefined) parseMap(values["GNU.sparse.map"], map);
	else if (pax?.segments) {
		if (pax.segments.length % 2 !== 0) throw new TarError("a sparse map with an odd number of numbers");
		for (let i = 0; i < pax.segments.length; i += 2) map.add(pax.segments[i] as number, pax.segments[i + 1] as number);
	}
	entry.segments = map;
	entry.size = decimal(real, "real size");
}
