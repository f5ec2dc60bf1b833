/** Attack: a container reads the keys of the host's root, and plants some. */
import t from "tap";
import { makeAttack } from "../../support/escapes.ts";
import { needsRoot } from "../../support/sandbox.ts";

const { attack, container, outside, start, remove } = makeAttack("keys");
t.teardown(remove);

const host = `tsbox-host-${process.pid}`;
const planted = `tsbox-planted-${process.pid}`;

t.test("a container neither reads nor plants keys of the host's root", needsRoot, (t) => {
	t.teardown(() => [host, planted].map((name) => outside(["drop", name])));
	t.same(outside(["plant", host]), [`plant ${host}`]);
	t.same(outside(["read", host]), ["read planted"], "the host reads it");
	t.same(attack(["read", host]), []);
	t.same(attack(["plant", planted]), []);
	const id = start();
	t.equal(container(["exec", id, "/escape", "read", host]).stdout, "", "by exec");
	t.equal(container(["exec", id, "/escape", "plant", planted]).stdout, "", "by exec");
	t.same(outside(["read", planted]), []);
	t.end();
});
