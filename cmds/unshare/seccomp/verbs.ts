/** The verbs about seccomp policies: they change nothing. */
import { type Command, command } from "../../common/command-line/tool.ts";
import { checkVerb } from "./check.ts";
import { compileVerb } from "./compile.ts";
import { explainVerb } from "./explain.ts";
import { checkOptions, compileOptions, explainOptions } from "./options.ts";

const FORMS =
	"FILE is `default` (Docker's default policy), a policy in JSON (that of an OCI config.json, or with Docker's includes, excludes and archMap), a program (an array of struct sock_filter), or - for standard input.";

export function seccompVerbs(): Command[] {
	return [
		command({
			name: "seccomp compile",
			summary: "compile a seccomp policy, and show or write the program",
			operands: "FILE",
			options: compileOptions,
			rare: true,
			usageStatus: 2,
			examples: [
				["tsunshare seccomp compile policy.json", "the program, an instruction a line"],
				["tsunshare seccomp compile policy.json -o filter", "for --seccomp filter, or for bwrap --seccomp 9 9<filter"],
			],
			details: [
				FORMS,
				"Of a call's rules the first without conditions decides, else the first whose conditions hold. Names that are unknown are ignored with a warning, as by runc and crun. Architectures that are not named are killed.",
			],
			run({ options, operands }) {
				compileVerb(operands, options);
			},
		}),
		command({
			name: "seccomp explain",
			summary: "say what a seccomp policy or program answers to system calls",
			operands: "FILE [CALL...]",
			options: explainOptions,
			rare: true,
			usageStatus: 2,
			examples: [
				["tsunshare seccomp explain default", "all calls, by what is answered"],
				["tsunshare seccomp explain default --capabilities SYS_ADMIN mount clone", "two of them, for a container with CAP_SYS_ADMIN"],
			],
			details: [FORMS],
			run({ options, operands }) {
				explainVerb(operands, options);
			},
		}),
		command({
			name: "seccomp check",
			summary: "check a seccomp policy or program, or ask it about one call",
			operands: "FILE [CALL [ARGUMENT...]]",
			runsCommand: 2,
			options: checkOptions,
			rare: true,
			usageStatus: 2,
			examples: [
				["tsunshare seccomp check policy.json", "is it good, and how long is its program?"],
				["tsunshare seccomp check default socket 38 1 0", "may a container open a socket of AF_ALG? Status 1: no"],
			],
			details: [
				FORMS,
				"With a CALL, by name or number, the program is run as the kernel would run it; the status is 1 if the call is not allowed.",
			],
			run({ options, operands }) {
				checkVerb(operands, options);
			},
		}),
	];
}
