/** What is in a new network namespace, read by the package netlink. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { needsRoot, tsunshare } from "../support/sandbox.ts";

const state = mkdtempSync(join(tmpdir(), `tsbox-network-${process.pid}-`));
t.teardown(() => rmSync(state, { recursive: true }));

interface Network {
	links: { name: string; type: string; isUp: boolean }[];
	addresses: string[];
}

/** The network in which a command line of tsunshare runs its program. */
function inside(options: string[]): Network {
	const look = [process.execPath, join(import.meta.dirname, "../support/links.mjs")];
	const { stdout, stderr } = spawnSync(tsunshare, [...options, ...look], {
		encoding: "utf8",
		env: { ...process.env, NODE_OPTIONS: "", TSBOX_RUN: state },
	});
	if (stdout === "") throw new Error(stderr);
	return JSON.parse(stdout) as Network;
}

const lo = (isUp: boolean) => ({ name: "lo", type: "LOOPBACK", isUp });

t.test("a new network namespace has lo alone, which is down and has no address", async (t) => {
	for (const options of [["--net"], ["--map-root-user", "--net"], ["--net", "--pid", "--fork", "--mount-proc"]])
		t.same(inside(options), { links: [lo(false)], addresses: [] }, options.join(" "));
});

t.test("that of a container has lo up, with the addresses that the kernel gives it", needsRoot, async (t) => {
	const { links, addresses } = inside(["--net", "--pid", "--hostname", "box"]);
	t.same(links, [lo(true)]);
	t.ok(addresses.includes("127.0.0.1/8"), addresses.join(" "));
});

t.test("without --net it is the caller's", async (t) => {
	const own = spawnSync("ip", ["-json", "link"], { encoding: "utf8" }).stdout;
	const names = (JSON.parse(own) as { ifname: string }[]).map(({ ifname }) => ifname);
	t.same(
		inside(["--map-root-user", "--uts"]).links.map(({ name }) => name),
		names,
	);
});
