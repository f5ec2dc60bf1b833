/** The single steps, for people who debug; each takes --netns PID|FILE|NAME. */
import { options } from "../../common/command-line/options.ts";
import { type Command, command } from "../../common/command-line/tool.ts";
import { integer } from "../../common/units.ts";
import * as addr from "./addr.ts";
import * as bridge from "./bridge.ts";
import * as link from "./link.ts";
import { monitor } from "./monitor.ts";
import * as netns from "./netns.ts";
import * as route from "./route.ts";
import { hardware, inetAddress, onOff, tableNumber } from "./words.ts";

const where = options([{ long: "netns", short: "n", value: "PID|FILE|NAME", help: "in this network namespace" }]);
const list = options([...where, { long: "json", help: "print JSON" }]);
const families = options([
	{ long: "ipv4", short: "4", help: "IPv4 only" },
	{ long: "ipv6", short: "6", help: "IPv6 only" },
]);

const settings = options([
	...where,
	{ long: "up", help: "set it up" },
	{ long: "down", help: "set it down" },
	{ long: "mtu", value: "BYTES", parse: integer(68, 65535), help: "the largest packet" },
	{ long: "address", value: "ADDRESS", parse: hardware, help: "the hardware address" },
	{ long: "master", value: "BRIDGE", help: "make it a port of a bridge" },
	{ long: "alias", value: "TEXT", help: "a note" },
	{ long: "txqlen", value: "N", parse: integer(0, 1_000_000), help: "the queue's length", rare: true },
	{ long: "promisc", value: "on|off", parse: onOff, help: "take all packets", rare: true },
]);

function linkVerbs(): Command[] {
	return [
		command({
			name: "link ls",
			alias: "link list",
			summary: "list interfaces",
			operands: "[NAME...]",
			options: options([...list, { long: "stats", short: "s", help: "with the bytes received and sent" }]),
			run(line) {
				link.ls(line);
			},
		}),
		command({
			name: "link add",
			summary: "make an interface",
			operands: "NAME",
			dryRun: true,
			options: options([
				{ long: "type", short: "t", value: "KIND", help: "veth, bridge, vlan, macvlan, dummy, vxlan, tap, tun" },
				{ long: "peer", value: "NAME", help: "veth: the other end's name" },
				{ long: "peer-netns", value: "PID|FILE|NAME", help: "veth: where the other end is born" },
				{ long: "link", value: "IF", help: "vlan, macvlan, vxlan: the interface below" },
				{ long: "id", value: "N", parse: integer(0, 16_777_215), help: "vlan, vxlan: the number" },
				{ long: "mode", value: "MODE", help: "macvlan: bridge, private, vepa, passthru" },
				{ long: "remote", value: "ADDRESS", parse: inetAddress, help: "vxlan: the other end, or a group" },
				{ long: "local", value: "ADDRESS", parse: inetAddress, help: "vxlan: the own address", rare: true },
				{ long: "port", value: "PORT", parse: integer(1, 65535), help: "vxlan: 4789", rare: true },
				...settings,
			]),
			examples: [
				["tsvethctl link add veth0 --type veth --peer eth0 --peer-netns 4242 --up", "a pair, its other end in a process's namespace"],
			],
			run(line) {
				link.add(line);
			},
		}),
		command({
			name: "link set",
			summary: "change an interface",
			operands: "NAME",
			dryRun: true,
			options: options([
				...settings,
				{ long: "nomaster", help: "take it off its bridge" },
				{ long: "name", value: "NAME", help: "rename it" },
				{ long: "move", value: "PID|FILE|NAME", help: "move it to that network namespace" },
				{ long: "hairpin", value: "on|off", parse: onOff, help: "port: packets may go back to where they came from" },
				{ long: "isolated", value: "on|off", parse: onOff, help: "port: does not reach other isolated ones" },
				{ long: "learning", value: "on|off", parse: onOff, help: "port: the bridge learns addresses from it", rare: true },
				{ long: "flood", value: "on|off", parse: onOff, help: "port: gets what is for unknown addresses", rare: true },
			]),
			run(line) {
				link.set(line);
			},
		}),
		command({
			name: "link del",
			alias: "link rm",
			summary: "remove interfaces",
			operands: "NAME...",
			dryRun: true,
			options: where,
			run(line) {
				link.del(line);
			},
		}),
	];
}

