/** `tscgctl devices` and --device as a person uses them, on v1 and on v2. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { layouts } from "../support/layouts.ts";
import { tool } from "../support/tools.ts";

const state = mkdtempSync(join(tmpdir(), "tsbox-cgctl-devices-"));
t.teardown(() => rmSync(state, { recursive: true }));
const environment = { TSBOX_RUN: state, TSBOX_CGROUP_ROOT: `/tsbox-devices-${process.pid}` };

/** Says for each of the words null, zero, full and random which of r, w and rw may be opened. */
const PROBE = `for node in null zero full urandom; do
	allowed=
	(: </dev/$node) 2>/dev/null && allowed="$allowed r"
	(: >/dev/$node) 2>/dev/null && allowed="$allowed w"
	(: <>/dev/$node) 2>/dev/null && allowed="$allowed rw"
	echo $node$allowed
done`;

for (const layout of layouts) {
	t.test(layout.name, { skip: layout.skip }, async (t) => {
		const cgctl = (...args: string[]) => layout.run([tool("tscgctl"), ...args], environment);
		/** What a run that must be fine prints. */
		const done = (...args: string[]) => {
			const { status, stdout, stderr } = cgctl(...args);
			t.match({ status, stderr }, { status: 0, stderr: "" }, args.join(" "));
			return stdout;
		};
		const lines = (...args: string[]) =>
			done(...args)
				.split("\n")
				.slice(0, -1);
		const probe = (path: string) => cgctl("run", path, "--", "/bin/sh", "-c", PROBE).stdout;
		t.teardown(() => {
			cgctl("rm", "-r", "--force", "/");
		});

		t.test("what is on the list may be opened, all else fails with EPERM", async (t) => {
			done("create", "white", "--device", "c 1:3 rw", "--device", "/dev/zero:r", "--device", "c 1:9 r", "--device", "c 1:7 w");
			t.equal(probe("white"), "null r w rw\nzero r\nfull w\nurandom r\n");
			const said = cgctl("run", "white", "--", "/bin/sh", "-c", "cat /dev/full; echo x >/dev/zero").stderr;
			t.match(said, "/dev/full: Operation not permitted");
			t.match(said, /\/dev\/zero: .*not permitted/);
		});

		t.test("what is denied alone is forbidden, all else may be opened", async (t) => {
			done("create", "black", "--device", "-c 1:5 w", "--device", "deny /dev/full");
			t.equal(probe("black"), "null r w rw\nzero r\nfull\nurandom r w rw\n");
		});

		t.test("`run --device` gives the rules before the program starts", async (t) => {
			const { stdout } = cgctl("run", "ran", "--device", "c 1:3 rw", "--device", "c 1:9 r", "--", "/bin/sh", "-c", PROBE);
			t.equal(stdout, "null r w rw\nzero\nfull\nurandom r\n");
		});

		t.test("a rule is added and taken away without losing the others", async (t) => {
			done("create", "edited");
			t.equal(cgctl("devices", "list", "edited").stdout, "allow a *:* rwm\n", "at first");
			done("devices", "deny", "edited", "a");
			done("devices", "allow", "edited", "c 1:3 rw", "c 1:9 rw");
			done("devices", "allow", "edited", "/dev/zero:r");
			t.same(lines("devices", "list", "edited"), ["deny a *:* rwm", "allow c 1:3 rw", "allow c 1:9 rw", "allow c 1:5 r"]);
			t.equal(probe("edited"), "null r w rw\nzero r\nfull\nurandom r w rw\n");
			done("devices", "deny", "edited", "c 1:9 w");
			t.same(lines("devices", "list", "edited").sort(), ["allow c 1:3 rw", "allow c 1:5 r", "allow c 1:9 r", "deny a *:* rwm"]);
			t.equal(probe("edited"), "null r w rw\nzero r\nfull\nurandom r\n");
			done("devices", "clear", "edited");
			t.equal(probe("edited"), "null r w rw\nzero r w rw\nfull r w rw\nurandom r w rw\n");
		});

		t.test("the list of one cgroup, as it is printed, can be given to another", async (t) => {
			done("create", "one", "two", "--device", "standard");
			done("devices", "set", "one", "standard", "c 10:229 rw");
			const list = lines("devices", "list", "one");
			t.equal(list.length, 12);
			done("devices", "set", "two", ...list);
			t.same(lines("devices", "list", "two").sort(), list.sort());
		});

		t.test("--json prints the rules as OCI's linux.resources.devices has them", async (t) => {
			done("create", "json", "--device", "c 1:3 rw", "--device", "b *:* m");
			t.match(JSON.parse(done("devices", "list", "json", "--json")), {
				version: layout.name === "v1" ? 1 : 2,
				rules: [
					{ allow: false, type: "a", access: "rwm" },
					{ allow: true, type: "c", major: 1, minor: 3, access: "rw" },
					{ allow: true, type: "b", access: "m" },
				],
				others: [],
			});
		});

		t.test("eight `devices allow` at once lose none of their rules", async (t) => {
			done("create", "busy", "--device", "c 1:3 rw");
			const minors = [0, 1, 2, 3, 4, 5, 6, 7];
			const statuses = await Promise.all(
				minors.map((minor) => {
					const child = layout.start([tool("tscgctl"), "devices", "allow", "busy", `c 240:${minor} r`], environment);
					return new Promise((resolve) => child.once("close", resolve));
				}),
			);
			t.same(
				statuses,
				minors.map(() => 0),
			);
			t.same(lines("devices", "list", "busy").sort(), [
				"allow c 1:3 rw",
				...minors.map((minor) => `allow c 240:${minor} r`),
				"deny a *:* rwm",
			]);
		});

		t.test("a child cgroup can open nothing that its parent may not", async (t) => {
			done("create", "parent", "--device", "c 1:3 rw", "--device", "c 1:9 r");
			done("create", "parent/child");
			t.equal(probe("parent/child"), "null r w rw\nzero\nfull\nurandom r\n");
			/* v2 says yes, and the parent's program still says no; v1 refuses the rule. */
			const { status, stderr } = cgctl("devices", "allow", "parent/child", "c 1:5 r");
			if (layout.name === "v1") {
				t.equal(status, 1);
				t.match(stderr, "hint: on v1 a cgroup can have no device that its parent does not have");
			}
			t.match(probe("parent/child"), "\nzero\n");
		});

		t.test("--dry-run says what it would do, and does nothing", async (t) => {
			done("create", "dry", "--device", "c 1:3 rw");
			const said = done("devices", "allow", "dry", "c 1:5 r", "--dry-run");
			t.match(
				said,
				layout.name === "v1" ? /^write \S+\/devices\.allow "c 1:5 r"\n$/ : /^bpf\(BPF_PROG_LOAD, .*\nbpf\(BPF_PROG_ATTACH, .*BPF_F_REPLACE/,
			);
			t.same(lines("devices", "list", "dry"), ["deny a *:* rwm", "allow c 1:3 rw"]);
		});

		if (layout.name === "v2") {
			t.test("on a kernel without BPF_F_REPLACE the new program is attached before the old one is taken away", async (t) => {
				done("create", "old", "--device", "c 1:3 rw");
				/* Query, descriptor, information twice, load: the sixth call is the one that replaces. */
				const inject = ["strace", "-o", join(state, "strace"), "-e", "inject=bpf:error=EINVAL:when=6"];
				t.match(layout.run([...inject, tool("tscgctl"), "devices", "allow", "old", "c 1:9 r"], environment), { status: 0, stderr: "" });
				const calls = readFileSync(join(state, "strace"), "utf8").split("\n");
				const attached = calls.filter((line) => /^bpf\(BPF_PROG_(ATTACH|DETACH)/.test(line));
				t.match(attached, [/BPF_F_REPLACE.* = -1 EINVAL .*INJECTED/, /ATTACH.*attach_flags=BPF_F_ALLOW_MULTI\}?,.* = 0$/, /DETACH.* = 0$/]);
				t.same(lines("devices", "list", "old"), ["deny a *:* rwm", "allow c 1:3 rw", "allow c 1:9 r"]);
				t.equal(probe("old"), "null r w rw\nzero\nfull\nurandom r\n");
			});
		}

		t.test("a wrong command line is refused with status 2, and changes nothing", async (t) => {
			done("create", "wrong", "--device", "c 1:3 rw");
			for (const [args, message] of [
				[["devices"], "tscgctl: say what to do: list, allow, deny, set or clear\n"],
				[["devices", "lisst", "wrong"], "tscgctl: lisst: not list, allow, deny, set or clear\n"],
				[["devices", "allow"], "tscgctl: devices allow: needs a cgroup's path\n"],
				[["devices", "allow", "wrong"], "tscgctl: devices allow: needs a rule, like 'c 1:3 rwm'\n"],
				[["devices", "clear", "wrong", "a"], "tscgctl: devices clear: takes no rules\n"],
				[["devices", "allow", "wrong", "c 1:3 rx"], 'tscgctl: "c 1:3 rx": not a device rule\n'],
				[
					["devices", "allow", "wrong", "c 1:5 r", "c 9999:1 r"],
					'tscgctl: "c 9999:1 r": 9999 is more than a device number can be (4095)\n',
				],
				[["devices", "deny", "wrong", "allow c 1:3 r"], "tscgctl: devices deny: allow c 1:3 r: says the contrary\n"],
				[["devices", "list", "../x"], /^tscgctl: \.\.\/x: a cgroup's path may not have "\.\." in it\n/],
				[["create", "never", "--device", "c 1:3 rx"], 'tscgctl: "c 1:3 rx": not a device rule\n'],
			] as [string[], string | RegExp][]) {
				const { status, stdout, stderr } = cgctl(...args);
				t.match({ status, stdout, stderr }, { status: 2, stdout: "", stderr: message }, args.join(" "));
			}
			t.same(lines("devices", "list", "wrong"), ["deny a *:* rwm", "allow c 1:3 rw"]);
			t.match(cgctl("devices", "list", "never"), { status: 1, stderr: "tscgctl: /never: no such cgroup\n" });
			t.match(cgctl("devices", "allow", "wrong", "/etc/passwd:r"), { status: 1, stderr: "tscgctl: /etc/passwd: not a device\n" });
		});

		t.test("an ordinary user may read v1's rules, and is told that v2's take root", async (t) => {
			done("create", "seen", "--device", "c 1:3 rw");
			const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", tool("tscgctl"), "devices"];
			const list = layout.run([...nobody, "list", "seen"], environment);
			if (layout.name === "v1") t.match(list, { status: 0, stdout: "deny a *:* rwm\nallow c 1:3 rw\n" });
			else t.match(list, { status: 1, stdout: "", stderr: /bpf\(BPF_PROG_QUERY\): Operation not permitted\ntscgctl: hint: .*only root/ });
			const allow = layout.run([...nobody, "allow", "seen", "c 1:5 r"], environment);
			t.match(allow, { status: 1, stderr: layout.name === "v1" ? /Permission denied/ : /Operation not permitted/ });
			t.same(lines("devices", "list", "seen"), ["deny a *:* rwm", "allow c 1:3 rw"]);
		});
	});
}
