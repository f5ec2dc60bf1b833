/** tsportproxy in docker-proxy's place, and what it can do besides. */
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import t from "tap";
import { ask, connect, echo, freePort, pause, readAll, startProxy, talk, tcpServer, udpEcho } from "../support/portproxy.ts";
import { dockerProxyBehaviours } from "../support/portproxy-behaviours.ts";
import { tool } from "../support/tools.ts";

t.setTimeout(120_000);

const program = tool("tsportproxy");
dockerProxyBehaviours(program);

const descriptors = (pid: number | undefined) => readdirSync(`/proc/${pid}/fd`).length;

t.test("the port's holder is named where it is in use", async (t) => {
	const { port } = await tcpServer(t, echo);
	const proxy = await startProxy(t, program, { hostPort: port, containerPort: 9 });
	t.match(proxy.status, new RegExp(`^1\\ntcp port ${port} of 127.0.0.1: already in use by \\S+ \\(pid ${process.pid}\\)$`));
	await proxy.ended;
	t.match(proxy.stderr(), /^tsportproxy: tcp port/);
});

t.test("with -use-listen-fd it serves the socket at descriptor 4", async (t) => {
	const { port } = await tcpServer(t, echo);
	const listener = createServer().listen(0, "127.0.0.1");
	await once(listener, "listening");
	const address = listener.address() as { port: number };
	const { fd } = (listener as unknown as { _handle: { fd: number } })._handle;
	const proxy = await startProxy(t, program, { hostPort: 1, containerPort: port, listenFd: fd, more: ["-use-listen-fd"] });
	listener.close();
	t.equal(proxy.status, "0\n");
	t.equal(await talk(address.port, "hello"), "hello");
	const without = await startProxy(t, program, { hostPort: 1, containerPort: port, more: ["-use-listen-fd"] });
	t.match(without.status, /^1\ndescriptor 4: not a socket/);
});

t.test("a reset of either end reaches the other one", async (t) => {
	const sockets: Socket[] = [];
	const { port } = await tcpServer(t, (socket) => sockets.push(socket));
	const hostPort = await freePort();
	await startProxy(t, program, { hostPort, containerPort: port });
	for (const who of ["server", "client"]) {
		const client = await connect(hostPort);
		client.write("x");
		while (sockets.length === 0) await pause(10);
		const server = sockets.pop() as Socket;
		const [first, second] = who === "server" ? [server, client] : [client, server];
		const heard = readAll(second);
		await pause(30);
		first.resetAndDestroy();
		t.equal(await heard, "ECONNRESET", `from the ${who}`);
	}
});

t.test("a server that reads nothing stops its client, and loses nothing", async (t) => {
	let server: Socket | undefined;
	const { port } = await tcpServer(t, (socket) => {
		server = socket.pause();
	});
	const hostPort = await freePort();
	const proxy = await startProxy(t, program, { hostPort, containerPort: port });
	const client = await connect(hostPort);
	const total = 64 << 20;
	const sent = Buffer.alloc(total, "0123456789");
	client.end(sent);
	await pause(500);
	t.ok(client.writableLength > 0, "the client cannot write all of it");
	const time = () => Number(readFileSync(`/proc/${proxy.child.pid}/stat`, "utf8").split(" ")[13]);
	const before = time();
	await pause(300);
	t.ok(time() - before <= 1, "the proxy sleeps");
	const got = readAll(server as Socket);
	server?.resume();
	t.ok(sent.equals((await got) as Buffer));
	client.destroy();
});

t.test("an answer comes from the address that was asked, of several of this machine's", async (t) => {
	const { port } = await udpEcho(t);
	const hostPort = await freePort("udp");
	await startProxy(t, program, { proto: "udp", hostIp: "0.0.0.0", hostPort, containerPort: port });
	const client = createSocket("udp4");
	t.teardown(() => client.close());
	for (const host of ["127.0.0.1", "127.0.0.2", "127.1.2.3"]) t.equal((await ask(client, Buffer.from("x"), hostPort, host))?.address, host);
});

t.test("a UDP client that is idle for --udp-timeout is forgotten", async (t) => {
	const { port, sources } = await udpEcho(t);
	const hostPort = await freePort("udp");
	const proxy = await startProxy(t, program, { proto: "udp", hostPort, containerPort: port, more: ["--udp-timeout", "500ms"] });
	const client = createSocket("udp4");
	t.teardown(() => client.close());
	await pause(50);
	const before = descriptors(proxy.child.pid);
	for (let i = 0; i < 4; i++) {
		await ask(client, Buffer.from("x"), hostPort, "127.0.0.1");
		await pause(200);
	}
	t.equal(sources.size, 1, "one that talks is kept");
	t.equal(descriptors(proxy.child.pid), before + 1);
	await pause(900);
	t.equal(descriptors(proxy.child.pid), before);
	await ask(client, Buffer.from("x"), hostPort, "127.0.0.1");
	t.equal(sources.size, 2);
});

