/** A small internet of network namespaces: a host with a bridge, containers, a neighbour, and servers that say who asked. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";

/** Answers each connection and each datagram with the client's address; keeps connections that begin with "stay". */
const SERVER = `
import socket, sys, threading
def serve(c, a):
    data = c.recv(100)
    c.sendall(a[0].replace("::ffff:", "").encode() + b"\\n")
    while data.startswith(b"stay"):
        more = c.recv(100)
        if not more: break
        c.sendall(more)
    c.close()
def tcp(port):
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", port)); s.listen(50)
    while True: threading.Thread(target=serve, args=s.accept(), daemon=True).start()
def udp(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", port))
    while True:
        data, a = s.recvfrom(70000); s.sendto(a[0].encode() + b"\\n", a)
for port in map(int, sys.argv[1:]):
    threading.Thread(target=tcp, args=(port,)).start(); threading.Thread(target=udp, args=(port,)).start()
print("ready", flush=True)
`;

const CLIENT = `
import socket, sys
proto, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
s.settimeout(float(sys.argv[4]))
try:
    s.connect((host, port)); s.sendall(b"x"); print(s.recv(100).decode().strip())
except Exception as e: print(type(e).__name__)
`;

export const inside = (pid: number, argv: string[]) => ["nsenter", "-t", String(pid), "-n", ...argv];

/** Runs a shell script in a network namespace; throws where it fails. */
export function script(pid: number, text: string): string {
	const [program = "", ...args] = inside(pid, ["sh", "-ec", text]);
	const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
	if (status !== 0) throw new Error(`${text}: ${stderr}`);
	return stdout;
}

function start(t: Test, argv: string[]): ChildProcess {
	const child = spawn(argv[0] as string, argv.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
	t.teardown(() => child.kill("SIGKILL"));
	return child;
}

/** A process alone in a new network namespace in which `lo` is up; its PID. */
export async function namespace(t: Test): Promise<{ pid: number; child: ChildProcess }> {
	const child = start(t, ["unshare", "-n", "sh", "-c", "ip link set lo up; echo; exec sleep 1000"]);
	await new Promise((resolve) => child.stdout?.once("data", resolve));
	return { pid: child.pid as number, child };
}

export async function server(t: Test, pid: number, ports: number[]) {
	const child = start(t, inside(pid, ["python3", "-c", SERVER, ...ports.map(String)]));
	await new Promise((resolve) => child.stdout?.once("data", resolve));
	return child;
}

/** What a server answers to a client in a namespace: the client's address as it sees it, or the name of Python's exception. */
export function ask(pid: number, proto: "tcp" | "udp", host: string, port: number, seconds = 2): string {
	const [program = "", ...args] = inside(pid, ["python3", "-c", CLIENT, proto, host, String(port), String(seconds)]);
	return spawnSync(program, args, { encoding: "utf8" }).stdout.trim();
}

export interface Internet {
	host: number;
	/** On the host's bridge, 172.30.0.2 and fd00:30::2. */
	container: { pid: number; child: ChildProcess };
	/** With nothing but `lo`. */
	lonely: { pid: number; child: ChildProcess };
	/** 192.0.2.2 and 2001:db8::2, beside the host's 192.0.2.1 and 2001:db8::1. */
	neighbour: number;
	/** A sandbox record of the container, which the state in the folder `run` has, too. */
	record(id: string, run?: string): string;
}

export const BRIDGE = "tsbr0";

export async function internet(t: Test): Promise<Internet> {
	const [host, container, lonely, neighbour] = [await namespace(t), await namespace(t), await namespace(t), await namespace(t)];
	script(
		host.pid,
		`sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
		ip link add ${BRIDGE} type bridge; ip addr add 172.30.0.1/24 dev ${BRIDGE}; ip addr add fd00:30::1/64 dev ${BRIDGE} nodad; ip link set ${BRIDGE} up
		ip link add c0 type veth peer name eth0 netns ${container.pid}; ip link set c0 master ${BRIDGE} up
		ip link add n0 type veth peer name eth0 netns ${neighbour.pid}
		ip addr add 192.0.2.1/24 dev n0; ip addr add 2001:db8::1/64 dev n0 nodad; ip link set n0 up`,
	);
	script(
		container.pid,
		`ip addr add 172.30.0.2/24 dev eth0; ip addr add fd00:30::2/64 dev eth0 nodad; ip link set eth0 up
		ip route add default via 172.30.0.1; ip -6 route add default via fd00:30::1`,
	);
	script(neighbour.pid, "ip addr add 192.0.2.2/24 dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad; ip link set eth0 up");
	const startOf = (pid: number) =>
		Number(
			readFileSync(`/proc/${pid}/stat`, "utf8")
				.replace(/^.*\) /, "")
				.split(" ")[19],
		);
	return {
		host: host.pid,
		container,
		lonely,
		neighbour: neighbour.pid,
		record(id, run) {
			const record = JSON.stringify({
				...{ tsbox: 1, id, pid: container.pid, start: startOf(container.pid), held: false, other: "kept" },
				network: { name: BRIDGE, bridge: BRIDGE, veth: "c0", address: "172.30.0.2/24", address6: "fd00:30::2/64" },
			});
			if (run !== undefined) {
				mkdirSync(join(run, "sandboxes", id), { recursive: true });
				writeFileSync(join(run, "sandboxes", id, "record"), record);
			}
			return record;
		},
	};
}
