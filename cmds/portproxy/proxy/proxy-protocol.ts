/**
 * The PROXY protocol's header, which tells a server who the client behind a proxy is: haproxy's doc/proxy-protocol.txt.
 *
 * Version 1 is a line: `PROXY TCP4 SOURCE DESTINATION SOURCEPORT DESTINATIONPORT\r\n`. Version 2 is 16 bytes and the addresses:
 *
 *     12 bytes signature   0x21 version 2, PROXY   0x11 TCP4 or 0x21 TCP6   u16 length of what follows   source, destination, ports
 */
import { encodeAddress, formatInet, inetSocketAddress } from "../../../native/linux/sockaddr.ts";
import { getsockname } from "../../../native/linux/socket.ts";
import { encode } from "../../../native/linux/text.ts";
import { clientAddress } from "./client-address.ts";

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

/** The header for the client whose sockaddr is `name`; `socket` is the one that it is connected to. */
export function proxyHeader(version: 1 | 2, name: Uint8Array, socket: number): Uint8Array {
	const source = clientAddress(name);
	const sourcePort = ((name[2] as number) << 8) | (name[3] as number);
	const own = getsockname(socket) as { address: string; port: number };
	const sockaddr = encodeAddress(inetSocketAddress(own.address, own.port));
	return buildHeader(version, source, sourcePort, clientAddress(sockaddr), own.port);
}

/** Addresses of 4 or 16 bytes, both of one family. */
export function buildHeader(version: 1 | 2, source: Uint8Array, sourcePort: number, destination: Uint8Array, port: number): Uint8Array {
	const isIPv4 = source.length === 4;
	if (version === 1) {
		const line = `PROXY TCP${isIPv4 ? 4 : 6} ${formatInet(source)} ${formatInet(destination)} ${sourcePort} ${port}\r\n`;
		return new Uint8Array(encode(line));
	}
	return Uint8Array.from([
		...SIGNATURE,
		0x21,
		isIPv4 ? 0x11 : 0x21,
		0,
		2 * source.length + 4,
		...source,
		...destination,
		sourcePort >> 8,
		sourcePort & 255,
		port >> 8,
		port & 255,
	]);
}
