/**
 * The proxy's control socket, ports/NAME/control: a line of JSON each way, then the end.
 *
 *     {"add":[{"proto":"tcp",…}],"ports":[…]}     with a listening socket for each, as SCM_RIGHTS: who publishes binds, the proxy serves
 *     {"remove":[{"proto":"tcp","hostAddress":"","hostPort":8080,"count":1}],"ports":[…]}
 *     {"stats":true}
 *
 * `ports` is what is published then: the proxy writes the record, which so always says what it serves.
 */

import { geteuid } from "../../native/linux/credential.ts";
import { close, setNonblocking } from "../../native/linux/fd.ts";
import { POLLIN, poll } from "../../native/linux/poll.ts";
import { AF_UNIX } from "../../native/linux/sockaddr.ts";
import {
	accept,
	bind,
	connect,
	listen,
	peerCredentials,
	SO_SNDBUF,
	SOCK_NONBLOCK,
	SOCK_STREAM,
	SOL_SOCKET,
	setsockopt,
	socket,
	trySend,
} from "../../native/linux/socket.ts";
import { controlSpace, recvmsg, rights, rightsOf, SCM_MAX_FD, sendmsg } from "../../native/linux/sockmsg.ts";
import { unlinkIfAny } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { decode, encode } from "../../native/linux/text.ts";
import { fail } from "../common/errors.ts";
import { CONTROL, CONTROL_CLIENT } from "./proxy/kinds.ts";
import type { PortProxy } from "./proxy/loop.ts";
import type { Mapping } from "./proxy/port.ts";
import { statsOf } from "./proxy/stats.ts";
import type { Published } from "./spec.ts";

/** The longest line. */
const MOST = 1 << 20;
const ANSWER_SECONDS = 10;

export interface Request {
	add?: Mapping[];
	remove?: Pick<Published, "proto" | "hostAddress" | "hostPort" | "count">[];
	ports?: Published[];
	stats?: true;
}

export function openControl(path: string): number {
	unlinkIfAny(path);
	const fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
	bind(fd, { family: AF_UNIX, path });
	listen(fd, 16);
	return fd;
}

/** Asks the proxy; returns its answer. Fails with its words where it refuses. `fds`: the sockets of `add`. */
export function ask(path: string, request: Request, fds: number[] = []): Record<string, unknown> {
	return tell(path, request, fds)();
}

/** The same in two steps: what it returns waits for the answer. */
export function tell(path: string, request: Request, fds: number[] = []): () => Record<string, unknown> {
	const fd = socket(AF_UNIX, SOCK_STREAM);
	try {
		connect(fd, { family: AF_UNIX, path });
		const bytes = new Uint8Array(encode(`${JSON.stringify(request)}\n`));
		let at = 0;
		for (let sent = 0; sent < fds.length || at < bytes.length; ) {
			const some = fds.slice(sent, sent + SCM_MAX_FD);
			sent += some.length;
			/* The descriptors first, a byte with each load; the rest of the line with the last. */
			const part = sent < fds.length ? bytes.subarray(at, at + 1) : bytes.subarray(at);
			at += sendmsg(fd, part, some.length > 0 ? { control: [rights(some)] } : {});
		}
	} catch (error) {
		close(fd);
		throw error;
	}
	return () => {
		try {
			const answer = JSON.parse(receiveLine(fd)) as Record<string, unknown>;
			return typeof answer.error === "string" ? fail(answer.error) : answer;
		} finally {
			close(fd);
		}
	};
}

function receiveLine(fd: number): string {
	const chunk = new Uint8Array(65536);
	let text = "";
	while (!text.endsWith("\n")) {
		if (poll([{ fd, events: POLLIN }], ANSWER_SECONDS)[0] === 0) fail("the proxy does not answer");
		const came = recvmsg(fd, chunk);
		if (!came || came.length === 0) fail("the proxy has ended");
		else text += decode(chunk, 0, came.length);
	}
	return text;
}

interface Client {
	fd: number;
	text: string;
	fds: number[];
}

/** Serves the control socket in the proxy's loop. */
export function serveControl(proxy: PortProxy, listener: number, onChange: (ports: Published[]) => void) {
	const clients: (Client | undefined)[] = [];
	const chunk = new Uint8Array(65536);
	const end = (index: number) => {
		const client = clients[index] as Client;
		for (const fd of client.fds) close(fd);
		close(client.fd);
		clients[index] = undefined;
	};
	const event = (index: number) => {
		const client = clients[index];
		if (!client) return;
		try {
			const came = recvmsg(client.fd, chunk, 0, controlSpace(4 * SCM_MAX_FD));
			if (!came) return;
			client.fds.push(...rightsOf(came.control));
			client.text += decode(chunk, 0, came.length);
			if (came.length > 0 && !client.text.endsWith("\n") && client.text.length < MOST) return;
			if (client.text.endsWith("\n")) {
				const answer = encode(`${JSON.stringify(handle(proxy, client, onChange))}\n`);
				trySend(client.fd, new Uint8Array(answer), 0);
			}
		} catch (error) {
			/* A client that lies or dies is its own matter. */
			if (!(error instanceof SysError)) throw error;
		}
		end(index);
	};
	proxy.watch(listener, CONTROL, 0, () => {
		const accepted = accept(listener, SOCK_NONBLOCK);
		if (!accepted) return;
		const { uid } = peerCredentials(accepted.fd);
		if (uid !== 0 && uid !== geteuid()) return close(accepted.fd);
		setsockopt(accepted.fd, SOL_SOCKET, SO_SNDBUF, MOST, "SO_SNDBUF");
		let index = clients.indexOf(undefined);
		if (index < 0) index = clients.length;
		clients[index] = { fd: accepted.fd, text: "", fds: [] };
		proxy.watch(accepted.fd, CONTROL_CLIENT, index, event);
	});
}

function handle(proxy: PortProxy, client: Client, onChange: (ports: Published[]) => void): Record<string, unknown> {
	let request: Request;
	try {
		request = JSON.parse(client.text) as Request;
	} catch {
		return { error: "not JSON" };
	}
	if (request.stats) return statsOf(proxy);
	const { add = [], remove = [] } = request;
	if (add.length !== client.fds.length) return { error: `${add.length} ports with ${client.fds.length} sockets` };
	for (const mapping of add) {
		const fd = client.fds.shift() as number;
		setNonblocking(fd, true);
		proxy.add(mapping, fd);
	}
	for (const { proto, hostAddress, hostPort, count } of remove)
		for (const port of [...proxy.ports]) {
			const { mapping } = port;
			const isIn = mapping.hostPort >= hostPort && mapping.hostPort < hostPort + count;
			if (mapping.proto === proto && mapping.hostAddress === hostAddress && isIn) proxy.remove(port);
		}
	if (request.ports) onChange(request.ports);
	if (proxy.ports.length === 0) proxy.stop();
	return { ports: proxy.ports.length };
}
