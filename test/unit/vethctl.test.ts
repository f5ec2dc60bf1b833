/** The pure parts of cmds/vethctl: subnets, names, what CNI says. */
import { execFileSync } from "node:child_process";
import t from "tap";
import { readConfig } from "../../cmds/vethctl/cni/config.ts";
import { CniError } from "../../cmds/vethctl/cni/error.ts";
import type { Endpoint } from "../../cmds/vethctl/endpoint/endpoint.ts";
import { networkElements } from "../../cmds/vethctl/firewall/network-elements.ts";
import { hostsText } from "../../cmds/vethctl/names/hosts.ts";
import { checkResolv, hostLines, resolvText } from "../../cmds/vethctl/names/resolv.ts";
import type { Network } from "../../cmds/vethctl/network/network.ts";
import {
	addressAt,
	contains,
	formatSubnet,
	isReserved,
	numberOf,
	overlap,
	parseInterface,
	parseSubnet,
	type Subnet,
	sizeOf,
} from "../../cmds/vethctl/subnet.ts";
import { formatInet, parseInet } from "../../native/linux/sockaddr.ts";

const net = (text: string) => parseSubnet(text) as Subnet;

t.test("subnets contain, overlap and count as python's ipaddress has them", async (t) => {
	const pairs = [
		["10.0.0.0/8", "10.9.0.0/24"],
		["10.9.0.0/24", "10.9.1.0/24"],
		["172.16.0.0/12", "172.31.255.0/24"],
		["0.0.0.0/0", "192.0.2.0/24"],
		["fd00::/8", "fd12:3456::/64"],
		["fd00:1::/64", "fd00:2::/64"],
		["192.0.2.128/25", "192.0.2.0/25"],
		["192.0.2.0/31", "192.0.2.1/32"],
	] as const;
	const script =
		"import ipaddress,json,sys\nprint(json.dumps([ipaddress.ip_network(a).overlaps(ipaddress.ip_network(b)) for a,b in json.loads(sys.argv[1])]))";
	const wanted = JSON.parse(execFileSync("python3", ["-c", script, JSON.stringify(pairs)], { encoding: "utf8" })) as boolean[];
	pairs.forEach(([a, b], i) => {
		t.equal(overlap(net(a), net(b)), wanted[i], `${a} ${b}`);
		t.equal(overlap(net(b), net(a)), wanted[i], `${b} ${a}`);
	});
	t.equal(sizeOf(net("10.9.0.0/24")), 256);
	t.equal(sizeOf(net("fd00::/64")), 2 ** 32);
	t.equal(formatInet(addressAt(net("10.9.0.0/16"), 300)), "10.9.1.44");
	t.equal(formatInet(addressAt(net("fd00::/64"), 65536)), "fd00::1:0");
	t.equal(numberOf(net("10.9.0.0/16"), parseInet("10.9.1.44") as Uint8Array), 300);
	t.ok(contains(net("10.9.0.0/16"), parseInet("10.9.255.255") as Uint8Array));
	t.notOk(contains(net("10.9.0.0/16"), parseInet("10.10.0.0") as Uint8Array));
	t.same(
		[0, 1, 255].map((n) => isReserved(net("10.9.0.0/24"), n)),
		[true, false, true],
	);
	t.equal(formatSubnet(net("10.9.0.0/24")), "10.9.0.0/24");
	for (const wrong of ["10.9.0.1/24", "10.9.0.0", "10.9.0.0/33", "10.9.0.0/", "/24", "", "10.9.0.0/24/1", "10.9.0.0/-1", "fd00::/129"])
		t.equal(parseSubnet(wrong), undefined, wrong);
	t.equal(parseInterface("10.9.0.7/24")?.subnet.prefix, 24);
});

const endpoint = (name: string, address: string, more: Partial<Endpoint> = {}): Endpoint => ({
	name,
	network: "web",
	address,
	aliases: [],
	boot: "",
	...more,
});

t.test("a hosts file has the sandbox itself, its own lines, and the others with their aliases", async (t) => {
	const own = endpoint("a", "10.9.0.2/24", { address6: "fd00::2/64", hosts: ["192.0.2.7\tdb"], hostname: "alpha" });
	const lines = hostsText([own], [own, endpoint("b", "10.9.0.3/24", { aliases: ["bee", "b2"] })]).split("\n");
	t.equal(lines[0], "127.0.0.1\tlocalhost");
	t.same(lines.slice(5), ["192.0.2.7\tdb", "10.9.0.2\ta alpha", "fd00::2\ta alpha", "10.9.0.3\tb bee b2", ""]);
});

t.test("resolv.conf is the host's without what only the host reaches, or what was given", async (t) => {
	const host = "# x\nnameserver 127.0.0.53\nnameserver 192.0.2.1 ; y\nnameserver ::1\nsearch a.example b.example\noptions edns0\n";
	t.same(resolvText(host, {}), {
		text: "nameserver 192.0.2.1\nsearch a.example b.example\noptions edns0\n",
		leftOut: ["127.0.0.53", "::1"],
	});
	t.same(resolvText(host, { dns: ["192.0.2.9"], dnsSearch: ["."], dnsOption: ["ndots:1"] }), {
		text: "nameserver 192.0.2.9\noptions ndots:1\n",
		leftOut: [],
	});
	t.same(hostLines(["db:192.0.2.7", "me:host-gateway", "six:[2001:db8::1]"], "10.9.0.1"), [
		"192.0.2.7\tdb",
		"10.9.0.1\tme",
		"2001:db8::1\tsix",
	]);
	for (const wrong of ["a", ":1.1.1.1", "a:", "a:b", "a b:1.1.1.1", "a:1.1.1.1\nevil"])
		t.throws(() => hostLines([wrong], "10.9.0.1"), wrong);
	for (const wrong of [{ dns: ["x"] }, { dnsSearch: ["a\nb"] }, { dnsOption: ["a b"] }]) t.throws(() => checkResolv(wrong));
});

