import { execFileSync, spawnSync } from "node:child_process";
import {
	existsSync,
	linkSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { encode } from "../../native/host/node.ts";
import { close, O_CREAT, O_DIRECTORY, O_RDONLY, O_TRUNC, O_WRONLY, open } from "../../native/linux/fd.ts";
import { aclBytes } from "../../native/linux/tar/acl.ts";
import { archive } from "../../native/linux/tar/archive.ts";
import { number, parseHeader, TarError } from "../../native/linux/tar/block.ts";
import { cleanPath, extract, makedev } from "../../native/linux/tar/extract.ts";
import { fromBase64, parsePax, parsePaxTime, paxRecord } from "../../native/linux/tar/pax.ts";
import { type Entry, openReader } from "../../native/linux/tar/reader.ts";
import { openSource, type Source } from "../../native/linux/tar/source.ts";

const folder = mkdtempSync(join(tmpdir(), "tsbox-tar-"));
t.teardown(() => rmSync(folder, { recursive: true }));

/* As an import has it. */
process.umask(0);

const refused = { name: "TarError" };

const bytesOf = (text: string) => new Uint8Array(encode(text));

/** An archive in memory. */
function memory(archive: Uint8Array): Source {
	const bytes = new Uint8Array(512);
	let at = 0;
	const take = (length: number) => {
		if (at + length > archive.length) throw new TarError("truncated");
		at += length;
		return archive.slice(at - length, at);
	};
	return {
		bytes,
		words: new Uint32Array(bytes.buffer),
		position: () => at,
		block() {
			if (at >= archive.length) return -1;
			bytes.set(take(512));
			return 0;
		},
		take,
		copy(_to, length) {
			take(length);
		},
		skip(length) {
			take(length);
		},
		pad(length) {
			at += length;
		},
		drain() {},
	};
}

function entriesOf(archive: Uint8Array): Entry[] {
	const reader = openReader(memory(archive));
	const entries: Entry[] = [];
	for (let entry = reader.next(); entry; entry = reader.next()) entries.push(entry);
	return entries;
}

function fixChecksum(archive: Uint8Array, at: number) {
	archive.fill(0x20, at + 148, at + 156);
	const sum = archive.subarray(at, at + 512).reduce((a, b) => a + b, 0);
	archive.set(bytesOf(`${sum.toString(8).padStart(6, "0")}\0 `), at + 148);
}

/** A header made by hand. */
function header(name: string, type: string, size: string, fields: Record<number, string> = {}): Uint8Array {
	const block = new Uint8Array(512);
	block.set(bytesOf(name));
	block.set(bytesOf("0000644\x000000000\x000000000\0"), 100);
	block.set(bytesOf(size), 124);
	block.set(bytesOf("00000000000\0"), 136);
	block.set(bytesOf(type), 156);
	block.set(bytesOf("ustar\x0000"), 257);
	for (const at in fields) block.set(bytesOf(fields[at] as string), Number(at));
	fixChecksum(block, 0);
	return block;
}

function join2(...parts: (Uint8Array | string)[]): Uint8Array {
	const list = parts.map((part) => (typeof part === "string" ? bytesOf(part) : part));
	const whole = new Uint8Array(list.reduce((size, part) => size + Math.ceil(part.length / 512) * 512, 0));
	let at = 0;
	for (const part of list) {
		whole.set(part, at);
		at += Math.ceil(part.length / 512) * 512;
	}
	return whole;
}

const octal = (value: number) => `${value.toString(8).padStart(11, "0")}\0`;

function makeTree(at: string) {
	mkdirSync(join(at, "d/e"), { recursive: true });
	writeFileSync(join(at, "d/file"), "content\n", { mode: 0o640 });
	linkSync(join(at, "d/file"), join(at, "d/hard"));
	symlinkSync("file", join(at, "d/sym"));
	writeFileSync(join(at, "d/holes"), "begin");
	truncateSync(join(at, "d/holes"), 1 << 20);
	writeFileSync(join(at, "d/holes"), "end", { flag: "r+" });
	const long = "n".repeat(120);
	mkdirSync(join(at, long));
	writeFileSync(join(at, long, long), "x");
	symlinkSync(`${long}/${long}`, join(at, "longlink"));
	writeFileSync(join(at, "older"), "");
	utimesSync(join(at, "older"), -86400.5, -86400.5);
	spawnSync("mkfifo", [join(at, "fifo")]);
}

const tree = join(folder, "tree");
mkdirSync(tree);
makeTree(tree);

t.test("GNU tar's archives of every format read as the tree that they were made of", async (t) => {
	for (const format of ["v7", "ustar", "gnu", "oldgnu", "posix"]) {
		const file = join(folder, `${format}.tar`);
		/* v7 and ustar have no room for the long names. */
		const few = format === "v7" || format === "ustar" ? ["d"] : ["."];
		execFileSync("tar", [`--format=${format}`, ...(few[0] === "." ? ["--sparse"] : []), "-cf", file, "-C", tree, ...few], {
			stdio: "ignore",
		});
		const to = join(folder, `from-${format}`);
		mkdirSync(to);
		const fd = open(file, O_RDONLY);
		const root = open(to, O_RDONLY | O_DIRECTORY);
		extract(openSource(fd), root);
		close(fd);
		close(root);
		const { status, stdout, stderr } = spawnSync("tar", ["--compare", "-f", file, "-C", to], { encoding: "utf8" });
		t.equal(`${status}${stdout}${stderr}`, "0", format);
	}
	t.equal(execFileSync("du", ["-k", join(folder, "from-gnu/d/holes")], { encoding: "utf8" }).split("\t")[0], "4", "holes stay holes");
});

t.test("an archive of ours is read by GNU tar and Python, and is the same bytes when it is made again", async (t) => {
	const make = (from: string, name: string) => {
		const file = join(folder, name);
		const root = open(from, O_RDONLY | O_DIRECTORY);
		const out = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600);
		archive(root, out);
		close(root);
		close(out);
		return file;
	};
	const first = make(tree, "first.tar");
	t.equal(spawnSync("tar", ["--compare", "-f", first, "-C", tree]).status, 0);
	const python = execFileSync(
		"python3",
		["-c", "import sys,tarfile\nfor m in tarfile.open(sys.argv[1]): print(m.name,m.type.decode(),m.size,m.linkname)", first],
		{
			encoding: "utf8",
		},
	);
	t.match(python, /^d\/hard 1 0 d\/file$/m);
	t.match(python, new RegExp(`^${"n".repeat(120)}/${"n".repeat(120)} 0 1 $`, "m"));
	const to = join(folder, "again");
	mkdirSync(to);
	const fd = open(first, O_RDONLY);
	const root = open(to, O_RDONLY | O_DIRECTORY);
	extract(openSource(fd), root);
	close(fd);
	close(root);
	t.ok(readFileSync(first).equals(readFileSync(make(to, "second.tar"))));
});

