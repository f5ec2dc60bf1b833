/** Publishing ports of sandboxes, in network namespaces of the tests' own. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { ask, BRIDGE, type Internet, inside, internet, script, server } from "../support/networks.ts";
import { pause } from "../support/portproxy.ts";
import { isRoot } from "../support/sandbox.ts";
import { tool } from "../support/tools.ts";

t.setTimeout(120_000);

if (!isRoot) {
	t.pass("needs root", { skip: "needs root" });
	process.exit(0);
}

interface World extends Internet {
	run: string;
	portproxy(args: string[], input?: string): { status: number | null; stdout: string; stderr: string };
	ruleset(): string;
	/** PIDs of the proxies that serve now. */
	proxies(): number[];
}

async function world(t: Test): Promise<World> {
	const net = await internet(t);
	const run = mkdtempSync(join(tmpdir(), `tsbox-publish-${process.pid}-`));
	const portproxy = (args: string[], input = "") => {
		const [program = "", ...rest] = inside(net.host, [tool("tsportproxy"), ...args]);
		return spawnSync(program, rest, { encoding: "utf8", input, env: { ...process.env, TSBOX_RUN: run }, timeout: 20_000 });
	};
	const rows = () => JSON.parse(portproxy(["ls", "--json"]).stdout) as { pid: number }[];
	const proxies = () => [...new Set(rows().map(({ pid }) => pid))];
	t.teardown(() => {
		for (const name of existsSync(join(run, "ports")) ? readdirSync(join(run, "ports")) : []) portproxy(["rm", name]);
		rmSync(run, { recursive: true });
	});
	return { ...net, record: (id) => net.record(id, run), run, portproxy, proxies, ruleset: () => script(net.host, "nft list ruleset") };
}

const leftovers = (run: string) =>
	["ports", "firewall"].flatMap((folder) =>
		(existsSync(join(run, folder)) ? readdirSync(join(run, folder)) : []).filter((name) => !name.startsWith(".")),
	);

t.test("a published port is reached from everywhere, with the client's own address from outside", async (t) => {
	const { host, container, neighbour, record, run, portproxy, ruleset } = await world(t);
	await server(t, container.pid, [80, 8443, 8444]);
	const before = ruleset();
	const published = portproxy(["publish", "8080:80", "8443-8445:8443-8445", "5353:80/udp", "127.0.0.1:9090:80"], record("web"));
	t.equal(published.stderr, "");
	const passed = JSON.parse(published.stdout);
	t.equal(passed.other, "kept");
	t.same(passed.ports, [
		{ proto: "tcp", host: "0.0.0.0:8080", container: 80 },
		{ proto: "tcp", host: "0.0.0.0:8443-8445", container: "8443-8445" },
		{ proto: "udp", host: "0.0.0.0:5353", container: 80 },
		{ proto: "tcp", host: "127.0.0.1:9090", container: 80 },
	]);
	/* What the network's own elements do: hairpin. */
	script(host, `nft add element ip tsbox own '{ 172.30.0.0/24 . "${BRIDGE}" }'`);
	for (const proto of ["tcp", "udp"] as const) {
		const port = proto === "tcp" ? 8080 : 5353;
		t.equal(ask(neighbour, proto, "192.0.2.1", port), "192.0.2.2", `${proto} from outside`);
		t.equal(ask(host, proto, "127.0.0.1", port), "172.30.0.1", `${proto} from 127.0.0.1`);
		t.equal(ask(host, proto, "192.0.2.1", port), "192.0.2.1", `${proto} from the host's own address`);
		t.equal(ask(container.pid, proto, "172.30.0.1", port), "172.30.0.1", `${proto} from the container itself`);
	}
	t.equal(ask(neighbour, "tcp", "2001:db8::1", 8080), "2001:db8::2", "by IPv6 from outside");
	t.equal(ask(host, "tcp", "::1", 8080), "172.30.0.1", "from ::1");
	t.equal(ask(neighbour, "tcp", "192.0.2.1", 8444), "192.0.2.2", "a port of a range");
	t.equal(ask(neighbour, "tcp", "192.0.2.1", 9090, 0.5), "ConnectionRefusedError", "a port of 127.0.0.1 from outside");
	t.equal(ask(host, "tcp", "127.0.0.1", 9090), "172.30.0.1");
	const elements = JSON.parse(script(host, "nft -j list map ip tsbox dnat-address")).nftables.find((entry: { map?: unknown }) => entry.map)
		.map.elem;
	t.equal(elements.length, 1, "a range is one element");
	t.equal(portproxy(["rm", "web"]).status, 0);
	t.equal(ruleset(), before);
	t.same(leftovers(run), []);
	t.equal(portproxy(["leave", "web"]).status, 0, "again is fine");
});

