/** tsdmthin's pure modules: status lines, signatures, tables, trees, sizes, whiteouts. */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 as zlibCrc32 } from "node:zlib";
import t from "tap";
import { layersIn } from "../../cmds/dmthin/layer/image.ts";
import { changes } from "../../cmds/dmthin/layer/import.ts";
import { cut, freeOn } from "../../cmds/dmthin/pool/extend.ts";
import { decimalSize } from "../../cmds/dmthin/pool/info.ts";
import { differences, type Node, parseNode, type Reader, sharedBlocks } from "../../cmds/dmthin/pool/mappings.ts";
import { crc32, packSignature, parseSignature } from "../../cmds/dmthin/pool/signature.ts";
import { blockSizeOption, metadataFor, newSize, percent } from "../../cmds/dmthin/pool/sizes.ts";
import { checkRoom, parsePoolStatus, poolTrouble } from "../../cmds/dmthin/pool/status.ts";
import { parseSuperblock } from "../../cmds/dmthin/pool/superblock.ts";
import { checkName, type PoolRecord } from "../../cmds/dmthin/store/pool.ts";
import type { Volume } from "../../cmds/dmthin/store/volume.ts";
import { parseTable } from "../../cmds/dmthin/table/input.ts";
import { arrange } from "../../cmds/dmthin/volume/tree.ts";
import { decodeDev, encodeDev } from "../../native/linux/blockdev.ts";
import { formatTable } from "../../native/linux/devmapper.ts";
import { close, O_DIRECTORY, O_RDONLY, open, readdir } from "../../native/linux/fd.ts";
import { parseSemaphores } from "../../native/linux/semaphore.ts";
import { extract } from "../../native/linux/tar/extract.ts";
import { openSource } from "../../native/linux/tar/source.ts";

const pool: PoolRecord = {
	format: 1,
	name: "web",
	uuid: "u",
	block_size: 128,
	low_water: 10,
	on_full: "queue",
	autoextend: { threshold: 80, percent: 20 },
	min_free: 10,
	skip_block_zeroing: false,
};

t.test("the kernel's line of a pool is read, of each version", async (t) => {
	t.same(parsePoolStatus("2 63/512 104/16384 - rw discard_passdown queue_if_no_space - 128 "), {
		transactionId: 2,
		metadata: { used: 63, total: 512 },
		data: { used: 104, total: 16384 },
		heldRoot: undefined,
		mode: "rw",
		discard: "discard_passdown",
		onFull: "queue",
		needsCheck: false,
		lowWater: 128,
	});
	const bad = parsePoolStatus("7 512/512 5/5 340 ro no_discard_passdown error_if_no_space needs_check 1");
	t.match(bad, { heldRoot: 340, mode: "ro", onFull: "error", needsCheck: true });
	/* Before Linux 4.3 there is no needs_check. */
	t.match(parsePoolStatus("0 1/2 0/5 - rw discard_passdown queue_if_no_space"), { needsCheck: false, lowWater: undefined });
	t.equal(parsePoolStatus("Fail"), undefined);
	t.equal(parsePoolStatus("Error"), undefined);
	t.equal(parsePoolStatus(""), undefined);
});

t.test("what is wrong with a pool is named: data, metadata, or a check that it needs", async (t) => {
	const trouble = (line: string) => poolTrouble(pool, parsePoolStatus(line) as NonNullable<ReturnType<typeof parsePoolStatus>>)?.what;
	t.equal(trouble("2 63/512 104/16384 - rw discard_passdown queue_if_no_space - 128"), undefined);
	t.equal(
		trouble("2 63/512 512/512 - out_of_data_space discard_passdown queue_if_no_space - 128"),
		"web: data is full (512 of 512 blocks of 64 KiB)",
	);
	t.equal(trouble("2 512/512 5/512 - ro discard_passdown queue_if_no_space - 128"), "web: metadata is full (512 of 512 blocks of 4 KiB)");
	t.match(trouble("2 500/512 5/512 - ro discard_passdown queue_if_no_space needs_check 128"), /^web: the metadata needs a check/);
});

t.test("a pool with less than --min-free takes no volume, of data or of metadata", async (t) => {
	const check = (line: string) => checkRoom(pool, parsePoolStatus(line) as NonNullable<ReturnType<typeof parsePoolStatus>>);
	check("2 460/512 460/512 - rw discard_passdown queue_if_no_space - 1");
	t.throws(() => check("2 5/512 461/512 - rw discard_passdown queue_if_no_space - 1"), {
		message: "web: data: 10.0% is free (51 of 512 blocks), less than --min-free 10%",
	});
	t.throws(() => check("2 470/512 5/512 - rw discard_passdown queue_if_no_space - 1"), { message: /^web: metadata: 8\.2% is free/ });
});