t.test("numbers are octal or base-256, and what is neither is refused", async (t) => {
	const field = (text: string | number[]) =>
		number(typeof text === "string" ? bytesOf(text) : new Uint8Array(text), 0, text.length, "size");
	t.equal(field("0000644\0"), 0o644);
	t.equal(field("   644 \0"), 0o644);
	t.equal(field("\0\0\0\0"), 0);
	t.equal(field("77777777"), 0o77777777);
	t.equal(field([0x80, 0, 0, 0, 1, 0, 0, 0]), 2 ** 24);
	t.equal(field([0xff, 255, 255, 255, 255, 255, 255, 254]), -2);
	for (const bad of ["0000888\0", "12x4567\0", "-000001\0"]) t.throws(() => field(bad), refused, bad);
	t.throws(() => field([0x80, 255, 255, 255, 255, 255, 255, 255, 255]), refused, "more than 2^53");
	t.throws(() => field([0x81, 0, 0, 0]), refused);
});

t.test("a header's checksum counts bytes, signed or not; a wrong one is refused", async (t) => {
	const parse = (block: Uint8Array) => parseHeader(block, new Uint32Array(block.buffer), 0);
	t.equal(parse(header("name", "0", octal(0)))?.name, "name");
	const odd = header("n\xe9\xe9", "0", octal(0));
	odd.fill(0x20, 148, 156);
	const signed = odd.reduce((sum, byte) => sum + (byte > 127 ? byte - 256 : byte), 0);
	odd.set(bytesOf(`${signed.toString(8).padStart(6, "0")}\0 `), 148);
	t.ok(parse(odd), "signed");
	for (const at of [0, 50, 99, 105, 126, 140, 156, 200, 300, 400, 511]) {
		const block = header("name", "0", octal(0));
		block[at] = ((block[at] as number) + 1) & 255;
		t.throws(() => parse(block), refused, `byte ${at}`);
	}
	t.equal(parse(new Uint8Array(512)), undefined, "zeros end the archive");
});

