/** tsinit's command line as settings, and its view of /proc. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import t from "tap";
import { parse } from "../../cmds/common/command-line/options.ts";
import { optionTable } from "../../cmds/initd/options.ts";
import { descendants } from "../../cmds/initd/rest.ts";
import { type Settings, settingsOf } from "../../cmds/initd/settings.ts";

function settings(...argv: string[]): Settings {
	const line = parse(argv, optionTable, true);
	return settingsOf(line.options, line.operands);
}

t.test("without options, settings are tini's defaults", async (t) => {
	const { environment, ...rest } = settings("program", "-s", "--", "x");
	t.ok(environment.includes(`PATH=${process.env.PATH}`));
	t.same(rest, {
		argv: ["program", "-s", "--", "x"],
		subreaper: false,
		parentDeathSignal: undefined,
		verbosity: 1,
		warnOnReap: false,
		killProcessGroup: false,
		newSession: false,
		expected: [],
		rewrite: {},
		stopSignals: [15],
		grace: undefined,
		maxTime: undefined,
		waitAll: undefined,
		killAll: undefined,
		termAll: false,
		before: undefined,
		after: undefined,
		pause: false,
	});
});

t.test("options have the meaning that the help gives them", async (t) => {
	t.match(settings("-sgwvv", "-e", "3", "-e4", "-pHUP", "x"), {
		subreaper: true,
		killProcessGroup: true,
		warnOnReap: true,
		verbosity: 3,
		expected: [3, 4],
		parentDeathSignal: 1,
	});
	t.same(settings("-r", "15:3", "--rewrite", "SIGHUP:0", "-r15:RTMAX", "x").rewrite, { 15: 64, 1: 0 });
	t.match(settings("--grace", "2", "--max-time", "1m", "--stop-signal", "QUIT", "--stop-signal", "2", "x"), {
		grace: 2,
		maxTime: 60,
		stopSignals: [3, 2],
	});
	t.match(settings("--wait-all", "--kill-all", "x"), { waitAll: Infinity, killAll: 10 });
	t.match(settings("--kill-all", "--grace", "3", "x"), { killAll: 3 });
	t.match(settings("--wait-all=500ms", "--kill-all=0", "x"), { waitAll: 0.5, killAll: 0 });
});

t.test("a rule that rewrites is refused where it cannot work", async (t) => {
	for (const rule of ["15", "15:", ":15", "15:3:1", "0:15", "65:15", "15:65", "KILL:15", "19:15", "CHLD:15", "TERM:-1"])
		t.throws(() => settings("-r", rule, "x"), { message: new RegExp(`^-r: "${rule}" is not`) }, rule);
});

t.test("descendants are found at every depth, and no others", async (t) => {
	const shell: ChildProcess = spawn("sh", ["-c", "sleep 1000 & sh -c 'sleep 1000 & echo $!; wait' & wait"], {
		detached: true,
		stdio: ["ignore", "pipe", "ignore"],
	});
	t.teardown(() => process.kill(-(shell.pid as number), "SIGKILL"));
	const deepest = await new Promise<number>((resolve) => shell.stdout?.once("data", (text) => resolve(Number(text))));
	const found = descendants(shell.pid as number);
	const pgrep = spawnSync("pgrep", ["-g", String(shell.pid)], { encoding: "utf8" })
		.stdout.trim()
		.split("\n")
		.map(Number);
	t.same(found.map(({ pid }) => pid).sort(), pgrep.filter((pid) => pid !== shell.pid).sort());
	t.ok(found.some(({ pid }) => pid === deepest));
});
