import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { realPath, type Union, unions } from "./unions.ts";

export interface LsOptions {
	json?: true;
	pid?: number;
	noheadings?: true;
}

/** Lists the union mounts with their layers: all, or those of the targets. */
export function ls({ options, operands }: { options: LsOptions; operands: string[] }) {
	if (operands.includes("")) throw new UsageError("ls: a TARGET is empty");
	const all = unions(options.pid);
	const found = operands.length === 0 ? all : operands.map((target) => unionAt(all, target));
	if (options.json) return print(json(found.map(facts)));
	const rows = found.flatMap((union) =>
		union.layers.map((layer, i) => ({ union: i === 0 ? union : undefined, layer: `${layer.path}=${layer.mode}` })),
	);
	print(
		table(
			rows,
			[
				{ header: "TARGET", value: ({ union }) => union?.target ?? " " },
				{ header: "TYPE", value: ({ union }) => union?.type ?? " " },
				{ header: "LAYERS", value: ({ union }) => union?.layers.length ?? " ", right: true },
				{ header: "LAYER", value: ({ layer }) => layer },
			],
			{ header: options.noheadings !== true, wide: true },
		),
	);
}

/** The last one that was mounted there, which is the one that is seen. */
function unionAt(all: Union[], target: string): Union {
	const path = realPath(target);
	const there = all.filter((union) => union.target === path);
	return there[there.length - 1] ?? fail(`${show(target)}: no union is mounted there`, "`tsunionmount ls` shows those that are");
}

function facts({ target, type, source, device, readOnly, layers, upperdir, workdir, options }: Union) {
	return {
		target,
		type,
		source,
		device,
		readonly: readOnly,
		lowerdir: layers.filter(({ path, mode }) => path !== upperdir && mode !== "data").map(({ path }) => path),
		datadir: layers.filter(({ mode }) => mode === "data").map(({ path }) => path),
		upperdir: upperdir ?? null,
		workdir: workdir ?? null,
		layers,
		options,
	};
}