t.test("PAX records: lengths, NULs, times, attributes", async (t) => {
	t.same(parsePax(bytesOf("11 path=ab\n")).values, { path: "ab" });
	t.same(
		[...(parsePax(paxRecord("SCHILY.xattr.user.x", new Uint8Array([0, 1, 255]))).xattrs ?? [])],
		[["user.x", new Uint8Array([0, 1, 255])]],
	);
	t.same([...(parsePax(paxRecord("LIBARCHIVE.xattr.user.x%3D", "AAH/")).xattrs ?? [])], [["user.x=", new Uint8Array([0, 1, 255])]]);
	for (const length of [8, 9, 10, 97, 98, 99, 995, 996, 997, 9_990])
		t.equal(parsePax(paxRecord("k", "v".repeat(length))).values.k?.length, length);
	for (const bad of [
		"12 path=ab\n",
		"10 path=ab\n",
		"x path=ab\n",
		"5 =a\n",
		"7 path\n",
		"999999 path=ab\n",
		"14 path=a\0bcd\n",
		"0 a=b\n",
	])
		t.throws(() => parsePax(bytesOf(bad)), refused, JSON.stringify(bad));
	t.same(parsePaxTime("1.5"), { seconds: 1, nanoseconds: 500_000_000 });
	t.same(parsePaxTime("-1.25"), { seconds: -2, nanoseconds: 750_000_000 });
	t.same(parsePaxTime("12"), { seconds: 12, nanoseconds: 0 });
	t.throws(() => parsePaxTime("1e9"), refused);
	t.same(fromBase64("aGk="), bytesOf("hi"));
});

t.test("a PAX size is the next file's, never that of a header that is about another", async (t) => {
	const record = "12 size=600\n";
	const archive = join2(
		header("x", "x", octal(record.length)),
		record,
		header("././@LongLink", "L", octal(5)),
		"name\0",
		header("short", "0", octal(3)),
		new Uint8Array(600),
		header("last", "0", octal(0)),
	);
	t.same(
		entriesOf(archive).map(({ name, size }) => [name, size]),
		[
			["name", 600],
			["last", 0],
		],
	);
});

