/** `layer ls` and `layer inspect`. */
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { formatSize } from "../../common/units.ts";
import { foldersOf, isMountPoint, mountedLayers } from "./mount.ts";
import { allLayers, getLayer, type LayerFacts, openStore } from "./store.ts";

interface Row {
	layer: LayerFacts;
	depth: number;
	mounted: string | undefined;
}

/** Parents before their children. */
function treeOf(layers: LayerFacts[]): { layer: LayerFacts; depth: number }[] {
	const known = new Set(layers.map((layer) => layer.id));
	const children = new Map<string, LayerFacts[]>();
	for (const layer of layers) {
		const parent = layer.parent !== undefined && known.has(layer.parent) ? layer.parent : "";
		children.set(parent, [...(children.get(parent) ?? []), layer]);
	}
	const rows: { layer: LayerFacts; depth: number }[] = [];
	const stack = (children.get("") ?? []).map((layer) => ({ layer, depth: 0 })).reverse();
	for (let next = stack.pop(); next; next = stack.pop()) {
		rows.push(next);
		const depth = next.depth + 1;
		for (const layer of (children.get(next.layer.id) ?? []).reverse()) stack.push({ layer, depth });
	}
	return rows;
}

const shortId = (id: string) => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id);

export function lsVerb({ options }: { options: { json?: true; quiet?: true; noTrunc?: true } }) {
	const mounted = new Map(mountedLayers().map((mount) => [mount.layer, mount.target]));
	const rows: Row[] = treeOf(allLayers()).map((row) => ({ ...row, mounted: mounted.get(row.layer.id) }));
	if (options.json) print(json(rows.map(({ layer, mounted }) => ({ ...layer, ...(mounted !== undefined && { mounted }) }))));
	else if (options.quiet) print(rows.map(({ layer }) => `${layer.id}\n`).join(""));
	else
		print(
			table(rows, [
				{ header: "LAYER", value: ({ layer, depth }) => "  ".repeat(depth) + (options.noTrunc ? layer.id : shortId(layer.id)) },
				{ header: "KIND", value: ({ layer }) => layer.kind },
				{ header: "SIZE", value: ({ layer }) => (layer.size === undefined ? undefined : formatSize(layer.size)), right: true },
				{ header: "CREATED", value: ({ layer }) => layer.created.replace("T", " ").slice(0, 19) },
				{ header: "MOUNTED", value: ({ mounted }) => mounted, cut: true },
			]),
		);
}

export function inspectVerb({ operands }: { operands: string[] }) {
	if (operands.length === 0) throw new UsageError("layer inspect: which layers?");
	print(
		json(
			operands.map((word) => {
				const layer = getLayer(word);
				const store = openStore(layer.layout);
				const { lowerdir, upperdir, workdir } = foldersOf(store, layer);
				const merged = store.merged(layer.id);
				return {
					Id: layer.id,
					Parent: layer.parent ?? "",
					Kind: layer.kind,
					Created: layer.created,
					...(layer.size !== undefined && { Size: layer.size }),
					...(layer.diffId !== undefined && { DiffID: layer.diffId }),
					...(layer.limit !== undefined && { Limit: layer.limit }),
					Mounted: isMountPoint(merged),
					GraphDriver: {
						Name: layer.layout,
						Data: {
							...(lowerdir.length > 0 && upperdir !== undefined && { LowerDir: lowerdir.join(":") }),
							...(upperdir === undefined && lowerdir.length > 1 && { LowerDir: lowerdir.slice(1).join(":") }),
							MergedDir: merged,
							UpperDir: upperdir ?? store.diff(layer.id),
							WorkDir: workdir ?? `${store.root}/${layer.id}/work`,
						},
					},
				};
			}),
		),
	);
}
