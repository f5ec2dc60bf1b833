/** An ordinary user's container with the ranges of /etc/subuid, which newuidmap(1) maps. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { isRoot, makeWorld } from "../support/sandbox.ts";

const world = makeWorld("subids");
t.teardown(world.remove);

const needs = isRoot ? (existsSync("/usr/bin/newuidmap") ? {} : { skip: "no newuidmap (package uidmap)" }) : { skip: "needs root" };

t.test("an ordinary user's container can have users besides root, by --map-auto", needs, async (t) => {
	const ranges = join(world.folder, "subids");
	writeFileSync(ranges, "nobody:100000:65536\n");
	/* The mounts are in a mount namespace of the test's own. */
	const { status, stdout, stderr } = world.shell(`
		chown -R 65534:65534 "$R"
		exec unshare --mount sh -c '
			mount --bind ${ranges} /etc/subuid && mount --bind ${ranges} /etc/subgid || exit 98
			export TSBOX_RUN=${world.folder}/run-nobody
			exec setpriv --reuid=65534 --regid=65534 --clear-groups "$T" --map-root-user --map-auto --pid --mount \\
				--rootfs "$R" --proc --user=web sh -c "id; cat /proc/self/uid_map"'`);
	t.equal(stderr, "");
	t.equal(status, 0);
	const [id, ...map] = stdout.trimEnd().split("\n");
	t.equal(id, "uid=33(web) gid=33(web) groups=44(extra)");
	t.same(
		map.map((line) => line.trim().split(/\s+/).join(" ")),
		["0 65534 1", "1 100000 65536"],
	);
});