t.test("sizes that lie, maps that lie and headers that are too long are refused", async (t) => {
	const pax = (records: string) => [header("x", "x", octal(records.length)), records] as const;
	const record = (key: string, value: string) => new TextDecoder().decode(paxRecord(key, value));
	for (const [what, archive] of Object.entries({
		"a negative size": join2(header("f", "0", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
		"a size beyond the end": join2(header("f", "0", octal(8 ** 10))),
		"a PAX size that is no number": join2(...pax(record("size", "-1")), header("f", "0", octal(0))),
		"a long name of 1 GiB": join2(header("f", "L", octal(2 ** 30))),
		"records of 1 GiB": join2(header("f", "x", octal(2 ** 30))),
		"an old sparse map that overlaps": join2(
			header("f", "S", octal(1024), { 257: "ustar  \0", 386: octal(0) + octal(512) + octal(100) + octal(512), 483: octal(2048) }),
			new Uint8Array(1024),
		),
		"a sparse map beyond the file": join2(
			header("f", "S", octal(512), { 257: "ustar  \0", 386: octal(4096) + octal(512), 483: octal(512) }),
			new Uint8Array(512),
		),
		"a map in the data of more than 1 MiB": join2(
			...pax(record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.realsize", "9999999")),
			header("f", "0", octal(2 << 20)),
			`900000\n${"0\n0\n".repeat(520_000)}`,
		),
		"a map with words in it": join2(
			...pax(record("GNU.sparse.major", "1") + record("GNU.sparse.realsize", "9")),
			header("f", "0", octal(512)),
			"1\nzero\n",
		),
		"the end after a long name": join2(header("f", "L", octal(4)), "abc\0"),
		"an unknown type": join2(header("f", "Q", octal(0))),
	}))
		t.throws(() => entriesOf(archive), refused, what);
});

t.test("names stay below the root", async (t) => {
	t.equal(cleanPath("./a//b/./c/"), "a/b/c");
	t.equal(cleanPath("/etc/passwd"), "etc/passwd");
	t.equal(cleanPath("./"), "");
	t.equal(cleanPath("a..b/..c"), "a..b/..c");
	for (const bad of ["..", "../a", "a/../../b", "a/.."]) t.throws(() => cleanPath(bad), refused, bad);
	t.equal(makedev(8, 1), 0x801);
	t.throws(() => makedev(1 << 12, 0), refused);
});

const hasSetfacl = spawnSync("setfacl", ["--version"]).error === undefined;
t.test("access control lists become what setfacl writes", hasSetfacl ? {} : { skip: "there is no setfacl" }, async (t) => {
	const file = join(folder, "acl");
	writeFileSync(file, "");
	const text = "user::rwx,user:33:r-x,group::r--,group:7:rw-,mask::rwx,other::---";
	execFileSync("setfacl", ["--set", text, file]);
	const set = execFileSync("getfattr", ["--absolute-names", "-e", "hex", "-n", "system.posix_acl_access", file], { encoding: "utf8" });
	t.equal(Buffer.from(aclBytes(text)).toString("hex"), /0x([0-9a-f]+)/.exec(set)?.[1]);
	for (const bad of ["user:nobody-knows-this:rwx", "who::rwx", "user::rwz"]) t.throws(() => aclBytes(bad), refused);
});

t.test("100,000 mutated headers are read or refused: no other error, no loop", async (t) => {
	const seeds = ["gnu", "posix", "oldgnu", "v7"].map((format) => readFileSync(join(folder, `${format}.tar`)));
	let state = 12345;
	const random = (below: number) => {
		state = (Math.imul(state, 1103515245) + 12345) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
	/* Where the headers are. */
	const places = seeds.map((seed) => {
		const found: number[] = [];
		for (let at = 0; at < seed.length; at += 512) if (seed.subarray(at + 257, at + 262).toString() === "ustar" || at === 0) found.push(at);
		return found;
	});
	const counts = { read: 0, refused: 0 };
	for (let i = 0; i < 100_000; i++) {
		const which = random(seeds.length);
		const seed = seeds[which] as Buffer;
		const at = (places[which] as number[])[random((places[which] as number[]).length)] as number;
		/* From there on, and not far. */
		const bytes = new Uint8Array(seed.subarray(at, Math.min(seed.length, at + 2048)));
		for (let n = 1 + random(3); n > 0; n--) bytes[([100, 124, 136, 156, 386, 483, 0, 512][random(8)] as number) + random(12)] = random(256);
		if (random(4) > 0) fixChecksum(bytes, 0);
		try {
			entriesOf(bytes);
			counts.read++;
		} catch (error) {
			if (!(error instanceof TarError)) {
				t.fail(`${(error as Error).stack} of ${Buffer.from(bytes.subarray(0, 512)).toString("base64")}`);
				break;
			}
			counts.refused++;
		}
	}
	t.equal(counts.read + counts.refused, 100_000);
	t.ok(counts.read > 1000 && counts.refused > 1000, JSON.stringify(counts));
});

/* Debian: golang-1.19-src, libpython3.11-testsuite. */
const torture = ["/usr/share/go-1.19/src/archive/tar/testdata", "/usr/lib/python3.11/test"]
	.filter((path) => existsSync(path))
	.flatMap((path) =>
		readdirSync(path)
			.filter((name) => name.endsWith(".tar"))
			.map((name) => join(path, name)),
	);

t.test(
	"the torture files of Go and Python are read as GNU tar reads them, or refused",
	torture.length === 0 ? { skip: "golang-src is not installed" } : {},
	async (t) => {
		/* Read here, refused or read otherwise by GNU tar: the sparse version 0.0 without a name, records of global headers. */
		const others = ["pax-global-records.tar", "sparse-formats.tar"];
		let count = 0;
		for (const file of torture) {
			const [ours, theirs] = [join(folder, `o${count}`), join(folder, `g${count}`)];
			count++;
			mkdirSync(ours);
			mkdirSync(theirs);
			const fd = open(file, O_RDONLY);
			const root = open(ours, O_RDONLY | O_DIRECTORY);
			let isRead = true;
			try {
				/* GNU tar makes folders that no entry tells of as the umask has it. */
				extract(openSource(fd), root, { implied: () => ({ mode: 0o777, uid: 0, gid: 0, mtime: 0, mtimeNanoseconds: 0 }) });
			} catch (error) {
				isRead = false;
				t.match((error as Error).name, /^(TarError|SysError)$/);
				if (!(error instanceof TarError)) t.match((error as Error).message, /Operation not permitted|File name too long/, file);
			}
			close(fd);
			close(root);
			spawnSync("tar", ["--numeric-owner", "-xf", file, "-C", theirs]);
			const list = (at: string) =>
				execFileSync("find", [at, "-mindepth", "1", "-printf", "%P %y %m %U:%G %l\\n"], { encoding: "utf8" }).split("\n").sort().join("\n");
			if (isRead && !others.some((name) => file.endsWith(name))) t.equal(list(ours), list(theirs), file);
		}
		t.ok(count > 40, String(count));
	},
);
