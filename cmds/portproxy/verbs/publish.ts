/** publish: opens the ports, starts the sandbox's proxy or hands them to it, and makes the rules. */
import { close } from "../../../native/linux/fd.ts";
import { startTime } from "../../../native/linux/proc.ts";
import { pidfdSendSignal } from "../../../native/linux/process.ts";
import { dryRun, isDryRun, type SysError } from "../../../native/linux/syscall.ts";
import { fail, ToolError, UsageError } from "../../common/errors.ts";
import { addElements, isTaken, removeElements } from "../../common/firewall/change.ts";
import { filterRecords, findRecord, openTarget, type Target } from "../../common/record.ts";
import { registerLeave } from "../../common/sandbox-state.ts";
import { isAlive, type Owner } from "../../common/state.ts";
import { ask, tell } from "../control.ts";
import { settle, startDaemon } from "../daemon.ts";
import { type Destination, destinationOf, proxyAddress } from "../destination.ts";
import { exposedPorts } from "../exposed.ts";
import { forgetFlows } from "../flows.ts";
import { allowHairpin } from "../hairpin.ts";
import { addIptables } from "../iptables.ts";
import { type PublishGiven, settingsOf } from "../options.ts";
import { raiseDescriptorLimit } from "../proxy/descriptors.ts";
import { openListener } from "../proxy/listen.ts";
import type { Mapping } from "../proxy/port.ts";
import {
	firewallName,
	makePublicationFolder,
	type Nat,
	type Publication,
	publicationFolder,
	readPublication,
	removePublication,
} from "../publication.ts";
import { end, putAway } from "../put-away.ts";
import { allowedFor, elementsFor } from "../rules.ts";
import { choicesOf, formatHost, formatRange, joinRanges, type Published, parseSpec, type Spec } from "../spec.ts";

export function publish({ options, operands }: { options: PublishGiven; operands: string[] }) {
	const specs = operands.map(parseSpec);
	if (specs.length === 0 && !options.all) throw new UsageError("publish: no ports given");
	const work = (target: Target) => publishOf(target, specs, options);
	if (options.target === undefined) return filterRecords([], work);
	if (options.target === "") throw new UsageError('--target: "": not a PID or a sandbox\'s id');
	work(openTarget(/^\d+$/.test(options.target) ? Number(options.target) : findRecord(options.target)));
}

/** What can only be done by the proxy: then all traffic has to go through it. */
function natOf(options: PublishGiven): Nat {
	const isProxied = options.proxyProtocol ?? options.transparent ?? options.allow ?? options.maxConnections ?? options.idleTimeout;
	if (isProxied !== undefined && options.nat !== undefined && options.nat !== "none")
		throw new UsageError(`--nat ${options.nat}: what the kernel translates does not pass the proxy, whose options are given`);
	return options.nat ?? (isProxied === undefined ? "nft" : "none");
}

function publishOf(target: Target, given: Spec[], options: PublishGiven) {
	const { record } = target;
	const name = nameOf(target);
	const nat = natOf(options);
	const specs = options.all ? [...given, ...exposedPorts(target).map(parseSpec)] : given;
	const destination = destinationOf(target, options.to ?? []);
	const opened = openAll(specs, destination);
	const undo: (() => void)[] = [() => opened.forEach(({ fd }) => void close(fd))];
	/** What is left to do when all is done. */
	const done: (() => void)[] = [];
	try {
		const ports = joinRanges(
			opened.map(({ mapping }) => mapping).map(({ proto, hostAddress, hostPort, port }) => ({ proto, hostAddress, hostPort, port })),
		);
		for (const published of ports) if (nat === "none") dryRun(`proxy ${formatHost(published)}`);
		const served = isDryRun() ? undefined : serve(target, name, { destination, nat, ports }, opened, options, undo, done);
		translate(name, nat, ports, destination, served, undo);
		for (const { fd } of opened) close(fd);
		for (const step of done) step();
		return { ports: [...(Array.isArray(record?.ports) ? record.ports : []), ...ports.map(describe)] };
	} catch (error) {
		for (const step of undo.reverse()) step();
		throw error;
	}
}

/** As a record has it. */
function describe(published: Published) {
	const { proto, port, count } = published;
	return {
		proto,
		host: formatHost({ ...published, hostAddress: published.hostAddress || "0.0.0.0" }),
		container: count === 1 ? port : formatRange(port, count),
	};
}

