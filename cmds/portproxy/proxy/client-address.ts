import { AF_INET, sockaddrIn, sockaddrIn6 } from "../../../native/linux/sockaddr.ts";

/** The address in a sockaddr of 28 bytes, an IPv4-mapped one as IPv4. */
export function clientAddress(name: Uint8Array): Uint8Array {
	if (name[0] === AF_INET) return name.subarray(sockaddrIn.offset.sin_addr, sockaddrIn.offset.sin_addr + 4);
	const at = sockaddrIn6.offset.sin6_addr;
	const address = name.subarray(at, at + 16);
	return isMapped(address) ? address.subarray(12) : address;
}

function isMapped(address: Uint8Array): boolean {
	for (let i = 0; i < 10; i++) if (address[i] !== 0) return false;
	return address[10] === 255 && address[11] === 255;
}
