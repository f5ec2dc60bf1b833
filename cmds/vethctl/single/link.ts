/** link ls, add, set, del: man 8 ip-link. */
import { close } from "../../../native/linux/fd.ts";
import { change, changeAll } from "../../../native/linux/netlink/request.ts";
import { type Link, linkFlags, links } from "../../../native/linux/route/link.ts";
import {
	bridgeKind,
	type LinkKind,
	type LinkSettings,
	linkAdd,
	linkDelete,
	linkSet,
	macvlanKind,
	portSet,
	vethKind,
	vlanKind,
	vxlanKind,
} from "../../../native/linux/route/link-change.ts";
import { makeTunTap } from "../../../native/linux/tun.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { inNamed, openNetns, withRoute } from "../netns.ts";
import { interfaceName } from "../network/create.ts";
import { getLink, noMore, operand } from "./words.ts";

export interface SettingOptions {
	netns?: string;
	up?: true;
	down?: true;
	mtu?: number;
	address?: Uint8Array;
	master?: string;
	nomaster?: true;
	name?: string;
	move?: string;
	alias?: string;
	txqlen?: number;
	promisc?: boolean;
	hairpin?: boolean;
	isolated?: boolean;
	learning?: boolean;
	flood?: boolean;
}

export interface AddOptions extends SettingOptions {
	type?: string;
	peer?: string;
	peerNetns?: string;
	link?: string;
	id?: number;
	mode?: string;
	remote?: Uint8Array;
	local?: Uint8Array;
	port?: number;
}

/** Names of the other ends and bridges in place of their numbers. */
function view(link: Link, all: Link[]) {
	const name = (index: number | undefined) =>
		index === undefined ? undefined : (all.find((other) => other.index === index)?.name ?? `#${index}`);
	const { index, flags, master, link: other, linkNetnsid, hardware: _, ...rest } = link;
	const isElsewhere = linkNetnsid !== undefined;
	return {
		index,
		...rest,
		flags: linkFlags(flags),
		...(master !== undefined && { master: name(master) }),
		...(other !== undefined && other !== 0 && { link: isElsewhere ? `#${other}` : name(other) }),
		...(linkNetnsid !== undefined && { linkNetnsid }),
	};
}

export function ls({ options, operands }: { options: { netns?: string; json?: true; stats?: true }; operands: string[] }) {
	const all = inNamed(options.netns, () => withRoute((netlink) => links(netlink, options.stats === true)));
	for (const name of operands) if (!all.some((link) => link.name === name)) fail(`${show(name)}: no such interface`);
	const rows = all.filter(({ name }) => operands.length === 0 || operands.includes(name)).map((link) => view(link, all));
	if (options.json) return print(json(rows));
	print(
		table(rows, [
			{ header: "INDEX", value: ({ index }) => index, right: true },
			{ header: "NAME", value: ({ name }) => name },
			{ header: "KIND", value: ({ kind }) => kind },
			{ header: "STATE", value: ({ operstate }) => operstate },
			{ header: "MTU", value: ({ mtu }) => mtu, right: true },
			{ header: "ADDRESS", value: ({ address }) => address },
			{ header: "MASTER", value: ({ master }) => master },
			{ header: "LINK", value: ({ link, linkNetnsid }) => (linkNetnsid === undefined ? link : `${link ?? "-"} of netns ${linkNetnsid}`) },
			...(options.stats
				? [
						{ header: "RX", value: ({ stats }: ReturnType<typeof view>) => stats?.rxBytes, right: true as const },
						{ header: "TX", value: ({ stats }: ReturnType<typeof view>) => stats?.txBytes, right: true as const },
					]
				: []),
			{ header: "FLAGS", value: ({ flags }) => flags.join(","), cut: true },
		]),
	);
}

function settingsOf(options: SettingOptions, master: number | undefined, netns: number | undefined): LinkSettings {
	const { mtu, address, alias, txqlen, promisc, name } = options;
	if (options.up && options.down) throw new UsageError("--up, --down: one of them");
	return {
		...(name !== undefined && { name: interfaceName(name, "--name") }),
		...((options.up || options.down) && { up: options.up === true }),
		...(mtu !== undefined && { mtu }),
		...(address && { address }),
		...(master !== undefined && { master }),
		...(netns !== undefined && { netns }),
		...(alias !== undefined && { alias }),
		...(txqlen !== undefined && { txqlen }),
		...(promisc !== undefined && { promisc }),
	};
}

