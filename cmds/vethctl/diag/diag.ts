/** diag: walks the way sandbox - veth - bridge - route - firewall - world, and says where it is broken, in that order, with the remedy. */
import { close, readFileIfAny } from "../../../native/linux/fd.ts";
import { namespaceInode } from "../../../native/linux/namespace.ts";
import type { Netlink } from "../../../native/linux/netlink/request.ts";
import { addresses, formatBytes } from "../../../native/linux/route/address.ts";
import { findLink, IFF_UP, type Link, links } from "../../../native/linux/route/link.ts";
import { neighbours } from "../../../native/linux/route/neighbour.ts";
import { type Route, routes, routeTo } from "../../../native/linux/route/route.ts";
import { AF_INET, AF_INET6, formatInet, parseInet } from "../../../native/linux/sockaddr.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { escapeControls, ToolError, UsageError } from "../../common/errors.ts";
import { operandTargets, type Target } from "../../common/record.ts";
import { json } from "../../common/table.ts";
import { allEndpoints, type Endpoint } from "../endpoint/endpoint.ts";
import { inNetns, openNetns, withRoute } from "../netns.ts";
import { findNetwork } from "../network/network.ts";
import { contains, parseInterface } from "../subnet.ts";
import { foreignDrops, ownRules } from "./rules.ts";

/** One thing that was looked at. */
export interface Finding {
	where: string;
	ok: boolean;
	what: string;
	remedy?: string;
}

interface Inside {
	lo: Link | undefined;
	link: Link | undefined;
	addresses: { address: Uint8Array; prefix: number }[];
	gateway: Route | undefined;
	neighbour: string | undefined;
}

export function diag({ options, operands }: { options: { json?: true; to?: string }; operands: string[] }) {
	if (operands.length !== 1) throw new UsageError("diag: give one PID or ID");
	const [target] = operandTargets(operands) as [Target];
	const findings = walk(target, options.to);
	close(target.pidfd);
	if (options.json) print(json(findings));
	else
		for (const { where, ok, what, remedy } of findings)
			print(
				escapeControls(`${ok ? "ok    " : "BROKEN"}  ${where.padEnd(10)}  ${what}`).concat(
					"\n",
					remedy === undefined ? "" : `        ${escapeControls(`remedy: ${remedy}`)}\n`,
				),
			);
	const broken = findings.find(({ ok }) => !ok);
	if (broken) throw new ToolError(`${operands[0]}: broken at ${broken.where}: ${broken.what}`, broken.remedy);
}

function walk(target: Target, to: string | undefined): Finding[] {
	const findings: Finding[] = [];
	const say = (where: string, ok: boolean, what: string, remedy?: string) => {
		findings.push({ where, ok, what, ...(remedy !== undefined && !ok && { remedy }) });
		return ok;
	};
	const { pid } = target;
	const isShared = namespaceInode(pid, "net") === namespaceInode("self", "net");
	if (isShared) {
		say("sandbox", true, "shares the host's network");
		withRoute((netlink) => checkWorld(netlink, to, say));
		return findings;
	}
	const netns = openNetns(String(pid));
	const inside = inNetns(netns, () => withRoute((netlink) => lookInside(netlink, to)));
	close(netns);
	const called = `tsvethctl ... --netns ${pid}`;
	say("sandbox", inside.lo !== undefined && (inside.lo.flags & IFF_UP) !== 0, "lo is up", `tsvethctl link set lo --up --netns ${pid}`);
	if (
		!say(
			"sandbox",
			inside.link !== undefined,
			inside.link ? `has ${inside.link.name}` : "has no interface but lo",
			"tsvethctl join NETWORK PID",
		)
	)
		return findings;
	const link = inside.link as Link;
	const own = inside.addresses.map(({ address, prefix }) => `${formatInet(address)}/${prefix}`);
	say(
		"sandbox",
		(link.flags & IFF_UP) !== 0,
		`${link.name} is ${(link.flags & IFF_UP) !== 0 ? "up" : "down"}`,
		`tsvethctl link set ${link.name} --up --netns ${pid}`,
	);
	say(
		"sandbox",
		own.length > 0,
		own.length > 0 ? `${link.name} has ${own.join(", ")}` : `${link.name} has no address`,
		`tsvethctl addr add ${link.name} ADDRESS/PREFIX --netns ${pid}`,
	);
	withRoute((netlink) => {
		const endpoint = allEndpoints().find(({ sandbox, ifname }) => sandbox?.pid === pid && ifname === link.name);
		const bridge = checkHostEnd(netlink, link, endpoint, say);
		checkGateway(netlink, inside, bridge, endpoint, say, called);
		if (bridge && !isClosed(endpoint)) {
			checkForwarding(inside, say);
			checkFirewall(endpoint, bridge.name, say);
		}
		if (isClosed(endpoint)) say("network", true, `${endpoint?.network} is internal: there is no way out, as it was asked for`);
		else checkWorld(netlink, to, say);
	});
	return findings;
}

