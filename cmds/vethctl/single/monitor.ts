/** monitor: what changes, a line each, as it happens: man 8 ip-monitor. */
import { ENOBUFS } from "../../../native/linux/errno.ts";
import type { Message } from "../../../native/linux/netlink/message.ts";
import { closeNetlink, isErrno, NETLINK_ROUTE, openNetlink, receive } from "../../../native/linux/netlink/request.ts";
import { formatBytes, RTM_DELADDR, RTM_NEWADDR, readAddress } from "../../../native/linux/route/address.ts";
import {
	RTNLGRP_IPV4_IFADDR,
	RTNLGRP_IPV4_ROUTE,
	RTNLGRP_IPV4_RULE,
	RTNLGRP_IPV6_IFADDR,
	RTNLGRP_IPV6_ROUTE,
	RTNLGRP_IPV6_RULE,
	RTNLGRP_LINK,
	RTNLGRP_NEIGH,
} from "../../../native/linux/route/groups.ts";
import { linkFlags, RTM_DELLINK, RTM_NEWLINK, readLink } from "../../../native/linux/route/link.ts";
import { RTM_DELNEIGH, RTM_NEWNEIGH, readNeighbour } from "../../../native/linux/route/neighbour.ts";
import { destinationText, RTM_DELROUTE, RTM_NEWROUTE, readRoute } from "../../../native/linux/route/route.ts";
import { RTM_DELRULE, RTM_NEWRULE, readRule } from "../../../native/linux/route/rule.ts";
import { formatInet } from "../../../native/linux/sockaddr.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { escapeControls, show, UsageError } from "../../common/errors.ts";
import { inNamed } from "../netns.ts";
import { tableName } from "./words.ts";

interface Kind {
	groups: number[];
	added: number;
	removed: number;
	/** The facts, and the line for people. */
	read(message: Message): { facts: object; text: string };
}

const kinds: Record<string, Kind> = {
	link: {
		groups: [RTNLGRP_LINK],
		added: RTM_NEWLINK,
		removed: RTM_DELLINK,
		read(message) {
			const link = readLink(message);
			const { index, name, operstate, mtu, address, kind, master, flags } = link;
			const text = [
				`${index}: ${name}`,
				...(kind === undefined ? [] : [kind]),
				`state ${operstate}`,
				`mtu ${mtu}`,
				...(address === undefined ? [] : [address]),
				...(master === undefined ? [] : [`master #${master}`]),
				linkFlags(flags).join(","),
			];
			return { facts: { ...link, flags: linkFlags(flags) }, text: text.join(" ") };
		},
	},
	addr: {
		groups: [RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR],
		added: RTM_NEWADDR,
		removed: RTM_DELADDR,
		read(message) {
			const { index, family, address, prefix, scope } = readAddress(message);
			const facts = { index, family, address: `${formatBytes(address)}/${prefix}`, scope };
			return { facts, text: `#${index} ${facts.address} scope ${scope}` };
		},
	},
	route: {
		groups: [RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE],
		added: RTM_NEWROUTE,
		removed: RTM_DELROUTE,
		read(message) {
			const route = readRoute(message);
			const facts = {
				family: route.family,
				type: route.type,
				destination: destinationText(route),
				...(route.gateway && { gateway: formatInet(route.gateway) }),
				...(route.oif !== undefined && { index: route.oif }),
				table: tableName(route.table),
			};
			return {
				facts,
				text: `${facts.type} ${facts.destination}${facts.gateway === undefined ? "" : ` via ${facts.gateway}`}${facts.index === undefined ? "" : ` dev #${facts.index}`} table ${facts.table}`,
			};
		},
	},
	neigh: {
		groups: [RTNLGRP_NEIGH],
		added: RTM_NEWNEIGH,
		removed: RTM_DELNEIGH,
		read(message) {
			const facts = readNeighbour(message);
			return {
				facts,
				text: `${facts.address ?? ""} dev #${facts.index} ${facts.hardware ?? ""} ${[...facts.states, ...facts.flags].join(",")}`.trim(),
			};
		},
	},
	rule: {
		groups: [RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE],
		added: RTM_NEWRULE,
		removed: RTM_DELRULE,
		read(message) {
			const facts = readRule(message);
			return { facts, text: `${facts.priority}: from ${facts.from ?? "all"} ${facts.action} ${tableName(facts.table)}` };
		},
	},
};

export function monitor({ options, operands }: { options: { netns?: string; json?: true }; operands: string[] }) {
	for (const word of operands)
		if (!(word in kinds)) throw new UsageError(`monitor: ${show(word)}: there are ${Object.keys(kinds).join(", ")}`);
	const wanted = Object.entries(kinds).filter(([name]) => operands.length === 0 || operands.includes(name));
	/* The socket stays in the namespace that it was made in. */
	const netlink = inNamed(options.netns, () =>
		openNetlink(
			NETLINK_ROUTE,
			wanted.flatMap(([, { groups }]) => groups),
		),
	);
	netlink.buffer = new Uint8Array(32768);
	try {
		for (;;) {
			try {
				for (const message of receive(netlink)) tell(message, wanted, options.json === true);
			} catch (error) {
				if (!isErrno(error, ENOBUFS)) throw error;
				warn("monitor: more has changed than could be told: some of it is lost");
			}
		}
	} finally {
		closeNetlink(netlink);
	}
}

function tell(message: Message, wanted: [string, Kind][], asJson: boolean) {
	const found = wanted.find(([, { added, removed }]) => message.type === added || message.type === removed);
	if (!found) return;
	const [name, kind] = found;
	const isRemoved = message.type === kind.removed;
	const { facts, text } = kind.read(message);
	print(
		asJson
			? `${JSON.stringify({ event: isRemoved ? "removed" : "changed", what: name, ...facts })}\n`
			: `${isRemoved ? "- " : "+ "}${name} ${escapeControls(text)}\n`,
	);
}
