// `tscgctl devices`, `watch` and `top` on pure cgroup v2, on each kernel of the list: what the machine's own kernel cannot
// show (memory.events, a hardened JIT, RLIMIT_MEMLOCK before 5.11).
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { boot, kernels } from "./vm.mjs";

t.setTimeout(600_000);

const bin = process.env.TSBOX_BIN ?? fileURLToPath(new URL("../../bin", import.meta.url));

const probe = `for node in null zero full urandom; do
	allowed=
	(: </dev/$node) 2>&- && allowed="$allowed r"
	(: >/dev/$node) 2>&- && allowed="$allowed w"
	echo $node$allowed
done`;

for (const kernel of kernels) {
	t.test(`on ${kernel}`, async (t) => {
		const vm = await boot({
			kernel,
			files: { "/bin/tscgctl": join(bin, "tscgctl"), "/probe": { content: probe, mode: 0o755 } },
		});
		t.teardown(() => vm.close());
		t.comment(vm.release);

		/** What a script prints that must succeed and have nothing to complain of. */
		const output = async (t, script) => {
			const { status, stdout, stderr } = await vm.run(`set -e\n${script}`);
			t.match({ status, stderr }, { status: 0, stderr: "" }, script);
			return stdout;
		};

		t.test("device rules hold, can be read back, and are edited one by one", async (t) => {
			t.equal(
				await output(t, "tscgctl create white --device 'c 1:3 rw' --device /dev/zero:r; tscgctl run white -- sh /probe"),
				"null r w\nzero r\nfull\nurandom\n",
			);
			t.equal(
				await output(t, "tscgctl devices allow white 'c 1:9 r'; tscgctl devices deny white 'c 1:3 w'; tscgctl devices list white"),
				"deny a *:* rwm\nallow c 1:3 rw\nallow c 1:5 r\nallow c 1:9 r\n".replace("1:3 rw", "1:3 r"),
			);
			t.equal(await output(t, "tscgctl run white -- sh /probe"), "null r\nzero r\nfull\nurandom r\n");
			t.equal(
				await output(t, "tscgctl devices clear white; tscgctl devices list white; tscgctl run white -- sh /probe"),
				"allow a *:* rwm\nnull r w\nzero r w\nfull r w\nurandom r w\n",
			);
		});

		t.test("rules are read back from a program that the JIT has hardened", async (t) => {
			const list = await output(
				t,
				`echo 2 >/proc/sys/net/core/bpf_jit_harden
				tscgctl create hard --device standard --device '-c 1:5 w' --device 'b 8:* r'
				tscgctl devices allow hard 'c 10:229 rw'
				tscgctl devices list hard
				tscgctl run hard -- sh /probe
				echo 0 >/proc/sys/net/core/bpf_jit_harden`,
			);
			t.match(list, /^deny a \*:\* rwm\nallow c \*:\* m\n(allow .*\n){11}null r w\nzero r\nfull r w\nurandom r w\n$/);
			t.match(list, "allow c 1:5 rm\n");
			t.match(list, "allow c 10:229 rw\n");
		});

		t.test("rules that the kernel hides are not taken for none", async (t) => {
			const { status, stdout, stderr } = await vm.run(
				`echo 2 >/proc/sys/net/core/bpf_jit_harden; echo 2 >/proc/sys/kernel/kptr_restrict
				tscgctl create hidden --device 'c 1:3 rw'
				tscgctl devices list hidden
				tscgctl devices allow hidden 'c 1:5 r'; status=$?
				tscgctl devices set hidden 'c 1:5 r'
				echo 0 >/proc/sys/net/core/bpf_jit_harden; echo 0 >/proc/sys/kernel/kptr_restrict
				tscgctl run hidden -- sh /probe
				exit $status`,
			);
			t.equal(status, 1);
			t.equal(stdout, "null\nzero r\nfull\nurandom\n");
			t.match(
				stderr,
				/^tscgctl: \/hidden: has a device program of tsbox's whose rules the kernel hides\ntscgctl: \S+\/hidden: the rules of the attached device program \(id \d+\) cannot be read back\ntscgctl: hint: .*\n$/,
			);
		});

		t.test("more programs than RLIMIT_MEMLOCK has room for are loaded, and the limit is not inherited", async (t) => {
			const said = await output(
				t,
				`ulimit -l 64
				for i in $(seq 40); do tscgctl create many$i --device 'c 1:3 rw'; done
				tscgctl run many41 --device 'c 1:3 rw' -- sh -c 'ulimit -l'
				for i in $(seq 41); do tscgctl rm many$i; done`,
			);
			t.equal(said, "64\n");
		});

		t.test("memory's events are told as they happen", async (t) => {
			const said = await output(
				t,
				`tscgctl create hog --memory 16m --memory-high 8m
				: >/tmp/ready
				tscgctl watch hog --json --pressure 'memory some 20ms/1s' 2>/tmp/ready >/tmp/events & watch=$!
				until grep -q watching /tmp/ready; do sleep 0.05; done
				# Above memory.high a process is only slowed down, so much that it would take minutes to reach the limit.
				tscgctl run hog -- sh -c 'exec timeout -s KILL 1 tail /dev/zero' 2>/dev/null || true
				tscgctl set hog --memory-high max
				tscgctl run hog -- sh -c 'exec tail /dev/zero' 2>/dev/null || true
				until grep -q oom_kill /tmp/events; do sleep 0.05; done
				grep '^oom_kill\\|^high\\|^max\\|^oom ' /sys/fs/cgroup/tsbox/hog/memory.events
				tscgctl rm hog
				wait $watch
				cat /tmp/events`,
			);
			const lines = said.trim().split("\n");
			const kernelSays = Object.fromEntries(lines.filter((line) => !line.startsWith("{")).map((line) => line.split(" ")));
			const events = lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
			const last = (event) => events.filter((one) => one.event === event).pop();
			for (const event of ["high", "max", "oom", "oom_kill"]) {
				t.ok(last(event)?.count > 0, event);
				t.equal(last(event)?.total, Number(kernelSays[event]), `${event}: as many as memory.events counts`);
			}
			t.match(last("populated"), { value: false });
			t.match(last("pressure"), { resource: "memory", kind: "some" });
			t.equal(events.pop().event, "removed");
		});

		t.test("the limit of processes and the freezer are told of", async (t) => {
			const said = await output(
				t,
				`tscgctl create few --pids 2
				: >/tmp/ready
				tscgctl watch few --event pids_max --event frozen --count 3 2>/tmp/ready >/tmp/events & watch=$!
				until grep -q watching /tmp/ready; do sleep 0.05; done
				tscgctl run few -- sh -c 'sleep 0.1 & sleep 0.1 & sleep 0.1 & wait' 2>/dev/null || true
				until grep -q pids_max /tmp/events; do sleep 0.05; done
				tscgctl freeze few
				until grep -q frozen /tmp/events; do sleep 0.05; done
				tscgctl thaw few
				wait $watch
				tscgctl kill few
				tscgctl rm few
				cut -d' ' -f2- /tmp/events`,
			);
			t.match(said, /^\/few pids_max \+1 \(1\)\n\/few frozen yes\n\/few frozen no\n$/);
		});

		t.test("top shows use and limits", async (t) => {
			const said = await output(
				t,
				`tscgctl run burn --cpus 0.5 --memory 64m --pids 10 -- sh -c 'while :; do :; done' & sleep 0.3
				tscgctl top --once --interval 0.5
				tscgctl kill burn; tscgctl rm burn`,
			);
			t.match(
				said,
				/^CGROUP +CPU\* +MEMORY +READ\/s +WRITE\/s +PIDS\n\/burn +\d+\.\d% \[#+ *\] +[\d.]+ [KM]iB \[# +\] +0 B +0 B +1 \[# +\]\n/,
			);
		});
	});
}