/** A sandbox's id where the state says that this process is it: a record alone may bear anybody's. */
function nameOf({ pid, record, isSandbox }: Target): string {
	return record && isSandbox ? record.id : String(pid);
}

interface Opened {
	mapping: Mapping;
	fd: number;
}

/** Binds every port: from then on it is ours. */
function openAll(specs: Spec[], destination: Destination): Opened[] {
	const opened: Opened[] = [];
	raiseDescriptorLimit();
	try {
		for (const spec of specs)
			for (const { port, hostPorts } of choicesOf(spec)) {
				const { fd, port: hostPort } = openFirst(spec, hostPorts);
				const { proto, hostAddress } = spec;
				opened.push({ fd, mapping: { proto, hostAddress, hostPort, address: proxyAddress(destination, hostAddress), port } });
			}
		return opened;
	} catch (error) {
		for (const { fd } of opened) close(fd);
		throw error;
	}
}

/** The first port of several that is free. */
function openFirst({ proto, hostAddress }: Spec, hostPorts: number[]): { fd: number; port: number } {
	for (const [i, port] of hostPorts.entries())
		try {
			return openListener(proto, hostAddress, port);
		} catch (error) {
			if (i === hostPorts.length - 1 || !(error instanceof ToolError)) throw error;
		}
	return fail("no port given");
}

/** The proxy, and what it served before. */
interface ServedBefore {
	owner: Owner;
	before: Published[];
}

/** Starts the sandbox's proxy, or gives the sockets to the one that there is. */
function serve(
	target: Target,
	name: string,
	{ destination, nat, ports }: Pick<Publication, "destination" | "nat" | "ports">,
	opened: Opened[],
	options: PublishGiven,
	undo: (() => void)[],
	done: (() => void)[],
): ServedBefore {
	const { pid, pidfd, record, isSandbox } = target;
	const start = startTime(pid);
	if (start === undefined || !pidfdSendSignal(pidfd, 0)) return fail(`${name}: has ended`);
	if (record && isSandbox) registerLeave(record.id, "tsportproxy");
	const old = readPublication(name);
	const control = `${publicationFolder(name)}/control`;
	if (old && isAlive(old.owner) && old.sandbox.pid === pid && old.sandbox.start === start) {
		if (old.nat !== nat) fail(`${name}: its ports are published with --nat ${old.nat}`, "unpublish them first, or use the same");
		const request = { add: opened.map(({ mapping }) => mapping), ports: [...old.ports, ...ports] };
		/* It answers while the rules are made. */
		const answer = tell(
			control,
			request,
			opened.map(({ fd }) => fd),
		);
		undo.push(() => void ask(control, { remove: ports, ports: old.ports }));
		done.push(() => void answer());
		return { owner: old.owner, before: old.ports };
	}
	/* Of a sandbox that has had the name, or whose proxy was killed. */
	if (old) putAway(name);
	makePublicationFolder(name);
	undo.push(() => removePublication(name));
	const { owner, commit } = startDaemon({
		name,
		pid,
		pidfd,
		publication: { sandbox: { pid, start }, destination, nat, ports },
		ports: opened,
		settings: settingsOf(options),
		stats: options.stats,
	});
	undo.push(() => end(owner));
	done.push(() => settle(commit));
	return { owner, before: [] };
}

/** The rules, one transaction. */
function translate(
	name: string,
	nat: Nat,
	ports: Published[],
	destination: Destination,
	served: ServedBefore | undefined,
	undo: (() => void)[],
) {
	if (nat === "none" || destination.inside) return;
	if (nat === "iptables") return addIptables(name, ports, destination);
	const elements = [...elementsFor(ports, destination), ...allowedFor(ports, served?.before ?? [], destination)];
	if (elements.length === 0) return;
	allowHairpin(destination);
	try {
		addElements(firewallName(name), elements, served?.owner);
	} catch (error) {
		if (isTaken(error)) fail(`${name}: a port is published already: ${(error as SysError).message}`, "`tsportproxy ls` shows by whom");
		throw error;
	}
	undo.push(() =>
		removeElements(firewallName(name), (element) => elements.some((mine) => JSON.stringify(mine) === JSON.stringify(element))),
	);
	if (!isDryRun()) forgetFlows(ports);
}