t.test("the ports of a sandbox without a network are served from inside its namespace", async (t) => {
	const { host, lonely, neighbour, portproxy, ruleset } = await world(t);
	await server(t, lonely.pid, [80]);
	const before = ruleset();
	t.equal(portproxy(["publish", "--target", String(lonely.pid), "7070:80", "7070:80/udp"]).status, 0);
	for (const proto of ["tcp", "udp"] as const) {
		t.equal(ask(neighbour, proto, "192.0.2.1", 7070), "127.0.0.1");
		t.equal(ask(host, proto, "127.0.0.1", 7070), "127.0.0.1");
	}
	t.equal(ask(neighbour, "tcp", "2001:db8::1", 7070), "127.0.0.1");
	t.equal(ruleset(), before, "without a rule");
});

t.test("a sandbox has one proxy, which takes ports and gives them back while it serves", async (t) => {
	const { container, host, record, portproxy, proxies } = await world(t);
	await server(t, container.pid, [80, 81]);
	const web = record("web");
	portproxy(["publish", "8080:80"], web);
	const [pid] = proxies();
	/* A connection that is there goes on. */
	const kept = script(
		host,
		`python3 - <<'END' >/dev/null 2>&1 &
import socket, time
s = socket.create_connection(("127.0.0.1", 8080)); s.sendall(b"stay"); s.recv(100)
time.sleep(1.5); s.sendall(b"more"); open("/tmp/tsbox-kept-${process.pid}", "wb").write(s.recv(100))
END`,
	);
	t.equal(kept, "");
	portproxy(["publish", "8081:81", "8082:81", "6000-6100:6000-6100/udp"], web);
	t.same(proxies(), [pid]);
	t.equal(ask(host, "tcp", "127.0.0.1", 8081), "172.30.0.1");
	t.equal(portproxy(["unpublish", "web", "8081:81"]).status, 0);
	t.equal(ask(host, "tcp", "127.0.0.1", 8081), "ConnectionRefusedError");
	t.equal(ask(host, "tcp", "192.0.2.1", 8082), "192.0.2.1", "the same port of the container, published twice");
	t.equal(portproxy(["unpublish", "web", "8080:80"]).status, 0);
	await pause(1500);
	t.equal(script(host, `cat /tmp/tsbox-kept-${process.pid}; rm /tmp/tsbox-kept-${process.pid}`), "more");
	t.match(portproxy(["stats", "web"]).stdout, /"hostPort":8082/);
	portproxy(["unpublish", "web", "8082:81", "6000-6100:6000-6100/udp"]);
	t.same(proxies(), [], "with the last port the proxy goes");
});

t.test("a port that is in use is refused by naming who has it, and nothing has changed", async (t) => {
	const { container, lonely, record, portproxy, ruleset, run } = await world(t);
	portproxy(["publish", "8080:80"], record("web"));
	const before = [ruleset(), portproxy(["ls"]).stdout];
	const refused = portproxy(["publish", "-t", String(lonely.pid), "8081:80", "8080:80"]);
	t.equal(refused.status, 1);
	t.match(refused.stderr, /^tsportproxy: tcp port 8080: already in use by \S*tsportproxy \(pid \d+\)$/m);
	t.equal(refused.stdout, "");
	t.same([ruleset(), portproxy(["ls"]).stdout], before);
	t.same(leftovers(run).sort(), ["ports.web", "web"]);
	const again = portproxy(["publish", "-t", String(container.pid), "--to", "172.30.0.2", "8090:80"]);
	t.match(again.stderr, /a port is published already/);
	t.same([ruleset(), portproxy(["ls"]).stdout], before);
});

t.test("a record that bears the id of another sandbox takes nothing from it", async (t) => {
	const { lonely, record, portproxy, run } = await world(t);
	portproxy(["publish", "8080:80"], record("web"));
	const before = portproxy(["ls", "web", "--json"]).stdout;
	const start = Number(script(lonely.pid, `sed 's/.*) //' /proc/${lonely.pid}/stat | cut -d' ' -f20`));
	const forged = JSON.stringify({ tsbox: 1, id: "web", pid: lonely.pid, start, held: false });
	t.equal(portproxy(["publish", "8081:80"], forged).status, 0);
	t.equal(portproxy(["ls", "web", "--json"]).stdout, before);
	t.same(
		readdirSync(join(run, "ports"))
			.filter((name) => !name.startsWith("."))
			.sort(),
		[String(lonely.pid), "web"].sort(),
	);
});

