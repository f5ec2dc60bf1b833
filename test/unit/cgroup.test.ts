/** native/linux/cgroup.ts beside /proc/self/cgroup, `findmnt`, and hostile folders. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import {
	closeCgroups,
	folderOnMount,
	hierarchies,
	hierarchyFor,
	hierarchyName,
	openCgroups,
	parseMemberships,
} from "../../native/linux/cgroup.ts";

t.test("the hierarchies are those that findmnt lists", async (t) => {
	const { stdout } = spawnSync("findmnt", ["-rn", "-t", "cgroup,cgroup2", "-o", "TARGET"], { encoding: "utf8" });
	const found = hierarchies();
	t.same(found.map(({ mount }) => mount).sort(), [...new Set(stdout.trim().split("\n"))].sort());
	t.same(new Set(found.map(hierarchyName)).size, found.length, "each has a name of its own");
});

t.test("each line of /proc/self/cgroup has its folder, and there this process is listed", async (t) => {
	const found = hierarchies();
	for (const membership of parseMemberships(readFileSync("/proc/self/cgroup", "utf8"))) {
		const hierarchy = hierarchyFor(membership, found);
		if (!hierarchy) continue;
		const folder = folderOnMount(hierarchy, membership.path);
		t.ok(readFileSync(`${folder}/cgroup.procs`, "utf8").split("\n").includes(String(process.pid)), `${folder}`);
	}
});

t.test("a mount that shows a part of the hierarchy shows no cgroup outside of it", async (t) => {
	const mounted = { version: 2, mount: "/sys/fs/cgroup", root: "/a/b", controllers: [] } as const;
	t.equal(folderOnMount({ ...mounted, controllers: [] }, "/a/b"), "/sys/fs/cgroup");
	t.equal(folderOnMount({ ...mounted, controllers: [] }, "/a/b/c"), "/sys/fs/cgroup/c");
	t.equal(folderOnMount({ ...mounted, controllers: [] }, "/a/bc"), undefined);
	t.equal(folderOnMount({ ...mounted, controllers: [] }, "/"), undefined);
	t.equal(folderOnMount({ ...mounted, root: "/", controllers: [] }, "/"), "/sys/fs/cgroup");
});

t.test("what is no cgroup cannot be entered: another file system, a link, a file", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "tsbox-cgroup-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const [mounted] = hierarchies();
	symlinkSync(mounted?.mount ?? "/", join(folder, "link"));
	t.throws(() => openCgroups([folder]), { message: /Invalid argument/ });
	t.throws(() => openCgroups([join(folder, "link")]));
	t.throws(() => openCgroups(["/etc/passwd"]));
	t.throws(() => openCgroups([join(folder, "none")]), { message: /No such file/ });
});

t.test("the folders of cgroups are opened by version", { skip: process.getuid?.() === 0 ? false : "needs root" }, async (t) => {
	const found = hierarchies();
	const entry = openCgroups(found.map(({ mount }) => mount));
	t.equal(entry.tasks.length, found.filter(({ version }) => version === 1).length);
	t.equal(entry.v2?.path, found.find(({ version }) => version === 2)?.mount);
	closeCgroups(entry);
});
