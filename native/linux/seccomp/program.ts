/** Classic BPF programs as bytes: linux/filter.h's struct sock_filter {u16 code; u8 jt; u8 jf; u32 k}. */
import type { Instruction } from "./assemble.ts";

/** Two 32-bit words an instruction: `code | jt << 16 | jf << 24`, and k; signed, which is the engine's shorter kind of number. */
export function programWords(program: readonly Instruction[]): number[] {
	return program.reduce<number[]>((words, { code, jt, jf, k }) => {
		words.push(code | (jt << 16) | (jf << 24), k | 0);
		return words;
	}, []);
}

/** The bytes of such words, as the kernel takes them on these (little-endian) machines. */
export function programBytes(words: readonly number[]): Uint8Array {
	return new Uint8Array(new Uint32Array(words).buffer);
}

/** The instructions of a program's bytes; an incomplete last one is left out. */
export function readProgram(bytes: Uint8Array): Instruction[] {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const program: Instruction[] = [];
	for (let at = 0; at + 8 <= bytes.length; at += 8)
		program.push({
			code: view.getUint16(at, true),
			jt: view.getUint8(at + 2),
			jf: view.getUint8(at + 3),
			k: view.getUint32(at + 4, true),
		});
	return program;
}