t.test("a port that nobody names is chosen by the kernel, and the record says which", async (t) => {
	const { container, neighbour, record, portproxy } = await world(t);
	await server(t, container.pid, [80]);
	const { ports } = JSON.parse(portproxy(["publish", ":80", "192.0.2.1:0:81"], record("web")).stdout);
	const chosen = Number(ports[0].host.split(":")[1]);
	t.ok(chosen > 1024);
	t.match(ports[1].host, /^192\.0\.2\.1:\d+$/);
	t.equal(ask(neighbour, "tcp", "192.0.2.1", chosen), "192.0.2.2");
});

t.test("with the sandbox's end its proxy, rules and state go", async (t) => {
	const { container, lonely, record, portproxy, ruleset, run } = await world(t);
	const before = ruleset();
	portproxy(["publish", "8080:80"], record("web"));
	portproxy(["publish", "-t", String(lonely.pid), "8081:80"]);
	container.child.kill("SIGKILL");
	lonely.child.kill("SIGKILL");
	for (let i = 0; i < 100 && leftovers(run).length > 0; i++) await pause(20);
	t.same(leftovers(run), []);
	t.equal(ruleset(), before);
});

t.test("gc takes out what a killed proxy has left", async (t) => {
	const { record, portproxy, proxies, ruleset, run, host } = await world(t);
	const before = ruleset();
	portproxy(["publish", "8080:80"], record("web"));
	process.kill(proxies()[0] as number, "SIGKILL");
	await pause(50);
	t.match(portproxy(["doctor"]).stdout, /FAULT: the proxy \(pid \d+\) has ended/);
	t.equal(portproxy(["gc"]).stdout, "web\n");
	t.same(leftovers(run), []);
	t.equal(ruleset(), before);
	t.equal(ask(host, "tcp", "127.0.0.1", 8080), "ConnectionRefusedError");
});

t.test("publish killed at any point leaves nothing that gc does not clear", async (t) => {
	const { record, portproxy, ruleset, run, host } = await world(t);
	const before = ruleset();
	for (const [call, times] of [
		["bind", 1],
		["renameat2", 2],
		["sendto", 3],
		["pipe2", 1],
		["mkdirat", 1],
	] as const)
		for (let when = 1; when <= times; when++) {
			const words = [
				"strace",
				"-qq",
				"-o",
				"/dev/null",
				"-e",
				`inject=${call}:signal=KILL:when=${when}`,
				tool("tsportproxy"),
				"publish",
				"8080:80",
				"5353:80/udp",
			];
			const [program = "", ...args] = inside(host, words);
			spawnSync(program, args, { input: record("web"), env: { ...process.env, TSBOX_RUN: run } });
			portproxy(["gc"]);
			/* What was started lives, as long as its sandbox does, and is complete; then it is taken out whole. */
			portproxy(["rm", "web"]);
			const left = leftovers(run);
			if (left.length > 0 || ruleset() !== before) t.fail(`${call} ${when}: ${left.join(" ")}`);
			const deadline = Date.now() + 3000;
			while (ask(host, "tcp", "127.0.0.1", 8080, 0.5) !== "ConnectionRefusedError" && Date.now() < deadline) await pause(20);
			if (Date.now() >= deadline) t.fail(`${call} ${when}: a proxy is left`);
		}
	t.pass();
});

