/** The verbs that look, and the rarer ones; see main.ts. */
import { options } from "../common/command-line/options.ts";
import { type Command, command } from "../common/command-line/tool.ts";
import { duration, integer } from "../common/units.ts";
import { limitOptions } from "./limits/table.ts";
import { changeOptions, jsonOption, makeOptions, pathOptions, recursiveOption } from "./options.ts";
import { sortKey, top } from "./top/top.ts";
import { convert } from "./verbs/convert.ts";
import { delegate } from "./verbs/delegate.ts";
import { devices } from "./verbs/devices.ts";
import { freeze, thaw } from "./verbs/freeze.ts";
import { get } from "./verbs/get.ts";
import { info } from "./verbs/info.ts";
import { gc, leave } from "./verbs/leave.ts";
import { ls, tree } from "./verbs/ls.ts";
import { oom } from "./verbs/oom.ts";
import { ps } from "./verbs/ps.ts";
import { snapshot } from "./verbs/snapshot.ts";
import { stat } from "./verbs/stat.ts";
import { watch } from "./watch/watch.ts";

export function verbs(): Command[] {
	return [
		command({
			name: "get",
			summary: "print limits, or kernel files by their names",
			operands: "PATH [KEY...]",
			options: options([
				{ long: "effective", short: "e", help: "what holds, with the cgroup above that sets it" },
				{ long: "as", value: "WORDS", help: "in the words of v2 (or options): what a v1 cgroup's limits are there" },
				{ long: "weight-formula", value: "NAME", help: "for --as: kernel, log or linear", rare: true },
				{ long: "all", short: "a", help: "all the kernel's files that can be read" },
				{ long: "values", short: "v", help: "values only" },
				...jsonOption,
				...pathOptions,
			]),
			run(line) {
				get(line);
			},
		}),
		command({
			name: "stat",
			summary: "show what a cgroup has used",
			operands: "PATH...",
			options: options([{ long: "watch", short: "w", value: "SECONDS", help: "again and again" }, ...jsonOption, ...pathOptions]),
			run(line) {
				stat(line);
			},
		}),
		command({
			name: "ls",
			alias: "list",
			summary: "list cgroups, with usage against limit",
			operands: "[PATH]",
			options: options([...jsonOption, { long: "noheadings", short: "n", help: "no header" }, ...pathOptions]),
			run(line) {
				ls(line);
			},
		}),
		command({
			name: "tree",
			summary: "the same as a tree",
			operands: "[PATH]",
			options: options([...pathOptions]),
			run(line) {
				tree(line);
			},
		}),
		command({
			name: "ps",
			summary: "list a cgroup's processes",
			operands: "PATH",
			options: options([...recursiveOption, { long: "quiet", short: "q", help: "PIDs only" }, ...jsonOption, ...pathOptions]),
			run(line) {
				ps(line);
			},
		}),
		command({
			name: "top",
			summary: "show live what cgroups use, with a bar for each limit",
			operands: "[PATH]",
			options: options([
				{ long: "sort", short: "s", value: "KEY", parse: sortKey, help: "cpu (the default), memory, io or pids" },
				{ long: "interval", short: "d", value: "TIME", parse: duration, help: "between two looks: 1s" },
				{ long: "count", short: "n", value: "N", parse: integer(1, 1e9), help: "end after N looks" },
				{ long: "once", short: "1", help: "one table, then end" },
				{ long: "batch", short: "b", help: "one table after the other, as when the output is no terminal" },
				{ long: "json", help: "print JSON, one line a look" },
				...pathOptions,
			]),
			details: [
				"CPU is the time used: 100% is one cpu. MEMORY is what the cgroup and those below it use, without page cache that has not been used for a while (as `docker stats`), READ and WRITE what they read from and write to disks, PIDS their processes and threads. A bar shows the use against the limit.",
				"Keys: c, m, i and p sort by a column, space looks at once, q quits. NO_COLOR is honoured.",
			],
			run(line) {
				top(line);
			},
		}),
		command({
			name: "watch",
			summary: "print a line for each event as it happens",
			operands: "PATH...",
			options: options([
				{
					long: "event",
					short: "e",
					value: "NAME",
					repeat: true,
					help: "only these: populated, frozen, oom, oom_kill, max, high, pids_max, pressure, removed",
				},
				{ long: "pressure", short: "p", value: "TRIGGER", repeat: true, help: "v2: tell of stalls: 'memory some 100ms/1s'" },
				{ long: "count", short: "c", value: "N", parse: integer(1, 1e9), help: "end after N events" },
				{ long: "timeout", short: "t", value: "TIME", parse: duration, help: "end after this time; with --count: status 124" },
				{ long: "quiet", short: "q", help: "do not say what is watched" },
				...jsonOption,
				...pathOptions,
			]),
			details: [
				"On v2 the kernel tells of each event. On v1 it tells of oom and pressure; populated, frozen, max and pids_max are looked at every half second. A line is: time (UTC), cgroup, event, what is known of it; +1 (3) is one more, three in all.",
				"Ends when the cgroups are removed.",
			],
			examples: [
				["tscgctl watch web --event oom_kill --count 1 --timeout 1h", "waits for the kernel to kill something in it"],
				["tscgctl watch web --pressure 'memory some 150ms/2s' --json", "tells when its tasks wait for memory"],
			],
			run(line) {
				watch(line);
			},
		}),
		command({
			name: "freeze",
			summary: "stop all processes of a cgroup and those below",
			operands: "PATH...",
			dryRun: true,
			options: options([...changeOptions]),
			run(line) {
				freeze(line);
			},
		}),
		command({
			name: "thaw",
			summary: "let them go on",
			operands: "PATH...",
			dryRun: true,
			options: options([...changeOptions]),
			run(line) {
				thaw(line);
			},
		}),
		command({
			name: "devices",
			summary: "show and edit the devices that a cgroup may use",
			operands: "list|allow|deny|set|clear PATH [RULE...]",
			dryRun: true,
			options: options([...jsonOption, ...changeOptions]),
			details: [
				"Each access (r read, w write, m mknod) is decided by the last rule that names the device. `allow` and `deny` add rules to those that there are; `set` replaces them all, and then the first rule says what holds for the rest: 'c 1:3 rw' denies it, '-c 1:3 w' allows it. `clear` removes them.",
				"A RULE is 'c MAJOR:MINOR rwm' for a character device, b for a block device, * for any number; a device's path, as in '/dev/null:rw'; 'a' for all devices; or 'standard', the ones that Docker gives to every container. 'deny' or '-' in front denies.",
				"On v2 the rules are an eBPF program, attached to the cgroup and read back from it; other programs that are attached stay, and must allow an access too. v1 does not show what is denied while all else is allowed, and knows no exception from an exception.",
			],
			examples: [
				["tscgctl devices set web standard 'c 10:229 rw'", "Docker's devices and /dev/fuse, nothing else"],
				["tscgctl devices allow web /dev/kvm:rw", "one more"],
				["tscgctl devices list web | xargs -d '\\n' tscgctl devices set db", "the same for another cgroup"],
			],
			run(line) {
				devices(line);
			},
		}),
		command({
			name: "delegate",
			summary: "let a user make and limit cgroups below this one",
			operands: "PATH",
			dryRun: true,
			options: options([
				{ long: "user", short: "u", value: "USER[:GROUP]", help: "the user" },
				...makeOptions,
				...limitOptions,
				...changeOptions,
			]),
			run(line) {
				delegate(line);
			},
		}),
		command({
			name: "convert",
			summary: "print a v1 configuration in the words of v2",
			operands: "[FILE]",
			options: options([
				{ long: "as", value: "WORDS", help: "v2: kernel files (the default), options: those of this tool" },
				{ long: "weight-formula", value: "NAME", help: "kernel (1024:100), log (runc since 1.3.2) or linear (runc before)" },
			]),
			details: [
				"Reads cgconfig.conf(5), or lines of KEY=VALUE or KEY: VALUE as cgget(1) prints them. What v2 cannot express is named on standard error, and the exit status is 1.",
			],
			run(line) {
				convert(line);
			},
		}),
		command({
			name: "snapshot",
			summary: "print the commands that make the cgroups again",
			operands: "[PATH]",
			options: options([...pathOptions]),
			examples: [["tscgctl snapshot >cgroups.sh && sh cgroups.sh", "saves and restores"]],
			run(line) {
				snapshot(line);
			},
		}),
		command({
			name: "leave",
			summary: "end and remove the cgroups that join made for sandboxes",
			operands: "ID...",
			dryRun: true,
			options: options([]),
			details: [
				"To be called when a sandbox is over, by its supervisor and by gc. Nothing to do is no error. A cgroup that was there before the sandbox joined it, or that another sandbox is in, stays.",
			],
			run(line) {
				leave(line);
			},
		}),
		command({
			name: "gc",
			summary: "remove the cgroups of sandboxes that are gone",
			operands: "",
			dryRun: true,
			options: options([
				{ long: "age", value: "TIME", parse: duration, help: "those of pipes that did not come to an end, after this time: 60s" },
				{ long: "quiet", short: "q", help: "do not print what is removed" },
			]),
			run(line) {
				gc(line);
			},
		}),
		command({
			name: "oom",
			summary: "whether the OOM killer has struck: exit status 0 yes, 1 no, 2 not known",
			operands: "PATH|ID...",
			failureStatus: 2,
			options: options([{ long: "quiet", short: "q", help: "print nothing" }, ...jsonOption, ...pathOptions]),
			details: [
				"Counts the processes of the cgroup and of those below it that the kernel ended for want of memory, whosever limit it was. Of a sandbox that has ended, its state tells.",
			],
			run(line) {
				oom(line);
			},
		}),
		command({
			name: "info",
			summary: "show what is mounted: v1, v2 or both, and which controller where",
			operands: "",
			options: options([...jsonOption, ...pathOptions]),
			run(line) {
				info(line);
			},
		}),
	];
}
