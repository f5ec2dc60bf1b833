/**
 * A proxy under connections that end in all ways, for SECONDS (20; the figures of the README are of 300): memory and descriptors
 * return to where they began, and no byte is lost or changed on the way.
 */
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";
import t from "tap";
import { ask, connect, freePort, pause, startProxy, tcpServer, udpEcho } from "../support/portproxy.ts";
import { tool } from "../support/tools.ts";

const seconds = Number(process.env.SECONDS ?? 20);
t.setTimeout((seconds + 60) * 1000);

const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
const resident = (pid: number) => Number(/^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]);
const chance = (share: number) => Math.random() < share;

/** Echoes, now and then resets, stalls for a while or ends early. */
function unruly(socket: Socket) {
	socket.on("data", (data) => {
		if (chance(0.01)) return void socket.resetAndDestroy();
		if (chance(0.01)) return void socket.end();
		if (!socket.writableEnded && !socket.write(data)) {
			socket.pause();
			socket.once("drain", () => socket.resume());
		}
		if (chance(0.02)) {
			socket.pause();
			setTimeout(() => socket.resume(), 200 * Math.random());
		}
	});
	socket.on("end", () => socket.end());
}

t.test(`after ${seconds} s of resets, stalls and half-opens, memory and descriptors are back`, async (t) => {
	const { port } = await tcpServer(t, unruly);
	const echoes = await udpEcho(t);
	const [hostPort, udpPort] = [await freePort(), await freePort("udp")];
	const proxy = await startProxy(t, tool("tsportproxy"), { hostPort, containerPort: port, more: ["--idle-timeout", "5s"] });
	const datagrams = await startProxy(t, tool("tsportproxy"), {
		proto: "udp",
		hostPort: udpPort,
		containerPort: echoes.port,
		more: ["--udp-timeout", "1s"],
	});
	const [pid, udpPid] = [proxy.child.pid as number, datagrams.child.pid as number];
	const counts = { whole: 0, cut: 0, wrong: 0, wrongAnswers: 0, answers: 0, lost: 0 };

	async function visit() {
		const client = await connect(hostPort).catch(() => undefined);
		if (!client) return void counts.cut++;
		const closed = new Promise((resolve) => client.on("close", resolve));
		client.on("error", () => {});
		const sent = createHash("sha1");
		const got = createHash("sha1");
		let [bytesSent, bytesGot] = [0, 0];
		let isWhole = true;
		client.on("data", (data) => {
			got.update(data);
			bytesGot += data.length;
		});
		for (let i = 0; i < 1 + Math.random() * 8 && !client.destroyed; i++) {
			const data = randomBytes(Math.ceil(Math.random() ** 4 * 300_000));
			sent.update(data);
			bytesSent += data.length;
			if (!client.write(data)) await Promise.race([once(client, "drain"), closed]).catch(() => {});
			if (chance(0.03)) await pause(100 * Math.random());
			if (chance(0.02)) {
				client.resetAndDestroy();
				isWhole = false;
			}
		}
		/* A half-open one, which nobody ends: the idle timeout does. */
		if (isWhole && chance(0.01)) return;
		if (isWhole) client.end();
		await closed;
		if (isWhole && bytesGot === bytesSent) counts[sent.digest("hex") === got.digest("hex") ? "whole" : "wrong"]++;
		else counts.cut++;
	}

	async function speak() {
		const client = createSocket("udp4");
		const asked: string[] = [];
		for (let i = 0; i < 5; i++) {
			const message = randomBytes(8 + Math.floor(Math.random() * 1400));
			asked.push(message.toString("hex"));
			const answer = await ask(client, message, udpPort, "127.0.0.1", 500);
			/* One that is late, on a busy machine, is taken for the next one's. */
			counts[answer ? (asked.includes(answer.message.toString("hex")) ? "answers" : "wrongAnswers") : "lost"]++;
		}
		client.close();
	}

	const load = async (until: number) => {
		const worker = async (work: () => Promise<unknown>) => {
			while (Date.now() < until) await work();
		};
		await Promise.all([...Array.from({ length: 40 }, () => worker(visit)), ...Array.from({ length: 5 }, () => worker(speak))]);
	};
	/* What is taken for the most connections and flows at a time is kept for the next ones: after a while it is enough. */
	await load(Date.now() + seconds * 200);
	await pause(6000);
	const before = { fds: descriptors(pid), rss: resident(pid), udpFds: descriptors(udpPid), udpRss: resident(udpPid) };
	await load(Date.now() + seconds * 800);
	await pause(7000);
	const after = { fds: descriptors(pid), rss: resident(pid), udpFds: descriptors(udpPid), udpRss: resident(udpPid) };
	t.comment(JSON.stringify({ ...counts, before, after }));
	t.equal(counts.wrong, 0);
	t.equal(counts.wrongAnswers, 0);
	t.ok(counts.whole > 10 * seconds && counts.answers > 10 * seconds);
	/* Pipes that are kept for the next connections are two descriptors each. */
	t.ok(after.fds <= before.fds + 32, `${after.fds} descriptors, ${before.fds} before`);
	t.equal(after.udpFds, before.udpFds);
	t.ok(after.rss <= before.rss + 200 && after.udpRss <= before.udpRss + 400, `${after.rss} kB, ${before.rss} kB before`);
});
