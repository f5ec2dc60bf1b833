/** Attack: a container's root, which another one shares, is changed while it starts (CVE-2019-19921, CVE-2021-30465, CVE-2025-31133). */
import { spawn } from "node:child_process";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { makeAttack } from "../../support/escapes.ts";
import { needsRoot } from "../../support/sandbox.ts";

const { root, folder, program, shell, remove } = makeAttack("masks");
t.teardown(remove);

const RUNS = 250;
/* Wherever proc and sysfs end up. */
const PLACES = ["/proc", "/elsewhere", "/sys"];
const WRITABLE = ["sys/kernel/core_pattern", "sys/kernel/modprobe", "sysrq-trigger", "kernel/uevent_helper"];
const READABLE = ["kcore", "keys", "timer_list", "firmware/acpi/tables/DSDT"];
const paths = (names: string[]) => PLACES.flatMap((place) => names.map((name) => `${place}/${name}`)).join(" ");

/** What the attacker got hold of in all runs, while a folder of the root and a link to another one are exchanged all the time. */
async function race(swapped: string): Promise<string[]> {
	mkdirSync(join(root, "elsewhere"), { recursive: true });
	symlinkSync("elsewhere", join(root, "link"));
	const until = join(folder, `stop-${swapped}`);
	const swapper = spawn(program, ["swap", join(root, swapped), join(root, "link"), until]);
	const ended = new Promise((resolve) => swapper.on("exit", resolve));
	const attack = `echo started; /escape open w ${paths(WRITABLE)}; /escape open r ${paths(READABLE)}`;
	const { stdout } = shell(
		`for i in $(seq ${RUNS}); do $T --rootfs $R --pid --proc --sysfs --mask-defaults -- sh -c "${attack}" 2>/dev/null; done | sort | uniq -c`,
	);
	writeFileSync(until, "");
	await ended;
	for (const name of [swapped, "link", "elsewhere"]) rmSync(join(root, name), { recursive: true, force: true });
	mkdirSync(join(root, swapped), { recursive: true });
	const lines = stdout.split("\n").filter((line) => line !== "");
	if (!lines.some((line) => line.endsWith(" started"))) throw new Error("no container started");
	return lines.filter((line) => !line.endsWith(" started"));
}

for (const name of ["proc", "sys"])
	t.test(`what is masked is masked in all of ${RUNS} starts while /${name} and a link change places`, needsRoot, async (t) => {
		t.same(await race(name), []);
	});

t.test("a container is not started on a root whose /proc, /sys or /dev is a link", needsRoot, (t) => {
	for (const name of ["proc", "sys", "dev"]) {
		renameSync(join(root, name), join(root, "real"));
		symlinkSync("real", join(root, name));
		const { stdout, stderr, status } = shell("$T --rootfs $R --pid --proc --sysfs --dev --mask-defaults -- echo started");
		t.not(status, 0, stderr);
		t.equal(stdout, "", name);
		rmSync(join(root, name));
		renameSync(join(root, "real"), join(root, name));
	}
	t.end();
});