t.test("a device's signature is read back, and a broken one is none", async (t) => {
	const uuid = "0123456789abcdef".repeat(2);
	const onDisk: PoolRecord = {
		...{ ...pool, uuid, devices: [{ path: "/dev/sdb", uuid, sectors: 100_000 }] },
		...{ data: [{ device: 0, start: 10_000, length: 128 }], metadata: [{ device: 0, start: 2048, length: 4096 }] },
	};
	const signature = { device: uuid, pool: onDisk, written: 7 };
	const bytes = packSignature(signature);
	t.same(parseSignature(bytes), signature);
	for (const at of [0, 16, 20, 24, 70, bytes.length - 1]) {
		const broken = bytes.slice();
		broken[at] = (broken[at] as number) ^ 1;
		t.equal(parseSignature(broken), undefined, `byte ${at}`);
	}
	t.equal(parseSignature(bytes.subarray(0, bytes.length - 1)), undefined);
	t.equal(parseSignature(new Uint8Array(4096)), undefined);
	/* A stranger's disk, with a checksum that is right. */
	const parse = (changed: object) => parseSignature(packSignature({ ...signature, pool: { ...onDisk, ...changed } as PoolRecord }));
	t.same(parse({ loop: { data: "/etc/shadow", metadata: "/etc/passwd" }, more: 1 })?.pool, onDisk);
	for (const changed of [
		{ name: "../x" },
		{ uuid: "x" },
		{ devices: [] },
		{ devices: [{ path: "/etc/passwd", uuid, sectors: 1 }] },
		{ data: [{ device: 1, start: 10_000, length: 128 }] },
		{ data: [{ device: 0, start: 0, length: 128 }] },
		{ data: [{ device: 0, start: 10_000, length: "1 error" }] },
		{ metadata: undefined },
		{ block_size: "128" },
	])
		t.equal(parse(changed), undefined, JSON.stringify(changed));
	t.equal(crc32(bytes), zlibCrc32(bytes));
	t.equal(crc32(new Uint8Array([...Buffer.from("123456789")])), 0xcbf43926);
});

t.test("a pool is extended on the free ends of its devices, in whole blocks", async (t) => {
	const grown: PoolRecord = {
		...pool,
		devices: [
			{ path: "/dev/a", uuid: "a", sectors: 100_000 },
			{ path: "/dev/b", uuid: "b", sectors: 50_000 },
		],
		metadata: [{ device: 0, start: 2048, length: 8000 }],
		data: [{ device: 0, start: 10_048, length: 64_000 }],
	};
	t.same(freeOn(grown, 0), { start: 74_048, length: 25_952 });
	t.same(freeOn(grown, 1), { start: 2048, length: 47_952 });
	cut(grown, "data", 128 * 512);
	t.same(grown.data, [{ device: 0, start: 10_048, length: 64_128 }]);
	cut(grown, "metadata", 4096);
	cut(grown, "data", 30_000 * 512);
	t.same(grown.metadata?.[1], { device: 0, start: 74_176, length: 8 });
	t.same(grown.data?.slice(1), [
		{ device: 0, start: 74_184, length: 25_728 },
		{ device: 1, start: 2048, length: 4352 },
	]);
	t.throws(() => cut(grown, "data", 2 ** 30), { message: /^web: the devices have 21\.\d MiB free, of 1 GiB that data is to get$/ });
});

t.test("sizes are multiples and within what the kernel takes", async (t) => {
	t.equal(blockSizeOption("64k", "-b"), 65536);
	for (const wrong of ["63k", "32k", "2g", "x", "", "96k"])
		t.throws(() => blockSizeOption(wrong, "-b"), { message: /is not a multiple of 64k/ });
	t.equal(percent("95", "-p"), 95);
	t.equal(percent("12.5%", "-p"), 12.5);
	for (const wrong of ["101", "-1", "", "x", "1e1"]) t.throws(() => percent(wrong, "-p"));
	t.equal(metadataFor(1 << 30, 65536), 2 << 20);
	t.equal(metadataFor(2 ** 40, 65536), 48 * 2 ** 24);
	t.equal(newSize("10m", "-s", 5), 10 << 20);
	t.equal(newSize("+10m", "-s", 5), (10 << 20) + 5);
	t.throws(() => newSize("++1", "-s", 5));
	t.equal(decimalSize(65536), "65.54kB");
	t.equal(decimalSize(107374182400), "107.4GB");
	t.equal(decimalSize(0), "0B");
});

