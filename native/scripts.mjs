/**
 * The scripts of cmds/mkcontainer, each one file in bin: in its parts, a line `. ./PART.sh` stands for that file.
 */
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Each script's first file, and what it makes in bin. */
export const scripts = [{ entry: "cmds/mkcontainer/docker.sh", output: "mkcontainer.sh" }];

/** A file's text with its parts in it. Throws where a part stands in itself. */
export function bundle(path, above = []) {
	if (above.includes(path)) throw new Error(`${path}: is a part of itself`);
	return readFileSync(path, "utf8").replace(/^\. \.\/(\S+)\n/gm, (_, part) => bundle(join(dirname(path), part), [...above, path]));
}

/** Writes the scripts to a folder. */
export function buildScripts(folder) {
	for (const { entry, output } of scripts) {
		const path = join(folder, output);
		writeFileSync(path, bundle(entry));
		chmodSync(path, 0o755);
	}
}
