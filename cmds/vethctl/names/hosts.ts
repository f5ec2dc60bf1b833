/**
 * The hosts files of the containers of a network: each names the others and itself. They are kept in place (a bind mount shows the file
 * that it was made of, not one that has taken its name), and made of the endpoints alone: what is in them is never read.
 */

import { truncateFile } from "../../../native/linux/blockdev.ts";
import { AT_FDCWD, close, O_NOFOLLOW, O_WRONLY, openat2, RESOLVE_NO_SYMLINKS, write } from "../../../native/linux/fd.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { bare, type Endpoint, endpointsOf, isCurrent, readEndpoint } from "../endpoint/endpoint.ts";
import { allNetworks } from "../network/network.ts";

const HEAD = [
	"127.0.0.1\tlocalhost",
	"::1\tlocalhost ip6-localhost ip6-loopback",
	"fe00::0\tip6-localnet",
	"ff02::1\tip6-allnodes",
	"ff02::2\tip6-allrouters",
];

/** A process without an id is known by its aliases only. */
function names(endpoint: Endpoint): string {
	const { name, hostname, aliases, sandbox } = endpoint;
	const own = sandbox !== undefined && sandbox.id === undefined ? [] : [name];
	return [...own, ...(hostname === undefined || hostname === name ? [] : [hostname]), ...aliases].join(" ");
}

function lines(endpoint: Endpoint, called = names(endpoint)): string[] {
	return [endpoint.address, endpoint.address6].flatMap((address) =>
		address === undefined || called === "" ? [] : [`${bare(address)}\t${called}`],
	);
}

/** The text of a container's hosts file; `peers`: of each of its networks those who are on it. Pure. */
export function hostsText(own: Endpoint[], peers: Endpoint[]): string {
	const extra = own.flatMap(({ hosts }) => hosts ?? []);
	const others = peers.filter(({ name, network }) => !own.some((mine) => mine.name === name && mine.network === network));
	return `${[...HEAD, ...extra, ...own.flatMap((endpoint) => lines(endpoint)), ...others.flatMap((endpoint) => lines(endpoint))].join("\n")}\n`;
}

/** Brings the files of all who are on a network up to date. To be called under the network's lock. */
export function updateHosts(network: string) {
	const there = endpointsOf(network).filter(isCurrent);
	const named = there.filter(({ files }) => files !== undefined);
	const others = named.length === 0 ? [] : allNetworks().filter(({ name }) => name !== network);
	for (const endpoint of named) {
		const own = [endpoint];
		const peers = [...there];
		for (const { name } of others) {
			const same = readEndpoint(name, endpoint.name);
			if (same?.sandbox?.pid !== endpoint.sandbox?.pid) continue;
			own.push(same as Endpoint);
			peers.push(...endpointsOf(name).filter(isCurrent));
		}
		writeInPlace(`${endpoint.files}/hosts`, hostsText(own, peers));
	}
}

/** Writes over a file that is there: at no moment is it empty. One that is gone is not made again. */
function writeInPlace(path: string, text: string) {
	if (isDryRun()) return;
	try {
		const fd = openat2(AT_FDCWD, path, O_WRONLY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
		try {
			write(fd, text);
			truncateFile(fd, text.length);
		} finally {
			close(fd);
		}
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
}