t.test("--nat iptables makes Docker's rules, line by line, and takes them out", async (t) => {
	const { container, host, neighbour, record, portproxy } = await world(t);
	await server(t, container.pid, [80]);
	const save = () => script(host, "iptables-save -t nat | grep -v '^[#:]'; ip6tables-save -t nat | grep -v '^[#:]'; true");
	script(host, "iptables -t nat -L >/dev/null; ip6tables -t nat -L >/dev/null");
	const before = save();
	const published = portproxy(["publish", "--nat", "iptables", "192.0.2.1:8080:80", "7000-7001:7000-7001"], record("web"));
	t.equal(published.stderr, "");
	t.same(
		script(host, "iptables-save -t nat")
			.split("\n")
			.filter((line) => line.startsWith("-A")),
		[
			"-A PREROUTING -m addrtype --dst-type LOCAL -j TSBOX",
			"-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j TSBOX",
			"-A POSTROUTING -s 172.30.0.2/32 -d 172.30.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
			"-A POSTROUTING -s 172.30.0.2/32 -d 172.30.0.2/32 -p tcp -m tcp --dport 7000:7001 -j MASQUERADE",
			`-A TSBOX -i ${BRIDGE} -j RETURN`,
			`-A TSBOX -d 192.0.2.1/32 ! -i ${BRIDGE} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.30.0.2:80`,
			`-A TSBOX ! -i ${BRIDGE} -p tcp -m tcp --dport 7000:7001 -j DNAT --to-destination 172.30.0.2`,
		],
	);
	t.equal(ask(neighbour, "tcp", "192.0.2.1", 8080), "192.0.2.2");
	t.equal(ask(container.pid, "tcp", "192.0.2.1", 8080), "172.30.0.1", "hairpin, by the proxy");
	portproxy(["rm", "web"]);
	t.equal(save(), before);
});

t.test("what only the proxy can do makes all traffic pass it", async (t) => {
	const { container, neighbour, record, portproxy, ruleset } = await world(t);
	await server(t, container.pid, [80]);
	const before = ruleset();
	portproxy(["publish", "--allow", "192.0.2.0/30", "8080:80"], record("web"));
	t.equal(ruleset(), before);
	t.equal(ask(neighbour, "tcp", "192.0.2.1", 8080), "172.30.0.1");
	const both = portproxy(["publish", "--nat", "nft", "--allow", "10.0.0.0/8", "8081:80"], record("web"));
	t.match(both.stderr, /^tsportproxy: --nat nft: /);
	t.equal(both.status, 2);
});

t.test("--transparent keeps the client's address through the proxy, with a way back through this machine", async (t) => {
	const { container, host, neighbour, record, portproxy } = await world(t);
	await server(t, container.pid, [80]);
	/* As the manual says. */
	script(
		host,
		`nft 'table ip back { chain in { type filter hook prerouting priority mangle; socket transparent 1 meta mark set 1; }; }'
		ip rule add fwmark 1 lookup 100; ip route add local default dev lo table 100`,
	);
	t.equal(portproxy(["publish", "--transparent", "8080:80", "5353:80/udp"], record("web")).status, 0);
	t.equal(ask(neighbour, "tcp", "192.0.2.1", 8080), "192.0.2.2");
	t.equal(ask(neighbour, "udp", "192.0.2.1", 5353), "192.0.2.2");
});

t.test("--dry-run shows the firewall's elements and changes nothing", async (t) => {
	const { record, portproxy, ruleset, run } = await world(t);
	const before = ruleset();
	const { stdout } = portproxy(["publish", "--dry-run", "8080:80"], record("web"));
	t.match(stdout, /dnat-port \{ 0\.0\.0\.0-255\.255\.255\.255 \. tcp \. 8080 : 172\.30\.0\.2 \. 80 \}/);
	t.equal(ruleset(), before);
	t.same(leftovers(run), []);
});

t.test("the pipe publishes a port of a sandbox that is being made, and takes it back at its end", async (t) => {
	const { host, portproxy, run, neighbour } = await world(t);
	const id = `pub${process.pid}`;
	const program = `import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 80)); s.listen(5)
for i in range(2):
    c, a = s.accept(); c.recv(10); c.sendall(b"hello"); c.close()`;
	const pipe = `${tool("tsunshare")} --hold --id ${id} --net -- python3 -c '${program}' | ${tool("tsportproxy")} publish 8080:80 | ${tool("tsunshare")} start`;
	const [command = "", ...args] = inside(host, ["sh", "-c", pipe]);
	const made = spawnSync(command, args, {
		encoding: "utf8",
		env: { ...process.env, TSBOX_RUN: run },
		stdio: ["ignore", "pipe", "inherit"],
		timeout: 10_000,
	});
	t.equal(made.status, 0);
	await pause(300);
	t.equal(ask(neighbour, "tcp", "192.0.2.1", 8080), "hello");
	t.match(portproxy(["ls"]).stdout, new RegExp(`^${id} +tcp +\\*:8080 +80 +proxy inside`, "m"));
	t.equal(ask(host, "tcp", "::1", 8080), "hello");
	for (let i = 0; i < 100 && leftovers(run).length > 0; i++) await pause(20);
	t.same(leftovers(run), []);
});

