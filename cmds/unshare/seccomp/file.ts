/** The files that policies and programs are in. */
import { close, O_RDONLY, open, readAll } from "../../../native/linux/fd.ts";
import { PolicyError } from "../../../native/linux/seccomp/policy.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";

const LARGEST = 1 << 20;
const BRACE = 0x7b;

/** The bytes of a file or an open descriptor, which is closed. */
export function readFilterFile(text: string, option = ""): Uint8Array {
	const fd = /^\d{1,7}$/.test(text) ? Number(text) : open(text, O_RDONLY);
	try {
		const bytes = readAll(fd, LARGEST + 1);
		if (bytes.length > LARGEST) fail(`${option}${text}: it is larger than 1 MiB`);
		return bytes;
	} catch (error) {
		throw error instanceof SysError ? new SysError(error.call, error.errno, `${option}${text}`) : error;
	} finally {
		close(fd);
	}
}

/** Tells JSON from a program, none of whose instructions begins with white space or a brace. */
export function isJson(bytes: Uint8Array): boolean {
	return bytes.find((byte) => byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) === BRACE;
}

/** Makes an error of a policy one for people: it begins with the file's name. */
export function namingFile<T>(name: string, work: () => T): T {
	try {
		return work();
	} catch (error) {
		if (error instanceof PolicyError) fail(`${show(name)}: ${error.message}`);
		throw error;
	}
}