t.test("without -host-ip it listens on IPv4 and IPv6, streams and datagrams", async (t) => {
	const { port } = await tcpServer(t, echo);
	const echoes = await udpEcho(t);
	const hostPort = await freePort("tcp", "::");
	await startProxy(t, program, { hostIp: "", hostPort, containerPort: port });
	await startProxy(t, program, { hostIp: "", proto: "udp", hostPort, containerPort: echoes.port });
	for (const host of ["127.0.0.1", "::1"]) {
		t.equal(await talk(hostPort, "hello", host), "hello");
		const datagrams = createSocket(host === "::1" ? "udp6" : "udp4");
		const answer = await ask(datagrams, Buffer.from("hello"), hostPort, host);
		t.equal(String(answer?.message), "hello");
		t.equal(answer?.address, host);
		datagrams.close();
	}
});

for (const [version, pattern] of [
	["1", /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 (\d+) (\d+)\r\nhello$/],
	["2", /^\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01(....)hello$/s],
] as const)
	t.test(`--proxy-protocol ${version} tells the server who the client is`, async (t) => {
		const { port } = await tcpServer(t, echo);
		const hostPort = await freePort();
		await startProxy(t, program, { hostPort, containerPort: port, more: ["--proxy-protocol", version] });
		const client = await connect(hostPort);
		const ports = [client.localPort as number, hostPort];
		client.end("hello");
		const got = String(((await readAll(client)) as Buffer).toString("latin1"));
		const match = pattern.exec(got);
		t.ok(match, JSON.stringify(got));
		const told =
			version === "1" ? match?.slice(1).map(Number) : [0, 2].map((at) => Buffer.from(match?.[1] ?? "", "latin1").readUInt16BE(at));
		t.same(told, ports);
	});

t.test("--allow lets in clients of its networks only", async (t) => {
	const { port } = await tcpServer(t, echo);
	const echoes = await udpEcho(t);
	const hostPort = await freePort();
	for (const [networks, isLetIn] of [
		[["10.0.0.0/8"], false],
		[["127.0.0.0/31"], true],
		[["::/0"], false],
		[["10.0.0.0/8", "127.0.0.1"], true],
		[["127.0.0.0/32"], false],
	] as const) {
		const more = networks.flatMap((network) => ["--allow", network]);
		const proxies = [
			await startProxy(t, program, { hostIp: "", hostPort, containerPort: port, more }),
			await startProxy(t, program, { hostIp: "", proto: "udp", hostPort, containerPort: echoes.port, more }),
		];
		t.equal(await talk(hostPort, "hello"), isLetIn ? "hello" : "ECONNRESET", networks.join(" "));
		const datagrams = createSocket("udp4");
		t.equal((await ask(datagrams, Buffer.from("x"), hostPort, "127.0.0.1", isLetIn ? 2000 : 200)) !== undefined, isLetIn);
		datagrams.close();
		for (const proxy of proxies) {
			proxy.child.kill("SIGINT");
			await proxy.ended;
		}
	}
});

t.test("with --max-connections others wait until one has ended", async (t) => {
	const { port } = await tcpServer(t, echo);
	const hostPort = await freePort();
	await startProxy(t, program, { hostPort, containerPort: port, more: ["--max-connections", "2"] });
	const clients = [await connect(hostPort), await connect(hostPort), await connect(hostPort)];
	const answers = ["", "", ""];
	clients.forEach((client, i) => {
		client.on("data", (data) => {
			answers[i] = `${answers[i]}${data}`;
		});
		client.write(String(i));
	});
	await pause(300);
	t.same(answers, ["0", "1", ""]);
	clients[0]?.end();
	await pause(300);
	t.same(answers, ["0", "1", "2"]);
	for (const client of clients) client.destroy();
});

t.test("a proxy without descriptors lets clients wait, and serves them all in the end", async (t) => {
	const { port } = await tcpServer(t, echo);
	const hostPort = await freePort();
	const proxy = await startProxy(t, program, { hostPort, containerPort: port, descriptors: 24 });
	const visit = async (i: number) => {
		const client = await connect(hostPort);
		const answer = once(client, "data");
		client.write(`hello ${i}`);
		const [data] = await answer;
		await pause(20);
		client.end();
		await readAll(client);
		return String(data) === `hello ${i}`;
	};
	const results = await Promise.all(Array.from({ length: 60 }, (_, i) => visit(i)));
	t.ok(results.every(Boolean));
	t.equal(proxy.child.exitCode, null);
});

t.test("--idle-timeout resets connections that move nothing, and no others", async (t) => {
	const { port } = await tcpServer(t, echo);
	const hostPort = await freePort();
	await startProxy(t, program, { hostPort, containerPort: port, more: ["--idle-timeout", "500ms"] });
	const [idle, busy] = [await connect(hostPort), await connect(hostPort)];
	const ended = readAll(idle);
	const timer = setInterval(() => busy.write("x"), 100);
	const from = Date.now();
	t.equal(await ended, "ECONNRESET");
	t.ok(Date.now() - from >= 450);
	await pause(400);
	clearInterval(timer);
	t.notOk(busy.destroyed);
	busy.destroy();
});