const KINDS = ["veth", "bridge", "vlan", "macvlan", "dummy", "vxlan", "tap", "tun"];

export function add({ options, operands }: { options: AddOptions; operands: string[] }) {
	const name = interfaceName(operand(operands, 0, "link add", "NAME"), "link add");
	noMore(operands, 1, "link add");
	const type = options.type ?? fail("link add: no --type given", `there are ${KINDS.join(", ")}`);
	if (!KINDS.includes(type)) throw new UsageError(`--type: ${show(type)}: there are ${KINDS.join(", ")}`);
	const peerNetns = options.peerNetns === undefined ? undefined : openNetns(options.peerNetns);
	try {
		inNamed(options.netns, () => {
			if (type === "tap" || type === "tun") makeTunTap(name, type);
			withRoute((netlink) => {
				const index = (text: string | undefined) => (text === undefined ? undefined : getLink(netlink, text).index);
				const settings = settingsOf(options, index(options.master), undefined);
				if (type === "tap" || type === "tun") {
					if (Object.keys(settings).length > 0) change(netlink, linkSet(getLink(netlink, name).index, settings, name));
					return;
				}
				change(netlink, linkAdd({ ...settings, name }, kindOf(type, name, options, index(options.link), peerNetns)));
			});
		});
	} finally {
		if (peerNetns !== undefined) close(peerNetns);
	}
}

function kindOf(type: string, name: string, options: AddOptions, link: number | undefined, netns: number | undefined): LinkKind {
	const needsLink = () => link ?? fail(`link add ${name}: --type ${type} needs --link IF`);
	const needsId = () => options.id ?? fail(`link add ${name}: --type ${type} needs --id N`);
	if (type === "veth") {
		const peer = options.peer === undefined ? undefined : interfaceName(options.peer, "--peer");
		return vethKind({
			...(peer !== undefined && { name: peer }),
			...(netns !== undefined && { netns }),
			...(options.mtu !== undefined && { mtu: options.mtu }),
		});
	}
	if (type === "bridge") return bridgeKind({ forward_delay: 0 });
	if (type === "vlan") return vlanKind(needsLink(), needsId());
	if (type === "macvlan") return macvlanKind(needsLink(), options.mode ?? "bridge");
	if (type === "vxlan") {
		const { remote, local } = options;
		return vxlanKind(needsId(), options.port ?? 4789, {
			...(remote && { remote }),
			...(local && { local }),
			...(link !== undefined && { link }),
		});
	}
	return { kind: type };
}

export function set({ options, operands }: { options: SettingOptions; operands: string[] }) {
	const name = operand(operands, 0, "link set", "NAME");
	noMore(operands, 1, "link set");
	const target = options.move === undefined ? undefined : openNetns(options.move);
	try {
		inNamed(options.netns, () =>
			withRoute((netlink) => {
				const { index } = getLink(netlink, name);
				const master = options.nomaster ? 0 : options.master === undefined ? undefined : getLink(netlink, options.master).index;
				const settings = settingsOf(options, master, target);
				const { hairpin, isolated, learning, flood } = options;
				const port = Object.entries({ hairpin, isolated, learning, flood }).filter(([, on]) => on !== undefined);
				if (Object.keys(settings).length === 0 && port.length === 0) throw new UsageError("link set: nothing to set");
				changeAll(netlink, [
					...(Object.keys(settings).length > 0 ? [linkSet(index, settings, name)] : []),
					...(port.length > 0 ? [portSet(index, Object.fromEntries(port), name)] : []),
				]);
			}),
		);
	} finally {
		if (target !== undefined) close(target);
	}
}

export function del({ options, operands }: { options: { netns?: string }; operands: string[] }) {
	operand(operands, 0, "link del", "NAME");
	inNamed(options.netns, () =>
		withRoute((netlink) => {
			const found = operands.map((name) => getLink(netlink, name));
			for (const { index, name } of found) change(netlink, linkDelete(index, name));
		}),
	);
}