function bridgeVerbs(): Command[] {
	const verb = (
		name: string,
		summary: string,
		operands: string,
		run: (line: { options: { netns?: string }; operands: string[] }) => void,
	) => command({ name, summary, operands, dryRun: true, options: where, run: (line) => run(line) });
	return [
		command({
			name: "bridge ls",
			alias: "bridge list",
			summary: "list bridges and their ports",
			operands: "",
			options: list,
			run(line) {
				bridge.ls(line);
			},
		}),
		command({
			name: "bridge add",
			summary: "make bridges, and set them up",
			operands: "NAME...",
			dryRun: true,
			options: options([
				...where,
				{ long: "mtu", value: "BYTES", parse: integer(68, 65535), help: "the largest packet" },
				{ long: "stp", value: "on|off", parse: onOff, help: "the spanning tree protocol: off" },
			]),
			run(line) {
				bridge.add(line);
			},
		}),
		verb("bridge del", "remove bridges", "NAME...", (line) => bridge.del(line)),
		verb("bridge attach", "make interfaces ports of a bridge", "BRIDGE IF...", (line) => bridge.attach(line)),
		verb("bridge detach", "take ports off their bridge", "IF...", (line) => bridge.detach(line)),
		command({
			name: "bridge fdb",
			summary: "list which hardware address is behind which port",
			operands: "[BRIDGE]",
			options: list,
			run(line) {
				bridge.fdb(line);
			},
		}),
	];
}

function addressVerbs(): Command[] {
	return [
		command({
			name: "addr ls",
			alias: "addr list",
			summary: "list addresses",
			operands: "[IF...]",
			options: list,
			run(line) {
				addr.ls(line);
			},
		}),
		command({
			name: "addr add",
			summary: "give an interface addresses",
			operands: "IF ADDRESS/PREFIX...",
			dryRun: true,
			options: options([...where, { long: "nodad", help: "IPv6: use it at once, without looking for another owner" }]),
			run(line) {
				addr.add(line);
			},
		}),
		command({
			name: "addr del",
			alias: "addr rm",
			summary: "take addresses from an interface",
			operands: "IF ADDRESS...",
			dryRun: true,
			options: where,
			run(line) {
				addr.del(line);
			},
		}),
	];
}

const table = { long: "table", value: "TABLE", parse: tableNumber, help: "main, local, default, a number" } as const;

const routeOptions = options([
	...where,
	{ long: "via", value: "ADDRESS", parse: inetAddress, help: "the next hop" },
	{ long: "dev", value: "IF", help: "the interface" },
	{ long: "src", value: "ADDRESS", parse: inetAddress, help: "the source of what is sent by it" },
	{ long: "metric", value: "N", parse: integer(0, 4_294_967_295), help: "the lowest is taken" },
	table,
	{ long: "type", value: "TYPE", help: "unicast, blackhole, unreachable, prohibit" },
]);

function routeVerbs(): Command[] {
	return [
		command({
			name: "route ls",
			alias: "route list",
			summary: "list routes",
			operands: "",
			options: options([...list, ...families, { ...table, help: "of this table: main; all" }]),
			run(line) {
				route.ls(line);
			},
		}),
		command({
			name: "route get",
			summary: "show the way that a packet to an address takes",
			operands: "ADDRESS",
			options: list,
			run(line) {
				route.get(line);
			},
		}),
		command({
			name: "route add",
			summary: "make a route",
			operands: "NETWORK|default",
			dryRun: true,
			options: options([
				...routeOptions,
				{ long: "onlink", help: "the next hop is reached directly, whatever its address", rare: true },
				{ long: "replace", help: "in place of one that is there" },
			]),
			run(line) {
				route.add(line);
			},
		}),
		command({
			name: "route del",
			alias: "route rm",
			summary: "remove a route",
			operands: "NETWORK|default",
			dryRun: true,
			options: routeOptions,
			run(line) {
				route.del(line);
			},
		}),
	];
}

