/**
 * Other programs in a pipe of ours: gzip and zstd, sha256sum, curl. They are started by their absolute paths, with an
 * environment of ours, and before any root of somebody else's is entered.
 */
import { close, closeRange, dup, dup2, O_CLOEXEC, O_RDONLY, open, pipe, read } from "../../native/linux/fd.ts";
import { execve, exit, fork, wait } from "../../native/linux/process.ts";
import { setPipeSize, trySplice, tryTee } from "../../native/linux/splice.ts";
import { checkExecutable, S_IFIFO, S_IFMT, S_IFREG, stat } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { fail } from "../common/errors.ts";
import { inputLines } from "../common/record.ts";

/** Where the host's programs are; never the caller's PATH. */
const FOLDERS = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"];

/** The absolute path of a program of the host's. */
export function findProgram(name: string, what: string): string {
	for (const folder of FOLDERS) if (checkExecutable(`${folder}/${name}`) === 0) return `${folder}/${name}`;
	return fail(
		`${name}: not found in ${FOLDERS.join(", ")}`,
		`${what} needs it; on Debian: apt-get install ${name === "sha256sum" ? "coreutils" : name}`,
	);
}

export interface Running {
	pid: number;
	name: string;
}

/** Starts a child with these standard streams, and `more` as 3 and so on; nothing else is open in it. */
export function start(
	path: string,
	args: string[],
	input: number,
	output: number,
	errors = 2,
	environment: string[] = [],
	more: number[] = [],
): Running {
	const pid = fork();
	if (pid === 0) {
		try {
			/* Out of the way of 0 to 2 first. */
			const streams = [input, output, errors, ...more].map((fd) => dup(fd, 20));
			streams.forEach((fd, i) => {
				dup2(fd, i);
			});
			closeRange(streams.length);
			execve(path, [path, ...args], ["PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C", ...environment]);
		} catch {
			exit(127);
		}
	}
	return { pid, name: path.slice(path.lastIndexOf("/") + 1) };
}

/** Waits for the child; fails if it did. */
export function finish({ pid, name }: Running) {
	const ended = wait(pid);
	if (ended && (ended.signal || ended.code !== 0))
		fail(ended.signal ? `${name}: ended by signal ${ended.code}` : `${name}: exit status ${ended.code}`);
}

function biggerPipe() {
	const ends = pipe();
	try {
		setPipeSize(ends.writer, 1 << 20);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
	return ends;
}

/** The program's output, on a descriptor to read from. Its input is closed here. */
export function through(path: string, args: string[], input: number): { output: number; running: Running } {
	const { reader, writer } = biggerPipe();
	const running = start(path, args, input, writer);
	close(writer);
	close(input);
	return { output: reader, running };
}

export type Compression = "gzip" | "zstd" | "xz" | "bzip2" | "none";

const MAGIC: [Compression, number[]][] = [
	["gzip", [0x1f, 0x8b]],
	["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
	["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
	["bzip2", [0x42, 0x5a, 0x68]],
];

/** The first bytes of a file or pipe, which stay in it. */
export function peek(fd: number, length: number): Uint8Array {
	const bytes = new Uint8Array(length);
	const format = stat("", fd).mode & S_IFMT;
	if (format === S_IFREG) {
		/* Another open file has a position of its own. */
		const again = open(`/proc/self/fd/${fd}`, O_RDONLY | O_CLOEXEC);
		try {
			return bytes.subarray(0, read(again, bytes));
		} finally {
			close(again);
		}
	}
	if (format !== S_IFIFO) return bytes.subarray(0, 0);
	const { reader, writer } = pipe();
	try {
		const copied = tryTee(fd, writer, length, 0);
		return copied > 0 ? bytes.subarray(0, read(reader, bytes)) : bytes.subarray(0, 0);
	} finally {
		close(reader);
		close(writer);
	}
}

export function compressionOf(fd: number): Compression {
	const first = peek(fd, 6);
	return MAGIC.find(([, magic]) => magic.every((byte, i) => first[i] === byte))?.[0] ?? "none";
}

/** The archive itself, decompressed by the host's program if need be. `finish` must be called when it was read. */
export function decompress(fd: number): { output: number; finish(): void } {
	const compression = compressionOf(fd);
	if (compression === "none") return { output: fd, finish() {} };
	const { output, running } = through(findProgram(compression, `a ${compression} archive`), ["-dc"], dup(fd));
	return {
		output,
		finish() {
			close(output);
			finish(running);
		},
	};
}

export interface Hashed {
	/** What goes through, to be read to its end. */
	output: number;
	/** After that: the sha256, 64 hexadecimal digits. */
	digest(): string;
}

/**
 * The sha256 of what is read of a descriptor while it is read. A child of ours copies each pipeful to sha256sum by tee(2),
 * without taking it out of the kernel; of a file sha256sum reads a copy of the descriptor.
 */
export function hashing(fd: number): Hashed {
	const sha256sum = findProgram("sha256sum", "checking digests");
	const result = pipe();
	const digest = (sum: Running, others: Running[]) => () => {
		const [text = ""] = [...inputLines(result.reader)];
		close(result.reader);
		for (const running of [sum, ...others]) finish(running);
		const found = /^([0-9a-f]{64})\b/.exec(text)?.[1];
		return found ?? fail("sha256sum: printed no digest");
	};
	if ((stat("", fd).mode & S_IFMT) === S_IFREG) {
		const again = open(`/proc/self/fd/${fd}`, O_RDONLY | O_CLOEXEC);
		const sum = start(sha256sum, [], again, result.writer);
		close(again);
		close(result.writer);
		return { output: fd, digest: digest(sum, []) };
	}
	const copy = biggerPipe();
	const sum = start(sha256sum, [], copy.reader, result.writer);
	close(copy.reader);
	close(result.writer);
	const out = biggerPipe();
	const pid = fork();
	if (pid === 0) split(fd, copy.writer, out.writer);
	close(copy.writer);
	close(out.writer);
	return { output: out.reader, digest: digest(sum, [{ pid, name: "copying" }]) };
}

/** The child: everything that comes to both pipes, until its end. */
function split(from: number, copy: number, out: number): never {
	for (const fd of [0, 1, 2]) if (fd !== from && fd !== copy && fd !== out) close(fd);
	for (;;) {
		const copied = tryTee(from, copy, 1 << 20, 0);
		if (copied === 0) exit(0);
		if (copied < 0) exit(1);
		for (let left = copied; left > 0; ) {
			const moved = trySplice(from, out, left, 0);
			if (moved <= 0) exit(1);
			left -= moved;
		}
	}
}

/** The sha256 of an open file. */
export function sha256(fd: number): string {
	return hashing(fd).digest();
}
