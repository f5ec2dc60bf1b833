/**
 * tsvethctl: networks of sandboxes, and single steps of links, addresses, routes. The verbs of the pipe are here; the others in
 * verbs.ts. Called with CNI_COMMAND set it is a CNI plugin.
 */
import { options } from "../common/command-line/options.ts";
import { command, main } from "../common/command-line/tool.ts";
import { abandonRecords } from "../common/record.ts";
import { getenv } from "../common/state.ts";
import { plugin } from "./cni/plugin.ts";
import { join } from "./join/join.ts";
import { leave } from "./join/leave.ts";
import { address } from "./subnet.ts";
import { verbs } from "./verbs.ts";

const names = "Names";

if (getenv("CNI_COMMAND") !== undefined) plugin();

main({
	name: "tsvethctl",
	summary: "networks of sandboxes: bridges, veth pairs, addresses, names, firewall; and single steps of them",
	details: [
		"A network is a bridge (or an interface to put macvlans on) with a subnet; an endpoint is a place on it; `join` puts a sandbox there. All is done over rtnetlink and nf_tables netlink; no other program is called.",
		"Called with CNI_COMMAND set it is a CNI plugin (versions 0.3.1 to 1.1.0) that does the work of bridge, host-local, portmap, loopback and firewall.",
	],
	examples: [
		["tsunshare --hold --net ... | tsvethctl join tsbr0 | tsunshare start", "a sandbox on the default network, which is made if need be"],
		["tsvethctl network create web --subnet 10.9.0.0/24 --internal", "a network that has no way out"],
		["tsvethctl link ls --netns 4242", "the interfaces in another process's namespace"],
		["tsvethctl diag 4242", "where the way from a sandbox to the world is broken"],
	],
	verbs,
	commands: [
		command({
			name: "join",
			summary: "put sandboxes on a network",
			operands: "NETWORK|none|host|container:ID [PID|ID...]",
			dryRun: true,
			abandon: abandonRecords,
			options: options([
				{
					long: "ip",
					value: "ADDRESS",
					repeat: true,
					parse: address,
					help: "the address: IPv4, IPv6, or one of each; the next free one",
					alias: ["ip6"],
				},
				{
					long: "mac",
					value: "ADDRESS",
					help: "the hardware address; auto: 02:42 and the IPv4 address; a random one",
					alias: ["mac-address"],
				},
				{ long: "ifname", value: "NAME", help: "the interface's name inside: eth0, or the next that is free" },
				{ long: "endpoint", value: "NAME", help: "take the place that `endpoint create` has reserved", rare: true },
				{
					long: "alias",
					value: "NAME",
					repeat: true,
					help: "a further name by which others find it",
					group: names,
					alias: ["network-alias"],
				},
				{ long: "hostname", value: "NAME", help: "its own name; the sandbox's", group: names },
				{ long: "dns", value: "ADDRESS", repeat: true, help: "a resolver, in place of the host's", group: names },
				{ long: "dns-search", value: "DOMAIN", repeat: true, help: "a domain to look for names in; . for none", group: names },
				{ long: "dns-option", value: "OPTION", repeat: true, help: "an option of resolv.conf", group: names },
				{
					long: "add-host",
					value: "NAME:ADDRESS",
					repeat: true,
					help: "a line of its hosts file; host-gateway is the host's address",
					group: names,
				},
				{ long: "no-names", help: "leave hosts, hostname and resolv.conf as they are", group: names },
			]),
			details: [
				"Without PIDs or ids, reads sandbox records from standard input, which are passed on with members `network` and `networks`.",
				"A sandbox with an id and a mount namespace of its own gets hosts, hostname and resolv.conf bound over those of its root; the hosts files of all on the network are kept up to date.",
			],
			examples: [["tsunshare --hold ... | tsvethctl join web --ip 10.9.0.7 --alias db | tsunshare start", "an address and a second name"]],
			run(line) {
				join(line);
			},
		}),
		command({
			name: "leave",
			summary: "take sandboxes off their networks",
			operands: "[PID|ID...]",
			dryRun: true,
			options: options([{ long: "network", value: "NAME", help: "off this one only" }]),
			run(line) {
				leave(line);
			},
		}),
	],
});
