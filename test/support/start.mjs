/**
 * npm start: from a fresh clone to a running container.
 *
 * Installs what the build needs, builds, and runs containers on the host's own root, read-only. Node's own modules only.
 */
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildPackages, installPackages } from "./debian.mjs";
import { installModules } from "./npm.mjs";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), "../.."));
const isRoot = process.getuid() === 0;

function fail(text) {
	console.error(text);
	process.exit(1);
}

/** Shows a command line, and runs it. */
function demonstrate(what, line) {
	console.log(`\n${what}\n$ ${line}`);
	const { status, signal } = spawnSync("sh", ["-c", line], { stdio: "inherit" });
	return signal ? `ended by ${signal}` : status;
}

console.log("Prerequisites");
const lacking = installPackages([...buildPackages, "procps"]);
if (lacking) console.log(`  ${lacking}`);
const said = installModules();
if (said) fail(said);
console.log("Build");
const { status } = spawnSync(process.execPath, ["native/build.mjs"], { stdio: "inherit" });
if (status !== 0) fail("The build failed; see above.");
console.log("  bin/ holds the tools");

if (!isRoot) {
	demonstrate(
		"This is not root, so here is a process in namespaces of its own, as root of a user namespace, instead of a container:",
		"bin/tsunshare --map-root-user --pid --fork --mount-proc --uts sh -c 'ps; id'",
	);
	console.log("\nContainers with limits need root: sudo npm start");
	process.exit(0);
}

const first = demonstrate(
	"A container on a copy-on-write view of this machine's root, with tsinit as PID 1:",
	"bin/mkcontainer.sh run --rm --init --hostname box -- sh -c 'ps; hostname; id'",
);
if (first !== 0) fail(`The container failed: exit status ${first}`);
demonstrate(
	"A limit at work: a program that takes 200 MB, in a container that may have 64:",
	"bin/mkcontainer.sh run --memory 64m -- sh -c 'head -c 200m /dev/zero | tail -c 200m'; echo exit status $?",
);
demonstrate("The pipe that made it:", "bin/mkcontainer.sh run --dry-run --memory 64m -- ps");

console.log(`
Next, for example:
  bin/mkcontainer.sh run     a shell in a container
  bin/tsunshare --help       each tool works alone, too
  bin/tsunshare ls           the namespaces of this machine
  bin/tscgctl info           its cgroup hierarchies
  npm test                   all tests
  npm run bench              the tools side by side with unshare, tini, cgexec ...`);
