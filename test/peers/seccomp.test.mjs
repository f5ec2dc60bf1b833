/**
 * Our default policy beside crun with Docker's profile (test/support/docker-seccomp.json), call by call. By hand, as root, with
 * Debian's crun: node --import=./test/support/typescript.mjs test/peers/seccomp.test.mjs
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { bundleConfig } from "../bench/seccomp.mjs";

const folder = mkdtempSync(join(tmpdir(), "tsbox-peers-seccomp-"));
t.teardown(() => rmSync(folder, { recursive: true }));
const rootfs = join(folder, "rootfs");

/** map_shadow_stack, statmount, listmount, mseal, the *xattrat: the libseccomp of Debian 12 has no names for them; Docker allows them. */
const NEWER = [453, 457, 458, 462, 463, 464, 465, 466];

/** Lines of seccomp-verdicts.c. */
function verdicts(program, args) {
	const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
	if (status !== 0) throw new Error(stderr);
	return stdout.trim().split("\n");
}

const hasCrun = spawnSync("crun", ["--version"]).status === 0;

t.test("each call gets the same answer as in crun with Docker's profile", hasCrun ? {} : { skip: "needs crun" }, async (t) => {
	for (const place of ["dev", "proc"]) mkdirSync(join(rootfs, place), { recursive: true });
	const source = join(import.meta.dirname, "../support/seccomp-verdicts.c");
	t.equal(spawnSync("gcc", ["-static", "-O1", "-w", "-o", join(rootfs, "verdicts"), source]).status, 0);
	writeFileSync(join(folder, "config.json"), JSON.stringify(bundleConfig("/verdicts")));
	const usual = ["--cap-drop", "ALL", "--cap-add", "DEFAULT"];
	const ours = verdicts("bin/tsunshare", ["--pid", "--rootfs", rootfs, ...usual, "--seccomp", "default", "--", "/verdicts"]);
	/* crun refuses a machine that has v1 and v2 hierarchies. */
	const crun = `mount -t cgroup2 none /sys/fs/cgroup && exec crun --cgroup-manager=disabled run -b ${folder} peers-${process.pid}`;
	const theirs = new Set(verdicts("unshare", ["--mount", "sh", "-c", crun]));
	t.equal(theirs.size, ours.length);
	t.ok(ours.length > 600);
	const differing = ours.filter((line) => !theirs.has(line) && !NEWER.includes(Number(line.split(" ")[1]) % 0x40000000));
	t.same(differing, []);
});
