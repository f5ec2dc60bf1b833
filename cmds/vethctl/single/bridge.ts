/** bridge ls, add, del, attach, detach, fdb: man 8 bridge. */
import { change, changeAll } from "../../../native/linux/netlink/request.ts";
import { findLink, links } from "../../../native/linux/route/link.ts";
import { bridgeKind, linkAdd, linkDelete, linkSet } from "../../../native/linux/route/link-change.ts";
import { forwarding } from "../../../native/linux/route/neighbour.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { inNamed, withRoute } from "../netns.ts";
import { interfaceName } from "../network/create.ts";
import { getLink, linkNames, operand } from "./words.ts";

interface Line {
	options: { netns?: string; json?: true };
	operands: string[];
}

export function ls({ options }: Line) {
	const all = inNamed(options.netns, () => withRoute((netlink) => links(netlink)));
	const rows = all
		.filter(({ kind }) => kind === "bridge")
		.map(({ index, name, address, operstate, mtu, details }) => ({
			index,
			name,
			address,
			operstate,
			mtu,
			details,
			ports: all.filter(({ master }) => master === index).map((port) => ({ name: port.name, ...port.port })),
		}));
	if (options.json) return print(json(rows));
	print(
		table(rows, [
			{ header: "BRIDGE", value: ({ name }) => name },
			{ header: "STATE", value: ({ operstate }) => operstate },
			{ header: "ADDRESS", value: ({ address }) => address },
			{ header: "STP", value: ({ details }) => (details.stp_state === 0 ? "off" : "on") },
			{
				header: "PORTS",
				value: ({ ports }) => ports.map(({ name, state, isolated }) => `${name} (${state}${isolated ? ", isolated" : ""})`).join(" "),
				cut: true,
			},
		]),
	);
}

export function add({ options, operands }: { options: { netns?: string; mtu?: number; stp?: boolean }; operands: string[] }) {
	operand(operands, 0, "bridge add", "NAME");
	const names = operands.map((name) => interfaceName(name, "bridge add"));
	const settings = { up: true, ...(options.mtu !== undefined && { mtu: options.mtu }) };
	const kind = bridgeKind(options.stp ? { stp_state: 1 } : { forward_delay: 0 });
	inNamed(options.netns, () =>
		withRoute((netlink) =>
			changeAll(
				netlink,
				names.map((name) => linkAdd({ name, ...settings }, kind)),
			),
		),
	);
}

export function del({ options, operands }: Line) {
	operand(operands, 0, "bridge del", "NAME");
	inNamed(options.netns, () =>
		withRoute((netlink) => {
			for (const name of operands) {
				const { index, kind } = getLink(netlink, name);
				if (kind !== undefined && kind !== "bridge") fail(`${show(name)}: a ${kind}, not a bridge`);
				change(netlink, linkDelete(index, name));
			}
		}),
	);
}

export function attach({ options, operands }: Line) {
	const bridge = operand(operands, 0, "bridge attach", "BRIDGE");
	operand(operands, 1, "bridge attach", "IF");
	inNamed(options.netns, () =>
		withRoute((netlink) => {
			const { index: master } = getLink(netlink, bridge);
			const ports = operands.slice(1).map((name) => getLink(netlink, name));
			changeAll(
				netlink,
				ports.map(({ index, name }) => linkSet(index, { master }, name)),
			);
		}),
	);
}

export function detach({ options, operands }: Line) {
	operand(operands, 0, "bridge detach", "IF");
	inNamed(options.netns, () =>
		withRoute((netlink) => {
			const ports = operands.map((name) => getLink(netlink, name));
			changeAll(
				netlink,
				ports.map(({ index, name }) => linkSet(index, { master: 0 }, name)),
			);
		}),
	);
}

export function fdb({ options, operands }: Line) {
	if (operands.length > 1) throw new UsageError("bridge fdb: one BRIDGE at most");
	const rows = inNamed(options.netns, () =>
		withRoute((netlink) => {
			const bridge =
				operands[0] === undefined ? undefined : (findLink(netlink, operands[0])?.index ?? fail(`${show(operands[0])}: no such interface`));
			const name = linkNames(netlink);
			return forwarding(netlink, bridge).map(({ index, master, ...rest }) => ({ ...rest, port: name(index), bridge: name(master) }));
		}),
	);
	if (options.json) return print(json(rows));
	print(
		table(rows, [
			{ header: "ADDRESS", value: ({ hardware }) => hardware },
			{ header: "PORT", value: ({ port }) => port },
			{ header: "BRIDGE", value: ({ bridge }) => bridge },
			{ header: "VLAN", value: ({ vlan }) => vlan },
			{ header: "STATE", value: ({ states }) => states.join(",").toLowerCase() },
			{ header: "FLAGS", value: ({ flags }) => flags.join(",") },
		]),
	);
}
