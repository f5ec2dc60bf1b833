/** cmds/common/firewall and native/linux/nftables, read by nft(8) in a network namespace of the test's own. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { addElements, collectElements, firewallEntries, removeElements, restoreElements } from "../../cmds/common/firewall/change.ts";
import type { Element } from "../../cmds/common/firewall/elements.ts";
import { connections, flushConntrack } from "../../native/linux/conntrack.ts";
import { CLONE_NEWNET, unshare } from "../../native/linux/namespace.ts";
import { closeNetlink } from "../../native/linux/netlink/request.ts";
import { NFT_REG_VERDICT, verdict } from "../../native/linux/nftables/expression.ts";
import { ruleAdd, ruleDelete, rules } from "../../native/linux/nftables/rule.ts";
import { chainAdd, chains, tableAdd, tableDelete, tables } from "../../native/linux/nftables/table.ts";
import { openNetfilter, transaction } from "../../native/linux/nftables/transaction.ts";

const hasNft = spawnSync("nft", ["--version"]).status === 0;
const options = process.getuid?.() === 0 && hasNft ? {} : { skip: "needs root and nft" };

const run = mkdtempSync(join(tmpdir(), "tsbox-firewall-"));
process.env.TSBOX_RUN = run;
t.teardown(() => rmSync(run, { recursive: true }));

type Listed = Record<
	string,
	{ family: string; name: string; table?: string; elem?: unknown[]; handle?: number; comment?: string; chain?: string }
>;
const nft = (...args: string[]) => spawnSync("nft", args, { encoding: "utf8" });
const ruleset = (): Listed[] => (JSON.parse(nft("-j", "list", "ruleset").stdout) as { nftables: Listed[] }).nftables;
/** What nft lists in a set or map, a range as `A-B`, a network as `A/N`. */
function elementsIn(family: string, name: string): string[] {
	const found = ruleset()
		.flatMap((entry) => [entry.set, entry.map])
		.find((set) => set?.family === family && set.name === name);
	const text = (value: unknown): string => {
		if (Array.isArray(value)) return value.map(text).join(" : ");
		if (typeof value !== "object" || value === null) return String(value);
		const [kind, inner] = Object.entries(value)[0] as [string, unknown];
		if (kind === "concat") return (inner as unknown[]).map(text).join(" . ");
		if (kind === "range") return (inner as unknown[]).map(text).join("-");
		if (kind === "prefix") return `${(inner as { addr: string }).addr}/${(inner as { len: number }).len}`;
		return `${kind} ${(inner as { target?: string }).target ?? ""}`.trim();
	};
	return (found?.elem ?? []).map(text);
}

const elements: Element[] = [
	{ family: "ip", set: "protected", key: ["172.18.0.0/16"] },
	{ family: "ip", set: "protected", key: ["192.0.2.0/24"] },
	{ family: "ip", set: "own", key: ["172.18.0.0/16", "tsbr0"] },
	{ family: "ip", set: "allowed", key: ["tsbr0", "tsbr0"] },
	{ family: "ip", set: "from-interface", key: ["tsbr1"], value: ["goto internal"] },
	{ family: "ip", set: "to-interface", key: ["tsbr0"], value: ["goto to-nat"] },
	{ family: "ip", set: "dnat-address", key: ["0.0.0.0-255.255.255.255", "tcp", "8000-8010"], value: ["172.18.0.2"] },
	{ family: "ip", set: "loopback", key: ["udp", "53"] },
	{ family: "ip6", set: "protected", key: ["fd00:1::/64"] },
	{ family: "ip6", set: "own", key: ["fd00:1::/64", "tsbr0"] },
	{ family: "ip6", set: "dnat-port", key: ["2001:db8::1", "udp", "53"], value: ["fd00:1::2", "5353"] },
];

