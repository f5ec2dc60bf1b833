/** leave, rm, unpublish: the inverse of publish. */
import { fail, show, UsageError } from "../../common/errors.ts";
import { addElements, removeElements } from "../../common/firewall/change.ts";
import type { Element } from "../../common/firewall/elements.ts";
import { isName } from "../../common/state.ts";
import { ask } from "../control.ts";
import { forgetFlows } from "../flows.ts";
import { removeIptables } from "../iptables.ts";
import { firewallName, type Publication, publicationFolder, readPublication, servedPublication } from "../publication.ts";
import { putAway } from "../put-away.ts";
import { allowedFor, elementsFor } from "../rules.ts";
import { formatHost, type Published, parseSpec, type Spec } from "../spec.ts";

export function leave({ operands }: { operands: string[] }) {
	if (operands.length === 0) throw new UsageError("no PID or sandbox's id given");
	for (const name of operands) if (!isName(name)) throw new UsageError(`${show(name)}: not a PID or a sandbox's id`);
	for (const name of operands) putAway(name);
}

/** Takes back some of the ports; with the last one the proxy goes. */
export function unpublish({ operands }: { operands: string[] }) {
	const [name, ...words] = operands;
	if (name === undefined || words.length === 0) throw new UsageError("unpublish: needs an id and ports");
	if (!isName(name)) throw new UsageError(`${show(name)}: not a PID or a sandbox's id`);
	const specs = words.map(parseSpec);
	const publication = servedPublication(name) ?? fail(`${name}: publishes no ports`, "`tsportproxy ls` shows who does");
	const isWanted = (published: Published) => specs.some((spec) => matches(spec, published));
	const removed = publication.ports.filter(isWanted);
	for (const spec of specs)
		if (!publication.ports.some((published) => matches(spec, published)))
			fail(`${name}: ${words[specs.indexOf(spec)]}: not published`, `published: ${publication.ports.map(formatHost).join(" ")}`);
	const ports = publication.ports.filter((published) => !isWanted(published));
	if (ports.length === 0) return putAway(name);
	takeBack(name, removed, ports, publication);
	const ranges = removed.flatMap(({ hostPort, port, count }) => Array.from({ length: count }, (_, i) => [hostPort + i, port + i]));
	removeIptables(name, (rule) =>
		ranges.some(([hostPort, port]) => rule.includes("DNAT") && rule.includes(String(hostPort)) && rule.join(" ").endsWith(`:${port}`)),
	);
	ask(`${publicationFolder(name)}/control`, { remove: removed, ports });
	forgetFlows(removed);
}

/** Takes the elements of some ports out; what lets a container's port through stays while another port leads to it. */
function takeBack(name: string, removed: Published[], rest: Published[], { destination, nat }: Publication) {
	if (nat !== "nft") return;
	const gone = new Set(elementsFor(removed, destination).map((element) => JSON.stringify(element)));
	const isLet = (element: Element) => element.set === "published";
	removeElements(firewallName(name), (element) => isLet(element) || gone.has(JSON.stringify(element)));
	const allowed = allowedFor(rest, [], destination);
	if (allowed.length > 0) addElements(firewallName(name), allowed, readPublication(name)?.owner);
}

/** A spec names a whole range as it was published; its address only where one is given. */
function matches(spec: Spec, { proto, hostAddress, hostPort, port, count }: Published): boolean {
	const isHost = spec.hostFrom === 0 || (spec.hostFrom === hostPort && spec.hostTo - spec.hostFrom + 1 === count);
	return (
		spec.proto === proto &&
		(spec.hostAddress === "" || spec.hostAddress === hostAddress) &&
		isHost &&
		spec.from === port &&
		spec.to - spec.from + 1 === count
	);
}
