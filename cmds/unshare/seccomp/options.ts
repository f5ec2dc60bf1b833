/** The options of the seccomp verbs. */
import { options } from "../../common/command-line/options.ts";

const surroundings = [
	{
		long: "capabilities",
		short: "c",
		value: "CAP,...|DEFAULT|ALL|NONE",
		help: "the container's capabilities, on which Docker's policies depend (DEFAULT: those that Docker gives)",
	},
	{ long: "kernel", value: "VERSION", help: "the kernel's version, on which they depend too (this one's)", rare: true },
] as const;

const architecture = { long: "arch", short: "a", value: "ARCH", help: "x86_64, i386, x32, aarch64 or arm (this machine's)" } as const;

export const compileOptions = options([
	...surroundings,
	{ long: "output", short: "o", value: "FILE", help: "write the program to FILE, as --seccomp and bubblewrap take it" },
]);
export const explainOptions = options([...surroundings, architecture, { long: "json", short: "J", help: "print JSON" }]);
export const checkOptions = options([
	...surroundings,
	architecture,
	{ long: "steps", help: "print each instruction that the call goes through" },
]);
