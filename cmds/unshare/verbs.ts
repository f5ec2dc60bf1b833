/** The verbs. Made when the first argument may name one, or for the help: most often tsunshare stands in for unshare(1). */
import { options } from "../common/command-line/options.ts";
import { type Command, command } from "../common/command-line/tool.ts";
import { abandonRecords } from "../common/record.ts";
import { enter } from "./enter/enter.ts";
import { enterOptions } from "./enter/options.ts";
import { gc, rm } from "./held/gc.ts";
import { inspect } from "./held/inspect.ts";
import { kill } from "./held/kill.ts";
import { list } from "./held/list.ts";
import { start } from "./held/start.ts";
import { stop } from "./held/stop.ts";
import { wait } from "./held/wait.ts";
import { ls } from "./ls/ls.ts";
import { lsOptions } from "./ls/options.ts";
import { seccompVerbs } from "./seccomp/verbs.ts";

export function verbs(): Command[] {
	return [
		command({
			name: "enter",
			summary: "run a program in existing namespaces (nsenter), or in a sandbox",
			operands: "[ID|PID] [PROGRAM [ARGUMENT...]]",
			runsCommand: true,
			dryRun: true,
			usageStatus: 1,
			options: enterOptions,
			examples: [
				["tsunshare enter web -- ps", "ps in the sandbox web: all its namespaces, its root, its limits"],
				["tsunshare enter -t 4242 -n ip address", "ip in the network namespace of process 4242"],
				["tsunshare enter -a -t 4242", "a shell in all namespaces of process 4242"],
			],
			details: [
				"Without --target and without a namespace's FILE, the first operand is the target: a sandbox's id or a PID. Without any namespace option the program then gets what the target has: all its namespaces, root and working folder, environment, user and groups, cgroups, resource limits, no more capabilities than it could have, and no_new_privs.",
				"The program that is run may be hostile: tsunshare cannot be looked into or overwritten through /proc while it enters (CVE-2016-9962, CVE-2019-5736), and no folder outside of the new root is left as working folder (CVE-2024-21626).",
				"A program in there shares your terminal, into which it could put input, as if you had typed a command (TIOCSTI). With --new-session it runs in a session of its own, from which it cannot; it then has no job control, and signals that tsunshare gets are passed on to it. It is for targets that are not trusted.",
			],
			run(line) {
				enter(line);
			},
		}),
		command({
			name: "ls",
			summary: "list the namespaces (lsns), and what keeps them alive",
			operands: "[NAMESPACE]",
			usageStatus: 1,
			options: lsOptions,
			examples: [
				["tsunshare ls -t net", "network namespaces, with their ids and mounts"],
				["tsunshare ls -P -o +KEPT,PATH", "those without a process, what keeps each, and a path to enter it by"],
				["tsunshare ls 4026531840", "the processes of one namespace"],
			],
			details: [
				"A namespace without a process is alive as long as something else refers to it, which COMMAND then shows in brackets, and KEPT for each: `mount PATH` (of another mount namespace by way of /proc/PID/root, or as `PATH in mnt:[INODE]` where that has no process), `fd PID:N` an open file, `socket PID:N`, `children of PID` a process whose children will be in it, `child` and `owned` namespaces that have it as parent or owner, or `unseen`: a mount namespace that nothing in /proc leads to, as that of a single thread.",
				"Only what the user may look at is shown: without privileges, the namespaces of one's own processes.",
				"Filters are written as scols-filter(5) has them: column names, numbers, strings in quotes, == != < <= > >= =~ !~ && || ! and parentheses.",
				"JSON is a flat list, but for --tree, and has KEPT as a list of strings.",
			],
			run({ options, operands }) {
				ls(options, operands);
			},
		}),
		command({
			name: "start",
			summary: "let held programs run",
			operands: "[ID|PID...]",
			abandon: abandonRecords,
			options: options([
				{ long: "wait", short: "w", help: "wait for their end, pass on signals and the terminal, exit with the last one's status" },
			]),
			examples: [
				["tsunshare --hold --id web --rootfs r httpd -f | tsunshare start", "a container in the background"],
				["tsunshare --hold --tty --dev --rootfs r sh | tsunshare start --wait", "a shell in one, until it ends"],
			],
			details: [
				"Without operands it reads sandbox records from standard input. Without --wait it passes them on, with all members that came along, which are kept as the sandbox's record.",
			],
			run({ options, operands }) {
				start(operands, options);
			},
		}),
		command({
			name: "wait",
			summary: "wait for sandboxes to end, and exit with the last one's status",
			operands: "[ID|PID...]",
			failureStatus: 125,
			options: options([]),
			run({ operands }) {
				wait(operands);
			},
		}),
		command({
			name: "kill",
			summary: "signal sandboxes or processes; what is held, ends",
			operands: "[ID|PID...]",
			options: options([{ long: "signal", short: "s", value: "SIGNAL", help: "the signal (TERM)" }]),
			run({ options, operands }) {
				kill(operands, options);
			},
		}),
		command({
			name: "stop",
			summary: "end sandboxes: the signal, a time of grace, then SIGKILL",
			operands: "ID...",
			options: options([
				{ long: "time", short: "t", value: "TIME", help: "the time of grace (10s)" },
				{ long: "signal", short: "s", value: "SIGNAL", help: "the signal (TERM); what a PID 1 would not get becomes KILL" },
			]),
			run({ options, operands }) {
				stop(operands, options);
			},
		}),
		command({
			name: "inspect",
			summary: "show a sandbox's record and state as JSON",
			operands: "[ID|PID...]",
			options: options([]),
			run({ operands }) {
				inspect(operands);
			},
		}),
		command({
			name: "list",
			summary: "list the sandboxes",
			operands: "",
			options: options([
				{ long: "json", short: "J", help: "print JSON" },
				{ long: "quiet", short: "q", help: "print the ids only" },
			]),
			run({ options }) {
				list(options);
			},
		}),
		command({
			name: "rm",
			summary: "forget sandboxes that have ended",
			operands: "ID...",
			options: options([{ long: "force", short: "f", help: "end those that have not" }]),
			run({ options, operands }) {
				rm(operands, options);
			},
		}),
		command({
			name: "gc",
			summary: "clear what ended and killed sandboxes have left, and print their ids",
			operands: "",
			options: options([{ long: "held", help: "end those that are held, too" }]),
			run({ options }) {
				gc(options);
			},
		}),
		...seccompVerbs(),
	];
}
