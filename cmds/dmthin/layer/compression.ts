/** Archives that are compressed: the host's gzip, zstd, xz or bzip2 makes them plain, through a pipe. */

import { close, closeRange, dup, dup2, lseek, pipe, pread, read } from "../../../native/linux/fd.ts";
import { execve, exit, exitStatus, fork, wait } from "../../../native/linux/process.ts";
import { tryTee } from "../../../native/linux/splice.ts";
import { checkExecutable, S_IFIFO, S_IFMT, S_IFREG, stat } from "../../../native/linux/stat.ts";
import { fail } from "../../common/errors.ts";

const SEEK_CUR = 1;

/** Never along the caller's PATH: what is run reads what a stranger wrote. */
const FOLDERS = ["/usr/bin", "/bin", "/usr/local/bin"];

const MAGIC: [program: string, bytes: number[]][] = [
	["gzip", [0x1f, 0x8b]],
	["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
	["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
	["bzip2", [0x42, 0x5a, 0x68]],
];

/** The first bytes of a file or a pipe, which stay in it. */
function peek(fd: number): Uint8Array {
	const bytes = new Uint8Array(6);
	const type = stat("", fd).mode & S_IFMT;
	if (type === S_IFREG) return bytes.subarray(0, pread(fd, bytes, lseek(fd, 0, SEEK_CUR)));
	if (type !== S_IFIFO) return bytes.subarray(0, 0);
	const { reader, writer } = pipe();
	const copied = tryTee(fd, writer, bytes.length, 0);
	const got = copied > 0 ? read(reader, bytes) : 0;
	close(reader);
	close(writer);
	return bytes.subarray(0, got);
}

function compressorOf(fd: number): string | undefined {
	const first = peek(fd);
	return MAGIC.find(([, magic]) => magic.every((byte, i) => first[i] === byte))?.[0];
}

export function isCompressed(fd: number): boolean {
	return compressorOf(fd) !== undefined;
}

/** The archive itself. `finish` is to be called when it was read: it fails if the program did. */
export function decompress(fd: number): { output: number; finish(): void } {
	const program = compressorOf(fd);
	if (program === undefined) return { output: fd, finish() {} };
	const path = FOLDERS.map((folder) => `${folder}/${program}`).find((candidate) => checkExecutable(candidate) === 0);
	if (path === undefined) fail(`${program}: not found in ${FOLDERS.join(", ")}`, "the archive is compressed by it");
	const { reader, writer } = pipe();
	const pid = fork();
	if (pid === 0) {
		try {
			const streams = [dup(fd, 20), dup(writer, 20)];
			dup2(streams[0] as number, 0);
			dup2(streams[1] as number, 1);
			closeRange(3);
			execve(path, [path, "-dc"], ["PATH=/usr/bin:/bin", "LC_ALL=C"]);
		} catch {
			exit(127);
		}
	}
	close(writer);
	return {
		output: reader,
		finish() {
			close(reader);
			const ended = wait(pid);
			if (ended && exitStatus(ended) !== 0) fail(`${program}: exit status ${exitStatus(ended)}`);
		},
	};
}
