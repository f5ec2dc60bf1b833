/** `tscgctl watch`: on v1 and on v2 what the kernel tells; memory's events on v2 are tested in the VM. */
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { layouts } from "../support/layouts.ts";
import { tool } from "../support/tools.ts";

const state = mkdtempSync(join(tmpdir(), "tsbox-cgctl-watch-"));
t.teardown(() => rmSync(state, { recursive: true }));
const environment = { TSBOX_RUN: state, TSBOX_CGROUP_ROOT: `/tsbox-watch-${process.pid}` };

interface Happened {
	time: number;
	cgroup: string;
	event: string;
	[fact: string]: unknown;
}

for (const layout of layouts) {
	t.test(layout.name, { skip: layout.skip }, async (t) => {
		const cgctl = (...args: string[]) => layout.run([tool("tscgctl"), ...args], environment);
		const done = (...args: string[]) => {
			const { status, stdout, stderr } = cgctl(...args);
			t.equal(status, 0, `${args.join(" ")} ${stderr}`);
			return stdout;
		};
		t.teardown(() => {
			cgctl("kill", "/");
			cgctl("rm", "-r", "--force", "/");
		});

		/** A watch that has begun: it says so. */
		async function watching(...args: string[]) {
			const child = layout.start([tool("tscgctl"), "watch", ...args], environment);
			const said = { stdout: "", stderr: "" };
			for (const stream of ["stdout", "stderr"] as const)
				child[stream]?.on("data", (data) => {
					said[stream] += data;
				});
			const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
			t.teardown(() => stop(child));
			await until(() => said.stderr.includes("watching"), ended);
			return {
				child,
				said,
				ended,
				events: () =>
					said.stdout
						.split("\n")
						.slice(0, -1)
						.map((line) => JSON.parse(line) as Happened),
				/** Waits for an event of that kind. */
				async saw(event: string): Promise<Happened> {
					const found = () => this.events().find((one) => one.event === event);
					await until(() => found() !== undefined, ended);
					return found() as Happened;
				},
			};
		}

		t.test("tells when the first process enters, when the last one leaves, and when the cgroup goes", async (t) => {
			done("create", "life");
			const watch = await watching("life", "--json");
			const run = layout.start([tool("tscgctl"), "run", "life", "--", "/bin/sleep", "60"], environment);
			const full = await watch.saw("populated");
			t.match(full, { cgroup: `${environment.TSBOX_CGROUP_ROOT}/life`, value: true });
			t.ok(Math.abs(full.time - Date.now() / 1000) < 60, "the time is that of the clock");
			stop(run);
			await until(() => watch.events().filter(({ event }) => event === "populated").length === 2, watch.ended);
			done("rm", "life");
			t.equal(await watch.ended, 0);
			t.same(
				watch.events().map(({ event, value }) => [event, value]),
				[
					["populated", true],
					["populated", false],
					["removed", undefined],
				],
			);
		});

		t.test("tells when the cgroup is frozen and thawed", async (t) => {
			done("create", "ice");
			const run = layout.start([tool("tscgctl"), "run", "ice", "--", "/bin/sleep", "60"], environment);
			const watch = await watching("ice", "--json", "--event", "frozen", "--count", "2");
			done("freeze", "ice");
			t.match(await watch.saw("frozen"), { value: true });
			done("thaw", "ice");
			t.equal(await watch.ended, 0, "ends after --count events");
			t.match(watch.events(), [
				{ event: "frozen", value: true },
				{ event: "frozen", value: false },
			]);
			stop(run);
		});

		t.test("a line for people has the time, the cgroup, the event and its facts", async (t) => {
			done("create", "plain");
			const watch = await watching("plain", "--event", "populated", "--count", "1");
			t.match(watch.said.stderr, /^tscgctl: watching \/plain: /);
			const run = layout.start([tool("tscgctl"), "run", "plain", "--", "/bin/sleep", "60"], environment);
			t.equal(await watch.ended, 0);
			t.match(watch.said.stdout, /^\d\d:\d\d:\d\d\.\d{3}Z \/plain populated yes\n$/);
			stop(run);
		});

		t.test("several cgroups are watched at once, until the last of them is removed", async (t) => {
			done("create", "left", "right");
			const watch = await watching("left", "right", "--json");
			done("rm", "left");
			await watch.saw("removed");
			done("rm", "right");
			t.equal(await watch.ended, 0);
			t.same(
				watch.events().map(({ cgroup, event }) => [cgroup.split("/")[2], event]),
				[
					["left", "removed"],
					["right", "removed"],
				],
			);
		});

		t.test("--timeout ends it with status 0, or 124 where --count events were waited for", async (t) => {
			done("create", "quiet");
			t.match(cgctl("watch", "quiet", "--timeout", "50ms", "-q"), { status: 0, stdout: "", stderr: "" });
			t.match(cgctl("watch", "quiet", "--timeout", "50ms", "-q", "--count", "1"), { status: 124, stdout: "", stderr: "" });
		});

		t.test("ends when the reader of its output has gone", async (t) => {
			done("create", "piped");
			const watch = await watching("piped");
			watch.child.stdout?.destroy();
			t.equal(await watch.ended, 141);
		});

		t.test("says what is wrong with the command line", async (t) => {
			done("create", "wrong");
			for (const [args, status, message] of [
				[[], 2, "tscgctl: watch: needs a cgroup's path\n"],
				[["wrong", "--event", "oom_kil"], 2, "tscgctl: --event: no event is named \"oom_kil\"\ntscgctl: hint: did you mean 'oom_kill'?\n"],
				[["wrong", "--pressure", "memory"], 2, 'tscgctl: --pressure: "memory" is not a trigger\n'],
				[
					["wrong", "--pressure", "memory some 2s/1s"],
					2,
					'tscgctl: --pressure: "memory some 2s/1s": the stall is longer than the window\n',
				],
				[["wrong", "--count", "0"], 2, /^tscgctl: --count: "0" is not /],
				[["gone"], 1, "tscgctl: /gone: no such cgroup\n"],
			] as [string[], number, string | RegExp][])
				t.match(cgctl("watch", ...args), { status, stdout: "", stderr: message }, args.join(" "));
		});

		if (layout.name === "v2") {
			t.test("--pressure tells when the processes have waited for the cpu", async (t) => {
				done("create", "press");
				const watch = await watching(
					"press",
					"--json",
					"--pressure",
					"cpu some 20ms/2s",
					"--count",
					"1",
					"--event",
					"pressure",
					"--timeout",
					"30s",
				);
				/* More of them than there are cpus: some must wait. */
				const burn = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do (while :; do :; done) & done; wait";
				const run = layout.start([tool("tscgctl"), "run", "press", "--", "/bin/sh", "-c", burn], environment);
				t.equal(await watch.ended, 0);
				t.match(watch.events(), [{ event: "pressure", resource: "cpu", kind: "some", avg10: Number, total: Number }]);
				done("kill", "press");
				stop(run);
			});

			t.test("a trigger that the kernel does not take is explained", async (t) => {
				done("create", "odd");
				t.match(cgctl("watch", "odd", "--pressure", "cpu some 1ms/100ms"), {
					status: 1,
					stderr: /cpu\.pressure: the kernel does not take this trigger\ntscgctl: hint: a window is 500ms to 10s long\n/,
				});
				t.match(cgctl("watch", "odd", "--pressure", "irq some 20ms/2s"), { status: 1, stderr: /irq\.pressure: / });
			});
		} else {
			t.test("out of memory, and whom the kernel ended for it", async (t) => {
				done("create", "small", "--memory", "16m");
				const watch = await watching("small", "--json");
				cgctl("run", "small", "--", "/bin/sh", "-c", "exec tail /dev/zero");
				t.ok(((await watch.saw("oom")).count as number) > 0);
				const killed = await watch.saw("oom_kill");
				t.equal(killed.total, Number(/oom_kill (\d+)/.exec(done("get", "small", "memory.oom_control"))?.[1]));
				t.ok(((await watch.saw("max")).count as number) > 0);
				t.match(await watch.saw("pressure"), { resource: "memory", level: /^(low|medium|critical)$/ });
			});

			t.test("the limit of processes reached", async (t) => {
				done("create", "few", "--pids", "2");
				const watch = await watching("few", "--json", "--event", "pids_max", "--count", "1");
				cgctl("run", "few", "--", "/bin/sh", "-c", "sleep 0.1 & sleep 0.1 & sleep 0.1 & wait");
				t.equal(await watch.ended, 0);
			});

			t.test("--pressure says that it takes v2", async (t) => {
				done("create", "one");
				t.match(cgctl("watch", "one", "--pressure", "memory some 100ms/2s"), {
					status: 1,
					stderr: "tscgctl: /one: --pressure: it is not on cgroup v2, which alone has pressure by cgroup\n",
				});
			});
		}
	});
}

function stop(child: ChildProcess) {
	if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
}

/** Waits until it is so; fails if the process ends first, or after 30 s. */
async function until(isSo: () => boolean, ended: Promise<unknown>) {
	let isOver = false;
	void ended.then(() => {
		isOver = true;
	});
	for (let i = 0; i < 3000; i++) {
		if (isSo()) return;
		if (isOver) break;
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
	/* What came with the end. */
	await new Promise((resolve) => setTimeout(resolve, 10));
	if (!isSo()) throw new Error("it did not come");
}
