/**
 * Which blocks each volume has: read from a snapshot of the pool's metadata, which the kernel holds still meanwhile
 * (messages reserve_metadata_snap, release_metadata_snap).
 *
 * The metadata are B-trees of 4 KiB nodes, drivers/md/persistent-data/dm-btree-internal.h, little endian:
 *
 *     0 u32 csum   4 u32 flags (1 internal, 2 leaf)   8 u64 blocknr   16 u32 entries   20 u32 room for entries
 *     24 u32 size of a value   32 u64 keys[room], then values[room]
 *
 * The tree of details has by device id: u64 mapped blocks, u64 transaction id, u32 made at, u32 last snapshot at (pool's time).
 * The tree of mappings has by device id the root of a tree, which has by virtual block: data block << 24 | time.
 */

import { O_DIRECT } from "../../../native/linux/blockdev.ts";
import { dmMessage } from "../../../native/linux/devmapper.ts";
import { EBUSY } from "../../../native/linux/errno.ts";
import { close, O_RDONLY, open } from "../../../native/linux/fd.ts";
import { statIfAny } from "../../../native/linux/stat.ts";
import { getU64 } from "../../../native/linux/struct.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { dmMetadata, dmPool, type PoolRecord } from "../store/pool.ts";
import { devicePath } from "../udev/device.ts";
import { activeParts, describePart } from "./backing.ts";
import { poolStatus } from "./status.ts";
import { parseSuperblock, readBlock } from "./superblock.ts";

const INTERNAL = 1;
const ROOM_AT_MOST = 252;
/** A tree of 2^64 keys is less deep; a damaged one may go round in circles. */
const DEEPEST = 16;

export interface Details {
	mappedBlocks: number;
	transactionId: number;
}

export interface Node {
	isInternal: boolean;
	keys: number[];
	/** Where the values begin, and the bytes they are in. */
	view: DataView;
	values: number;
	valueSize: number;
}

export function parseNode(bytes: Uint8Array): Node {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const entries = view.getUint32(16, true);
	const room = view.getUint32(20, true);
	const valueSize = view.getUint32(24, true);
	if (entries > room || 32 + room * (8 + valueSize) > bytes.length || room > 2 * ROOM_AT_MOST)
		throw new RangeError("not a node of a B-tree");
	const keys: number[] = [];
	for (let i = 0; i < entries; i++) keys.push(getU64(view, 32 + 8 * i));
	return { isInternal: (view.getUint32(4, true) & INTERNAL) !== 0, keys, view, values: 32 + 8 * room, valueSize };
}

/** Reads the trees of one pool; each node once. */
export interface Reader {
	node(block: number): Node;
	details: Map<number, Details>;
	/** Roots of the volumes' trees. */
	roots: Map<number, number>;
	/** Blocks of the data device. */
	dataBlocks: number;
}

/** The leaves of a tree, in the order of their keys. */
function leaves(reader: Pick<Reader, "node">, root: number, depth = 0): number[] {
	if (depth > DEEPEST) throw new RangeError("the metadata's trees are damaged");
	const { isInternal, keys, view, values } = reader.node(root);
	if (!isInternal) return [root];
	return keys.flatMap((_, i) => leaves(reader, getU64(view, values + 8 * i), depth + 1));
}

/** Does `work` with the pool's mappings as they are now. */
export function withMappings<T>(pool: PoolRecord, work: (reader: Reader) => T): T {
	const { data } = poolStatus(pool);
	const path = pool.loop ? describePart(activeParts(pool).metadata) : devicePath(dmMetadata(pool.name));
	if (!statIfAny(path)) fail(`${path}: is not there`);
	reserve(pool);
	const fd = open(path, O_RDONLY | O_DIRECT);
	try {
		const held = parseSuperblock(readBlock(fd, 0))?.heldRoot;
		const snapshot = held === undefined || held === 0 ? undefined : parseSuperblock(readBlock(fd, held));
		if (!snapshot) return fail(`${pool.name}: the metadata's snapshot cannot be read`);
		const nodes = new Map<number, Node>();
		const reader: Reader = {
			node(block) {
				let found = nodes.get(block);
				if (!found) {
					found = parseNode(readBlock(fd, block));
					nodes.set(block, found);
				}
				return found;
			},
			details: new Map(),
			roots: new Map(),
			dataBlocks: data.total,
		};
		for (const leaf of leaves(reader, snapshot.detailsRoot)) {
			const { keys, view, values, valueSize } = reader.node(leaf);
			keys.forEach((id, i) => {
				const at = values + valueSize * i;
				reader.details.set(id, { mappedBlocks: getU64(view, at), transactionId: getU64(view, at + 8) });
			});
		}
		for (const leaf of leaves(reader, snapshot.mappingRoot)) {
			const { keys, view, values } = reader.node(leaf);
			keys.forEach((id, i) => {
				reader.roots.set(id, getU64(view, values + 8 * i));
			});
		}
		return work(reader);
	} finally {
		close(fd);
		dmMessage(dmPool(pool.name), 0, "release_metadata_snap");
	}
}

