/** The verbs for people, and the rarer ones; see main.ts. */
import { notA, options } from "../common/command-line/options.ts";
import { type Command, command } from "../common/command-line/tool.ts";
import { integer } from "../common/units.ts";
import { diag } from "./diag/diag.ts";
import { create as createEndpoint, inspect as inspectEndpoint, ls as lsEndpoints, rm as rmEndpoint } from "./endpoint/verbs.ts";
import { reload } from "./firewall/reload.ts";
import { gc } from "./gc.ts";
import { create } from "./network/create.ts";
import { inspect, ls } from "./network/list.ts";
import { prune, rm } from "./network/remove.ts";
import { singleVerbs } from "./single/verbs.ts";
import { address, subnet } from "./subnet.ts";

const json = options([{ long: "json", help: "print JSON" }]);
const force = options([{ long: "force", short: "f", help: "one that is not there is fine" }]);

/** The single steps that `--help` has room for. */
const listed = ["link ls", "bridge ls", "addr ls", "route ls", "route get", "netns ls", "netns exec", "monitor"];

function boolean(text: string, option: string): boolean {
	if (["true", "1", "yes", "on"].includes(text)) return true;
	return ["false", "0", "no", "off"].includes(text) ? false : notA(option, text, "true or false");
}

function networkVerbs(): Command[] {
	return [
		command({
			name: "network create",
			summary: "make a network",
			operands: "NAME",
			dryRun: true,
			options: options([
				{ long: "driver", short: "d", value: "DRIVER", help: "bridge, macvlan, none, host: bridge" },
				{
					long: "subnet",
					value: "SUBNET",
					repeat: true,
					parse: subnet,
					help: "172.18.0.0/16; one that collides with no route of this machine",
				},
				{ long: "gateway", value: "ADDRESS", repeat: true, parse: address, help: "the bridge's address: the first of the subnet" },
				{ long: "ip-range", value: "SUBNET", parse: subnet, help: "the part of the subnet to lease addresses from" },
				{ long: "ipv6", help: "a subnet of IPv6 as well" },
				{ long: "subnet6", value: "SUBNET", parse: subnet, help: "that subnet: a private one (fd00::/8)" },
				{ long: "gateway6", value: "ADDRESS", parse: address, help: "the bridge's address in it", rare: true },
				{ long: "internal", help: "no way out, and none in" },
				{ long: "no-masquerade", help: "packets keep their source address" },
				{ long: "icc", value: "BOOLEAN", optional: "long", parse: boolean, help: "false: the sandboxes on it do not reach each other" },
				{ long: "gateway-mode", value: "MODE", help: "nat, nat-unprotected, routed, isolated: nat" },
				{
					long: "trusted",
					value: "IF",
					repeat: true,
					help: "an interface from which addresses may be reached directly",
					alias: ["trusted-interface"],
					rare: true,
				},
				{ long: "mtu", value: "BYTES", parse: integer(68, 65535), help: "that of the default route's interface" },
				{ long: "bridge", value: "IF", help: "the bridge's name: the network's" },
				{ long: "parent", value: "IF", help: "macvlan: the interface below: the default route's" },
				{ long: "mode", value: "MODE", help: "macvlan: bridge, private, vepa, passthru", rare: true },
				{ long: "vlan", value: "ID", parse: integer(1, 4094), help: "macvlan: on this VLAN of the parent" },
				{ long: "label", value: "KEY=VALUE", repeat: true, help: "a note" },
			]),
			run(line) {
				const { icc, ...rest } = line.options;
				create({ operands: line.operands, options: { ...rest, ...(icc !== undefined && { icc: icc === true }) } });
			},
		}),
		command({
			name: "network ls",
			alias: "network list",
			summary: "list networks",
			operands: "",
			options: options([...json, { long: "quiet", short: "q", help: "names only" }]),
			run(line) {
				ls(line);
			},
		}),
		command({
			name: "network inspect",
			summary: "print networks and their endpoints as JSON",
			operands: "NAME...",
			options: options([]),
			run(line) {
				inspect(line);
			},
		}),
		command({
			name: "network rm",
			alias: "network remove",
			summary: "remove networks that nobody is on",
			operands: "NAME...",
			dryRun: true,
			options: force,
			run(line) {
				rm(line);
			},
		}),
		command({
			name: "network prune",
			summary: "remove all networks that nobody is on",
			operands: "",
			dryRun: true,
			options: options([]),
			run() {
				prune();
			},
		}),
	];
}

function endpointVerbs(): Command[] {
	return [
		command({
			name: "endpoint create",
			summary: "reserve a place on a network",
			operands: "NETWORK NAME",
			dryRun: true,
			options: options([
				{ long: "ip", value: "ADDRESS", repeat: true, parse: address, help: "the address; the next free one" },
				{ long: "mac", value: "ADDRESS", help: "the hardware address; a random one" },
				{ long: "alias", value: "NAME", repeat: true, help: "a further name" },
			]),
			run(line) {
				createEndpoint(line);
			},
		}),
		command({
			name: "endpoint ls",
			alias: "endpoint list",
			summary: "list who is on the networks",
			operands: "[NETWORK...]",
			options: json,
			run(line) {
				lsEndpoints(line);
			},
		}),
		command({
			name: "endpoint inspect",
			summary: "print endpoints as JSON",
			operands: "NETWORK NAME...",
			options: options([]),
			run(line) {
				inspectEndpoint(line);
			},
		}),
		command({
			name: "endpoint rm",
			alias: "endpoint remove",
			summary: "give places up",
			operands: "NETWORK NAME...",
			dryRun: true,
			options: options([{ long: "force", short: "f", help: "also one that is in use, or is not there" }]),
			run(line) {
				rmEndpoint(line);
			},
		}),
	];
}

export function verbs(): Command[] {
	const steps = singleVerbs();
	for (const step of steps) if (!listed.includes(step.name)) step.rare = true;
	return [
		...networkVerbs(),
		...endpointVerbs(),
		command({
			name: "reload",
			summary: "restore bridges and firewall after somebody has flushed them",
			operands: "",
			dryRun: true,
			options: options([]),
			run() {
				reload();
			},
		}),
		command({
			name: "gc",
			summary: "clear what ended sandboxes and killed tools have left",
			operands: "",
			dryRun: true,
			options: options([]),
			run() {
				gc();
			},
		}),
		command({
			name: "diag",
			summary: "find where the way from a sandbox to the world is broken",
			operands: "PID|ID",
			options: options([...json, { long: "to", value: "ADDRESS", parse: address, help: "the way to this address: the world's" }]),
			run(line) {
				diag(line);
			},
		}),
		...steps,
	];
}
