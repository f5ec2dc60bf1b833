/** Attack: the program's path, which the image chooses, leads by way of a descriptor of ours to the host (CVE-2024-21626, CVE-2019-5736). */
import { mkdirSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { makeAttack } from "../../support/escapes.ts";
import { needsRoot } from "../../support/sandbox.ts";

const { root, folder, program, container, start, shell, remove } = makeAttack("exec");
t.teardown(remove);

/* Each leads to the attacker's program on the host, if descriptor N is a folder of the host: of a process, of /proc, or the root. */
const ways: string[] = [];
mkdirSync(join(root, "x"));
for (let fd = 3; fd < 24; fd++)
	for (const [i, way] of [
		`../1/root${program}`,
		`root${program}`,
		`1/root${program}`,
		program.slice(1),
		`../../../..${program}`,
	].entries()) {
		symlinkSync(`/proc/self/fd/${fd}/${way}`, join(root, "x", `${fd}-${i}`));
		ways.push(`/x/${fd}-${i}`);
	}
for (const [i, way] of [`/proc/self/cwd${program}`, `/proc/self/cwd/../../../../..${program}`, "/proc/self/exe"].entries()) {
	symlinkSync(way, join(root, "x", `other-${i}`));
	ways.push(`/x/other-${i}`);
}

const { dev, ino } = statSync(program);
/** The ways by which the host's file was executed, of those that printed where they are. */
function reached(output: string): string[] {
	return output.split("\n").filter((line) => line.endsWith(` ${dev}:${ino}`));
}
/** Runs a command for each way; a line each. */
function tryAll(command: string): string {
	return shell(`for way in ${ways.join(" ")}; do echo "$way $(${command} $way where 2>/dev/null)"; done`, {
		env: { TSBOX_DATA: join(folder, "data") },
	}).stdout;
}

t.test("a program that is entered into a container is none of the host's, whatever its path is a link to", needsRoot, (t) => {
	const id = start();
	t.match(container(["exec", id, "/escape", "where"]).stdout, /^\d+:\d+\n$/, "the attacker's own program runs");
	t.same(reached(tryAll(`$T enter ${id} --`)), []);
	t.end();
});

t.test("a container's first program is none of the host's, whatever its path is a link to", needsRoot, (t) => {
	t.match(shell("$T --rootfs $R --pid --proc -- /escape where").stdout, /^\d+:\d+\n$/, "the attacker's own program runs");
	t.same(reached(tryAll("$T --rootfs $R --pid --proc --")), []);
	t.end();
});

t.test("an argument that names a descriptor does not hand one of ours to the program", needsRoot, (t) => {
	const id = start();
	const none = "ran descriptors\n".repeat(22);
	const script = (command: string) =>
		shell(`for fd in $(seq 3 24); do ${command} /escape descriptors /dev/fd/$fd /proc/self/fd/$fd </dev/null; done`).stdout;
	t.equal(script(`$T enter ${id} --`), none);
	t.equal(script("$T --rootfs $R --pid --proc --"), none);
	t.end();
});
