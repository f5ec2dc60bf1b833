/** `ls POOL`, `diff`: what is in a pool. */

import { isDryRun } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { formatSize } from "../../common/units.ts";
import { activeVolumes } from "../pool/activate.ts";
import { differences, sharedBlocks, withMappings } from "../pool/mappings.ts";
import { poolStatusIfActive } from "../pool/status.ts";
import { type PoolRecord, readPool, withPool } from "../store/pool.ts";
import { recover } from "../store/transaction.ts";
import { listVolumes, readVolume, type Volume } from "../store/volume.ts";
import { takeOperands } from "./manage.ts";
import { mountsOf } from "./mount.ts";

interface Row {
	volume: Volume;
	depth: number;
	/** Ends the list of its parent's snapshots, on each level. */
	last: boolean[];
	/** In blocks; unknown where the pool is not active. */
	used: number | undefined;
	shared: number | undefined;
	active: boolean;
	mounts: string[];
}

/** Volumes as a tree: a snapshot below its origin, as long as that is there. */
export function arrange(volumes: Volume[]): Pick<Row, "volume" | "depth" | "last">[] {
	const names = new Set(volumes.map(({ name }) => name));
	const children = new Map<string | undefined, Volume[]>();
	for (const volume of volumes) {
		const parent = volume.parent !== undefined && names.has(volume.parent) ? volume.parent : undefined;
		children.set(parent, [...(children.get(parent) ?? []), volume]);
	}
	const rows: Pick<Row, "volume" | "depth" | "last">[] = [];
	const seen = new Set<string>();
	const add = (parent: string | undefined, depth: number, above: boolean[]) => {
		const list = children.get(parent) ?? [];
		list.forEach((volume, i) => {
			/* Files that name each other as parent are no tree. */
			if (seen.has(volume.name)) return;
			seen.add(volume.name);
			const last = [...above, i === list.length - 1];
			rows.push({ volume, depth, last });
			add(volume.name, depth + 1, last);
		});
	};
	add(undefined, 0, []);
	for (const volume of volumes) if (!seen.has(volume.name)) rows.push({ volume, depth: 0, last: [true] });
	return rows;
}

function branch({ volume, depth, last }: Pick<Row, "volume" | "depth" | "last">): string {
	if (depth === 0) return volume.name;
	const above = last
		.slice(1, -1)
		.map((isLast) => (isLast ? "   " : "│  "))
		.join("");
	return `${above}${last[last.length - 1] ? "└─ " : "├─ "}${volume.name}`;
}

function rowsOf(pool: PoolRecord): Row[] {
	return withPool(pool.name, () => {
		const isActive = !isDryRun() && poolStatusIfActive(pool) !== undefined;
		if (isActive) recover(pool);
		const volumes = listVolumes(pool.name);
		const used = new Map<number, number>();
		let shared = new Map<number, number>();
		if (isActive)
			withMappings(pool, (reader) => {
				for (const [id, { mappedBlocks }] of reader.details) used.set(id, mappedBlocks);
				shared = sharedBlocks(reader);
			});
		const active = new Set(isActive ? activeVolumes(pool.name) : []);
		return arrange(volumes).map((row) => ({
			...row,
			used: used.get(row.volume.device_id),
			shared: used.has(row.volume.device_id) ? (shared.get(row.volume.device_id) ?? 0) : undefined,
			active: active.has(row.volume.name),
			mounts: active.has(row.volume.name) ? mountsOf(pool.name, row.volume.name) : [],
		}));
	});
}

function state({ volume, active, mounts }: Row): string | undefined {
	if (volume.deleted) return "being removed";
	if (!volume.initialized) return "without file system";
	return mounts.length > 0 ? "mounted" : active ? "active" : undefined;
}

export function listTree(operands: string[], options: { json?: true; noheadings?: true }) {
	const [name] = takeOperands(operands, "POOL");
	const pool = readPool(name);
	const rows = rowsOf(pool);
	const block = pool.block_size * 512;
	if (options.json)
		return print(
			json(
				rows.map(({ volume, used, shared, active, mounts }) => ({
					...volume,
					block_size: block,
					used_blocks: used ?? null,
					shared_blocks: shared ?? null,
					active,
					mounts,
				})),
			),
		);
	const bytes = (blocks: number | undefined) => (blocks === undefined ? undefined : formatSize(blocks * block));
	print(
		table(
			rows,
			[
				{ header: "VOLUME", value: branch },
				{ header: "ID", value: ({ volume }) => volume.device_id, right: true },
				{ header: "SIZE", value: ({ volume }) => formatSize(volume.size), right: true },
				{ header: "USED", value: ({ used }) => bytes(used), right: true },
				{ header: "SHARED", value: ({ shared }) => bytes(shared), right: true },
				{ header: "FS", value: ({ volume }) => volume.fs },
				{ header: "STATE", value: state },
				{ header: "MOUNTED ON", value: ({ mounts }) => mounts.join(" ") },
			],
			{ header: options.noheadings !== true },
		),
	);
}

/** `diff POOL A B`: the ranges of blocks that differ, in bytes. */
export function diff(operands: string[], options: { json?: true }) {
	const [poolName, left, right] = takeOperands(operands, "POOL", "A", "B");
	const pool = readPool(poolName);
	const [a, b] = [readVolume(pool, left), readVolume(pool, right)];
	if (poolStatusIfActive(pool) === undefined) fail(`${pool.name}: the pool is not active`, `\`tsdmthin pool activate ${pool.name}\``);
	const ranges = withPool(pool.name, () => withMappings(pool, (reader) => differences(reader, a.device_id, b.device_id)));
	const block = pool.block_size * 512;
	const rows = ranges.map(({ begin, length, kind }) => ({ start: begin * block, length: length * block, kind }));
	if (options.json) return print(json({ block_size: block, left: a.name, right: b.name, ranges: rows }));
	const words = { left_only: `only in ${a.name}`, right_only: `only in ${b.name}`, different: "different" };
	print(
		table(rows, [
			{ header: "START", value: ({ start }) => start, right: true },
			{ header: "LENGTH", value: ({ length }) => length, right: true },
			{ header: "WHAT", value: ({ kind }) => words[kind] },
		]),
	);
}
