/**
 * The host: all that a tool gets from outside TypeScript. host.c implements it on QuickJS, node.ts on Node with koffi.
 *
 * Modules import it as `#host`; nothing but native/linux and cmds/common/command-line/tool.ts should need to.
 */

/** A number or address, a string (passed as a C string), bytes (passed as their address), or NULL. */
export type Argument = number | string | ArrayBuffer | ArrayBufferView | null;

export interface Host {
	/**
	 * The raw system call. Returns what the kernel returns: `-errno` on failure. A string with a NUL byte in it is
	 * refused with -EINVAL, since the kernel would see a shorter one.
	 */
	syscall(nr: number, ...args: Argument[]): number;
	/** fork(2) of the C library; 0 in the child, -errno on failure. Not on Node: throws there. */
	fork(): number;
	/** Ends the process at once. */
	exit(code: number): never;
	/** The command line, the program's name first. */
	argv(): string[];
	/** The environment, as `NAME=value`. */
	environ(): string[];
	/** Where the bytes of a view are, for structs that hold pointers. Keep the view alive as long as the struct. */
	addressOf(view: ArrayBuffer | ArrayBufferView): number;
	/** UTF-8, the bytes that `decode` could not read restored; followed in memory by a NUL. */
	encode(text: string): ArrayBuffer;
	/** Bytes `from`..`to` as a string; each byte that is no UTF-8 becomes U+DC80..U+DCFF, so that `encode` restores it. */
	decode(bytes: ArrayBuffer | ArrayBufferView, from?: number, to?: number): string;
	/** The machine, as uname -m says it. */
	readonly arch: "x86_64" | "aarch64";
}
