/** npm ci, where node_modules is missing, broken or older than package-lock.json. Node's own modules only. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";

/* The classes of tap, which `tap build` makes anew in place; if it is interrupted they are gone. */
const tapClasses = "node_modules/@tapjs/test/test-built/dist/esm/index.js";

const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Returns what npm said if it failed, else "". */
export function installModules() {
	if (changed("node_modules/.package-lock.json") >= changed("package-lock.json") && existsSync(tapClasses)) return "";
	console.log("  npm ci");
	const { status, stdout, stderr, error } = spawnSync("npm", ["ci", "--no-progress"], { encoding: "utf8" });
	return status === 0 ? "" : (error?.message ?? `npm ci: failed\n${stdout}${stderr}`);
}

/** True where tap's classes are still those of the package, with a plugin that .taprc has turned off. */
export function needsTapBuild() {
	return readFileSync(tapClasses, "utf8").includes("@tapjs/typescript");
}