t.test("the firewall", options, async (t) => {
	unshare(CLONE_NEWNET);

	t.test("elements are in the sets and maps as nft reads them", async (t) => {
		addElements("network.a", elements);
		t.same(elementsIn("ip", "protected"), ["172.18.0.0/16", "192.0.2.0/24"]);
		t.same(elementsIn("ip", "own"), ["172.18.0.0/16 . tsbr0"]);
		t.same(elementsIn("ip", "allowed"), ["tsbr0 . tsbr0"]);
		t.same(elementsIn("ip", "from-interface"), ["tsbr1 : goto internal"]);
		t.same(elementsIn("ip", "to-interface"), ["tsbr0 : goto to-nat"]);
		t.same(elementsIn("ip", "dnat-address"), ["0.0.0.0/0 . tcp . 8000-8010 : 172.18.0.2"]);
		t.same(elementsIn("ip", "loopback"), ["udp . 53"]);
		t.same(elementsIn("ip6", "own"), ["fd00:1::/64 . tsbr0"]);
		t.same(elementsIn("ip6", "dnat-port"), ["2001:db8::1 . udp . 53 : fd00:1::2 . 5353"]);
	});

	t.test("nft reads back the rules as they are told of in a dry run", async (t) => {
		const listed = nft("list", "table", "ip", "tsbox").stdout;
		for (const rule of [
			'ip daddr 127.0.0.0/8 iifname != "lo" meta l4proto . th dport @loopback drop',
			"ip daddr @protected ip daddr . iifname != @direct fib daddr type != local drop",
			"fib daddr type local jump to-published",
			"dnat to ip daddr . meta l4proto . th dport map @dnat-address",
			"iifname vmap @from-interface",
			"ct state established,related accept",
			"ip saddr . oifname @own ct status dnat masquerade",
			"ip saddr @masqueraded ip saddr . oifname != @own masquerade",
		])
			t.match(listed, rule);
	});

	t.test("what nft lists it can read back", async (t) => {
		const before = nft("list", "ruleset").stdout;
		const { status, stderr } = spawnSync("nft", ["-f", "-"], { input: `flush ruleset\n${before}`, encoding: "utf8" });
		t.equal(status, 0, stderr);
		t.equal(nft("list", "ruleset").stdout, before);
	});

	t.test("an element that overlaps another's is refused, and nothing of that change is left", async (t) => {
		const before = nft("list", "ruleset").stdout;
		t.throws(
			() =>
				addElements("ports.b", [
					{ family: "ip", set: "published", key: ["172.18.0.3", "tcp", "80"] },
					{ family: "ip", set: "dnat-address", key: ["127.0.0.1", "tcp", "8005"], value: ["172.18.0.3"] },
				]),
			/dnat-address .*File exists/ as unknown as Error,
		);
		t.equal(nft("list", "ruleset").stdout, before);
		t.same(
			firewallEntries().map(({ name }) => name),
			["network.a"],
		);
	});

	t.test("an element that does not fit its set is refused before anything is done", async (t) => {
		for (const key of [
			["1.2.3.4.5", "tcp", "80"],
			["::1", "tcp", "80"],
			["1.2.3.4", "icmp", "80"],
			["1.2.3.4", "tcp", "65536"],
			["1.2.3.4", "tcp"],
		])
			t.throws(() => addElements("ports.c", [{ family: "ip", set: "published", key }]), key.join(" "));
		t.throws(() => addElements("", []));
		t.equal(firewallEntries().length, 1);
	});

	t.test("after a flush by somebody else all is restored", async (t) => {
		const before = nft("list", "ruleset").stdout;
		nft("flush", "ruleset");
		restoreElements();
		t.equal(nft("list", "ruleset").stdout, before);
		restoreElements();
		t.equal(nft("list", "ruleset").stdout, before);
	});

	t.test("elements whose owner has ended are collected", async (t) => {
		addElements("ports.dead", [{ family: "ip", set: "published", key: ["172.18.0.9", "tcp", "1-65535"] }], { pid: 2 ** 22, start: 1 });
		t.same(elementsIn("ip", "published"), ["172.18.0.9 . tcp . 1-65535"]);
		t.same(collectElements(), ["ports.dead"]);
		t.same(elementsIn("ip", "published"), []);
	});

	t.test("500 ports are put in and taken out again, with some of them flushed in between", async (t) => {
		const many = Array.from(
			{ length: 500 },
			(_, i): Element => ({ family: "ip", set: "published", key: ["172.18.0.4", "udp", String(1000 + 2 * i)] }),
		);
		addElements("ports.many", many);
		t.equal(elementsIn("ip", "published").length, 500);
		nft("delete", "element", "ip", "tsbox", "published", "{ 172.18.0.4 . udp . 1000 }");
		removeElements("ports.many", ({ key }) => Number(key[2]) < 1500);
		t.equal(elementsIn("ip", "published").length, 250);
		removeElements("ports.many");
		removeElements("ports.many");
		t.equal(elementsIn("ip", "published").length, 0);
	});

	t.test("with the last element the tables and the files go", async (t) => {
		nft("flush", "ruleset");
		restoreElements();
		removeElements("network.a");
		t.equal(nft("list", "ruleset").stdout, "");
		t.same(
			readdirSync(join(run, "firewall")).filter((name) => !name.startsWith(".")),
			[],
		);
	});

	t.test("tables, chains and rules are listed, and deleted by handle", async (t) => {
		const netlink = openNetfilter();
		t.teardown(() => closeNetlink(netlink));
		transaction(netlink, [
			tableAdd({ family: "inet", name: "own", comment: "a test" }),
			chainAdd({ family: "inet", table: "own", name: "in", type: "filter", hook: "input", priority: -5, policy: "drop" }),
			ruleAdd("inet", "own", "in", [verdict("accept")], "accept", "first"),
			ruleAdd("inet", "own", "in", [verdict("drop")], "drop", "second"),
		]);
		t.same(tables(netlink), [{ family: "inet", name: "own", comment: "a test" }]);
		t.same(chains(netlink), [{ family: "inet", table: "own", name: "in", type: "filter", hook: "input", priority: -5, policy: "drop" }]);
		const found = rules(netlink, "inet");
		const theirs = ruleset().flatMap(({ rule }) => (rule ? [rule] : []));
		t.same(
			found.map(({ handle, comment }) => ({ handle, comment })),
			theirs.map(({ handle, comment }) => ({ handle, comment })),
		);
		t.equal(found[0]?.expressions[0]?.name, "immediate");
		t.equal(NFT_REG_VERDICT, 0);
		const second = found.find(({ comment }) => comment === "second")?.handle as number;
		transaction(netlink, [ruleDelete("inet", "own", "in", second)]);
		t.same(
			rules(netlink).map(({ comment }) => comment),
			["first"],
		);
		t.throws(() => transaction(netlink, [tableAdd({ family: "ip", name: "x" }), ruleDelete("inet", "own", "in", 4711)]), {
			index: 1,
		} as unknown as Error);
		t.equal(tables(netlink).length, 1);
		transaction(netlink, [tableDelete("inet", "own")]);
	});

	t.test("what is tracked of a UDP port is flushed", async (t) => {
		spawnSync("sh", [
			"-c",
			"ip link set lo up; nft add table ip c; nft add chain ip c o '{ type filter hook output priority 0; }'; nft add rule ip c o ct state new",
		]);
		for (const port of [7001, 7002]) spawnSync("bash", ["-c", `echo x > /dev/udp/127.0.0.1/${port}`]);
		const netlink = openNetfilter();
		t.teardown(() => closeNetlink(netlink));
		const ports = () => connections(netlink, "ip").map(({ original }) => original.destinationPort);
		t.same(ports().sort(), [7001, 7002]);
		t.equal(flushConntrack(netlink, { family: "ip", protocol: 17, port: 7001 }), 1);
		t.same(ports(), [7002]);
		t.equal(flushConntrack(netlink, { family: "ip", protocol: 17, port: 7001 }), 0);
	});
});
