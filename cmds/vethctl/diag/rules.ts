/** What the firewall has, or should have, on the way through this machine. */
import { ENOENT } from "../../../native/linux/errno.ts";
import { Attributes } from "../../../native/linux/netlink/attribute.ts";
import { closeNetlink, isErrno } from "../../../native/linux/netlink/request.ts";
import { NFTA_IMMEDIATE_DATA } from "../../../native/linux/nftables/expression.ts";
import { type Rule, rules } from "../../../native/linux/nftables/rule.ts";
import { elementsOf, isAmong } from "../../../native/linux/nftables/set.ts";
import { type Chain, chains } from "../../../native/linux/nftables/table.ts";
import { openNetfilter } from "../../../native/linux/nftables/transaction.ts";
import { readVerdict } from "../../../native/linux/nftables/verdict.ts";
import { elementOf } from "../../common/firewall/elements.ts";
import { setOf, tableName } from "../../common/firewall/layout.ts";
import { networkElements } from "../firewall/network-elements.ts";
import type { Network } from "../network/network.ts";

/** The elements of a network that are not in the firewall. */
export function ownRules(network: Network): string[] {
	const netlink = openNetfilter();
	try {
		return networkElements(network).flatMap((element) => {
			const set = setOf(element.family, element.set);
			const wanted = elementOf(element);
			try {
				return isAmong(set, wanted, elementsOf(netlink, set)) ? [] : [`${element.set} { ${wanted.text} }`];
			} catch (error) {
				if (!isErrno(error, ENOENT)) throw error;
				return [`the set ${element.set}`];
			}
		});
	} finally {
		closeNetlink(netlink);
	}
}

/** Chains of other tables that would drop what is forwarded from and to a bridge. */
export function foreignDrops(bridge: string): { chain: string; why: string; remedy: string }[] {
	const netlink = openNetfilter();
	try {
		const all = chains(netlink);
		const forward = all.filter(
			({ hook, table, family }) => hook === "forward" && table !== tableName && ["ip", "ip6", "inet"].includes(family),
		);
		if (forward.length === 0) return [];
		const every = rules(netlink);
		return forward.flatMap((chain) => {
			const own = every.filter((rule) => rule.family === chain.family && rule.table === chain.table);
			const why = dropsAll(chain, own);
			/* A rule that names the bridge, wherever in the table, is taken for one that lets it through. */
			if (why === undefined || own.some((rule) => mentions(rule, bridge))) return [];
			const hasUser = all.some(({ family, table, name }) => family === chain.family && table === chain.table && name === "DOCKER-USER");
			return [{ chain: `${chain.family} ${chain.table} ${chain.name}`, why, remedy: remedyFor(chain, bridge, hasUser) }];
		});
	} finally {
		closeNetlink(netlink);
	}
}

function dropsAll(chain: Chain, own: Rule[]): string | undefined {
	if (chain.policy === "drop") return "has the policy drop";
	const last = own.filter((rule) => rule.chain === chain.name).pop();
	if (!last) return undefined;
	const rest = last.expressions.filter(({ name }) => name !== "counter" && name !== "log");
	const [only] = rest;
	if (rest.length !== 1 || !only) return undefined;
	if (only.name === "reject") return "ends in a reject of all";
	const verdict = only.name === "immediate" ? new Attributes(only.data).nested(NFTA_IMMEDIATE_DATA) : undefined;
	return verdict && readVerdict(verdict) === "drop" ? "ends in a drop of all" : undefined;
}

/** True if the interface's name is compared with in a rule. */
function mentions({ expressions }: Rule, bridge: string): boolean {
	const wanted = `${[...bridge].map((letter) => letter.charCodeAt(0)).join()},0,`;
	return expressions.some(({ name, data }) => name === "cmp" && `,${data.join()},`.includes(`,${wanted}`));
}

function remedyFor({ family, table, name }: Chain, bridge: string, hasUser: boolean): string {
	const program = family === "ip6" ? "ip6tables" : "iptables";
	if (hasUser) return `${program} -I DOCKER-USER -i ${bridge} -j ACCEPT; ${program} -I DOCKER-USER -o ${bridge} -j ACCEPT`;
	return `nft insert rule ${family} ${table} ${name} iifname ${bridge} accept; nft insert rule ${family} ${table} ${name} oifname ${bridge} accept`;
}