type Say = (where: string, ok: boolean, what: string, remedy?: string) => boolean;

const isClosed = (endpoint: Endpoint | undefined) => {
	const network = endpoint && findNetwork(endpoint.network);
	return network !== undefined && (network.internal || network.gatewayMode === "isolated");
};

function lookInside(netlink: Netlink, to: string | undefined): Inside {
	const all = links(netlink);
	const link = all.find(({ name, kind }) => name !== "lo" && kind !== undefined) ?? all.find(({ name }) => name !== "lo");
	const mine = addresses(netlink).filter(({ index, scope }) => index === link?.index && scope !== "link");
	const isV6 = to?.includes(":") ?? !mine.some(({ address }) => address.length === 4);
	const gateway = routes(netlink, isV6 ? AF_INET6 : AF_INET).find(({ destination, prefix }) => destination === undefined || prefix === 0);
	const via = gateway?.gateway && formatBytes(gateway.gateway);
	const neighbour = neighbours(netlink).find(({ address }) => address === via)?.states[0];
	return { lo: all.find(({ name }) => name === "lo"), link, addresses: mine, gateway, neighbour };
}

/** The host's end of the pair, and its bridge; undefined where there is none to look at. */
function checkHostEnd(netlink: Netlink, link: Link, endpoint: Endpoint | undefined, say: Say): Link | undefined {
	if (link.kind !== "veth") {
		say("link", true, `${link.name} is a ${link.kind ?? "device"}: nothing of it is here`);
		return undefined;
	}
	const veth = (endpoint?.veth === undefined ? undefined : findLink(netlink, endpoint.veth)) ?? findLink(netlink, link.link ?? 0);
	if (
		!say(
			"veth",
			veth?.kind === "veth",
			veth ? `the host's end is ${veth.name}` : "the host's end is not in this namespace",
			"`tsvethctl leave` and `join` again",
		)
	)
		return undefined;
	const end = veth as Link;
	say(
		"veth",
		(end.flags & IFF_UP) !== 0,
		`${end.name} is ${(end.flags & IFF_UP) !== 0 ? "up" : "down"}`,
		`tsvethctl link set ${end.name} --up`,
	);
	const bridge = end.master === undefined ? undefined : findLink(netlink, end.master);
	const wanted = endpoint ? findNetwork(endpoint.network)?.bridge : undefined;
	if (
		!say(
			"veth",
			bridge !== undefined,
			bridge ? `${end.name} is a port of ${bridge.name}` : `${end.name} is on no bridge`,
			`tsvethctl bridge attach ${wanted ?? "BRIDGE"} ${end.name}`,
		)
	)
		return undefined;
	const isUp = ((bridge as Link).flags & IFF_UP) !== 0;
	say("bridge", isUp, `${bridge?.name} is ${isUp ? "up" : "down"}`, `tsvethctl link set ${bridge?.name} --up`);
	const state = end.port?.state;
	say(
		"bridge",
		state === undefined || state === "forwarding",
		`the port is ${state}`,
		isUp ? "wait for the spanning tree, or turn it off" : "set the bridge up",
	);
	return bridge;
}