const ruleOptions = options([
	...where,
	{ long: "from", value: "NETWORK", help: "of these sources" },
	{ long: "to", value: "NETWORK", help: "to these destinations" },
	{ long: "iif", value: "IF", help: "what has come in by it" },
	{ long: "oif", value: "IF", help: "what is to go out by it" },
	{ long: "mark", value: "N", parse: integer(0, 4_294_967_295), help: "what has this mark" },
	{ long: "priority", value: "N", parse: integer(0, 4_294_967_295), help: "its place: the lowest is asked first" },
	{ ...table, help: "the table to look in" },
	{ long: "ipv6", short: "6", help: "a rule of IPv6" },
]);

function ruleVerbs(): Command[] {
	return [
		command({
			name: "rule ls",
			alias: "rule list",
			summary: "list the rules that choose the routing table",
			operands: "",
			options: options([...list, ...families]),
			run(line) {
				route.lsRules(line);
			},
		}),
		command({
			name: "rule add",
			summary: "make a rule",
			operands: "",
			dryRun: true,
			options: ruleOptions,
			run(line) {
				route.addRule(line);
			},
		}),
		command({
			name: "rule del",
			alias: "rule rm",
			summary: "remove a rule",
			operands: "",
			dryRun: true,
			options: ruleOptions,
			run(line) {
				route.delRule(line);
			},
		}),
	];
}

function neighbourVerbs(): Command[] {
	return [
		command({
			name: "neigh ls",
			alias: "neigh list",
			summary: "list neighbours (ARP, NDP)",
			operands: "[IF...]",
			options: list,
			run(line) {
				route.lsNeighbours(line);
			},
		}),
		command({
			name: "neigh add",
			summary: "add a neighbour; without --hardware, answer for it",
			operands: "IF ADDRESS",
			dryRun: true,
			options: options([
				...where,
				{ long: "hardware", value: "ADDRESS", parse: hardware, help: "its hardware address", alias: ["lladdr"] },
				{ long: "replace", help: "in place of one that is there" },
			]),
			run(line) {
				route.addNeighbour(line);
			},
		}),
		command({
			name: "neigh del",
			alias: "neigh rm",
			summary: "remove a neighbour",
			operands: "IF ADDRESS",
			dryRun: true,
			options: options([...where, { long: "proxy", help: "one that is answered for" }]),
			run(line) {
				route.delNeighbour(line);
			},
		}),
	];
}

function netnsVerbs(): Command[] {
	return [
		command({
			name: "netns ls",
			alias: "netns list",
			summary: "list network namespaces that have a name",
			operands: "",
			options: options([{ long: "json", help: "print JSON" }]),
			run(line) {
				netns.ls(line);
			},
		}),
		command({
			name: "netns add",
			summary: "make network namespaces, /run/netns/NAME",
			operands: "NAME...",
			dryRun: true,
			options: options([]),
			run(line) {
				netns.add(line);
			},
		}),
		command({
			name: "netns del",
			alias: "netns rm",
			summary: "take their names away; they end with their last process",
			operands: "NAME...",
			dryRun: true,
			options: options([]),
			run(line) {
				netns.del(line);
			},
		}),
		command({
			name: "netns exec",
			summary: "execute a program in one, with its own /sys",
			operands: "PID|FILE|NAME PROGRAM [ARGUMENT...]",
			runsCommand: 2,
			failureStatus: 125,
			dryRun: true,
			options: options([]),
			run(line) {
				netns.exec(line);
			},
		}),
	];
}

export function singleVerbs(): Command[] {
	return [
		...linkVerbs(),
		...bridgeVerbs(),
		...addressVerbs(),
		...routeVerbs(),
		...ruleVerbs(),
		...neighbourVerbs(),
		...netnsVerbs(),
		command({
			name: "monitor",
			summary: "print what changes, as it happens",
			operands: "[link|addr|route|neigh|rule...]",
			options: list,
			run(line) {
				monitor(line);
			},
		}),
	];
}
