/** Sockets, their addresses and their messages, beside Node's own. */
import { fstatSync, statSync, unlinkSync } from "node:fs";
import { createServer, isIP, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { EADDRINUSE, EAGAIN, ECONNREFUSED, EMSGSIZE, ENOPROTOOPT, ENOTCONN } from "../../native/linux/errno.ts";
import { close, isOpen, O_RDONLY, open } from "../../native/linux/fd.ts";
import { POLLIN, poll } from "../../native/linux/poll.ts";
import {
	AF_INET,
	AF_INET6,
	AF_NETLINK,
	AF_PACKET,
	AF_UNIX,
	AF_VSOCK,
	decodeAddress,
	encodeAddress,
	formatAddress,
	formatInet,
	inetSocketAddress,
	parseInet,
	type SocketAddress,
} from "../../native/linux/sockaddr.ts";
import {
	accept,
	bind,
	connect,
	disconnect,
	getpeername,
	getsockname,
	getsockopt,
	IP_PKTINFO,
	IPPROTO_IP,
	IPPROTO_IPV6,
	IPV6_RECVPKTINFO,
	listen,
	peerCredentials,
	recvfrom,
	SHUT_WR,
	SO_RCVBUF,
	SO_TYPE,
	SOCK_DGRAM,
	SOCK_NONBLOCK,
	SOCK_RAW,
	SOCK_STREAM,
	SOL_SOCKET,
	sendto,
	setsockopt,
	shutdown,
	socket,
	socketError,
	socketpair,
	tryAccept,
	tryRecv,
	trySend,
} from "../../native/linux/socket.ts";
import {
	controlSpace,
	decodeControl,
	encodeControl,
	messageBatch,
	pktinfo,
	pktinfoOf,
	recvmsg,
	rights,
	rightsOf,
	sendmsg,
} from "../../native/linux/sockmsg.ts";
import { SysError } from "../../native/linux/syscall.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);
/** The errno and message of the SysError that it throws. */
const failure = (run: () => unknown) => {
	try {
		run();
	} catch (error) {
		if (error instanceof SysError) return [error.errno, error.message];
		throw error;
	}
	return undefined;
};
const loopback = (port = 0): SocketAddress => ({ family: AF_INET, address: "127.0.0.1", port });

t.test("an internet address is read as Node reads it, and written as RFC 5952 has it", async (t) => {
	/* The URL parser writes IPv6 addresses by the same rules. */
	for (const [written, canonical] of [
		["0.0.0.0", "0.0.0.0"],
		["255.255.255.255", "255.255.255.255"],
		["::", "::"],
		["::1", "::1"],
		["1::", "1::"],
		["2001:DB8:0:0:0:0:2:1", "2001:db8::2:1"],
		["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
		["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
		["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
		["::ffff:10.0.0.1", "::ffff:10.0.0.1"],
		["::10.0.0.1", "::10.0.0.1"],
		["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
		["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
		["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
	] as const) {
		const parsed = parseInet(written);
		t.ok(parsed, written);
		t.equal(parsed && formatInet(parsed), canonical);
		t.ok(isIP(written), written);
	}
	for (const wrong of [
		"",
		"1",
		"1.2.3",
		"1.2.3.4.5",
		"256.1.1.1",
		"01.2.3.4",
		"1.2.3.4 ",
		"1.2.3.-4",
		":",
		":::",
		"1::2::3",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7:8::",
		"12345::",
		"g::",
		"::1.2.3",
		"1.2.3.4::",
		"::1.2.3.4:5",
		"fe80::1%eth0",
		"1:",
		":1",
	]) {
		t.equal(parseInet(wrong), undefined, wrong);
		if (!wrong.includes("%")) t.equal(isIP(wrong), 0, wrong);
	}
});

t.test("a random address survives the way there and back", async (t) => {
	for (let i = 0; i < 2000; i++) {
		const random = Uint8Array.from({ length: i % 2 ? 16 : 4 }, () => (Math.random() < 0.5 ? 0 : Math.floor(Math.random() * 256)));
		const written = formatInet(random);
		if (isIP(written) === 0) t.fail(written);
		if (formatInet(parseInet(written) as Uint8Array) !== written) t.fail(written);
		if (random.length === 16 && new URL(`http://[${written}]/`).hostname !== `[${written}]` && !written.includes(".")) t.fail(written);
	}
	t.pass();
});

t.test("each kind of address survives the way there and back", async (t) => {
	for (const [address, format] of [
		[{ family: AF_INET, address: "10.1.2.3", port: 65535 }, "10.1.2.3:65535"],
		[{ family: AF_INET6, address: "fe80::1", port: 80, scope: 7, flowinfo: 5 }, "[fe80::1%7]:80"],
		[{ family: AF_UNIX, path: "/run/x" }, "/run/x"],
		[{ family: AF_UNIX, path: "\0a\0b" }, "@a\0b"],
		[{ family: AF_UNIX, path: "" }, ""],
		[{ family: AF_NETLINK, pid: 4_000_000_000, groups: 0x80000001 }, "netlink:4000000000"],
		[{ family: AF_PACKET, protocol: 0x806, ifindex: 3, hatype: 1, pkttype: 4, address: Uint8Array.of(1, 2, 3, 4, 5, 6) }, "packet:3"],
		[{ family: AF_VSOCK, cid: 3, port: 1024 }, "vsock:3:1024"],
	] as [SocketAddress, string][]) {
		t.same(decodeAddress(encodeAddress(address)), address);
		t.equal(formatAddress(address), format);
	}
	t.equal(decodeAddress(new Uint8Array(0)), undefined);
	t.equal(decodeAddress(Uint8Array.of(2, 0, 0)), undefined);
	t.equal(decodeAddress(Uint8Array.of(99, 0, 0, 0)), undefined);
	t.throws(() => encodeAddress({ family: AF_UNIX, path: "x".repeat(109) }), RangeError);
	t.throws(() => encodeAddress({ family: AF_UNIX, path: "a\0b" }), RangeError);
	t.throws(() => encodeAddress({ family: AF_INET, address: "::1", port: 1 }), RangeError);
	t.throws(() => inetSocketAddress("nobody", 1), RangeError);
});

t.test("a stream connects, tells who is there, ends one way and then the other", async (t) => {
	const listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
	bind(listener, loopback());
	const own = getsockname(listener) as { port: number };
	t.ok(own.port > 0);
	listen(listener, 8);
	t.equal(accept(listener), undefined);
	t.equal(tryAccept(listener, 0), -EAGAIN);
	const client = socket(AF_INET, SOCK_STREAM);
	connect(client, loopback(own.port));
	t.same(getpeername(client), loopback(own.port));
	const accepted = accept(listener);
	t.same(accepted?.address, getsockname(client));
	const server = accepted?.fd as number;
	t.equal(trySend(client, bytes("hello"), 0), 5);
	shutdown(client, SHUT_WR);
	const into = new Uint8Array(16);
	t.equal(tryRecv(server, into, 0), 5);
	t.equal(text(into.subarray(0, 5)), "hello");
	t.equal(tryRecv(server, into, 0), 0);
	t.equal(sendto(server, bytes("bye")), 3);
	t.equal(recvfrom(client, into)?.length, 3);
	t.equal(getsockopt(client, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	t.equal(socketError(client), 0);
	for (const fd of [client, server, listener]) close(fd);
});

t.test("a failure names the call and the address or option", async (t) => {
	const first = socket(AF_INET, SOCK_STREAM);
	bind(first, loopback());
	const { port } = getsockname(first) as { port: number };
	const second = socket(AF_INET, SOCK_STREAM);
	t.same(
		failure(() => bind(second, loopback(port))),
		[EADDRINUSE, `bind 127.0.0.1:${port}: Address already in use`],
	);
	t.same(
		failure(() => connect(second, loopback(port))),
		[ECONNREFUSED, `connect 127.0.0.1:${port}: Connection refused`],
	);
	t.equal(failure(() => getpeername(second))?.[0], ENOTCONN);
	t.same(
		failure(() => setsockopt(second, SOL_SOCKET, 9999, 1, "SO_NONSENSE")),
		[ENOPROTOOPT, "setsockopt(SO_NONSENSE): Protocol not available"],
	);
	setsockopt(second, SOL_SOCKET, SO_RCVBUF, 10_000);
	t.equal(getsockopt(second, SOL_SOCKET, SO_RCVBUF), 20_000);
	close(first);
	close(second);
});

t.test("it connects to a server of Node's by a unix socket, and tells who that is", async (t) => {
	const path = join(tmpdir(), `tsbox-socket-${process.pid}`);
	const server = createServer((socket: Socket) => socket.end("from node"));
	await new Promise<void>((resolve) => server.listen(path, resolve));
	const client = socket(AF_UNIX, SOCK_STREAM);
	connect(client, { family: AF_UNIX, path });
	t.same(getpeername(client), { family: AF_UNIX, path });
	t.same(peerCredentials(client), { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
	await new Promise((resolve) => setTimeout(resolve, 50));
	const into = new Uint8Array(32);
	t.equal(text(into.subarray(0, recvfrom(client, into)?.length)), "from node");
	close(client);
	server.close();
});

t.test("descriptors are handed over, and closed where they do not fit", async (t) => {
	const [left, right] = socketpair(AF_UNIX, SOCK_STREAM);
	const files = [open("/etc/passwd", O_RDONLY), open("/etc/group", O_RDONLY)];
	t.equal(sendmsg(left, [bytes("a"), bytes("b")], { control: [rights(files)] }), 2);
	const into = new Uint8Array(8);
	const came = recvmsg(right, into, 0, controlSpace(8));
	t.equal(came?.length, 2);
	const passed = rightsOf(came?.control ?? []);
	t.same(
		passed.map((fd) => fstatSync(fd).ino),
		["/etc/passwd", "/etc/group"].map((path) => statSync(path).ino),
	);
	for (const fd of passed) close(fd);
	sendmsg(left, bytes("c"), { control: [rights(files)] });
	const next = open("/dev/null", O_RDONLY);
	close(next);
	t.equal(failure(() => recvmsg(right, into, 0, 20))?.[0], EMSGSIZE);
	t.notOk(isOpen(next));
	for (const fd of [...files, left, right]) close(fd);
});

t.test("control data are read to the first message that lies about its length", async (t) => {
	const good = encodeControl([rights([1]), rights([2, 3])]);
	t.same(rightsOf(decodeControl(good)), [1, 2, 3]);
	for (const lie of [0, 15, 1000]) {
		const bad = good.slice();
		new DataView(bad.buffer).setUint32(controlSpace(4), lie, true);
		t.same(rightsOf(decodeControl(bad)), [1]);
	}
	t.same(decodeControl(good.subarray(0, 10)), []);
	for (let i = 0; i < 500; i++) decodeControl(Uint8Array.from({ length: i % 64 }, () => Math.floor(Math.random() * 40)));
});

for (const [family, address, other, level, option] of [
	[AF_INET, "127.0.0.1", "127.0.0.2", IPPROTO_IP, IP_PKTINFO],
	[AF_INET6, "::1", "::1", IPPROTO_IPV6, IPV6_RECVPKTINFO],
] as const)
	t.test(`a datagram tells where it was sent to, and the answer comes from there (${other})`, async (t) => {
		const server = socket(family, SOCK_DGRAM);
		bind(server, inetSocketAddress(family === AF_INET ? "0.0.0.0" : "::", 0));
		setsockopt(server, level, option, 1);
		const { port } = getsockname(server) as { port: number };
		const client = socket(family, SOCK_DGRAM);
		bind(client, inetSocketAddress(address, 0));
		sendto(client, bytes("ask"), 0, inetSocketAddress(other, port));
		const into = new Uint8Array(16);
		const came = recvmsg(server, into, 0, 128);
		t.equal(came?.length, 3);
		const at = pktinfoOf(came?.control ?? []);
		t.equal(at?.address, other);
		t.ok((at?.ifindex ?? 0) > 0);
		sendmsg(server, bytes("answer"), { address: came?.address as SocketAddress, control: [pktinfo(other)] });
		const answer = recvfrom(client, into);
		t.equal(answer?.length, 6);
		t.match(answer?.address, { address: other, port });
		close(server);
		close(client);
	});

t.test("a batch takes many datagrams in a call and sends them back in a call", async (t) => {
	const server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
	bind(server, loopback());
	setsockopt(server, IPPROTO_IP, IP_PKTINFO, 1);
	const client = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
	connect(client, getsockname(server) as SocketAddress);
	const batch = messageBatch(8, 65536, 64);
	t.equal(batch.receive(server, 0), -EAGAIN);
	const sizes = [0, 1, 1472, 9000, 65507, 3];
	for (let round = 0; round < 3; round++) {
		for (const size of sizes) t.equal(trySend(client, new Uint8Array(size).fill(size & 255), 0), size);
		const count = batch.receive(server, 0);
		t.equal(count, sizes.length);
		for (let i = 0; i < count; i++) {
			t.equal(batch.length(i), sizes[i]);
			t.same(decodeAddress(batch.names, batch.nameLength(i), 128 * i), getsockname(client));
			t.equal(pktinfoOf(decodeControl(batch.control.subarray(64 * i, 64 * i + batch.controlLength(i))))?.address, "127.0.0.1");
			batch.setLengths(i, batch.length(i), batch.nameLength(i), 0);
		}
		t.equal(batch.send(server, 1, count - 1, 0), count - 1);
		const into = new Uint8Array(65536);
		for (const size of sizes.slice(1)) {
			t.equal(tryRecv(client, into, 0), size);
			t.ok(into.subarray(0, size).every((byte) => byte === (size & 255)));
		}
		t.equal(tryRecv(client, into, 0), -EAGAIN);
	}
	disconnect(client);
	t.equal(failure(() => getpeername(client))?.[0], ENOTCONN);
	close(server);
	close(client);
});

t.test("a netlink socket binds to a port id of the kernel's choice", async (t) => {
	const fd = socket(AF_NETLINK, SOCK_RAW, 0);
	bind(fd, { family: AF_NETLINK, pid: 0, groups: 0 });
	const own = getsockname(fd) as { family: number; pid: number };
	t.equal(own.family, AF_NETLINK);
	t.ok(own.pid > 0);
	t.same(poll([{ fd, events: POLLIN }], 0), [0]);
	close(fd);
	const path = join(tmpdir(), `tsbox-bind-${process.pid}`);
	const server = socket(AF_UNIX, SOCK_DGRAM);
	bind(server, { family: AF_UNIX, path });
	t.ok(statSync(path).isSocket());
	unlinkSync(path);
	close(server);
});