function checkGateway(
	netlink: Netlink,
	inside: Inside,
	bridge: Link | undefined,
	endpoint: Endpoint | undefined,
	say: Say,
	called: string,
) {
	const gateway = inside.gateway?.gateway;
	if (!gateway) {
		say(
			"route",
			isClosed(endpoint),
			"there is no default route in the sandbox",
			`tsvethctl route add default --via GATEWAY --netns ${called.split(" ").pop()}`,
		);
		return;
	}
	const text = formatInet(gateway);
	say("route", true, `the sandbox's default route goes to ${text}`);
	const reachable = inside.addresses.some(({ address, prefix }) => {
		const subnet = parseInterface(`${formatInet(address)}/${prefix}`)?.subnet;
		return subnet !== undefined && contains(subnet, gateway);
	});
	say("route", reachable, `${text} is ${reachable ? "" : "not "}in a subnet of the sandbox`, "give it an address of the network's subnet");
	if (bridge) {
		const has = addresses(netlink).some(({ index, address }) => index === bridge.index && address.join() === gateway.join());
		say(
			"bridge",
			has,
			`${bridge.name} ${has ? "has" : "has not"} the gateway's address ${text}`,
			endpoint ? "tsvethctl reload" : `tsvethctl addr add ${bridge.name} ${text}/PREFIX`,
		);
	}
	if (inside.neighbour === "FAILED")
		say("bridge", false, `${text} does not answer (ARP)`, "see `tsvethctl bridge fdb` and the bridge's ports");
}

function checkForwarding(inside: Inside, say: Say) {
	for (const [length, path, name] of [
		[4, "/proc/sys/net/ipv4/ip_forward", "net.ipv4.ip_forward"],
		[16, "/proc/sys/net/ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding"],
	] as const) {
		if (!inside.addresses.some(({ address }) => address.length === length)) continue;
		const value = readFileIfAny(path)?.trim();
		say("host", value === "1", `${name} is ${value ?? "not there"}`, `sysctl -w ${name}=1, or tsvethctl reload`);
	}
}

function checkFirewall(endpoint: Endpoint | undefined, bridge: string, say: Say) {
	const network = endpoint && findNetwork(endpoint.network);
	try {
		if (network) {
			const missing = ownRules(network);
			const [first] = missing;
			say(
				"firewall",
				missing.length === 0,
				first === undefined ? "table tsbox has all of the network" : `table tsbox lacks ${first}`,
				"tsvethctl reload",
			);
		}
		const drops = foreignDrops(bridge);
		for (const { chain, why, remedy } of drops) say("firewall", false, `${chain} ${why}: an accept of ours cannot override it`, remedy);
		if (drops.length === 0) say("firewall", true, "no other table's forward chain drops it");
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		say("firewall", false, `nf_tables cannot be read: ${error.message}`, "this needs CAP_NET_ADMIN, and a kernel with nf_tables");
	}
	const legacy = (readFileIfAny("/proc/net/ip_tables_names") ?? "").split("\n").filter((name) => name !== "");
	if (legacy.includes("filter"))
		say("firewall", true, "the old iptables has a filter table, which cannot be read here: see `iptables-legacy -S FORWARD`");
}

function checkWorld(netlink: Netlink, to: string | undefined, say: Say) {
	const address = to === undefined ? undefined : (parseInet(to) as Uint8Array);
	try {
		if (address) {
			const route = routeTo(netlink, address);
			const oif = route.oif === undefined ? undefined : findLink(netlink, route.oif)?.name;
			say(
				"world",
				!["blackhole", "unreachable", "prohibit"].includes(route.type),
				`the host reaches ${to} by ${oif ?? "?"}${route.gateway ? ` via ${formatInet(route.gateway)}` : ""}`,
			);
			return;
		}
		const route = [...routes(netlink, AF_INET), ...routes(netlink, AF_INET6)].find(
			({ destination, prefix, type }) => (destination === undefined || prefix === 0) && type === "unicast",
		);
		const link = route?.oif === undefined ? undefined : findLink(netlink, route.oif);
		if (
			!say(
				"world",
				route !== undefined,
				route ? `the host's default route goes by ${link?.name ?? "?"}` : "the host has no default route",
				"tsvethctl route add default --via ROUTER --dev IF",
			)
		)
			return;
		if (link)
			say(
				"world",
				link.operstate !== "DOWN" && link.operstate !== "LOWERLAYERDOWN",
				`${link.name} is ${link.operstate}`,
				`tsvethctl link set ${link.name} --up, and see its cable`,
			);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		say("world", false, error.message, "tsvethctl route add default --via ROUTER --dev IF");
	}
}
