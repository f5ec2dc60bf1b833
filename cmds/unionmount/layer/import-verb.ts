/** `layer import` */
import { close, O_RDONLY, open } from "../../../native/linux/fd.ts";
import { S_IFMT, S_IFREG, stat } from "../../../native/linux/stat.ts";
import { isTerminal } from "../../../native/linux/terminal.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { startProgress } from "../../common/progress.ts";
import { decompress, hashing } from "../filter.ts";
import { importLayer } from "./import.ts";
import { checkId, findLayer, getLayer, type Layout, openStore, randomId } from "./store.ts";

export interface ImportLine {
	options: {
		id?: string;
		parent?: string;
		maxSize?: number;
		userxattr?: true;
		digest?: true;
		layout?: Layout;
	};
	operands: string[];
}

export function importVerb({ options, operands }: ImportLine) {
	if (operands.length > 1) throw new UsageError("layer import: one FILE, or - for standard input");
	const file = operands[0] ?? "-";
	const id = options.id === undefined ? randomId() : checkId(options.id);
	if (findLayer(id)) fail(`${id}: there is such a layer already`);
	const parent = options.parent === undefined ? undefined : getLayer(options.parent);
	const store = openStore(options.layout ?? parent?.layout ?? "overlay2");
	if (parent && parent.layout !== store.layout)
		fail(`${parent.id}: is kept as ${parent.layout} has it, a layer on it cannot be kept otherwise`);
	const fd = file === "-" ? 0 : open(file, O_RDONLY);
	if (isTerminal(fd)) throw new UsageError("layer import: standard input is a terminal", "give a FILE, or pipe an archive in");
	const { mode, size } = stat("", fd);
	const plain = decompress(fd);
	const hashed = options.digest ? hashing(plain.output) : undefined;
	importLayer(store, hashed?.output ?? plain.output, {
		id,
		parent: parent?.id,
		maxSize: options.maxSize,
		userxattr: options.userxattr,
		progress: startProgress(file === "-" ? "importing" : file, (mode & S_IFMT) === S_IFREG && plain.output === fd ? size : undefined),
		verify: () => {
			const digest = hashed?.digest();
			plain.finish();
			return digest && `sha256:${digest}`;
		},
	});
	if (file !== "-") close(fd);
	print(`${id}\n`);
}
