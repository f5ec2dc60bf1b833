/**
 * What is loaded on demand, and how much every run may load.
 *
 * A part is a module that exports functions only. Its code is read, and costs time and memory, when one of its functions is called
 * for the first time; who imports it need not know. `budget` is the most bytes of bytecode that a tool's part 0 (what every run
 * loads) may have: today's figure and a little. Folders make no difference.
 *
 * A tool's parts are given by their place in cmds/NAME; those elsewhere by their whole path, which starts with `cmds/` or `native/`.
 * The build fails where a part is loaded by every run all the same, or exports something else, or is not there, and over budget.
 */

/** What a tool that is not listed may have. */
export const defaultBudget = 60_000;

/** The parts that each tool has, as far as it imports them: the help, the values of options, records, and what an error or --trace prints. */
export const common = [
	"cmds/common/command-line/help",
	"cmds/common/command-line/hints",
	"cmds/common/record",
	"cmds/common/sandbox-state",
	"cmds/common/command-line/values",
	"native/linux/strerror",
	"native/linux/trace",
];

export const tools = {
	initd: {
		budget: 30_000,
		parts: ["ending", "hooks", "jobcontrol", "license", "manual", "rest", "zombies"],
	},
	portproxy: {
		budget: 60_000,
		parts: ["docker-proxy", "holder", "verbs/doctor", "verbs/leave", "verbs/ls", "verbs/publish", "verbs/run"],
	},
	cgctl: {
		budget: 42_000,
		parts: [
			"group/explain",
			"group/make",
			"group/recover",
			"limits/apply",
			"limits/read",
			"open",
			"top/top",
			"verbs",
			"verbs/convert",
			"verbs/create",
			"verbs/delegate",
			"verbs/devices",
			"verbs/freeze",
			"verbs/get",
			"verbs/info",
			"verbs/join",
			"verbs/kill",
			"verbs/leave",
			"verbs/ls",
			"verbs/oom",
			"verbs/ps",
			"verbs/rm",
			"verbs/run",
			"verbs/run-wait",
			"verbs/set",
			"verbs/snapshot",
			"verbs/stat",
			"watch/watch",
		],
	},
	dmthin: {
		budget: 36_000,
		parts: [
			"pool/activate",
			"pool/backing",
			"pool/check",
			"pool/content",
			"pool/create",
			"pool/extend",
			"pool/info",
			"pool/mappings",
			"pool/monitor",
			"pool/program",
			"pool/verbs",
			"store/transaction",
			"table/change",
			"table/info",
			"table/show",
			"table/tree",
			"table/verbs",
			"udev/complete",
			"verbs",
			"volume/filesystem",
			"volume/holders",
			"volume/manage",
			"volume/tree",
		],
	},
	unshare: {
		budget: 44_000,
		parts: [
			"enter/enter",
			"family",
			"held/gc",
			"idmap",
			"held/inspect",
			"keep-capabilities",
			"held/kill",
			"held/leaving",
			"container/streams",
			"held/list",
			"ls/ls",
			"persist",
			"container/child",
			"container/run",
			"held/start",
			"seccomp/check",
			"seccomp/compile",
			"seccomp/explain",
			"seccomp/policy-file",
			"seccomp/source",
			"native/linux/seccomp/default-words",
			"unshare",
			"verbs",
			"held/wait",
		],
	},
	unionmount: {
		budget: 31_000,
		parts: [
			"image/import-verb",
			"image/look",
			"image/pull",
			"image/save",
			"image/verbs",
			"layer/check",
			"layer/create",
			"layer/diff",
			"layer/export-verbs",
			"layer/import-verb",
			"layer/ls",
			"layer/mount",
			"layer/rm",
			"layer/verbs",
			"mount/aufs",
			"mount/calling-form",
			"mount/detached",
			"mount/features",
			"mount/info",
			"mount/ls",
			"mount/more-verbs",
			"mount/mount",
			"mount/overlay-errors",
			"mount/umount",
		],
	},
};
