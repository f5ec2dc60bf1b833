/** addr ls, add, del: man 8 ip-address. */
import { changeAll } from "../../../native/linux/netlink/request.ts";
import { addressAdd, addressDelete, addresses, formatBytes } from "../../../native/linux/route/address.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { inNamed, withRoute } from "../netns.ts";
import { getLink, interfaceAddress, linkNames, operand } from "./words.ts";

export function ls({ options, operands }: { options: { netns?: string; json?: true }; operands: string[] }) {
	const rows = inNamed(options.netns, () =>
		withRoute((netlink) => {
			const name = linkNames(netlink);
			return addresses(netlink).map(({ index, family, address, prefix, scope, broadcast, peer, label }) => ({
				interface: name(index) as string,
				family,
				address: `${formatBytes(address)}/${prefix}`,
				scope,
				...(broadcast && { broadcast: formatBytes(broadcast) }),
				...(peer && { peer: formatBytes(peer) }),
				...(label !== undefined && { label }),
			}));
		}),
	);
	for (const name of operands)
		if (!rows.some((row) => row.interface === name)) inNamed(options.netns, () => withRoute((netlink) => getLink(netlink, name)));
	const wanted = rows.filter((row) => operands.length === 0 || operands.includes(row.interface));
	if (options.json) return print(json(wanted));
	print(
		table(wanted, [
			{ header: "INTERFACE", value: (row) => row.interface },
			{ header: "ADDRESS", value: ({ address, peer }) => (peer === undefined ? address : `${address} peer ${peer}`) },
			{ header: "SCOPE", value: ({ scope }) => scope },
			{ header: "BROADCAST", value: ({ broadcast }) => broadcast },
		]),
	);
}

interface Line {
	options: { netns?: string; nodad?: true };
	operands: string[];
}

export function add({ options, operands }: Line) {
	const name = operand(operands, 0, "addr add", "IF");
	operand(operands, 1, "addr add", "ADDRESS");
	const wanted = operands.slice(1).map((text) => interfaceAddress(text, "addr add"));
	inNamed(options.netns, () =>
		withRoute((netlink) => {
			const { index } = getLink(netlink, name);
			changeAll(
				netlink,
				wanted.map(({ address, prefix }) => addressAdd(index, address, prefix, { called: name, nodad: options.nodad === true })),
			);
		}),
	);
}

/** An address without its prefix is looked for. */
export function del({ options, operands }: Line) {
	const name = operand(operands, 0, "addr del", "IF");
	operand(operands, 1, "addr del", "ADDRESS");
	inNamed(options.netns, () =>
		withRoute((netlink) => {
			const { index } = getLink(netlink, name);
			const there = addresses(netlink).filter((one) => one.index === index);
			const requests = operands.slice(1).map((text) => {
				const { address, prefix } = interfaceAddress(text, "addr del");
				if (text.includes("/")) return addressDelete(index, address, prefix, name);
				const found = there.find((one) => one.address.join() === address.join()) ?? fail(`${show(text)}: not an address of ${name}`);
				return addressDelete(index, address, found.prefix, name);
			});
			changeAll(netlink, requests);
		}),
	);
}
