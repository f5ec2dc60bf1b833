/** Networks of addresses, as `--allow` takes them: `10.0.0.0/8`, `fe80::/10`, `192.0.2.1`. */
import { parseInet } from "../../native/linux/sockaddr.ts";
import { notA } from "../common/command-line/options.ts";

export interface Network {
	address: Uint8Array;
	/** How many of its bits count. */
	length: number;
}

/** Undefined where it is no network. */
export function parseNetwork(text: string): Network | undefined {
	const [, host = "", bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
	const address = parseInet(host);
	if (!address) return undefined;
	const length = bits === undefined ? 8 * address.length : Number(bits);
	return length <= 8 * address.length ? { address, length } : undefined;
}

/** For an option table. */
export function network(text: string, option: string): Network {
	return parseNetwork(text) ?? notA(option, text, "an address or a network (10.0.0.0/8, fe80::/10)");
}

/** Whether an address of 4 or 16 bytes is in one of the networks. */
export function isIn(networks: Network[], address: Uint8Array): boolean {
	return networks.some((candidate) => candidate.address.length === address.length && begins(candidate, address));
}

function begins({ address, length }: Network, other: Uint8Array): boolean {
	for (let i = 0; 8 * i < length; i++) {
		const mask = 0xff << Math.max(0, 8 * (i + 1) - length);
		if (((address[i] as number) ^ (other[i] as number)) & mask & 0xff) return false;
	}
	return true;
}
