/** tsportproxy's pure modules. */
import t from "tap";
import { UsageError } from "../../cmds/common/errors.ts";
import { isIn, parseNetwork } from "../../cmds/portproxy/networks.ts";
import { buildHeader } from "../../cmds/portproxy/proxy/proxy-protocol.ts";
import { allowedFor, elementsFor } from "../../cmds/portproxy/rules.ts";
import { choicesOf, formatHost, joinRanges, type Published, parseSpec } from "../../cmds/portproxy/spec.ts";
import { parseInet } from "../../native/linux/sockaddr.ts";

/** It is a wrong command line, not a bug of ours. */
function refused(text: string): boolean {
	try {
		parseSpec(text);
		return false;
	} catch (error) {
		return error instanceof UsageError;
	}
}

const inet = (text: string) => parseInet(text) as Uint8Array;
const tcp = (hostAddress: string, hostPort: number, port: number, count = 1): Published => ({
	proto: "tcp",
	hostAddress,
	hostPort,
	port,
	count,
});

t.test("ports to publish are read as docker reads them", async (t) => {
	for (const [text, proto, hostAddress, hostFrom, hostTo, from, to] of [
		["8080:80", "tcp", "", 8080, 8080, 80, 80],
		["80", "tcp", "", 0, 0, 80, 80],
		[":80", "tcp", "", 0, 0, 80, 80],
		["80-82/udp", "udp", "", 0, 0, 80, 82],
		["127.0.0.1::53/udp", "udp", "127.0.0.1", 0, 0, 53, 53],
		["[::1]:8080:80/sctp", "sctp", "::1", 8080, 8080, 80, 80],
		["0.0.0.0:8000-8010:9000-9010", "tcp", "0.0.0.0", 8000, 8010, 9000, 9010],
		["8000-8010:80", "tcp", "", 8000, 8010, 80, 80],
		["0:80", "tcp", "", 0, 0, 80, 80],
		["1-65535:1-65535", "tcp", "", 1, 65535, 1, 65535],
	] as const)
		t.same(parseSpec(text), { proto, hostAddress, hostFrom, hostTo, from, to }, text);
	for (const wrong of [
		"",
		"a",
		"80:",
		"::80",
		"1:2:3:4",
		"[::1:80:80",
		"80:80/",
		"80/TCP",
		"80-:80",
		"0x50:80",
		" 80",
		"80:65536",
		"0-5:80-85",
		"80:80-81",
		"[x]:1:1",
	])
		t.ok(refused(wrong), wrong);
	for (let i = 0; i < 3000; i++) {
		const text = Array.from({ length: i % 12 }, () => "0123456789:-./[]tcpud"[Math.floor(Math.random() * 21)]).join("");
		try {
			const { hostFrom, hostTo, from, to } = parseSpec(text);
			if (!(from >= 1 && from <= to && to <= 65535 && hostFrom <= hostTo && hostTo <= 65535)) t.fail(text);
		} catch (error) {
			if (!(error instanceof UsageError)) t.fail(`${text}: ${error}`);
		}
	}
});

t.test("a range of one port inside takes the first free of those outside; ports that follow each other are joined", async (t) => {
	t.same(choicesOf(parseSpec("8000-8002:80")), [{ port: 80, hostPorts: [8000, 8001, 8002] }]);
	t.same(choicesOf(parseSpec("8000-8001:80-81")), [
		{ port: 80, hostPorts: [8000] },
		{ port: 81, hostPorts: [8001] },
	]);
	const single = (hostPort: number, port: number) => ({ proto: "tcp" as const, hostAddress: "", hostPort, port });
	t.same(joinRanges([single(1, 11), single(2, 12), single(4, 13), single(5, 14), single(6, 14)]), [
		tcp("", 1, 11, 2),
		tcp("", 4, 13, 2),
		tcp("", 6, 14),
	]);
	t.equal(formatHost(tcp("::1", 80, 80, 3)), "[::1]:80-82");
	t.equal(formatHost(tcp("", 80, 80)), "*:80");
});

t.test("a network has its addresses and no others", async (t) => {
	for (const [network, address, expected] of [
		["10.0.0.0/8", "10.255.0.1", true],
		["10.0.0.0/8", "11.0.0.1", false],
		["192.0.2.128/25", "192.0.2.127", false],
		["192.0.2.128/25", "192.0.2.200", true],
		["192.0.2.1", "192.0.2.1", true],
		["192.0.2.1", "192.0.2.2", false],
		["0.0.0.0/0", "255.255.255.255", true],
		["0.0.0.0/0", "::1", false],
		["fe80::/10", "febf::1", true],
		["fe80::/10", "fec0::1", false],
		["::/0", "1::", true],
		["2001:db8::/33", "2001:db8:8000::", false],
	] as const)
		t.equal(isIn([parseNetwork(network) as never], inet(address)), expected, `${address} in ${network}`);
	for (const wrong of ["", "/8", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/x", "10.0.0.0/8/8"])
		t.equal(parseNetwork(wrong), undefined, wrong);
});

t.test("a range with the same ports is one element, a shifted one an element a port", async (t) => {
	const web = { address: "172.18.0.2", address6: "fd00::2", inside: false };
	t.same(elementsFor([tcp("192.0.2.1", 8000, 8000, 100)], web), [
		{ family: "ip", set: "dnat-address", key: ["192.0.2.1", "tcp", "8000-8099"], value: ["172.18.0.2"] },
	]);
	t.equal(elementsFor([tcp("192.0.2.1", 8000, 9000, 100)], web).length, 100);
	t.same(
		elementsFor([tcp("", 80, 80)], web).map(({ family }) => family),
		["ip", "ip6"],
	);
	t.same(elementsFor([tcp("127.0.0.1", 80, 80)], web), [{ family: "ip", set: "loopback", key: ["tcp", "80"] }]);
	t.same(elementsFor([tcp("", 80, 80)], { ...web, inside: true }), []);
});

t.test("a port of the container is let through once, however often it is published", async (t) => {
	const web = { address: "172.18.0.2", inside: false };
	const keys = (ports: Published[], others: Published[]) => allowedFor(ports, others, web).map(({ key }) => key[2]);
	t.same(keys([tcp("", 1, 80), tcp("", 2, 80), tcp("", 3, 81)], []), ["80-81"]);
	t.same(keys([tcp("", 100, 80, 10)], [tcp("", 1, 84, 2)]), ["80-83", "86-89"]);
	t.same(keys([tcp("", 100, 80)], [tcp("", 1, 80)]), []);
	t.same(keys([tcp("127.0.0.1", 100, 80)], []), []);
});

t.test("the PROXY protocol's header is that of its specification", async (t) => {
	const line = buildHeader(1, inet("2001:db8::1"), 56324, inet("::1"), 443);
	t.equal(new TextDecoder().decode(line), "PROXY TCP6 2001:db8::1 ::1 56324 443\r\n");
	t.same(
		[...buildHeader(2, inet("192.0.2.1"), 0x1234, inet("192.0.2.2"), 80)],
		[13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10, 0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0, 80],
	);
	t.equal(buildHeader(2, inet("::1"), 1, inet("::2"), 2).length, 16 + 36);
});
