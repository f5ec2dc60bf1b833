/** Attack: in a user namespace of its own a container mounts cgroup hierarchies, and lifts its limits or sees those of the host. */
import t from "tap";
import { makeAttack } from "../../support/escapes.ts";
import { needsRoot } from "../../support/sandbox.ts";

const { attack, container, start, remove } = makeAttack("cgroups");
t.teardown(remove);

t.test("a container mounts no cgroup hierarchy, so that its limits stay and the host's cgroups are out of its sight", needsRoot, (t) => {
	t.same(attack(["cgroups"], ["-m", "64m", "--pids-limit", "50"]), []);
	t.end();
});

t.test("neither does what is entered into a container", needsRoot, (t) => {
	const id = start(["-m", "64m"]);
	t.equal(container(["exec", id, "/escape", "cgroups"]).stdout, "");
	t.end();
});

t.test("without a seccomp policy it sees no cgroup but its own, on whichever hierarchy", needsRoot, (t) => {
	const got = attack(["cgroups"], ["-m", "64m", "--security-opt", "seccomp=unconfined"]);
	t.same(
		got.filter((line) => !/^(mount|lift) /.test(line)),
		[],
	);
	t.ok(got.length > 0, "hierarchies are mounted");
	t.end();
});
