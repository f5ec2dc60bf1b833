/**
 * What both hosts promise (native/host/host.d.ts). No test framework: the file runs on the koffi host under tap, and is
 * bundled into a tool for the QuickJS host.
 */
import * as host from "#host";
import { SYS_getpid, SYS_mkdirat, SYS_pipe2, SYS_read, SYS_readlinkat, SYS_write } from "../../native/linux/nr.ts";

function equal(found: unknown, wanted: unknown) {
	if (found !== wanted) throw new Error(`found ${String(found)}, wanted ${String(wanted)}`);
}

function bytes(view: ArrayBuffer): string {
	return [...new Uint8Array(view)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

export const hostChecks: [string, () => void][] = [
	["a system call returns what the kernel returns", () => equal(host.syscall(SYS_getpid) > 0, true)],
	["a system call that fails returns -errno", () => equal(host.syscall(SYS_mkdirat, -100, "/", 0), -17)],
	[
		"a string argument is a C string",
		() => {
			const target = new Uint8Array(64);
			const length = host.syscall(SYS_readlinkat, -100, "/proc/self", target, target.length);
			equal(Number(host.decode(target, 0, length)), host.syscall(SYS_getpid));
		},
	],
	["a string with a NUL in it is refused with EINVAL", () => equal(host.syscall(SYS_mkdirat, -100, "/tmp\0x", 0), -22)],
	[
		"the kernel writes into typed arrays, views at an offset, and buffers",
		() => {
			const ends = new Int32Array(2);
			equal(host.syscall(SYS_pipe2, ends, 0), 0);
			const [reader, writer] = ends as unknown as [number, number];
			equal(host.syscall(SYS_write, writer, "abcdef", 6), 6);
			const whole = new Uint8Array(8);
			equal(host.syscall(SYS_read, reader, whole.subarray(2, 4), 2), 2);
			equal(host.syscall(SYS_read, reader, new DataView(whole.buffer, 5), 2), 2);
			equal(host.syscall(SYS_read, reader, whole.buffer, 1), 1);
			equal(bytes(whole.buffer), "65 00 61 62 00 63 64 00");
		},
	],
	[
		"the address of a view is where the kernel finds its bytes",
		() => {
			const text = new Uint8Array(host.encode("/proc/self"));
			const path = new Uint8Array(text.length + 1);
			path.set(text);
			const target = new Uint8Array(64);
			equal(host.syscall(SYS_readlinkat, -100, host.addressOf(path), target, target.length) > 0, true);
			equal(host.addressOf(path.subarray(3)) - host.addressOf(path), 3);
		},
	],
	["numbers of 64 bits go through", () => equal(host.syscall(SYS_read, 0, 2 ** 47, 2 ** 40) < 0, true)],
	["UTF-8 of one to four bytes is encoded", () => equal(bytes(host.encode("aé€😀")), "61 c3 a9 e2 82 ac f0 9f 98 80")],
	["UTF-8 is decoded", () => equal(host.decode(new Uint8Array([0x61, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80])), "aé€😀")],
	[
		"every byte that is no UTF-8 survives decoding and encoding",
		() => {
			const samples = [
				[0xff],
				[0x80],
				[0xc3],
				[0xe2, 0x82],
				[0xf0, 0x9f, 0x98],
				[0xed, 0xa0, 0x80],
				[0xed, 0xb2, 0x80],
				[0xc0, 0xaf],
				[0xf5, 0x80, 0x80, 0x80],
				[0x61, 0xff, 0xc3, 0xa9, 0xfe],
			];
			for (let byte = 0; byte < 256; byte++) samples.push([0x41, byte, 0x42]);
			for (const sample of samples) {
				const data = new Uint8Array(sample);
				equal(bytes(host.encode(host.decode(data))), bytes(data.buffer));
			}
		},
	],
	["a stray byte decodes to its lone surrogate", () => equal(host.decode(new Uint8Array([0xff])), "\udcff")],
	["a part of a view is decoded", () => equal(host.decode(new Uint8Array([0x61, 0x62, 0x63, 0x64]), 1, 3), "bc")],
	[
		"decoding outside of the view throws",
		() => {
			let thrown = "";
			try {
				host.decode(new Uint8Array(2), 0, 3);
			} catch (error) {
				thrown = (error as Error).name;
			}
			equal(thrown, "RangeError");
		},
	],
	[
		"the environment is a list of NAME=value",
		() =>
			equal(
				host.environ().every((entry) => entry.includes("=")),
				true,
			),
	],
	["the architecture is one that there are call numbers for", () => equal(["x86_64", "aarch64"].includes(host.arch), true)],
];
