/** run: a proxy of any number of ports in the foreground, for no sandbox. */
import { close, O_CLOEXEC, O_RDONLY, open } from "../../../native/linux/fd.ts";
import { CLONE_NEWNET, namespaceType, setns } from "../../../native/linux/namespace.ts";
import { UsageError } from "../../common/errors.ts";
import { type RunGiven, settingsOf } from "../options.ts";
import { raiseDescriptorLimit } from "../proxy/descriptors.ts";
import { openListener } from "../proxy/listen.ts";
import { makeProxy } from "../proxy/loop.ts";
import type { Mapping } from "../proxy/port.ts";
import { reportStats } from "../proxy/stats.ts";
import { choicesOf, parseSpec } from "../spec.ts";

export function run({ options, operands }: { options: RunGiven; operands: string[] }) {
	const to = options.to ?? (options.netns === undefined ? undefined : "127.0.0.1");
	if (to === undefined) throw new UsageError("run: --to: not given");
	if (operands.length === 0) throw new UsageError("run: no ports given");
	const specs = operands.map(parseSpec);
	const opened: { mapping: Mapping; fd: number }[] = [];
	raiseDescriptorLimit();
	for (const { proto, hostAddress, ...spec } of specs)
		for (const { port, hostPorts } of choicesOf({ proto, hostAddress, ...spec })) {
			const { fd, port: hostPort } = openListener(proto, hostAddress, hostPorts[0] as number);
			opened.push({ fd, mapping: { proto, hostAddress, hostPort, address: to, port } });
		}
	if (options.netns !== undefined) enter(options.netns);
	const proxy = makeProxy(settingsOf(options));
	for (const { mapping, fd } of opened) proxy.add(mapping, fd);
	const report = () => reportStats(proxy, options.stats);
	proxy.run(report);
	if (options.stats) report();
}

/** A process, or the file of a namespace (/run/netns/NAME). */
function enter(netns: string) {
	const fd = open(/^\d+$/.test(netns) ? `/proc/${netns}/ns/net` : netns, O_RDONLY | O_CLOEXEC);
	if (namespaceType(fd) !== CLONE_NEWNET)
		throw new UsageError(`--netns: ${JSON.stringify(netns)} is not a process or a network namespace's file`);
	setns(fd, CLONE_NEWNET, netns);
	close(fd);
}
