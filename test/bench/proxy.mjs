/**
 * npm run bench -- proxy: what a published port costs: through us, docker-proxy, socat, DNAT and nothing, in turns.
 *
 * Three network namespaces in a row: a client, the host with the proxies, a server. Each way has ports of its own on both sides,
 * since connections in TIME_WAIT of one would slow the next. A proxy's own CPU time is read from /proc.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";

const HOST = "10.77.1.1";
const SERVER = "10.77.2.2";
const TICKS_PER_SECOND = 100;

const children = [];
function start(argv) {
	/* docker-proxy wants a pipe at descriptor 3. */
	const child = spawn(argv[0], argv.slice(1), { stdio: ["ignore", "ignore", "inherit", "pipe"] });
	children.push(child);
	return child;
}

const inside = (pid, line) => ["nsenter", "-t", String(pid), "-n", ...line.split(" ")];
async function run(pid, line, options = {}) {
	const [program, ...args] = inside(pid, line);
	return execa(program, args, options);
}

/** A process that keeps a network namespace. */
async function namespace() {
	const { pid } = start(["unshare", "-n", "sleep", "1000000"]);
	await sleep(200);
	await run(pid, "ip link set lo up");
	return pid;
}

async function topology() {
	const [client, host, server] = [await namespace(), await namespace(), await namespace()];
	for (const [pid, net] of [
		[client, 1],
		[server, 2],
	]) {
		await run(host, `ip link add v${net} type veth peer name eth0 netns ${pid}`);
		await run(host, `ip addr add 10.77.${net}.1/24 dev v${net}`);
		await run(host, `ip link set v${net} up`);
		await run(pid, `ip addr add 10.77.${net}.2/24 dev eth0`);
		await run(pid, "ip link set eth0 up");
		await run(pid, `ip route add default via 10.77.${net}.1`);
	}
	for (const pid of [client, host, server]) await run(pid, "sysctl -qw net.ipv4.tcp_tw_reuse=1 net.ipv4.ip_forward=1");
	return { client, host, server };
}

/** Each way to the server: where the client connects to, and the process in between, if there is one. */
async function ways({ host, server }, traffic) {
	const proxy = (program, i) =>
		`${program} -proto tcp -host-ip 0.0.0.0 -host-port ${8000 + i} -container-ip ${SERVER} -container-port ${9000 + i}`;
	const all = [
		{ name: "tsportproxy", line: proxy("bin/tsportproxy", 0) },
		{ name: "docker-proxy", line: proxy("docker-proxy", 1) },
		{ name: "socat", line: `socat TCP-LISTEN:8002,fork,reuseaddr,backlog=1024,nodelay TCP:${SERVER}:9002,nodelay` },
		{ name: "DNAT" },
		{ name: "direct", address: SERVER, port: 9004 },
	];
	const rules = `table ip bench { chain pre { type nat hook prerouting priority -100; ip daddr ${HOST} tcp dport 8003 dnat to ${SERVER}:9003; }; }`;
	await execa("nsenter", ["-t", String(host), "-n", "nft", rules]);
	for (const [i, way] of all.entries()) {
		start([...inside(server, `${traffic} server ${SERVER} ${9000 + i}`)]);
		way.address ??= HOST;
		way.port ??= 8000 + i;
		if (way.line) way.pid = start(inside(host, way.line)).pid;
	}
	await sleep(500);
	return all;
}

