/** endpoint create, ls, inspect, rm: places on a network that are there before, or without, a sandbox. */
import { formatHardware, parseHardware } from "../../../native/linux/route/link.ts";
import { formatInet, parseInet } from "../../../native/linux/sockaddr.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { isName } from "../../common/state.ts";
import { json, table } from "../../common/table.ts";
import { randomHardware } from "../hardware.ts";
import { leaveAll } from "../join/leave.ts";
import { bootId, takeAddress } from "../lease/leases.ts";
import { withRoute } from "../netns.ts";
import { findNetwork, getNetwork, withNetwork } from "../network/network.ts";
import { contains, parseSubnet } from "../subnet.ts";
import { allEndpoints, type Endpoint, endpointsOf, isCurrent, readEndpoint, removeEndpoint, writeEndpoint } from "./endpoint.ts";

export function create({ options, operands }: { options: { ip?: string[]; mac?: string; alias?: string[] }; operands: string[] }) {
	const [network, name, ...rest] = operands;
	if (network === undefined || name === undefined || rest.length > 0) throw new UsageError("endpoint create: give NETWORK NAME");
	if (!isName(name)) throw new UsageError(`endpoint create: ${show(name)}: not a name`);
	const mac = options.mac === undefined ? randomHardware() : parseHardware(options.mac);
	if (!mac) throw new UsageError(`--mac: ${show(options.mac as string)} is not a hardware address`);
	withNetwork(network, () => {
		const found = getNetwork(network);
		if (readEndpoint(network, name)) fail(`${name}: there is an endpoint of this name on ${network}`);
		const endpoint: Endpoint = { name, network, mac: formatHardware(mac), aliases: options.alias ?? [], boot: bootId() };
		const wanted = (options.ip ?? []).map((text) => parseInet(text) as Uint8Array);
		for (const [text, gateway, range, key] of [
			[found.subnet, found.gateway, found.ipRange, "address"],
			[found.subnet6, found.gateway6, undefined, "address6"],
		] as const) {
			const subnet = text === undefined ? undefined : parseSubnet(text);
			const part = range === undefined ? undefined : parseSubnet(range);
			if (!subnet) continue;
			const address = takeAddress(network, subnet, {
				...(part && { range: part }),
				wanted: wanted.find((one) => contains(subnet, one)),
				taken: gateway === undefined ? [] : [gateway],
				lease: { endpoint: name },
			});
			endpoint[key] = `${formatInet(address)}/${subnet.prefix}`;
		}
		writeEndpoint(endpoint);
	});
	if (!isDryRun()) print(`${name}\n`);
}

export function ls({ options, operands }: { options: { json?: true }; operands: string[] }) {
	const endpoints = operands.length === 0 ? allEndpoints() : operands.flatMap((name) => endpointsOf(getNetwork(name).name));
	if (options.json) return print(json(endpoints));
	print(
		table(endpoints, [
			{ header: "ENDPOINT", value: ({ name }) => name },
			{ header: "NETWORK", value: ({ network }) => network },
			{ header: "PID", value: ({ sandbox }) => sandbox?.pid, right: true },
			{ header: "INTERFACE", value: ({ ifname }) => ifname },
			{ header: "HOST", value: ({ veth }) => veth },
			{ header: "ADDRESS", value: ({ address, address6 }) => [address, address6].filter((text) => text !== undefined).join(", ") },
			{ header: "MAC", value: ({ mac }) => mac },
			{
				header: "STATE",
				value: (endpoint) => (isCurrent(endpoint) ? (endpoint.joining ? "joining" : endpoint.sandbox ? "joined" : "reserved") : "stale"),
			},
		]),
	);
}

export function inspect({ operands }: { operands: string[] }) {
	const [network, ...names] = operands;
	if (network === undefined || names.length === 0) throw new UsageError("endpoint inspect: give NETWORK NAME");
	print(json(names.map((name) => readEndpoint(getNetwork(network).name, name) ?? fail(`${name}: no such endpoint on ${network}`))));
}

export function rm({ options, operands }: { options: { force?: true }; operands: string[] }) {
	const [network, ...names] = operands;
	if (network === undefined || names.length === 0) throw new UsageError("endpoint rm: give NETWORK NAME");
	if (!findNetwork(network)) return options.force ? undefined : getNetwork(network);
	for (const name of names) {
		const endpoint = readEndpoint(network, name);
		if (!endpoint && !options.force) fail(`${name}: no such endpoint on ${network}`);
		if (!endpoint) continue;
		if (endpoint.sandbox && isCurrent(endpoint) && !options.force)
			fail(
				`${name}: in use by ${endpoint.sandbox.id ?? endpoint.sandbox.pid}`,
				`\`tsvethctl leave ${endpoint.sandbox.id ?? endpoint.sandbox.pid}\`, or --force`,
			);
		if (endpoint.sandbox) withRoute((netlink) => leaveAll(netlink, (one) => one.name === name, network));
		else withNetwork(network, () => removeEndpoint(endpoint));
	}
	return undefined;
}
