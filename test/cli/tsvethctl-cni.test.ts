/** The tool as a CNI plugin, called as the specification has a runtime call it. */
import t from "tap";
import { lab, needsLab } from "../support/netlab.ts";

interface Answer {
	status: number | null;
	text: string;
	json: {
		cniVersion?: string;
		code?: number;
		msg?: string;
		ips?: { address: string; gateway?: string; interface?: number; version?: string }[];
		interfaces?: { name: string; sandbox?: string }[];
		supportedVersions?: string[];
	};
}

t.test("a CNI plugin", needsLab, async (t) => {
	const l = await lab(t);
	const neighbour = await l.neighbour(2);
	const box = await l.namespace();
	const call = (command: string, config: unknown, more: Record<string, string> = {}): Answer => {
		const env = { CNI_CONTAINERID: "c1", CNI_NETNS: `/proc/${box}/ns/net`, CNI_IFNAME: "eth0", CNI_PATH: "/nowhere", ...more };
		const words = Object.entries(env).map(([name, value]) => `${name}='${value}'`);
		const input = typeof config === "string" ? config : JSON.stringify(config);
		const ran = l.sh(`printf %s '${input}' | env CNI_COMMAND=${command} ${words.join(" ")} "$V"`);
		t.equal(ran.stderr, "", `${command} says all it has to say as JSON`);
		return { status: ran.status, text: ran.stdout, json: ran.stdout === "" ? {} : (JSON.parse(ran.stdout) as Answer["json"]) };
	};
	const config = {
		cniVersion: "1.1.0",
		name: "net1",
		type: "tsvethctl",
		bridge: "cbr0",
		isDefaultGateway: true,
		ipMasq: true,
		ipam: { type: "host-local", ranges: [[{ subnet: "10.22.0.0/24" }], [{ subnet: "fd00:22::/64" }]], routes: [{ dst: "0.0.0.0/0" }] },
		runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
	};
	l.sh(
		"ip link add cbr0 type bridge; ip link set cbr0 up; sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; ip addr add 10.22.0.1/24 dev cbr0; ip -6 addr add fd00:22::1/64 dev cbr0 nodad",
	);
	const before = l.facts();
	let added: Answer;

	t.test("VERSION and STATUS answer", async (t) => {
		t.same(call("VERSION", { cniVersion: "1.0.0" }).json, {
			cniVersion: "1.0.0",
			supportedVersions: ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
		});
		const status = call("STATUS", config);
		t.equal(status.status, 0);
		t.equal(status.text, "");
	});

	t.test("ADD makes the interface of its result, which reaches the world, and publishes the port", async (t) => {
		added = call("ADD", config);
		t.equal(added.status, 0, added.text);
		t.same(
			added.json.ips?.map(({ address, gateway, interface: number }) => `${address} ${gateway} ${number}`),
			["10.22.0.2/24 10.22.0.1 2", "fd00:22::2/64 fd00:22::1 2"],
		);
		t.equal(added.json.interfaces?.[2]?.sandbox, `/proc/${box}/ns/net`);
		t.match(l.sh("ip -br addr show eth0", box).stdout, /10\.22\.0\.2\/24 .*fd00:22::2\/64/);
		t.equal(l.sh("ping -c1 -W1 -q 198.51.100.2", box).status, 0);
		l.sh("(echo hi | timeout 20 busybox nc -l -p 80) >/dev/null 2>&1 & sleep 0.3", box);
		t.equal(l.sh("timeout 2 busybox nc 198.51.100.1 8080 </dev/null", neighbour).stdout, "hi\n");
		t.match(call("ADD", config).json, { code: 100, msg: /attached as eth0 already/ });
	});

	t.test("CHECK passes as long as all is as ADD made it, and says what is not", async (t) => {
		const check = () => call("CHECK", { ...config, prevResult: added.json });
		t.equal(check().status, 0);
		t.match(call("CHECK", config).json, { code: 101, msg: /prevResult/ });
		l.sh("ip route del default", box);
		t.match(check().json, { code: 101, msg: /route to 0\.0\.0\.0\/0 is gone/ });
		l.sh("ip addr del 10.22.0.2/24 dev eth0", box);
		t.match(check().json, { code: 101, msg: /has not the address 10\.22\.0\.2\/24/ });
		l.sh("ip link set eth0 down", box);
		t.match(check().json, { code: 101, msg: /eth0: is down/ });
	});

	t.test("GC takes what is not valid any more, DEL the rest, again and again, without the namespace too", async (t) => {
		const valid = (entries: object[]) => call("GC", { ...config, "cni.dev/valid-attachments": entries });
		t.equal(valid([{ containerID: "c1", ifname: "eth0" }]).status, 0);
		t.match(l.sh("ip -o link show master cbr0").stdout, "tsv");
		t.equal(valid([]).status, 0);
		t.equal(l.sh("ip -o link show master cbr0").stdout, "");
		t.equal(call("ADD", config).status, 0);
		for (const more of [{}, {}, { CNI_NETNS: "/nonexistent" }, { CNI_NETNS: "" }] as Record<string, string>[])
			t.equal(call("DEL", config, more).status, 0);
		t.equal(l.facts(), before);
	});

	t.test("addresses that are asked for are given: by the capability, by CNI_ARGS", async (t) => {
		t.equal(call("ADD", { ...config, runtimeConfig: { ips: ["10.22.0.50/24"] } }).json.ips?.[0]?.address, "10.22.0.50/24");
		call("DEL", config);
		t.equal(
			call("ADD", config, { CNI_ARGS: "IgnoreUnknown=1;IP=10.22.0.51;MAC=02:00:00:00:00:33" }).json.ips?.[0]?.address,
			"10.22.0.51/24",
		);
		t.match(l.sh("ip link show eth0", box).stdout, "02:00:00:00:00:33");
		call("DEL", config);
		t.match(call("ADD", { ...config, runtimeConfig: { ips: ["10.99.0.1"] } }).json, { code: 7 });
		t.equal(l.facts(), before);
	});

	t.test("an older version gets its form of the result", async (t) => {
		const old = call("ADD", { ...config, cniVersion: "0.4.0" });
		t.equal(old.json.cniVersion, "0.4.0");
		t.equal(old.json.ips?.[0]?.version, "4");
		call("DEL", config);
	});

	t.test("what is wrong has the specification's code", async (t) => {
		const code = (command: string, given: unknown, more: Record<string, string> = {}) => call(command, given, more).json.code;
		t.equal(code("ADD", { ...config, cniVersion: "9.0.0" }), 1);
		t.equal(code("GC", { ...config, cniVersion: "1.0.0" }), 1);
		t.equal(code("ADD", { ...config, ipam: { type: "dhcp" } }), 2);
		t.equal(code("ADD", { ...config, vlan: 7 }), 2);
		t.equal(code("ADD", config, { CNI_NETNS: "/nonexistent" }), 3);
		t.equal(code("ADD", config, { CNI_NETNS: "/etc/passwd" }), 3);
		for (const more of [
			{ CNI_CONTAINERID: "" },
			{ CNI_CONTAINERID: "../x" },
			{ CNI_IFNAME: "" },
			{ CNI_IFNAME: "abcdefghijklmnop" },
			{ CNI_NETNS: "" },
			{ CNI_ARGS: "IP=x" },
		] as Record<string, string>[])
			t.equal(code("ADD", config, more), 4, JSON.stringify(more));
		t.equal(code("BOGUS", config), 4);
		for (const text of ["", "x", "[]", '{"a"', "[".repeat(50_000)]) t.equal(code("ADD", text), 6, text.slice(0, 9));
		t.equal(code("ADD", { ...config, bridge: "abcdefghijklmnop" }), 7);
		t.equal(code("ADD", { ...config, ipam: { type: "host-local", subnet: "10.22.0.1/24" } }), 7);
		t.equal(code("ADD", { ...config, runtimeConfig: { portMappings: [{ hostPort: 0, containerPort: 80 }] } }), 7);
		t.equal(code("ADD", { ...config, bridge: "lo" }), 100);
		t.equal(l.facts(), before);
	});

	t.test("by other plugins' names it does their work: loopback, host-local, portmap in a chain", async (t) => {
		const lo = call("ADD", { cniVersion: "1.0.0", name: "lo", type: "loopback" });
		t.same(
			lo.json.ips?.map(({ address }) => address),
			["127.0.0.1/8", "::1/128"],
		);
		t.match(l.sh("ip link show lo", box).stdout, "UP");
		const ipam = { ...config, type: "host-local" };
		t.equal(call("ADD", ipam).json.ips?.[0]?.address, "10.22.0.2/24");
		t.equal(call("CHECK", { ...ipam, prevResult: {} }).status, 0);
		t.equal(call("DEL", ipam).status, 0);
		const prevResult = {
			cniVersion: "1.1.0",
			interfaces: [{ name: "eth0", sandbox: "/x" }],
			ips: [{ address: "10.22.0.9/24", interface: 0 }],
			dns: {},
		};
		const chained = { ...config, type: "portmap", prevResult };
		t.match(call("ADD", chained).json, prevResult);
		t.match(l.sh("nft list map ip tsbox dnat-port").stdout, "8080 : 10.22.0.9 . 80");
		t.equal(call("DEL", chained).status, 0);
		t.equal(l.facts(), before);
	});
});