t.test("names are checked: an empty one is an error, not all", async (t) => {
	t.equal(checkName("a.b-c_1", "POOL"), "a.b-c_1");
	for (const wrong of ["", ".", "..", "a/b", "-a", "a b", "a:b", "a=b", "a".repeat(56), "ä", "a\n"])
		t.throws(() => checkName(wrong, "POOL"), { message: /not a name/ }, JSON.stringify(wrong));
	t.throws(() => checkName(undefined, "VOLUME"), { message: "no VOLUME given" });
});

t.test("a table of dmsetup is read as it is written", async (t) => {
	const targets = parseTable(
		"# comment\n0 100 linear 8:1 0\n\n  100 28 zero\n128 8 thin-pool 7:0 7:1 128 0 1 error_if_no_space  \n",
		"FILE",
	);
	t.same(targets, [
		{ start: 0, length: 100, type: "linear", params: "8:1 0" },
		{ start: 100, length: 28, type: "zero", params: "" },
		{ start: 128, length: 8, type: "thin-pool", params: "7:0 7:1 128 0 1 error_if_no_space" },
	]);
	t.equal(formatTable(targets), "0 100 linear 8:1 0\n100 28 zero\n128 8 thin-pool 7:0 7:1 128 0 1 error_if_no_space");
	for (const wrong of ["", "\n#\n"]) t.throws(() => parseTable(wrong, "FILE"), { message: "FILE: no line of a table" });
	for (const wrong of ["0 100", "x 1 zero", "0 -1 zero", "0 1 a-name-that-is-too-long"])
		t.throws(() => parseTable(wrong, "FILE"), { message: /^FILE: line 1: not a line of a table/ });
});

t.test("volumes stand below their origins, as long as those are there, and each once", async (t) => {
	const volume = (name: string, parent?: string) => ({ name, ...(parent && { parent }) }) as Volume;
	const rows = arrange([
		volume("a"),
		volume("b", "a"),
		volume("c", "b"),
		volume("d", "gone"),
		volume("e", "a"),
		volume("x", "y"),
		volume("y", "x"),
	]);
	t.same(
		rows.map((row) => `${" ".repeat(row.depth)}${row.volume.name}`),
		["a", " b", "  c", " e", "d", "x", "y"],
	);
});

t.test("device numbers are the kernel's", async (t) => {
	for (const [major, minor, dev] of [
		[7, 0, 0x700],
		[253, 255, 0xfdff],
		[253, 256, 0x10fd00],
	] as const) {
		t.equal(encodeDev(major, minor), dev);
		t.same(decodeDev(dev), { major, minor });
	}
	t.same(decodeDev(encodeDev(4095, 1048575)), { major: 4095, minor: 1048575 });
});

t.test("/proc/sysvipc/sem is read, keys above 2^31 as well", async (t) => {
	const text = `       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime
 222098435          3   600          1     0     0     0     0          0 1700000000
-559038737          4   600          1     0     0     0     0          0 1700000001
`;
	t.same(parseSemaphores(text), [
		{ key: 222098435, id: 3, created: 1700000000 },
		{ key: 0xdeadbeef, id: 4, created: 1700000001 },
	]);
});

/** A node of a B-tree with values of 64 bits. */
function node(isInternal: boolean, entries: [number, number][]): Uint8Array {
	const bytes = new Uint8Array(4096);
	const view = new DataView(bytes.buffer);
	view.setUint32(4, isInternal ? 1 : 2, true);
	view.setUint32(16, entries.length, true);
	view.setUint32(20, 252, true);
	view.setUint32(24, 8, true);
	entries.forEach(([key, value], i) => {
		view.setBigUint64(32 + 8 * i, BigInt(key), true);
		view.setBigUint64(32 + 8 * 252 + 8 * i, BigInt(value), true);
	});
	return bytes;
}