t.test("the modes of a network differ in what they have in the firewall", async (t) => {
	const base: Network = {
		name: "web",
		driver: "bridge",
		bridge: "web",
		subnet: "10.9.0.0/24",
		internal: false,
		masquerade: true,
		icc: true,
		gatewayMode: "nat",
		trusted: [],
		labels: {},
		created: 0,
	};
	const sets = (more: Partial<Network>) =>
		[
			...new Set(
				networkElements({ ...base, ...more })
					.filter(({ family }) => family === "ip")
					.map(({ set, value }) => (value ? `${set} ${value.join("")}` : set)),
			),
		].sort();
	t.same(sets({}), ["allowed", "direct", "masqueraded", "own", "protected", "to-interface goto to-nat"]);
	t.same(sets({ masquerade: false, icc: false }), ["direct", "own", "protected", "to-interface goto to-nat"]);
	t.same(sets({ gatewayMode: "nat-unprotected" }), ["allowed", "masqueraded", "own"]);
	t.same(sets({ gatewayMode: "routed" }), ["allowed", "own", "to-interface goto to-nat"]);
	t.same(sets({ internal: true }), ["allowed", "direct", "from-interface goto internal", "own", "protected", "to-interface goto internal"]);
	t.same(sets({ driver: "macvlan" }), []);
});

const config = {
	cniVersion: "1.1.0",
	name: "net1",
	type: "tsvethctl",
	bridge: "cbr0",
	isGateway: true,
	ipMasq: true,
	mtu: 1400,
	ipam: {
		type: "host-local",
		ranges: [
			[{ subnet: "10.22.0.0/16", rangeStart: "10.22.0.10", rangeEnd: "10.22.0.20", gateway: "10.22.0.1" }],
			[{ subnet: "fd00::/64" }],
		],
		routes: [{ dst: "0.0.0.0/0" }, { dst: "10.0.0.0/8", gw: "10.22.0.2" }],
	},
	runtimeConfig: {
		portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "TCP", hostIP: "127.0.0.1" }],
		ips: ["10.22.0.12/16"],
		mac: "02:00:00:00:00:01",
	},
	prevResult: {
		interfaces: [{ name: "eth0", mac: "x", sandbox: "/y" }],
		ips: [{ address: "10.22.0.5/16", interface: 0 }],
		routes: [],
		dns: {},
	},
	"cni.dev/valid-attachments": [{ containerID: "a", ifname: "eth0" }],
};

t.test("a CNI configuration is read whole", async (t) => {
	const read = readConfig(JSON.stringify(config), "ADD");
	t.equal(read.bridge, "cbr0");
	t.equal(read.ipam?.ranges.length, 2);
	t.same([read.ipam?.ranges[0]?.[0]?.first, read.ipam?.ranges[0]?.[0]?.last], [10, 20]);
	t.same(read.ports, [{ protocol: "tcp", hostIp: "127.0.0.1", hostPort: 8080, containerPort: 80 }]);
	t.equal(read.prevResult?.ips[0]?.address, "10.22.0.5/16");
	t.same(read.valid, [{ containerID: "a", ifname: "eth0" }]);
});

t.test("100,000 mutated CNI configurations are read or refused with a code of the specification, and nothing else", async (t) => {
	const text = JSON.stringify(config);
	let seed = 4711;
	const random = (n: number) => {
		seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
		return (seed >>> 8) % n;
	};
	const values = [null, true, 0, -1, 1.5, 70000, "", "x", "10.0.0.0/40", [], [[]], {}, [null], "abcdefghijklmnopqrst", "../../etc"];
	/** A value somewhere in the tree is another. */
	const twist = (value: unknown): unknown => {
		if (typeof value !== "object" || value === null || random(6) === 0) return values[random(values.length)];
		const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
		const keys = Object.keys(copy);
		const key = keys[random(keys.length)];
		if (key !== undefined) copy[key] = twist(copy[key]);
		return copy;
	};
	let accepted = 0;
	const codes = new Set<number>();
	for (let i = 0; i < 100_000; i++) {
		let input: string;
		if (i % 2 === 0) input = JSON.stringify(twist(config));
		else {
			const at = random(text.length);
			input = text.slice(0, at) + String.fromCharCode(random(128)) + text.slice(at + random(3));
		}
		try {
			readConfig(input, "ADD");
			accepted++;
		} catch (error) {
			if (!(error instanceof CniError)) throw error;
			codes.add(error.code);
		}
	}
	t.ok(accepted > 1000, String(accepted));
	t.same([...codes].sort(), [1, 2, 6, 7]);
	t.throws(() => readConfig("[".repeat(100_000), "ADD"));
});
