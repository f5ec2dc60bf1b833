/** network ls, inspect: what networks there are, and who is on them. */
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { endpointsOf } from "../endpoint/endpoint.ts";
import { allNetworks, getNetwork, type Network } from "./network.ts";

const view = (network: Network) => ({ ...network, endpoints: endpointsOf(network.name) });

export function ls({ options }: { options: { json?: true; quiet?: true } }) {
	const networks = allNetworks().map(view);
	if (options.json) return print(json(networks));
	if (options.quiet) return print(networks.map(({ name }) => `${name}\n`).join(""));
	print(
		table(networks, [
			{ header: "NETWORK", value: ({ name }) => name },
			{ header: "DRIVER", value: ({ driver }) => driver },
			{ header: "INTERFACE", value: ({ bridge, parent }) => bridge ?? parent },
			{ header: "SUBNET", value: ({ subnet, subnet6 }) => [subnet, subnet6].filter((text) => text !== undefined).join(", ") },
			{ header: "GATEWAY", value: ({ gateway, gateway6 }) => [gateway, gateway6].filter((text) => text !== undefined).join(", ") },
			{ header: "ENDPOINTS", value: ({ endpoints }) => endpoints.length, right: true },
			{
				header: "MODE",
				value: ({ internal, gatewayMode, driver }) => (driver === "bridge" ? (internal ? "internal" : gatewayMode) : undefined),
			},
		]),
	);
}

export function inspect({ operands }: { operands: string[] }) {
	if (operands.length === 0) throw new UsageError("network inspect: no NAME given");
	print(json(operands.map((name) => view(getNetwork(name)))));
}
