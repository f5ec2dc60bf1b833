/**
 * tscgctl: cgroups of v1, v2 and both. The verbs that others wait for, in scripts and pipes, are here; those for people are
 * in verbs.ts, made when one of them is called.
 */
import { options } from "../common/command-line/options.ts";
import { command, main } from "../common/command-line/tool.ts";
import { abandonRecords } from "../common/record.ts";
import { limitOptions } from "./limits/table.ts";
import { changeOptions, leafOption, makeOptions, recursiveOption, thawOption } from "./options.ts";
import { create } from "./verbs/create.ts";
import { join } from "./verbs/join.ts";
import { kill } from "./verbs/kill.ts";
import { rm } from "./verbs/rm.ts";
import { run } from "./verbs/run.ts";
import { runAndWait } from "./verbs/run-wait.ts";
import { set } from "./verbs/set.ts";
import { verbs } from "./verbs.ts";

main({
	name: "tscgctl",
	summary: "limits, accounting and control of groups of processes, by cgroup v1, v2 or both",
	details: [
		"The same words work on every layout: the tool finds out which hierarchies are mounted, and translates. A limit that a layout cannot express is an error that names what would.",
		"A PATH is relative to the tool's own root, /tsbox (--root, $TSBOX_CGROUP_ROOT), and cannot leave it. A cgroup that tsbox did not make is only read unless --force is given.",
		"On a hybrid layout a cgroup is made on the v1 hierarchies, and on v2 where a limit needs a controller of it or --controllers says v2.",
	],
	statuses: [
		["125", "run: the tool itself failed."],
		["126, 127", "run: the program cannot be executed, or was not found."],
		["128+N", "run --wait: signal N ended the program; 137 when the kernel ended it for want of memory."],
	],
	examples: [
		["tscgctl run web --memory 256m --cpus 0.5 -- httpd -f", "runs a program in a cgroup with limits"],
		["echo $$ | tscgctl join shell --pids 100", "puts this shell into one"],
		["tscgctl set web --cpus 2", "changes a limit"],
		["tscgctl stat web", "shows what it has used"],
		["tscgctl kill web && tscgctl rm web", "ends its processes and removes it"],
	],
	verbs,
	commands: [
		command({
			name: "create",
			summary: "make cgroups, with limits",
			operands: "PATH...",
			dryRun: true,
			options: options([
				...makeOptions,
				{ long: "admin", short: "a", value: "USER[:GROUP]", help: "owner of the cgroup and its limits", rare: true, alias: ["owner"] },
				{ long: "tasks", short: "t", value: "USER[:GROUP]", help: "owner of its list of processes", rare: true },
				{ long: "dperm", short: "d", value: "MODE", help: "mode of the folder", rare: true },
				{ long: "fperm", short: "f", value: "MODE", help: "mode of its files", rare: true },
				{ long: "tperm", short: "s", value: "MODE", help: "mode of its list of processes", rare: true },
				...limitOptions,
				...changeOptions,
			]),
			run(line) {
				create(line);
			},
		}),
		command({
			name: "set",
			summary: "change limits, or kernel files by their names",
			operands: "PATH [KEY=VALUE...]",
			dryRun: true,
			options: options([
				{ long: "copy-from", value: "PATH", help: "take the limits of another cgroup first" },
				{ long: "resources", value: "FILE", help: "take the limits of an OCI resources object (- is standard input)" },
				{ long: "recursive", short: "R", help: "the cgroups below it as well" },
				...leafOption,
				...limitOptions,
				...changeOptions,
			]),
			run(line) {
				set(line);
			},
		}),
		command({
			name: "join",
			summary: "put processes or sandboxes into a cgroup, made if need be",
			operands: "PATH [PID|ID...]",
			dryRun: true,
			abandon: abandonRecords,
			options: options([...thawOption, ...makeOptions, ...limitOptions, ...changeOptions]),
			details: [
				"Without PIDs or sandboxes' ids, reads them from standard input: PIDs, one a line, or sandbox records, which are passed on with a member `cgroup`.",
			],
			examples: [
				["pgrep httpd | tscgctl join web", "moves the processes that another program lists"],
				["tsunshare --hold ... | tscgctl join web --memory 256m | tsunshare start", "limits a sandbox before it starts"],
			],
			run(line) {
				join(line);
			},
		}),
		command({
			name: "run",
			summary: "enter a cgroup, made if need be, and execute a program",
			operands: "PATH [options] -- PROGRAM [ARGUMENT...]",
			runsCommand: 2,
			failureStatus: 125,
			dryRun: true,
			options: options([
				{ long: "wait", short: "w", help: "stay, pass on signals, say if it ran out of memory" },
				{ long: "stats", value: "FD|FILE", help: "at the end write what it used, as JSON" },
				{ long: "rm", help: "at the end remove the cgroup" },
				...thawOption,
				...makeOptions,
				...limitOptions,
				...changeOptions,
			]),
			run(line) {
				const { wait, stats, rm } = line.options;
				if (wait || stats !== undefined || rm) runAndWait(line);
				else run(line);
			},
		}),
		command({
			name: "kill",
			summary: "signal all processes of a cgroup; with SIGKILL until it is empty",
			operands: "PATH...",
			dryRun: true,
			options: options([
				{ long: "signal", short: "s", value: "SIGNAL", help: "the signal: KILL" },
				{ long: "timeout", value: "TIME", help: "how long to wait for the last process: 10s", rare: true },
				...changeOptions,
			]),
			run(line) {
				kill(line);
			},
		}),
		command({
			name: "rm",
			summary: "remove cgroups",
			operands: "PATH...",
			dryRun: true,
			options: options([...recursiveOption, { long: "kill", short: "k", help: "end their processes first" }, ...changeOptions]),
			run(line) {
				rm(line);
			},
		}),
	],
});