function reserve(pool: PoolRecord) {
	try {
		dmMessage(dmPool(pool.name), 0, "reserve_metadata_snap");
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EBUSY)) throw error;
		/* Left by a process that was killed: all of ours hold the pool's lock. */
		dmMessage(dmPool(pool.name), 0, "release_metadata_snap");
		dmMessage(dmPool(pool.name), 0, "reserve_metadata_snap");
	}
}

/** The data block of a mapping: the value's upper 40 bits. */
export function dataBlock(node: Node, i: number): number {
	const at = node.values + 8 * i;
	return node.view.getUint32(at + 4, true) * 256 + (node.view.getUint32(at, true) >>> 24);
}

/** For each volume, how many of its blocks another one has as well. */
export function sharedBlocks(reader: Reader): Map<number, number> {
	const leavesOf = new Map([...reader.roots].map(([id, root]) => [id, leaves(reader, root)]));
	const users = new Map<number, number>();
	for (const list of leavesOf.values()) for (const leaf of list) users.set(leaf, (users.get(leaf) ?? 0) + 1);
	/* 2 stands for any larger number. */
	const count = new Uint8Array(reader.dataBlocks);
	for (const [leaf, times] of users) {
		const node = reader.node(leaf);
		for (let i = 0; i < node.keys.length; i++) {
			const block = dataBlock(node, i);
			count[block] = Math.min(2, (count[block] ?? 0) + times);
		}
	}
	const sharedIn = new Map<number, number>();
	for (const leaf of users.keys()) {
		const node = reader.node(leaf);
		sharedIn.set(leaf, node.keys.filter((_, i) => (count[dataBlock(node, i)] ?? 0) > 1).length);
	}
	return new Map([...leavesOf].map(([id, list]) => [id, list.reduce((sum, leaf) => sum + (sharedIn.get(leaf) ?? 0), 0)]));
}

export interface Range {
	/** In blocks of the pool. */
	begin: number;
	length: number;
	kind: "left_only" | "right_only" | "different";
}

/** Where two volumes have other blocks: thin_delta's ranges. Nodes that both have are the same, and are not read. */
export function differences(reader: Reader, left: number, right: number): Range[] {
	const lists = [left, right].map((id) => {
		const root = reader.roots.get(id);
		return root === undefined ? [] : leaves(reader, root);
	}) as [number[], number[]];
	const rightLeaves = new Set(lists[1]);
	const both = new Set(lists[0].filter((leaf) => rightLeaves.has(leaf)));
	const [mine, others] = lists.map((list) => {
		const found = new Map<number, number>();
		for (const leaf of list) {
			if (both.has(leaf)) continue;
			const node = reader.node(leaf);
			node.keys.forEach((key, i) => {
				found.set(key, dataBlock(node, i));
			});
		}
		return found;
	}) as [Map<number, number>, Map<number, number>];
	const kinds: [number, Range["kind"]][] = [];
	for (const [key, block] of mine) {
		const other = others.get(key);
		if (other === undefined) kinds.push([key, "left_only"]);
		else if (other !== block) kinds.push([key, "different"]);
	}
	for (const key of others.keys()) if (!mine.has(key)) kinds.push([key, "right_only"]);
	const ranges: Range[] = [];
	for (const [key, kind] of kinds.sort(([a], [b]) => a - b)) {
		const last = ranges[ranges.length - 1];
		if (last && last.kind === kind && last.begin + last.length === key) last.length++;
		else ranges.push({ begin: key, length: 1, kind });
	}
	return ranges;
}
