/** This machine's programs for a guest of test/vm: each with the libraries that it is linked with, under the same paths. */
import { spawnSync } from "node:child_process";
import { realpathSync } from "node:fs";

/** Files for `boot({ files })`: by their paths in the guest, those here. Throws where a program is not installed. */
export function programs(...names) {
	const files = {};
	for (const name of names) {
		const path = name.startsWith("/") ? name : which(name);
		files[path] = realpathSync(path);
		for (const library of libraries(path)) files[library] = realpathSync(library);
	}
	return files;
}

function which(name) {
	const { stdout } = spawnSync("sh", ["-c", `PATH=/usr/sbin:/usr/bin:/sbin:/bin; command -v ${name}`], { encoding: "utf8" });
	if (!stdout.trim()) throw new Error(`${name} is not installed: see test/support/debian.mjs`);
	return stdout.trim();
}

/** The loader among them: the second form is without an arrow. */
function libraries(path) {
	const { stdout } = spawnSync("ldd", [path], { encoding: "utf8" });
	return [...stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map((match) => match[1]);
}
