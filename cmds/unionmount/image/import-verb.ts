/** The command line of `image import`. */
import { O_RDONLY, open } from "../../../native/linux/fd.ts";
import { isTerminal } from "../../../native/linux/terminal.ts";
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { importImage } from "./import.ts";
import { reference, wholeName } from "./names.ts";
import type { Platform } from "./platform.ts";

export interface ImportLine {
	options: { name?: string[]; platform?: Platform; maxSize?: number };
	operands: string[];
}

export function importVerb({ options, operands }: ImportLine) {
	if (operands.length > 1) throw new UsageError("image import: one FILE or FOLDER, or - for standard input");
	const [file = "-"] = operands;
	const names = options.name?.map((name) => wholeName(reference(name)));
	const fd = file === "-" ? 0 : open(file, O_RDONLY);
	if (isTerminal(fd)) throw new UsageError("image import: standard input is a terminal", "give a FILE, or pipe an archive in");
	for (const name of importImage(fd, file === "-" ? "standard input" : file, {
		names,
		platform: options.platform,
		maxSize: options.maxSize,
	}))
		print(`${name}\n`);
}
