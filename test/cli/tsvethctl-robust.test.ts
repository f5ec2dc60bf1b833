/** Leases, wrong input, failures and kills: nothing is left, nothing is given out twice. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { lab, needsLab } from "../support/netlab.ts";

t.test("tsvethctl holds", needsLab, async (t) => {
	const l = await lab(t);
	const leases = (network: string) =>
		readdirSync(join(l.folder, "run/networks", network, "leases")).filter((name) => !name.startsWith("."));
	const holders = await Promise.all(Array.from({ length: 6 }, () => l.namespace()));
	const [first = 0, second = 0] = holders;
	const empty = l.facts();
	l.veth(["network", "create", "small", "--subnet", "10.7.0.0/29"]);
	const before = l.facts();

	t.test("40 joins at once give 40 different addresses", async (t) => {
		l.veth(["network", "create", "many", "--subnet", "10.77.0.0/24"]);
		const ran = l.sh(
			`pids=; for i in $(seq 40); do unshare -n sleep 60 & pids="$pids $!"; done; sleep 0.5; jobs=; for p in $pids; do "$V" join many $p & jobs="$jobs $!"; done; wait $jobs; "$V" endpoint ls many --json; for p in $pids; do "$V" leave $p; done; kill $pids`,
		);
		const endpoints = JSON.parse(ran.stdout) as { address: string }[];
		t.equal(new Set(endpoints.map(({ address }) => address)).size, 40, ran.stderr);
		t.equal(l.veth(["network", "rm", "many"]).status, 0);
	});

	t.test("an exhausted subnet says so; a dead owner's address is given out again, one of before a reboot too", async (t) => {
		for (const pid of holders.slice(0, 5)) t.equal(l.veth(["join", "small", String(pid)]).status, 0);
		const full = l.veth(["join", "small", String(holders[5])]);
		t.equal(full.status, 1);
		t.match(full.stderr, /^tsvethctl: small: no address is left in 10\.7\.0\.0\/29\ntsvethctl: hint: /);
		t.same(leases("small").sort(), ["10.7.0.2", "10.7.0.3", "10.7.0.4", "10.7.0.5", "10.7.0.6"]);
		const file = join(l.folder, "run/networks/small/leases/10.7.0.4");
		const lease = JSON.parse(readFileSync(file, "utf8"));
		t.same(Object.keys(lease), ["endpoint", "owner", "boot"]);
		writeFileSync(file, JSON.stringify({ ...lease, owner: { pid: lease.owner.pid, start: 1 } }));
		t.match(l.veth(["join", "small", "--ip", "10.7.0.5", String(holders[5])]).stderr, /10\.7\.0\.5: in use on small by pid-/);
		t.equal(l.veth(["join", "small", String(holders[5])]).status, 0);
		t.match(l.sh("ip -br addr show eth0", holders[5]).stdout, "10.7.0.4/29");
		for (const pid of holders) l.veth(["leave", String(pid)]);
		writeFileSync(file, JSON.stringify({ ...lease, boot: "another" }));
		t.equal(l.veth(["join", "small", "--ip", "10.7.0.4", String(first)]).status, 0);
		l.veth(["leave", String(first)]);
		t.equal(l.facts(), before);
	});

	t.test("a reserved endpoint keeps its address for who takes it", async (t) => {
		l.veth(["endpoint", "create", "small", "db", "--ip", "10.7.0.6", "--mac", "02:00:00:00:00:07"]);
		t.match(l.veth(["join", "small", "--ip", "10.7.0.6", String(first)]).stderr, /in use on small by db/);
		t.equal(l.veth(["join", "small", "--endpoint", "db", String(first)]).status, 0);
		t.match(l.sh("ip -br addr show eth0; ip link show eth0", first).stdout, /10\.7\.0\.6\/29[\s\S]*02:00:00:00:00:07/);
		t.match(l.veth(["join", "small", "--endpoint", "db", String(second)]).stderr, /db: in use by/);
		l.veth(["leave", String(first)]);
		t.equal(l.facts(), before);
	});

	t.test("wrong input gives its line and status 2 or 1, and changes nothing", async (t) => {
		const wrong: [string[], number, RegExp][] = [
			[["network", "create"], 2, /give one NAME/],
			[["network", "create", ""], 2, /not a name/],
			[["network", "create", "a/b"], 2, /not a name/],
			[["network", "create", "host"], 2, /meaning of its own/],
			[["network", "create", "x".repeat(16)], 2, /15 letters/],
			[["network", "create", "x", "--bridge", "y".repeat(16)], 2, /1 to 15 letters/],
			[["network", "create", "x", "--bridge", "up0"], 1, /there is an interface/],
			[["network", "create", "x", "--subnet", "10.7.0.0/28"], 1, /overlaps the network small/],
			[["network", "create", "x", "--subnet", "198.51.100.0/25"], 1, /overlaps a route/],
			[["network", "create", "x", "--subnet", "10.0.0.1/24"], 2, /it should be 10\.0\.0\.0\/24/],
			[["network", "create", "x", "--subnet", "10.0.0.0/31"], 2, /no room/],
			[["network", "create", "x", "--subnet", "10.50.0.0/24", "--gateway", "10.51.0.1"], 2, /no host's address/],
			[["network", "create", "x", "--subnet", "10.50.0.0/24", "--ip-range", "10.51.0.0/25"], 2, /not a part/],
			[["network", "create", "x", "--mtu", "67"], 2, /68-65535/],
			[["network", "create", "x", "--driver", "ipvlan"], 2, /there are bridge/],
			[["network", "create", "x", "--driver", "macvlan"], 2, /--subnet/],
			[["network", "create", "small"], 1, /there is a network/],
			[["network", "rm", "nosuch"], 1, /no such network/],
			[["join"], 2, /no NETWORK/],
			[["join", "nosuch", String(first)], 1, /no such network/],
			[["join", "small", "4999999"], 1, /no such process/],
			[["join", "small", "--ip", "1.2.3", String(first)], 2, /not an IPv4 or IPv6 address/],
			[["join", "small", "--ip", "10.8.0.1", String(first)], 1, /in no subnet/],
			[["join", "small", "--ip", "10.7.0.1", String(first)], 1, /gateway/],
			[["join", "small", "--ip", "10.7.0.7", String(first)], 1, /itself/],
			[["join", "small", "--mac", "01:00:00:00:00:00", String(first)], 2, /one station/],
			[["join", "small", "--ifname", "a b", String(first)], 2, /no space/],
			[["join", "small", "--dns", "x", String(first)], 2, /--dns/],
			[["join", "small", "--add-host", "a\nb:1.1.1.1", String(first)], 2, /--add-host/],
			[["join", "small", "--hostname", "a\nb", String(first)], 2, /--hostname/],
			[["leave", "--network", "small"], 2, /no sandbox given/],
			[["leave", "../x"], 1, /not a PID/],
			[["link", "set", "up0", "--mtu", "x"], 2, /--mtu/],
			[["link", "del", ""], 2, /no NAME/],
			[["link", "ls", "--netns", ""], 1, /no namespace/],
			[["link", "ls", "--netns", "/etc/passwd"], 1, /not a network namespace/],
			[["addr", "add", "up0", "1.2.3.4/33"], 2, /not an address/],
			[["route", "add", "1.2.3.0/24"], 2, /no way/],
			[["rule", "add", "--from", "1.2.3.0/24"], 2, /no --table/],
			[["monitor", "nonsense"], 2, /there are link/],
		];
		for (const [args, status, text] of wrong) {
			const ran = l.veth(args);
			t.equal(ran.status, status, `${args.join(" ")}: ${ran.stderr}`);
			t.match(ran.stderr, text, args.join(" "));
			t.notMatch(ran.stderr, /at .*\(|Error:/, args.join(" "));
		}
		t.equal(l.veth(["join", "small"], "nonsense\n").status, 1);
		t.equal(l.facts(), before);
	});

	t.test("the kernel's refusal is shown as it is, and all that was done before it is undone", async (t) => {
		l.sh("ip link add eth0 type bridge", first);
		t.match(l.veth(["join", "small", "--ifname", "eth0", String(first)]).stderr, /eth0: the sandbox has an interface of this name/);
		l.sh("ip link del eth0; ip link set lo mtu 65536", first);
		t.equal(l.facts(), before);
		for (const [call, n] of [
			["sendto", 3],
			["sendto", 4],
			["sendto", 5],
			["setns", 1],
			["renameat2", 1],
			["renameat2", 2],
			["renameat2", 3],
		] as const) {
			const ran = l.sh(`strace -f -o /dev/null -e trace=${call} -e inject=${call}:error=EPERM:when=${n} "$V" join small ${first}`);
			t.equal(ran.status, 1, `${call} ${n}`);
			t.match(ran.stderr, /Operation not permitted/, `${call} ${n}`);
			t.equal(l.facts(), before, `${call} ${n}`);
		}
	});

	t.test("a kill at any point leaves what gc clears", async (t) => {
		const points: [string, number][] = [
			["renameat2", 1],
			["renameat2", 2],
			["renameat2", 3],
			["sendto", 2],
			["sendto", 3],
			["sendto", 4],
			["sendto", 5],
			["flock", 1],
			["flock", 2],
			["setns", 2],
		];
		for (const [call, n] of points) {
			l.sh(`strace -f -o /dev/null -e trace=${call} -e inject=${call}:signal=KILL:when=${n} "$V" join small ${second} 2>/dev/null`);
			l.veth(["gc"]);
			const left = l.sh(`"$V" leave ${second}; find $TSBOX_RUN -name '*.new'`);
			t.equal(left.status, 0);
			t.equal(left.stdout, "", `${call} ${n}`);
			t.equal(l.facts(), before, `${call} ${n}`);
		}
	});

	t.test("a network whose making was killed is cleared by gc", async (t) => {
		for (const [call, n] of [
			["sendto", 6],
			["sendto", 8],
			["renameat2", 1],
			["write", 1],
			["renameat2", 2],
		] as const) {
			l.sh(
				`strace -f -o /dev/null -e trace=${call} -e inject=${call}:signal=KILL:when=${n} "$V" network create killed --subnet 10.88.0.0/24 2>/dev/null`,
			);
			l.veth(["gc"]);
			t.equal(l.facts(), before, `${call} ${n}`);
		}
	});

	t.test("a dry run tells the steps in the words of ip and nft, and does none", async (t) => {
		const ran = l.veth(["network", "create", "dry", "--subnet", "10.66.0.0/24", "--dry-run"]);
		t.equal(ran.status, 0, ran.stderr);
		t.match(ran.stdout, /^ip link add dry address .* up type bridge forward_delay 0$/m);
		t.match(ran.stdout, /^ip addr add 10\.66\.0\.1\/24 broadcast \+ dev dry nodad$/m);
		t.match(ran.stdout, /^nft create element ip tsbox own \{ 10\.66\.0\.0\/24 \. dry \}$/m);
		const joined = l.veth(["join", "small", "--dry-run", String(first)]);
		t.match(joined.stdout, /^ip link add tsv[0-9a-f]{8} .*type veth peer name eth0 address .* netns /m);
		t.equal(l.facts(), before);
	});

	t.test("without its networks nothing is left", async (t) => {
		t.equal(l.veth(["network", "rm", "small"]).status, 0);
		t.equal(l.facts(), empty);
	});
});
