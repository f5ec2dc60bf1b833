/** Orphans and zombies: that none is missed, and what is said of those that are not tsinit's to reap. */
import t, { type Test } from "tap";
import { asPid1, childrenOf, compile, needsRoot, processTable, start, tsinit, until } from "../support/tsinit.ts";

t.setTimeout(120_000);
const payload = compile(t, "payload");
const COUNT = 5000;

/** Twice 5,000 orphans, which end at once: at first all are the init's, then none is left, running or as a zombie. */
async function reapsThousands(t: Test, words: string[], initOf = (pid: number) => pid) {
	const init = start(t, [...words, payload, "orphans", String(COUNT), "2"]);
	for (const round of ["1", "2"]) {
		await init.says(new RegExp(`orphans ${round}\n`));
		const pid = initOf(init.pid);
		await until(() => childrenOf(pid).length === COUNT + 1);
		init.write("\n");
		await init.says(new RegExp(`ended ${round}\n`));
		await until(() => childrenOf(pid).length === 1);
		t.same(
			processTable().filter((process) => process.ppid === pid && process.state === "Z"),
			[],
		);
		init.write("\n");
	}
	t.equal(await init.ended, 0);
}

t.test("5,000 orphans that end at once, twice, are all reaped by a subreaper", async (t) => {
	await reapsThousands(t, [tsinit, "-s", "--"]);
});

t.test("5,000 orphans that end at once, twice, are all reaped by PID 1", needsRoot, async (t) => {
	await reapsThousands(t, [...asPid1, tsinit, "--"], (pid) => childrenOf(pid)[0] as number);
});

t.test("an orphan is reaped as soon as it has ended, and -w tells of it", async (t) => {
	const init = start(t, [tsinit, "-s", "-w", "--", "sh", "-c", "(sleep 0.2 & echo orphan $!); echo program $$; exec sleep 1000"]);
	const [, orphan] = await init.says(/orphan (\d+)/);
	const [, program] = await init.says(/program (\d+)/);
	const told = await init.says(/tsinit: warning: Reaped zombie process with pid=(\d+)\n/g);
	/* The subshell was the program's own child, and the program is told of by its status. */
	t.equal(told[1], orphan);
	t.same(childrenOf(init.pid), [Number(program)]);
	process.kill(init.pid, "SIGTERM");
	t.equal(await init.ended, 143);
	t.equal(init.output().match(/Reaped/g)?.length, 1);
});

t.test("-w is quiet at verbosity 0", async (t) => {
	const init = start(t, [tsinit, "-s", "-w", "sh", "-c", "(sleep 0.1 &); sleep 0.3"], { env: { ...process.env, TINI_VERBOSITY: "0" } });
	t.equal(await init.ended, 0);
	t.equal(init.output(), "");
});

t.test("-v names the parent of a zombie that only this parent could reap, once", async (t) => {
	const words = [payload, "neglect"];
	const inits = [start(t, [tsinit, "-s", "-v", "--", ...words]), start(t, [tsinit, "-s", "--", ...words])];
	if (process.getuid?.() === 0) inits.push(start(t, [...asPid1, tsinit, "-v", "--", ...words]));
	for (const [i, init] of inits.entries()) {
		if (i === 1) continue;
		const [, zombie] = await init.says(/neglected (\d+)/);
		const told =
			/process (\d+) \(payload\) is a zombie that tsinit cannot reap: its parent (\d+) \(payload\) is alive and does not wait for it\n/;
		const [, named, parent] = await init.says(told);
		t.equal(named, zombie);
		if (i === 0) t.same(childrenOf(init.pid), [Number(parent)]);
	}
	t.notMatch(inits[1]?.output(), /zombie/, "without -v there is no looking");
	await new Promise((resolve) => setTimeout(resolve, 6000));
	for (const init of inits) t.ok((init.output().match(/is a zombie/g)?.length ?? 0) <= 1);
});

t.test("a program that ends while thousands of orphans do gives its own status", async (t) => {
	const script = `"$0" orphans 1000 1 >/dev/null; exit 41`;
	const init = start(t, [tsinit, "-s", "--", "sh", "-c", script, payload]);
	init.write("\n\n");
	t.equal(await init.ended, 41);
});
