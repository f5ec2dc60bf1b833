/** The proxy: its ports, its clock, its signals, and the loop that hands each event to whom it concerns. */
import { EPOLLIN, epoll } from "../../../native/linux/epoll.ts";
import { close } from "../../../native/linux/fd.ts";
import {
	readSignal,
	SIG_BLOCK,
	SIG_IGN,
	SIGINT,
	SIGPIPE,
	SIGTERM,
	SIGUSR1,
	setDisposition,
	signalfd,
	sigprocmask,
	sigset,
} from "../../../native/linux/signal.ts";
import { readTimer, setTimer, timerfd } from "../../../native/linux/timerfd.ts";
import { raiseDescriptorLimit } from "./descriptors.ts";
import { CLOCK, CONNECTION, DATAGRAMS, DEADLINE, FLOW, LISTENER, SIGNALS } from "./kinds.ts";
import { type PeerSettings, peers } from "./peers.ts";
import { type Mapping, makePort, type Port } from "./port.ts";
import { tcp } from "./tcp.ts";
import { udp } from "./udp.ts";

/** Events taken at a time. */
const EVENTS = 256;
/** What lacked descriptors is tried again after so many milliseconds. */
const RETRY = 100;

export interface Settings extends PeerSettings {
	/** Connections and flows, each. */
	maxConnections: number;
	/** Seconds; 0: connections may be idle for ever. */
	idleTimeout: number;
	udpTimeout: number;
	/** Seconds that connections have to end by themselves after a SIGTERM. */
	drain: number;
}

/** Something else that the loop watches. */
export type Handler = (index: number, events: number) => void;

export interface PortProxy {
	readonly ports: readonly Port[];
	/** Serves a port on a socket that `openListener` made. */
	add(mapping: Mapping, fd: number): Port;
	/** Stops listening; connections that there are go on, flows end. */
	remove(port: Port): void;
	/** Watches another descriptor; `kind` is one of kinds.ts that the loop does not have itself. */
	watch(fd: number, kind: number, index: number, handler: Handler): void;
	connections(): number;
	flows(): number;
	/** Stops listening, and ends when the last connection has, or after `drain` seconds. */
	stop(): void;
	/** Ends the loop now. */
	end(): void;
	/** Runs until it has been stopped. `onUsr1` is called for a SIGUSR1. */
	run(onUsr1: () => void): void;
}

export function makeProxy(settings: Settings): PortProxy {
	raiseDescriptorLimit();
	const poller = epoll(EVENTS);
	/* A tenth of the shortest time is exact enough. */
	const interval = Math.min(5, Math.max(0.05, Math.min(settings.idleTimeout || 50, settings.udpTimeout) / 10));
	const ticks = (seconds: number) => Math.ceil(seconds / interval);
	const shared = peers(settings);
	const kindOf = (port: Port) => (port.mapping.proto === "udp" ? DATAGRAMS : LISTENER);
	const listenTo = (port: Port, on: boolean) => {
		if (port.fd >= 0) poller.modify(port.fd, on ? EPOLLIN : 0, kindOf(port), port.number);
	};
	const connections = tcp(poller, shared, { maxConnections: settings.maxConnections, idleTicks: ticks(settings.idleTimeout) }, listenTo);
	const flows = udp(poller, shared, { maxConnections: settings.maxConnections, idleTicks: ticks(settings.udpTimeout) });
	const ports: Port[] = [];
	/** Ports by the number that their events have; a port that was removed leaves its place to another. */
	const numbered: (Port | undefined)[] = [];
	const handlers: Handler[] = [];
	const clock = timerfd();
	let isTicking = false;
	let now = 0;
	let isStopping = false;
	let isOver = false;

	const signals = sigset([SIGINT, SIGTERM, SIGUSR1]);
	sigprocmask(SIG_BLOCK, signals);
	/* A server that has gone is an error of the call that writes to it. */
	setDisposition(SIGPIPE, SIG_IGN);
	const signalFd = signalfd(signals);
	poller.add(signalFd, EPOLLIN, SIGNALS, 0);
	poller.add(clock, EPOLLIN, CLOCK, 0);

	/** The clock runs only while there is something that may become too old. */
	function setClock() {
		const wanted = flows.count() > 0 || (settings.idleTimeout > 0 && connections.count() > 0);
		if (wanted === isTicking) return;
		isTicking = wanted;
		setTimer(clock, wanted ? interval : 0, wanted ? interval : 0);
	}

	function unlisten(port: Port) {
		if (port.fd >= 0) close(port.fd);
		port.fd = -1;
	}

	const proxy: PortProxy = {
		ports,
		add(mapping, fd) {
			let number = numbered.indexOf(undefined);
			if (number < 0) number = numbered.length;
			const port = makePort(mapping, fd, number);
			poller.add(fd, EPOLLIN, kindOf(port), number);
			numbered[number] = port;
			ports.push(port);
			return port;
		},
		remove(port) {
			unlisten(port);
			if (port.mapping.proto === "udp") flows.reset(port);
			numbered[port.number] = undefined;
			ports.splice(ports.indexOf(port), 1);
		},
		watch(fd, kind, index, handler) {
			handlers[kind] = handler;
			poller.add(fd, EPOLLIN, kind, index);
		},
		connections: connections.count,
		flows: flows.count,
		stop() {
			for (const port of ports) unlisten(port);
			flows.reset();
			if (isStopping || settings.drain === 0) isOver = true;
			isStopping = true;
			if (isOver) return;
			const deadline = timerfd();
			setTimer(deadline, settings.drain);
			proxy.watch(deadline, DEADLINE, 0, proxy.end);
		},
		end() {
			isOver = true;
		},
		run(onUsr1) {
			handlers[CONNECTION] = connections.event;
			handlers[LISTENER] = (number) => {
				const port = numbered[number];
				if (port && port.fd >= 0) connections.accept(port);
			};
			handlers[DATAGRAMS] = (number) => {
				const port = numbered[number];
				if (port && port.fd >= 0) flows.receive(port);
			};
			handlers[FLOW] = flows.event;
			handlers[CLOCK] = () => {
				now += readTimer(clock);
				connections.tick(now);
				flows.tick(now);
			};
			handlers[SIGNALS] = () => {
				for (let taken = readSignal(signalFd); taken; taken = readSignal(signalFd)) {
					if (taken.signal === SIGUSR1) onUsr1();
					else if (taken.signal === SIGINT) proxy.end();
					else proxy.stop();
				}
			};
			while (!isOver && !(isStopping && connections.count() === 0)) {
				const count = poller.wait(connections.waits() ? RETRY : -1);
				poller.dispatch(count, handlers);
				connections.settle();
				if (count === 0 && connections.waits()) connections.relieve();
				setClock();
			}
		},
	};
	return proxy;
}
