/** Hardware addresses. */
import { getrandom } from "../../native/linux/process.ts";

/** A hardware address of our own choice: local (bit 1 of the first byte), for one station (bit 0 is 0). */
export function randomHardware(): Uint8Array {
	const bytes = getrandom(6);
	bytes[0] = ((bytes[0] as number) & 0xfc) | 0x02;
	return bytes;
}
