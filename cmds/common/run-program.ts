/** Programs of others, that are called where no system call does it: mkfs, thin_check, thin_repair. */

import { ENOENT } from "../../native/linux/errno.ts";
import { close, dup2, O_RDONLY, open, pipe, readAll } from "../../native/linux/fd.ts";
import { execvp, exit, exitStatus, fork, wait } from "../../native/linux/process.ts";
import { dryRun, SysError } from "../../native/linux/syscall.ts";
import { decode } from "../../native/linux/text.ts";
import { fail, show } from "./errors.ts";
import { getenv } from "./state.ts";

const NOT_FOUND = 127;

/** Where root's programs are, which not every PATH has. */
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface Result {
	status: number;
	/** What it wrote to standard output and error. */
	output: string;
}

/** Runs a program with no input. Undefined where it is not installed. */
export function runProgram(argv: string[]): Result | undefined {
	if (dryRun(argv.map(show).join(" "))) return { status: 0, output: "" };
	const { reader, writer } = pipe();
	const pid = fork();
	if (pid === 0) {
		try {
			dup2(open("/dev/null", O_RDONLY), 0);
			dup2(writer, 1);
			dup2(writer, 2);
			execvp(argv, [`PATH=${getenv("PATH") ?? ""}:${PATH}`, "LC_ALL=C"]);
		} catch (error) {
			exit(error instanceof SysError && error.errno === ENOENT ? NOT_FOUND : 126);
		}
	}
	close(writer);
	const output = decode(readAll(reader));
	close(reader);
	const ended = wait(pid);
	const status = ended ? exitStatus(ended) : 126;
	return status === NOT_FOUND ? undefined : { status, output };
}

/** The same for a program that must be there and succeed. */
export function needProgram(argv: string[], debianPackage: string) {
	const result = runProgram(argv);
	if (!result) fail(`${argv[0]}: not found`, `Debian's package ${debianPackage} has it`);
	if (result.status !== 0) fail(`${argv.map(show).join(" ")}: status ${result.status}: ${lastLine(result.output)}`);
}

export function lastLine(output: string): string {
	return output.trim().split("\n").pop() ?? "";
}