t.test("blocks that volumes share, and where two differ, come from the trees", async (t) => {
	const map = (block: number) => block * 2 ** 24 + 5;
	const blocks = new Map<number, Uint8Array>([
		[
			10,
			node(true, [
				[0, 11],
				[100, 12],
			]),
		],
		[
			11,
			node(false, [
				[0, map(1)],
				[1, map(2)],
			]),
		],
		[12, node(false, [[100, map(3)]])],
		[
			20,
			node(true, [
				[0, 11],
				[100, 22],
			]),
		],
		[
			22,
			node(false, [
				[100, map(4)],
				[101, map(5)],
			]),
		],
	]);
	const nodes = new Map<number, Node>([...blocks].map(([at, bytes]) => [at, parseNode(bytes)]));
	const reader: Reader = {
		node: (block) => nodes.get(block) as Node,
		details: new Map(),
		roots: new Map([
			[1, 10],
			[2, 20],
		]),
		dataBlocks: 10,
	};
	t.same(
		[...sharedBlocks(reader)],
		[
			[1, 2],
			[2, 2],
		],
	);
	t.same(differences(reader, 1, 2), [
		{ begin: 100, length: 1, kind: "different" },
		{ begin: 101, length: 1, kind: "right_only" },
	]);
	t.same(differences(reader, 1, 1), []);
	const broken = node(false, [[0, 0]]);
	new DataView(broken.buffer).setUint32(16, 300, true);
	t.throws(() => parseNode(broken), { message: "not a node of a B-tree" });
});

t.test("what is no thin pool's superblock is none, and a wrong checksum is told", async (t) => {
	t.equal(parseSuperblock(new Uint8Array(4096)), undefined);
	const bytes = new Uint8Array(4096);
	const view = new DataView(bytes.buffer);
	view.setBigUint64(32, 27022010n, true);
	view.setUint32(4, 1, true);
	view.setBigUint64(48, 42n, true);
	t.match(parseSuperblock(bytes), { needsCheck: true, transactionId: 42, isChecksumRight: false });
});

const folder = mkdtempSync(join(tmpdir(), "tsbox-dmthin-"));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

t.test("whiteouts remove what layers below have, and an opaque folder keeps its layer's own", async (t) => {
	const root = join(folder, "root");
	for (const path of ["a/b", "o/deep"]) mkdirSync(join(root, path), { recursive: true });
	for (const path of ["a/gone", "a/b/kept", "o/below", "o/deep/below", "file"]) writeFileSync(join(root, path), "below");
	const layer = join(folder, "layer");
	mkdirSync(join(layer, "o/new"), { recursive: true });
	mkdirSync(join(layer, "a"), { recursive: true });
	mkdirSync(join(layer, "o/deep"), { recursive: true });
	for (const path of ["a/.wh.gone", "o/deep/own", "o/new/own", "o/.wh..wh..opq", ".wh.file", ".wh.never"])
		writeFileSync(join(layer, path), "");
	/* The mark comes last: what the layer has put there before it stays. */
	const tar = join(folder, "layer.tar");
	t.equal(
		spawnSync("tar", ["cf", tar, "-C", layer, "o/new/own", "o/deep/own", "a/.wh.gone", ".wh.file", ".wh.never", "o/.wh..wh..opq"]).status,
		0,
	);
	const fd = open(root, O_RDONLY | O_DIRECTORY);
	const archive = open(tar, O_RDONLY);
	extract(openSource(archive), fd, changes());
	close(archive);
	t.same(readdir(".", fd).sort(), ["a", "o"]);
	t.same(readdir("a", fd), ["b"]);
	t.same(readdir("o", fd).sort(), ["deep", "new"]);
	t.same(readdir("o/deep", fd), ["own"]);
	t.same(readdir("o/new", fd), ["own"]);
	close(fd);
});

t.test("an image's layers are found by its manifest, and a hostile one reads nothing outside", async (t) => {
	const image = join(folder, "image");
	mkdirSync(image);
	writeFileSync(join(image, "c.json"), JSON.stringify({ rootfs: { diff_ids: ["sha256:aa", "sha256:bb"] } }));
	writeFileSync(join(image, "1.tar"), "");
	const open_ = () => open(image, O_RDONLY | O_DIRECTORY);
	const manifest = (layers: unknown) => writeFileSync(join(image, "manifest.json"), JSON.stringify([{ Config: "c.json", Layers: layers }]));
	manifest(["1.tar", "../../../../../../etc/passwd"]);
	const fd = open_();
	const layers = layersIn(fd);
	t.same(
		layers.map(({ diffId }) => diffId),
		["sha256:aa", "sha256:bb"],
	);
	close(layers[0]?.open() as number);
	t.throws(() => layers[1]?.open(), { message: "../../../../../../etc/passwd: is not in the image" });
	manifest(["1.tar"]);
	t.throws(() => layersIn(fd), { message: "the image has 1 layers, its config names 2" });
	writeFileSync(join(image, "manifest.json"), "{");
	t.throws(() => layersIn(fd), { message: "manifest.json: not JSON" });
	rmSync(join(image, "manifest.json"));
	t.throws(() => layersIn(fd), { message: /^neither index.json nor manifest.json/ });
	close(fd);
});