t.test("thousands of ports are published at once, and more of them later, by one process of a few MB", async (t) => {
	const { lonely, portproxy, proxies, host } = await world(t);
	const id = String(lonely.pid);
	t.equal(portproxy(["publish", "-t", id, "20000-21499:20000-21499/udp"]).stderr, "");
	t.equal(portproxy(["publish", "-t", id, "22000-23499:20000-21499"]).stderr, "");
	const [pid = 0, ...more] = proxies();
	t.same(more, []);
	const listening = script(host, "ss -Hltun | wc -l");
	t.equal(Number(listening), 3000);
	const rss = Number(/^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]);
	t.ok(rss < 8000, `${rss} kB`);
	t.equal(portproxy(["unpublish", id, "22000-23499:20000-21499"]).stderr, "");
	t.equal(Number(script(host, "ss -Hltun | wc -l")), 1500);
});

t.test("run is a proxy of several ports in the foreground, which may connect from inside a namespace", async (t) => {
	const { host, lonely, neighbour } = await world(t);
	await server(t, lonely.pid, [80, 81]);
	const [program = "", ...args] = inside(host, [
		tool("tsportproxy"),
		"run",
		"--netns",
		String(lonely.pid),
		"8080-8081:80-81",
		"5353:80/udp",
	]);
	const child = spawn(program, args, { stdio: "inherit" });
	t.teardown(() => child.kill("SIGKILL"));
	const ended = once(child, "exit");
	for (let i = 0; i < 50 && ask(host, "tcp", "127.0.0.1", 8081, 0.5) !== "127.0.0.1"; i++) await pause(20);
	t.equal(ask(neighbour, "tcp", "192.0.2.1", 8080), "127.0.0.1");
	t.equal(ask(neighbour, "udp", "192.0.2.1", 5353), "127.0.0.1");
	child.kill("SIGTERM");
	t.same(await ended, [0, null]);
});

t.test("wrong command lines are refused and change nothing", async (t) => {
	const { record, portproxy, run, host } = await world(t);
	for (const [words, message] of [
		[["publish"], "publish: no ports given"],
		[["publish", ""], '"": not ports to publish ([IP:][PORT[-PORT]]:PORT[-PORT][/tcp|udp|sctp])'],
		[["publish", "8080:0"], "8080:0: 0 is not a port number (1-65535)"],
		[["publish", "65536:80"], "65536:80: 65536 is not a port number (1-65535)"],
		[["publish", "80-90:80-91"], "80-90:80-91: ranges of different length"],
		[["publish", "90-80:90-80"], "90-80:90-80: a range from a higher to a lower port"],
		[["publish", "1.2.3:80:80"], "1.2.3:80:80: 1.2.3 is not an IP address"],
		[["publish", "80:80/icmp"], "80:80/icmp: not ports to publish ([IP:][PORT[-PORT]]:PORT[-PORT][/tcp|udp|sctp])"],
		[["publish", "--target", "", "80:80"], `--target: "": not a PID or a sandbox's id`],
		[["publish", "--to", "x", "80:80"], '--to: "x" is not an IP address'],
		[["rm", ""], `"": not a PID or a sandbox's id`],
		[["rm", "../x"], "../x: not a PID or a sandbox's id"],
		[["rm"], "no PID or sandbox's id given"],
		[["unpublish", "web"], "unpublish: needs an id and ports"],
		[["gc", "web"], "gc: web: takes no operands"],
		[["ls", ""], `"": not a PID or a sandbox's id`],
		[["run", "80:80"], "run: --to: not given"],
	] as [string[], string][]) {
		const { status, stderr } = portproxy(words, record("web"));
		t.equal(stderr.split("\n")[0], `tsportproxy: ${message}`);
		t.equal(status, 2);
	}
	for (const [words, message] of [
		[["publish", "-t", String(host), "80:80"], /uses this machine's own network/],
		[["publish", "-t", "nobody", "80:80"], /nobody: no such sandbox/],
		[["unpublish", "web", "80:80"], /web: publishes no ports/],
		[["stats", "web"], /web: publishes no ports/],
		[["publish", "--all"], /its record has no exposed ports/],
	] as [string[], RegExp][]) {
		const { status, stderr } = portproxy(words, record("web"));
		t.match(stderr, message);
		t.equal(status, 1);
	}
	t.same(leftovers(run), []);
});