t.test("statistics come at SIGUSR1, and with --stats at the end", async (t) => {
	const { port } = await tcpServer(t, echo);
	const hostPort = await freePort();
	const proxy = await startProxy(t, program, { hostPort, containerPort: port, more: ["--stats"] });
	const client = await connect(hostPort);
	client.write("12345");
	await once(client, "data");
	proxy.child.kill("SIGUSR1");
	while (!proxy.stderr().includes("\n")) await pause(10);
	const stats = JSON.parse(proxy.stderr());
	t.match(stats, { pid: proxy.child.pid, connections: 1, ports: [{ hostPort, port, open: 1, accepted: 1, bytesIn: 5, bytesOut: 5 }] });
	client.end();
	await readAll(client);
	proxy.child.kill("SIGTERM");
	t.equal(await proxy.ended, 0);
	t.match(JSON.parse(proxy.stderr().split("\n")[1] ?? ""), { connections: 0, ports: [{ accepted: 1, open: 0 }] });
});

t.test("at SIGTERM it listens no more, and lets connections end for --drain", async (t) => {
	const { port } = await tcpServer(t, echo);
	const hostPort = await freePort();
	const proxy = await startProxy(t, program, { hostPort, containerPort: port, more: ["--drain", "5s"] });
	const client = await connect(hostPort);
	client.write("one");
	await once(client, "data");
	proxy.child.kill("SIGTERM");
	await pause(100);
	await t.rejects(connect(hostPort), { code: "ECONNREFUSED" });
	client.write("two");
	t.equal(String((await once(client, "data"))[0]), "two");
	client.end();
	await readAll(client);
	t.equal(await proxy.ended, 0);
	const other = await startProxy(t, program, { hostPort, containerPort: port, more: ["--drain", "300ms"] });
	const stays = await connect(hostPort);
	stays.on("error", () => {});
	const from = Date.now();
	other.child.kill("SIGTERM");
	t.equal(await other.ended, 0);
	t.ok(Date.now() - from >= 290 && Date.now() - from < 3000);
});

t.test("after a thousand connections, some of them reset, no descriptor is left", async (t) => {
	const { port } = await tcpServer(t, echo);
	const hostPort = await freePort();
	const proxy = await startProxy(t, program, { hostPort, containerPort: port });
	const visit = async (i: number) => {
		const client = await connect(hostPort);
		client.on("error", () => {});
		client.write(Buffer.alloc(i * 200));
		if (i % 3 === 0) client.resetAndDestroy();
		else if (i % 3 === 1) client.destroy();
		else {
			client.end();
			await readAll(client);
		}
	};
	await visit(2);
	const before = descriptors(proxy.child.pid);
	for (let i = 0; i < 1000; i += 50) await Promise.all(Array.from({ length: 50 }, (_, n) => visit(i + n)));
	await pause(300);
	t.ok(descriptors(proxy.child.pid) <= before + 2 * 16, String(descriptors(proxy.child.pid) - before));
	proxy.child.kill("SIGUSR1");
	while (!proxy.stderr().includes("\n")) await pause(10);
	t.match(JSON.parse(proxy.stderr()), { connections: 0, ports: [{ open: 0, accepted: 1001 }] });
});

t.test("SCTP is served where the kernel has it, and else refused with the reason", async (t) => {
	const hostPort = await freePort();
	const proxy = await startProxy(t, program, { proto: "sctp", hostPort, containerPort: 9 });
	if (existsSync("/proc/net/sctp")) t.equal(proxy.status, "0\n");
	else t.match(proxy.status, /^1\nsctp: this kernel does not have it/);
});

t.test("a wrong command line is refused with the option's name, on descriptor 3 too", async (t) => {
	for (const [words, message] of [
		[["-host-port", "70000"], '--host-port: "70000" is not a port number (1-65535)'],
		[["-host-port", "0"], '--host-port: "0" is not a port number (1-65535)'],
		[["-proto", "icmp"], '--proto: "icmp" is not tcp, udp or sctp'],
		[["-container-ip", "nobody", "-host-port", "1"], '--container-ip: "nobody" is not an IP address'],
		[["-host-ip", "1.2.3", "-host-port", "1"], '--host-ip: "1.2.3" is not an IP address'],
		[["-host-port", "1"], "-container-ip: not given"],
		[["-host-port", "1", "-container-ip", "::1"], "-container-port: not given"],
		[["-container-ip", "::1", "-container-port", "1"], "-host-port: not given"],
		[["--allow", "10.0.0.0/33"], '--allow: "10.0.0.0/33" is not an address or a network (10.0.0.0/8, fe80::/10)'],
		[["-nonsense"], "-n: unknown option"],
	] as [string[], string][]) {
		const { status, stderr } = spawnSync(program, words, { encoding: "utf8" });
		t.equal(status, 1);
		t.equal(stderr.split("\n")[0], `tsportproxy: ${message}`);
	}
	t.match(spawnSync(program, ["-v"], { encoding: "utf8" }).stdout, /^tsportproxy/);
});
