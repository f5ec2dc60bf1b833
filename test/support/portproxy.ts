/** A proxy of a port under test, ours or docker-proxy, with servers and clients of Node's on both sides of it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket, type Socket as Datagrams } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, connect as netConnect, type Server, type Socket } from "node:net";
import type { Test } from "tap";

export interface Running {
	child: ChildProcess;
	/** What came on descriptor 3, to its end or its first line feed. */
	status: string;
	stderr(): string;
	/** The exit status, or the signal's name. */
	ended: Promise<number | string | null>;
}

export interface ProxyOptions {
	proto?: "tcp" | "udp" | "sctp";
	hostIp?: string;
	hostPort: number;
	containerIp?: string;
	containerPort: number;
	more?: string[];
	/** A descriptor to hand over as number 4. */
	listenFd?: number;
	/** Limits the number of its descriptors. */
	descriptors?: number;
}

/** Starts a proxy with docker-proxy's command line, and waits for its word on descriptor 3. */
export async function startProxy(t: Test, program: string, options: ProxyOptions): Promise<Running> {
	const {
		proto = "tcp",
		hostIp = "127.0.0.1",
		hostPort,
		containerIp = "127.0.0.1",
		containerPort,
		more = [],
		listenFd,
		descriptors,
	} = options;
	const words = ["-proto", proto, "-host-ip", hostIp, "-host-port", String(hostPort)];
	words.push("-container-ip", containerIp, "-container-port", String(containerPort), ...more);
	const argv = descriptors ? ["sh", "-c", `ulimit -n ${descriptors}; exec "$@"`, "sh", program, ...words] : [program, ...words];
	const child = spawn(argv[0] as string, argv.slice(1), { stdio: ["ignore", "pipe", "pipe", "pipe", listenFd ?? "ignore"] });
	t.teardown(() => child.kill("SIGKILL"));
	let stderr = "";
	child.stderr?.on("data", (data) => {
		stderr += data;
	});
	const ended = once(child, "exit").then(([code, signal]) => code ?? signal);
	let status = "";
	const pipe = child.stdio[3] as Socket;
	await new Promise<void>((resolve) => {
		pipe.on("data", (data) => {
			status += data;
			if (status === "0\n") resolve();
		});
		pipe.on("end", resolve);
		child.on("close", () => resolve());
	});
	return { child, status, stderr: () => stderr, ended };
}

/** A TCP server of `handler`; its port. */
export async function tcpServer(t: Test, handler: (socket: Socket) => void, host = "127.0.0.1"): Promise<{ server: Server; port: number }> {
	const server = createServer({ allowHalfOpen: true }, (socket) => {
		socket.on("error", () => {});
		handler(socket);
	});
	server.listen(0, host);
	await once(server, "listening");
	t.teardown(() => server.close());
	return { server, port: (server.address() as AddressInfo).port };
}

/** Sends all that it gets back, and ends when it has got all. */
export const echo = (socket: Socket) => socket.pipe(socket);

export async function udpEcho(t: Test, host = "127.0.0.1"): Promise<{ socket: Datagrams; port: number; sources: Set<number> }> {
	const socket = createSocket({ type: host.includes(":") ? "udp6" : "udp4", recvBufferSize: 1 << 20 });
	const sources = new Set<number>();
	socket.on("message", (message, from) => {
		sources.add(from.port);
		socket.send(message, from.port, from.address);
	});
	socket.on("error", () => {});
	socket.bind(0, host);
	await once(socket, "listening");
	t.teardown(() => socket.close());
	return { socket, port: socket.address().port, sources };
}

/** A port that was free a moment ago. */
export async function freePort(type: "tcp" | "udp" = "tcp", host = "127.0.0.1"): Promise<number> {
	if (type === "udp") {
		const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
		socket.bind(0, host);
		await once(socket, "listening");
		const { port } = socket.address();
		socket.close();
		return port;
	}
	const server = createServer().listen(0, host);
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	server.close();
	await once(server, "close");
	return port;
}

export async function connect(port: number, host = "127.0.0.1"): Promise<Socket> {
	const socket = netConnect({ port, host, allowHalfOpen: true });
	await once(socket, "connect");
	return socket;
}

/** Sends a text and ends; all that comes back, or the error's code. */
export function talk(port: number, text: string, host = "127.0.0.1"): Promise<string> {
	const socket = netConnect({ port, host, allowHalfOpen: true });
	const answer = readAll(socket);
	socket.end(text);
	return answer.then(String);
}

/** All that comes until the end of a stream, or the error's code. */
export function readAll(socket: Socket): Promise<Buffer | string> {
	const chunks: Buffer[] = [];
	return new Promise((resolve) => {
		socket.on("data", (chunk) => chunks.push(chunk));
		socket.on("end", () => resolve(Buffer.concat(chunks)));
		socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
		socket.on("close", () => resolve(Buffer.concat(chunks)));
	});
}

/** Sends a datagram and waits for the answer: its bytes and where it came from; undefined where none comes. */
export function ask(
	client: Datagrams,
	message: Buffer,
	port: number,
	host: string,
	wait = 2000,
): Promise<{ message: Buffer; address: string } | undefined> {
	return new Promise((resolve) => {
		const timer = setTimeout(() => resolve(undefined), wait);
		client.once("message", (answer, from) => {
			clearTimeout(timer);
			resolve({ message: answer, address: from.address });
		});
		client.send(message, port, host);
	});
}

export const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
