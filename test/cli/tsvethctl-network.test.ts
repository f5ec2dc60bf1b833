/** Networks of sandboxes: what they reach, by which names; what is left of them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { lab, needsLab } from "../support/netlab.ts";

const reaches = (ran: { status: number | null }) => ran.status === 0;

t.test("sandboxes on networks", needsLab, async (t) => {
	const l = await lab(t);
	const neighbour = await l.neighbour(2);
	const ping = (id: string, to: string) => reaches(l.sh(`"$U" enter ${id} -- ping -c1 -W1 -q ${to} >/dev/null`));
	const inside = <T>(id: string, command: string): T => JSON.parse(l.sh(`"$U" enter ${id} -- ${command}`).stdout || "[]") as T;
	const before = l.facts();

	t.test("on a bridge they reach each other by address and by name, the host, and masqueraded the world", async (t) => {
		t.equal(l.veth(["network", "create", "web", "--subnet", "10.9.0.0/24", "--ipv6", "--subnet6", "fd00:9::/64"]).stdout, "web\n");
		const joined = l.sandbox("a", "web");
		t.equal(joined.status, 0, joined.stderr);
		l.sandbox("b", "web", "--alias bee --ip 10.9.0.77 --mac auto");
		for (const to of ["10.9.0.77", "b", "bee", "fd00:9::3", "10.9.0.1", "198.51.100.1", "198.51.100.2"]) t.ok(ping("a", to), to);
		t.ok(ping("b", "a"));
		const links = l.json<{ ifname: string; master?: string; linkinfo?: { info_kind: string } }[]>("ip -json -d link");
		t.equal(links.filter(({ master }) => master === "web").length, 2, "one veth on the bridge for each");
		const [eth0] = inside<{ ifname: string; address: string; addr_info: { local: string }[] }[]>("b", "ip -json addr show eth0");
		t.equal(eth0?.address, "02:42:0a:09:00:4d");
		t.ok(eth0?.addr_info.some(({ local }) => local === "10.9.0.77"));
		const look = `${process.execPath} ${join(import.meta.dirname, "../support/links.mjs")}`;
		const read = inside<{ links: { name: string; isUp: boolean }[]; addresses: string[] }>("a", `env NODE_OPTIONS= ${look}`);
		t.same(
			read.links.map(({ name, isUp }) => `${name} ${isUp}`),
			["lo true", "eth0 true"],
		);
		t.ok(read.addresses.includes("10.9.0.2/24"));
		const routes = inside<{ dst: string; gateway?: string }[]>("a", "ip -json route");
		t.ok(routes.some(({ dst, gateway }) => dst === "default" && gateway === "10.9.0.1"));
	});

	t.test("what leaves has the host's address as its source", async (t) => {
		l.sh(
			"nft add table ip w; nft add chain ip w i '{ type filter hook input priority 0; }'; nft add rule ip w i ip saddr 198.51.100.1 icmp type echo-request counter; nft add rule ip w i ip saddr 10.9.0.0/24 counter",
			neighbour,
		);
		t.ok(ping("a", "198.51.100.2"));
		const counted = l.sh("nft list chain ip w i", neighbour).stdout;
		t.match(counted, /saddr 198\.51\.100\.1 icmp type echo-request counter packets 1 /);
		t.match(counted, /saddr 10\.9\.0\.0\/24 counter packets 0 /);
	});

	t.test("the record names the network, and what else stands in it is kept", async (t) => {
		const ran = l.sh(
			`"$U" --hold --net --mount --id c --stdout /dev/null --stderr /dev/null sleep 600 | sed 's/}$/,"other":{"x":1}}/' | "$V" join web`,
		);
		const record = JSON.parse(ran.stdout) as {
			other: object;
			network: { name: string; interface: string; address: string; gateway: string; mac: string };
		};
		t.same(record.other, { x: 1 });
		t.equal(record.network.name, "web");
		t.equal(record.network.interface, "eth0");
		t.match(record.network.address, /^10\.9\.0\.\d+\/24$/);
		t.equal(record.network.gateway, "10.9.0.1");
		l.sh('"$V" leave c; "$U" rm -f c');
	});

	t.test("hosts files are kept up to date in place, by join and by leave", async (t) => {
		const inode = () => l.sh('"$U" enter a -- stat -c %i /etc/hosts').stdout;
		const first = inode();
		l.sandbox("d", "web", "--alias dora");
		t.match(l.sh('"$U" enter a -- cat /etc/hosts').stdout, /^10\.9\.0\.\d+\td dora$/m);
		l.veth(["leave", "d"]);
		t.notMatch(l.sh('"$U" enter a -- cat /etc/hosts').stdout, "dora");
		t.equal(inode(), first);
		l.sh('"$U" rm -f d');
		t.equal(l.sh('"$U" enter a -- cat /etc/hostname').stdout, "a\n");
	});

	t.test("a sandbox of another network does not reach them, nor they it", async (t) => {
		l.veth(["network", "create", "other", "--subnet", "10.8.0.0/24"]);
		l.sandbox("o", "other");
		t.ok(ping("o", "198.51.100.2"));
		t.notOk(ping("o", "10.9.0.2"));
		t.notOk(ping("a", "10.8.0.2"));
	});

	t.test("one on two networks reaches both, by its first as before", async (t) => {
		const pid = JSON.parse(l.sh('"$U" inspect o').stdout).pid as number;
		t.equal(l.veth(["join", "web", "o"]).status, 0);
		t.ok(ping("o", "10.9.0.2"));
		t.ok(ping("o", "a"));
		const names = inside<{ ifname: string }[]>("o", "ip -json link").map(({ ifname }) => ifname);
		t.same(names, ["lo", "eth0", "eth1"]);
		t.match(l.veth(["join", "web", String(pid)]).stderr, /is on web already/);
	});

	t.test("none is lo alone, host the host's links, container:ID another's address", async (t) => {
		l.sandbox("n", "none");
		t.same(
			inside<{ ifname: string; flags: string[] }[]>("n", "ip -json link").map(({ ifname, flags }) => `${ifname} ${flags.includes("UP")}`),
			["lo true"],
		);
		t.same(inside("n", "ip -json route"), []);
		const shared = l.sh('"$U" --hold --mount --pid --id h --stdout /dev/null --stderr /dev/null sleep 600 | "$V" join host | "$U" start');
		t.equal(shared.status, 0, shared.stderr);
		t.ok(inside<{ ifname: string }[]>("h", "ip -json link").some(({ ifname }) => ifname === "web"));
		const pid = JSON.parse(l.sh('"$U" inspect a').stdout).pid as number;
		const other = l.sh(
			`"$U" --hold --mount --pid --join net=${pid} --id k --stdout /dev/null --stderr /dev/null sleep 600 | "$V" join container:a | "$U" start`,
		);
		t.equal(other.status, 0, other.stderr);
		t.match(l.sh('"$U" enter k -- ip -br addr show eth0').stdout, "10.9.0.2/24");
		t.match(l.sh(`"$V" join host ${pid}`).stderr, /network namespace of its own/);
		l.sh('for i in n h k; do "$U" rm -f $i; done');
	});

	t.test("leave is idempotent, and when all have left and gone all is as it was", async (t) => {
		t.match(l.veth(["network", "rm", "web"]).stderr, /^tsvethctl: web: in use by a, b, o$/m);
		for (const id of ["a", "b", "o", "a", "nobody"]) t.equal(l.veth(["leave", id]).status, 0, id);
		l.sh('for i in a b o; do "$U" rm -f $i; done');
		t.equal(l.veth(["network", "rm", "web", "other"]).status, 0);
		t.equal(l.facts(), before);
	});

	t.test("the default network is made by the first who joins and goes with the last; two at once make one", async (t) => {
		const pids = await Promise.all([l.namespace(), l.namespace(), l.namespace()]);
		const ran = l.sh(`for p in ${pids.join(" ")}; do "$V" join tsbr0 $p & done; wait; "$V" endpoint ls --json`);
		t.equal(ran.stderr, "");
		t.equal(new Set((JSON.parse(ran.stdout) as { address: string }[]).map(({ address }) => address)).size, 3);
		t.equal(l.json<unknown[]>("ip -json link show type bridge").length, 1);
		t.equal(l.sh(`for p in ${pids.join(" ")}; do "$V" leave $p & done; wait`).status, 0);
		t.equal(l.facts(), before);
	});

	t.test("one that has ended is off its network by gc, if it has not left", async (t) => {
		l.sh(
			`"$U" --hold --net --mount --pid --id short --stdout /dev/null --stderr /dev/null sleep 0.1 | "$V" join tsbr0 | "$U" start --wait; "$U" rm -f short`,
		);
		const collected = l.veth(["gc"]);
		t.equal(collected.status, 0, collected.stderr);
		t.equal(l.facts(), before);
		t.equal(l.veth(["gc"]).stdout, "");
	});

	t.test("resolvers of this machine alone are left out of resolv.conf, with a warning", async (t) => {
		const own = readFileSync("/etc/resolv.conf", "utf8");
		const ran = l.sandbox(
			"r",
			"tsbr0",
			"--dns 192.0.2.53 --dns-search example.org --dns-option ndots:2 --add-host db:192.0.2.7 --add-host me:host-gateway",
		);
		t.equal(ran.status, 0, ran.stderr);
		t.equal(l.sh('"$U" enter r -- cat /etc/resolv.conf').stdout, "nameserver 192.0.2.53\nsearch example.org\noptions ndots:2\n");
		const hosts = l.sh('"$U" enter r -- cat /etc/hosts').stdout;
		t.match(hosts, /^192\.0\.2\.7\tdb$/m);
		t.match(hosts, /^172\.17\.0\.1\tme$/m);
		t.equal(readFileSync("/etc/resolv.conf", "utf8"), own);
		l.sh('"$V" leave r; "$U" rm -f r');
	});
});
