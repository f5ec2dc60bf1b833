/** What comes through to a sandbox, by traffic from a neighbour host. */
import t from "tap";
import { lab, needsLab } from "../support/netlab.ts";

t.test("the firewall of networks", needsLab, async (t) => {
	const l = await lab(t);
	const neighbour = await l.neighbour(2);
	const ok = (ran: { status: number | null }) => ran.status === 0;
	const serve = (pid: number) =>
		l.sh(
			`for p in 80 81; do (while :; do echo hi | timeout 60 busybox nc -l -p $p >/dev/null 2>&1; done) >/dev/null 2>&1 & done; echo`,
			pid,
		);
	const get = (pid: number | undefined, to: string, port: number) =>
		ok(l.sh(`timeout 1 busybox nc ${to} ${port} </dev/null 2>/dev/null | grep -q hi`, pid));
	const make = async (network: string, ...options: string[]) => {
		t.equal(l.veth(["network", "create", network, ...options]).stderr, "");
		const pid = await l.namespace();
		const joined = l.veth(["join", network, String(pid)]);
		t.equal(joined.stderr, "");
		return pid;
	};
	const ping = (pid: number | undefined, to: string) => ok(l.sh(`ping -c1 -W1 -q ${to} >/dev/null`, pid));
	const before = l.facts();
	const nat = await make("nat", "--subnet", "10.1.0.0/24");
	const nat2 = await make("nat2", "--subnet", "10.2.0.0/24");
	const open = await make("open", "--subnet", "10.3.0.0/24", "--gateway-mode", "nat-unprotected");
	const routed = await make("routed", "--subnet", "10.4.0.0/24", "--gateway-mode", "routed");
	const inner = await make("inner", "--subnet", "10.5.0.0/24", "--internal");
	const alone = await make("alone", "--subnet", "10.6.0.0/24", "--icc=false");
	l.sh("ip route add 10.0.0.0/8 via 198.51.100.1", neighbour);

	t.test("a container's address is not reached from outside the host, except where its network says so", async (t) => {
		t.notOk(ping(neighbour, "10.1.0.2"), "nat");
		t.notOk(ping(neighbour, "10.5.0.2"), "internal");
		t.notOk(ping(neighbour, "10.6.0.2"), "icc=false");
		t.ok(ping(neighbour, "10.3.0.2"), "nat-unprotected");
		t.notOk(ping(neighbour, "10.4.0.2"), "routed: what is not published");
		t.ok(ping(undefined, "10.1.0.2"), "the host itself reaches it");
		t.ok(ping(neighbour, "198.51.100.1"), "and is reached");
	});

	t.test("networks do not reach each other; all but internal ones reach the world", async (t) => {
		t.notOk(ping(nat, "10.2.0.2"));
		t.notOk(ping(inner, "10.1.0.2"));
		t.notOk(ping(open, "10.1.0.2"));
		for (const [name, pid] of Object.entries({ nat, nat2, open, alone })) t.ok(ping(pid, "198.51.100.2"), name);
		t.ok(ping(routed, "198.51.100.2"), "routed, as the neighbour knows the way back");
		t.notOk(ping(inner, "198.51.100.2"));
		l.sh("ip route add default via 10.5.0.1", inner);
		t.notOk(ping(inner, "198.51.100.2"), "nor with a route");
		t.ok(ping(inner, "10.5.0.1"), "an internal one reaches the host");
	});

	t.test("with icc=false the containers of a network do not reach each other, with it they do", async (t) => {
		const [second, third] = await Promise.all([l.namespace(), l.namespace()]);
		l.veth(["join", "alone", String(second)]);
		l.veth(["join", "nat", String(third)]);
		t.notOk(ping(alone, "10.6.0.3"));
		t.ok(ping(second, "10.6.0.1"));
		t.ok(ping(nat, "10.1.0.3"));
	});

	t.test("a published port is reached through the host's address, and another is not", async (t) => {
		serve(nat);
		const elements = [
			{ family: "ip", set: "published", key: ["10.1.0.2", "tcp", "80"] },
			{ family: "ip", set: "dnat-port", key: ["0.0.0.0-255.255.255.255", "tcp", "8080"], value: ["10.1.0.2", "80"] },
		];
		l.sh(`mkdir -p $TSBOX_RUN/firewall; echo '${JSON.stringify({ elements })}' > $TSBOX_RUN/firewall/ports.test; "$V" reload`);
		t.ok(get(neighbour, "198.51.100.1", 8080), "from a neighbour");
		t.ok(get(undefined, "198.51.100.1", 8080), "from the host by its own address");
		t.ok(get(nat, "198.51.100.1", 8080), "from the container itself (hairpin)");
		t.notOk(get(neighbour, "10.1.0.2", 80), "not by the container's address");
		t.notOk(get(neighbour, "198.51.100.1", 81));
		l.sh('rm $TSBOX_RUN/firewall/ports.test; "$V" reload');
		t.notOk(get(neighbour, "198.51.100.1", 8080));
	});

	t.test("after a flush by somebody else, and the loss of a bridge, reload restores all", async (t) => {
		const ruleset = l.sh("nft list ruleset").stdout;
		l.sh("nft flush ruleset; sysctl -qw net.ipv4.ip_forward=0; ip link del nat2; ip link set nat down");
		t.notOk(ping(nat, "198.51.100.2"));
		const reloaded = l.veth(["reload"]);
		t.equal(reloaded.stderr, "");
		t.equal(l.sh("nft list ruleset").stdout, ruleset);
		t.ok(ping(nat, "198.51.100.2"));
		t.ok(ping(nat2, "198.51.100.2"));
	});

	t.test("diag says where it is broken, in order, with the remedy", async (t) => {
		const diag = () => l.veth(["diag", String(nat)]);
		t.equal(diag().status, 0, diag().stdout);
		l.sh("nft add table ip f; nft add chain ip f FORWARD '{ type filter hook forward priority 0; policy drop; }'");
		t.match(
			diag().stderr,
			/broken at firewall: ip f FORWARD has the policy drop: an accept of ours cannot override it\n.*nft insert rule ip f FORWARD iifname nat accept/,
		);
		l.sh("nft insert rule ip f FORWARD iifname nat accept; nft insert rule ip f FORWARD oifname nat accept");
		t.equal(diag().status, 0);
		l.sh("ip route del default", nat);
		t.match(diag().stderr, /broken at route/);
		l.sh("ip link set eth0 down", nat);
		t.match(diag().stderr, /broken at sandbox: eth0 is down\n.*tsvethctl link set eth0 --up/);
		l.sh("nft delete table ip f");
	});

	t.test("with the networks all goes", async (t) => {
		l.sh('for p in $("$V" endpoint ls --json | grep -o \'"name": "pid-[0-9]*\' | grep -o "[0-9]*$"); do "$V" leave $p; done');
		t.equal(l.veth(["network", "prune"]).status, 0);
		t.equal(l.facts(), before);
	});
});
