/** The command lines of `layer export`, `layer commit` and `layer squash`. */
import { close, O_CREAT, O_TRUNC, O_WRONLY, open } from "../../../native/linux/fd.ts";
import { unlinkIfAny } from "../../../native/linux/stat.ts";
import { isTerminal } from "../../../native/linux/terminal.ts";
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { startProgress } from "../../common/progress.ts";
import { commitLayer, exportLayer, exportMerged, squashLayer } from "./export.ts";
import { checkId, getLayer, randomId } from "./store.ts";

export function exportVerb({ options, operands }: { options: { all?: true; output?: string }; operands: string[] }) {
	if (operands.length !== 1) throw new UsageError("layer export: one layer");
	const layer = getLayer(operands[0] as string);
	const file = options.output === "-" ? undefined : options.output;
	if (file === "") throw new UsageError('--output: "" is not a file');
	if (file === undefined && isTerminal(1)) throw new UsageError("layer export: standard output is a terminal", "-o FILE, or a pipe");
	const output = file === undefined ? 1 : open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600);
	try {
		(options.all ? exportMerged : exportLayer)(layer, output, file === undefined ? undefined : startProgress(file, layer.size));
	} catch (error) {
		if (file !== undefined) unlinkIfAny(file);
		throw error;
	}
	if (file !== undefined) close(output);
}

export function commitVerb({ options, operands }: { options: { id?: string }; operands: string[] }) {
	if (operands.length !== 1) throw new UsageError("layer commit: one container's layer");
	const id = options.id === undefined ? randomId() : checkId(options.id);
	print(`${commitLayer(getLayer(operands[0] as string), id).id}\n`);
}

export function squashVerb({ options, operands }: { options: { id?: string; onto?: string }; operands: string[] }) {
	if (operands.length !== 1) throw new UsageError("layer squash: one layer, the topmost of those that are to be one");
	const id = options.id === undefined ? randomId() : checkId(options.id);
	const onto = options.onto === undefined ? undefined : getLayer(options.onto).id;
	print(`${squashLayer(getLayer(operands[0] as string), onto, id).id}\n`);
}