/** CPU seconds of a process, and of its children that have ended. */
function cpu(pid) {
	if (!pid) return 0;
	const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
		.replace(/^.*\) /, "")
		.split(" ");
	return [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0) / TICKS_PER_SECOND;
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Runs a kind of traffic over each way in turns; medians of a second's count, of CPU seconds for `unit` of them, and of p99. */
async function measure(kind, connections, { client }, all, traffic, { rounds, seconds }, unit) {
	const results = all.map(() => ({ rate: [], cpu: [], p50: [], p99: [], errors: 0 }));
	for (let round = 0; round < rounds; round++)
		for (const [i, way] of all.entries()) {
			if (way.name === "socat" && kind === "connect" && round > 0) continue;
			const before = cpu(way.pid);
			const { stdout } = await run(client, `${traffic} client ${kind} ${way.address} ${way.port} ${connections} ${seconds}`);
			await sleep(100);
			const [count, took, p50, p99, errors] = stdout.split(" ").map(Number);
			results[i].rate.push(count / took);
			results[i].cpu.push(((cpu(way.pid) - before) / Math.max(1, count)) * unit);
			results[i].p50.push(p50);
			results[i].p99.push(p99);
			results[i].errors += errors;
		}
	return results.map((result, i) => ({
		name: all[i].name,
		rate: median(result.rate),
		cpu: all[i].pid ? median(result.cpu) : 0,
		p50: median(result.p50),
		p99: median(result.p99),
		errors: result.errors,
	}));
}

function resident(pid) {
	const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]);
	return { rss: field("Rss"), dirty: field("Private_Dirty") };
}

/** Tables of strings. `options`: how often each is measured, and for how many seconds. */
export async function proxyTables({ rounds = 3, seconds = 2 } = {}) {
	const folder = mkdtempSync(join(tmpdir(), "tsbox-bench-proxy-"));
	const traffic = join(folder, "traffic");
	const tables = [];
	try {
		await execa("gcc", ["-O2", "-o", traffic, "test/bench/traffic.c"]);
		const net = await topology();
		const all = await ways(net, traffic);
		const microseconds = (value) => `${value.toFixed(1)} us`;
		for (const [title, kind, connections, unit, each, rate] of [
			["connections", "connect", 32, 1e6, "CPU a connection", (n) => `${Math.round(n)} /s`],
			["requests of 64 kept connections", "request", 64, 1e6, "CPU a request", (n) => `${Math.round(n)} /s`],
			["one stream down", "down", 1, 1e9, "CPU a GB", (n) => `${((n * 8) / 1e9).toFixed(1)} Gbit/s`],
			["one stream up", "up", 1, 1e9, "CPU a GB", (n) => `${((n * 8) / 1e9).toFixed(1)} Gbit/s`],
		]) {
			const results = await measure(kind, connections, net, all, traffic, { rounds, seconds }, unit);
			const [, docker] = results;
			const isStream = unit === 1e9;
			const rows = [
				[title, "rate", "x docker-proxy", each, "x docker-proxy", ...(isStream ? [] : ["p50", "p99", "x docker-proxy"]), "errors"],
			];
			for (const r of results)
				rows.push([
					r.name,
					rate(r.rate),
					(r.rate / docker.rate).toFixed(2),
					r.cpu ? (isStream ? `${(r.cpu * 1000).toFixed(0)} ms` : microseconds(r.cpu)) : "",
					r.cpu ? (r.cpu / docker.cpu).toFixed(2) : "",
					...(isStream ? [] : [`${r.p50} us`, `${r.p99} us`, (r.p99 / docker.p99).toFixed(2)]),
					String(r.errors),
				]);
			tables.push(rows);
		}
		const rows = [["memory", "idle", "1,000 connections", "private"]];
		for (const way of all.slice(0, 2)) {
			const fresh = resident(way.pid).rss;
			const client = start(inside(net.client, `${traffic} client idle ${way.address} ${way.port} 1000 4`));
			await sleep(2500);
			const { rss, dirty } = resident(way.pid);
			rows.push([way.name, `${fresh} kB`, `${rss} kB`, `${dirty} kB`]);
			await new Promise((resolve) => client.on("exit", resolve));
		}
		tables.push(rows);
	} finally {
		for (const child of children.reverse()) child.kill("SIGKILL");
		rmSync(folder, { recursive: true });
	}
	return tables;
}
