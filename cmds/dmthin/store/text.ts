/** Texts of ASCII as bytes, and back: signatures of file systems, JSON of ours. */

export function bytesOf(text: string): Uint8Array {
	const bytes = new Uint8Array(text.length);
	for (let i = 0; i < text.length; i++) {
		const code = text.charCodeAt(i);
		if (code > 0x7f) throw new RangeError(`${JSON.stringify(text)}: not ASCII`);
		bytes[i] = code;
	}
	return bytes;
}

export function textOf(bytes: Uint8Array): string {
	let text = "";
	for (const byte of bytes) text += String.fromCharCode(byte);
	return text;
}

/** A uuid of random bits, without the version of RFC 4122: 32 hex digits. */
export function hex(bytes: Uint8Array): string {
	return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
