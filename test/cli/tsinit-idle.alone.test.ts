/** What a waiting tsinit costs: /proc/PID/smaps_rollup and its context switches. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import t, { type Test } from "tap";
import { compile, needsTini, start, tini, tsinit } from "../support/tsinit.ts";

t.setTimeout(60_000);
const ofRelease = process.env.TSBOX_BIN === undefined ? {} : { skip: "the limits are those of the release build" };
const isMusl = !/glibc|GLIBC/.test(readFileSync(tsinit, "latin1"));
const smallBuild = isMusl ? ofRelease : { skip: "the limits are those of a musl build" };

/** A field of /proc/PID/FILE: kB, or a count. */
function field(pid: number, file: string, name: string): number {
	return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${pid}/${file}`, "utf8"))?.[1]);
}

/** Starts an init with a sleeping program; resolves once it waits for signals. */
async function idle(t: Test, words: string[]): Promise<number> {
	const init = start(t, [...words, "--", "sh", "-c", "echo ready; exec sleep 1000"]);
	await init.says(/ready/);
	for (;;) {
		/* The number of the call that it sleeps in: rt_sigtimedwait, on x86_64 or aarch64. */
		const [call] = readFileSync(`/proc/${init.pid}/syscall`, "utf8").split(" ");
		if (call === "128" || call === "137") return init.pid;
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}

t.test("waiting, it holds at most 900 kB, 260 of them its own", smallBuild, async (t) => {
	/* Until the file is on the disk, the pages of its code count as dirty ones. */
	spawnSync("sync", [tsinit]);
	for (const words of [[], ["-s"], ["-s", "-g", "-w"]]) {
		const pid = await idle(t, [tsinit, ...words]);
		const resident = field(pid, "smaps_rollup", "Rss");
		const dirty = field(pid, "smaps_rollup", "Private_Dirty");
		t.ok(resident <= 900, `tsinit ${words.join(" ")}: ${resident} kB resident`);
		t.ok(dirty <= 260, `tsinit ${words.join(" ")}: ${dirty} kB private and dirty`);
		process.kill(pid, "SIGTERM");
	}
});

t.test("it grows neither by signals nor by thousands of orphans", async (t) => {
	const payload = compile(t, "payload");
	const init = start(t, [tsinit, "-s", "--", payload, "orphans", "2000", "4"]);
	const sizes: number[] = [];
	for (const round of [1, 2, 3, 4]) {
		await init.says(new RegExp(`orphans ${round}\n`));
		init.write("\n");
		await init.says(new RegExp(`ended ${round}\n`));
		for (let i = 0; i < 200; i++) process.kill(init.pid, "SIGURG");
		sizes.push(field(init.pid, "smaps_rollup", "Anonymous"));
		init.write("\n");
	}
	t.equal(await init.ended, 0);
	t.equal(sizes[3], sizes[1], `${sizes.join(", ")} kB`);
});

t.test("nothing wakes it while nothing happens; tini wakes", async (t) => {
	const ours = await idle(t, [tsinit, "-s"]);
	const theirs = needsTini.skip ? undefined : await idle(t, [tini, "-s"]);
	const wakes = (pid: number) => field(pid, "status", "voluntary_ctxt_switches");
	const before = [ours, theirs].map((pid) => pid && wakes(pid));
	await new Promise((resolve) => setTimeout(resolve, 2500));
	t.equal(wakes(ours), before[0]);
	if (theirs) t.ok(wakes(theirs) > (before[1] as number));
});
