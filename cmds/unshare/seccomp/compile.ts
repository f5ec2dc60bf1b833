/** `tsunshare seccomp compile`: a policy's program. */
import { close, O_CREAT, O_TRUNC, O_WRONLY, open, write } from "../../../native/linux/fd.ts";
import { programBytes, programWords } from "../../../native/linux/seccomp/program.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { listing } from "./listing.ts";
import { readSubject, type SubjectOptions } from "./subject.ts";

export function compileVerb(operands: string[], options: SubjectOptions & { output?: string }) {
	if (operands.length > 1) throw new UsageError(`compile: one FILE at a time, not ${operands.length}`);
	if (options.output === "") throw new UsageError("--output: the name is empty");
	const { program, warnings } = readSubject(operands[0], options);
	for (const warning of warnings) warn(warning);
	if (options.output === undefined) return print(listing(program));
	const fd = open(options.output, O_WRONLY | O_CREAT | O_TRUNC, 0o644);
	write(fd, programBytes(programWords(program)));
	close(fd);
}
