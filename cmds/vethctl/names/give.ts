/** A container's own hosts, hostname and resolv.conf: written to its folder, and bound over those of its root. */

import { getcwd } from "../../../native/linux/fd.ts";
import { namespaceInode } from "../../../native/linux/namespace.ts";
import { exists } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { warn } from "../../common/command-line/tool.ts";
import type { Target } from "../../common/record.ts";
import { sandboxFolder } from "../../common/sandbox-state.ts";
import { isName } from "../../common/state.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { writeQuickly } from "../files.ts";
import type { Network } from "../network/network.ts";
import { bindInside } from "./bind.ts";
import { hostsText } from "./hosts.ts";
import { checkResolv, hostLines, hostResolv, type ResolvOptions, resolvText } from "./resolv.ts";

export interface NameOptions extends ResolvOptions {
	addHost?: string[];
	hostname?: string;
}

/** What is wrong with the options, before anything is done. */
export function checkNames(options: NameOptions) {
	checkResolv(options);
	hostLines(options.addHost ?? [], "0.0.0.0");
}

/** Writes the files and binds them, where the sandbox has a mount namespace of its own; returns the endpoint with what it needs to be kept up to date. */
export function giveNames(endpoint: Endpoint, network: Network, target: Target, options: NameOptions): Endpoint {
	const { pid, record } = target;
	if (!record || namespaceInode(pid, "mnt") === namespaceInode("self", "mnt")) return endpoint;
	const folder = sandboxFolder(record.id);
	const files = folder.startsWith("/") ? folder : `${getcwd()}/${folder}`;
	/* A record may say anything; what it is called goes into the others' files. */
	const hostname = options.hostname ?? (typeof record.hostname === "string" && isName(record.hostname) ? record.hostname : record.id);
	const hosts = hostLines(options.addHost ?? [], network.gateway ?? network.gateway6);
	const named: Endpoint = { ...endpoint, files, hostname, ...(hosts.length > 0 && { hosts }) };
	const { text, leftOut } = resolvText(hostResolv(), options);
	for (const address of leftOut)
		warn(
			`/etc/resolv.conf: ${address} is of this machine alone: left out of ${record.id}'s${text.includes("nameserver") ? "" : ", which has no resolver now (--dns)"}`,
		);
	if (isDryRun()) return named;
	/* A second network finds them bound already. */
	const isNew = !exists(`${files}/hosts`);
	if (isNew) writeQuickly(`${files}/hosts`, hostsText([named], []), 0o644);
	if (isNew || options.hostname !== undefined) writeQuickly(`${files}/hostname`, `${hostname}\n`, 0o644);
	if (isNew) writeQuickly(`${files}/resolv.conf`, text, 0o644);
	if (isNew) bindInside(pid, files, ["hosts", "hostname", "resolv.conf"]);
	return named;
}
