/** Attacks: what a container does to a device file or a mask changes the host's own; without a cgroup it opens the host's disks. */
import { existsSync, statSync, utimesSync } from "node:fs";
import t from "tap";
import { makeAttack } from "../../support/escapes.ts";
import { needsRoot } from "../../support/sandbox.ts";

const { attack, run, root, remove } = makeAttack("devices");
t.teardown(remove);

const DEVICES = ["null", "zero", "full", "random", "urandom", "tty", "loop-control", "fuse"]
	.map((name) => `/dev/${name}`)
	.filter(existsSync);
const MASKS = ["keys", "kcore", "timer_list", "interrupts", "sched_debug", "latency_stats", "acpi", "scsi"].map((name) => `/proc/${name}`);
/* What escape.c stamps files with. */
const STAMP = 1_000_000_000_000;

/** The host's devices that an attack has stamped; they get their times back. */
function stamped(attack: () => unknown): string[] {
	const before = DEVICES.map((path) => statSync(path));
	attack();
	return DEVICES.filter((path, i) => {
		const { atimeMs, mtimeMs } = before[i] as { atimeMs: number; mtimeMs: number };
		if (statSync(path).mtimeMs !== STAMP) return false;
		utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
		return true;
	});
}

t.test("the times and modes of the host's devices stay, whatever a container does to its masks and devices", needsRoot, (t) => {
	const verb = ["stamp", ...DEVICES, ...MASKS, "/other"];
	t.same(
		stamped(() => attack(verb)),
		[],
		"by default",
	);
	const given = DEVICES.find((path) => /loop-control|fuse/.test(path));
	if (given)
		t.same(
			stamped(() => attack(verb, ["--device", given, "--device", `${given}:/other`])),
			[],
			"with --device",
		);
	t.same(
		stamped(() => run(["--map-root-user", "--pid", "--rootfs", root, "--proc", "--dev", "--mask-defaults", "--", "/escape", ...verb])),
		[],
		"in a user namespace",
	);
	t.end();
});

/* What no container may open: a block device, the kernel's log, the maker of loop devices. */
const FORBIDDEN = ["b 7 0", "c 1 11", "c 10 237"];

t.test("a container opens no device but those that it was given, without a cgroup of its own either", needsRoot, (t) => {
	for (const options of [["--no-cgroup"], []])
		for (const path of ["/tmp/node", "/node", "/dev/node", "/dev/shm/node"])
			for (const device of FORBIDDEN)
				t.same(attack(["node", ...device.split(" "), path], options), [], `${options.join(" ")} ${device} ${path}`, {});
	t.end();
});
