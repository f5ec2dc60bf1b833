/** doctor: how each published port is reached, from where, and what stands in the way. */
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { print } from "../../common/command-line/tool.ts";
import { show, UsageError } from "../../common/errors.ts";
import { firewallEntries } from "../../common/firewall/change.ts";
import { isAlive, isName } from "../../common/state.ts";
import { firewallName, publicationNames, readPublication } from "../publication.ts";
import { elementsFor, isLoopback, translatedFamilies } from "../rules.ts";
import { formatHost } from "../spec.ts";

const sysctl = (name: string) => readFileIfAny(`/proc/sys/${name}`)?.trim();

export function doctor({ operands }: { operands: string[] }) {
	for (const name of operands) if (!isName(name)) throw new UsageError(`${show(name)}: not a PID or a sandbox's id`);
	const lines: string[] = [];
	const names = operands.length > 0 ? operands : publicationNames();
	if (names.length === 0) lines.push("no port is published");
	for (const name of names) lines.push(...examine(name));
	print(lines.map((line) => `${line}\n`).join(""));
}

function examine(name: string): string[] {
	const publication = readPublication(name);
	if (!publication) return [`${name}: publishes no ports`];
	const { owner, sandbox, destination, nat, ports } = publication;
	const lines: string[] = [];
	if (!isAlive(sandbox)) lines.push(`${name}: FAULT: the sandbox has ended; \`tsportproxy gc\` removes what is left`);
	if (!isAlive(owner))
		lines.push(`${name}: FAULT: the proxy (pid ${owner.pid}) has ended: 127.0.0.1 and ::1 are not served; publish the ports again`);
	for (const published of ports) {
		const families = nat === "none" ? [] : translatedFamilies(published, destination);
		lines.push(
			`${name}: ${published.proto} ${formatHost(published)}: ${explain(published.hostAddress, families, destination.inside, nat)}`,
		);
	}
	if (nat === "none" || destination.inside) return lines;
	for (const [family, file] of [
		["ip", "net/ipv4/ip_forward"],
		["ip6", "net/ipv6/conf/all/forwarding"],
	] as const)
		if (ports.some((published) => translatedFamilies(published, destination).includes(family)) && sysctl(file) === "0")
			lines.push(`${name}: FAULT: /proc/sys/${file} is 0: what is translated is not forwarded; set it to 1`);
	if (nat === "nft" && elementsFor(ports, destination).length > 0 && !firewallEntries().some((entry) => entry.name === firewallName(name)))
		lines.push(`${name}: FAULT: its elements of the firewall are gone; publish the ports again`);
	if (sysctl("net/bridge/bridge-nf-call-iptables") === "1")
		lines.push(`${name}: note: net.bridge.bridge-nf-call-iptables is 1: containers of one bridge pass the machine's FORWARD rules, too`);
	return lines;
}

function explain(hostAddress: string, families: string[], inside: boolean, nat: string): string {
	if (inside)
		return "the sandbox has no network: the proxy connects from inside its namespace, so programs in it see their own 127.0.0.1 as the client";
	if (families.length === 0)
		return isLoopback(hostAddress)
			? "reached from this machine only, by the proxy: the kernel does not translate what comes from a loopback address"
			: "by the proxy alone, so the container sees this machine's address as the client's (--proxy-protocol, --transparent)";
	const other = families.length === 1 && hostAddress === "" ? `; IPv${families[0] === "ip" ? 6 : 4}: by the proxy` : "";
	return `${nat} translates what comes from outside, from this machine's own addresses and from the container itself (hairpin); 127.0.0.1 and ::1: by the proxy${other}`;
}
