/** What docker-proxy does, for it and for us: the same tests run on both. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import t from "tap";
import { ask, connect, echo, freePort, readAll, startProxy, talk, tcpServer, udpEcho } from "./portproxy.ts";

export function dockerProxyBehaviours(program: string) {
	t.test("it says 0 on descriptor 3 once the port is open, and bytes go both ways with half-closes", async (t) => {
		const { port } = await tcpServer(t, echo);
		const hostPort = await freePort();
		const proxy = await startProxy(t, program, { hostPort, containerPort: port });
		t.equal(proxy.status, "0\n");
		const client = await connect(hostPort);
		const sent = Buffer.alloc(3_000_000, "abcdefghijklmnopqrstuvwxyz");
		client.end(sent);
		t.ok(sent.equals((await readAll(client)) as Buffer));
		proxy.child.kill("SIGINT");
		t.equal(await proxy.ended, 0);
	});

	t.test("a server that answers after the client has ended is heard", async (t) => {
		const { port } = await tcpServer(t, (socket) => {
			socket.on("end", () => setTimeout(() => socket.end("late"), 100)).resume();
		});
		const hostPort = await freePort();
		await startProxy(t, program, { hostPort, containerPort: port });
		const client = await connect(hostPort);
		client.end();
		t.equal(String(await readAll(client)), "late");
	});

	t.test("it says 1 and why on descriptor 3 when the port is in use, and ends with 1", async (t) => {
		const { port } = await tcpServer(t, echo);
		const proxy = await startProxy(t, program, { hostPort: port, containerPort: 9 });
		t.match(proxy.status, /^1\n.*in use/);
		t.equal(await proxy.ended, 1);
	});

	t.test("a proxy takes the place of one that had connections, at once", async (t) => {
		const { port } = await tcpServer(t, echo);
		const hostPort = await freePort();
		const first = await startProxy(t, program, { hostPort, containerPort: port });
		const client = await connect(hostPort);
		const answer = readAll(client);
		client.write("x");
		await once(client, "data");
		first.child.kill("SIGINT");
		await first.ended;
		await answer;
		const second = await startProxy(t, program, { hostPort, containerPort: port });
		t.equal(second.status, "0\n");
	});

	t.test("a server that does not answer costs the client its connection, and the proxy lives on", async (t) => {
		const closedPort = await freePort();
		const hostPort = await freePort();
		const proxy = await startProxy(t, program, { hostPort, containerPort: closedPort });
		for (let i = 0; i < 3; i++) {
			const answer = await talk(hostPort, "");
			t.ok(answer === "" || answer === "ECONNRESET", answer);
		}
		t.equal(proxy.child.exitCode, null);
	});

	for (const [host, to] of [
		["127.0.0.1", "::1"],
		["::1", "127.0.0.1"],
		["::1", "::1"],
	] as const)
		t.test(`a listener at ${host} reaches a server at ${to}`, async (t) => {
			const { port } = await tcpServer(t, echo, to);
			const hostPort = await freePort("tcp", host);
			await startProxy(t, program, { hostIp: host, hostPort, containerIp: to, containerPort: port });
			t.equal(await talk(hostPort, "hello", host), "hello");
		});

	t.test("datagrams of 1 to 65,507 bytes come back", async (t) => {
		const { port } = await udpEcho(t);
		const hostPort = await freePort("udp");
		await startProxy(t, program, { proto: "udp", hostIp: "0.0.0.0", hostPort, containerPort: port });
		const client = createSocket({ type: "udp4", recvBufferSize: 1 << 20 });
		t.teardown(() => client.close());
		for (const size of [1, 1472, 9000, 65507]) {
			const message = Buffer.alloc(size, size & 255);
			const answer = await ask(client, message, hostPort, "127.0.0.1");
			t.ok(answer && message.equals(answer.message), `${size} bytes`);
			t.equal(answer?.address, "127.0.0.1");
		}
	});

	t.test("each client of a UDP port gets its own answers", async (t) => {
		const { port, sources } = await udpEcho(t);
		const hostPort = await freePort("udp");
		await startProxy(t, program, { proto: "udp", hostPort, containerPort: port });
		const clients = Array.from({ length: 20 }, () => createSocket("udp4"));
		t.teardown(() => clients.forEach((client) => void client.close()));
		const answers = await Promise.all(clients.map((client, i) => ask(client, Buffer.from(`client ${i}`), hostPort, "127.0.0.1")));
		t.same(
			answers.map((answer) => String(answer?.message)),
			clients.map((_, i) => `client ${i}`),
		);
		t.equal(sources.size, 20);
	});

	t.test("a hundred connections at once are kept apart", async (t) => {
		const { port } = await tcpServer(t, echo);
		const hostPort = await freePort();
		await startProxy(t, program, { hostPort, containerPort: port });
		const messages = Array.from({ length: 100 }, (_, i) => `${i} `.repeat(1000 + i));
		t.same(await Promise.all(messages.map((message) => talk(hostPort, message))), messages);
	});
}
