/** The options with which tsunshare makes a container. Their texts are read in plan.ts, when a container is made. */
import { options } from "../../common/command-line/options.ts";

const group = "Container";

export const sandboxOptions = options([
	{ long: "rootfs", value: "DIR", group, help: "make DIR the root, with pivot_root(2)" },
	{ long: "read-only", group, help: "the root cannot be written to, mounts in it can" },
	{
		long: "bind",
		value: "SRC:DST[:OPT,...]",
		repeat: true,
		group,
		help: "bind SRC on DST: ro nosuid noexec rec try ...",
	},
	{ long: "tmpfs", value: "DST[:OPT,...]", repeat: true, group, help: "a tmpfs on DST: size=64m mode=1777 exec ro ...", rare: true },
	{ long: "proc", value: "DST", optional: "long", repeat: true, group, help: "a new proc on /proc" },
	{ long: "sysfs", value: "DST", optional: "long", repeat: true, group, help: "a new sysfs on /sys, read-only", rare: true },
	{ long: "dev", value: "DST", optional: "long", repeat: true, group, help: "a minimal /dev" },
	{ long: "mask", value: "PATH", repeat: true, group, help: "hide a file or folder; one that is not there is skipped", rare: true },
	{ long: "readonly-path", value: "PATH", repeat: true, group, help: "make a path read-only, if it is there", rare: true },
	{ long: "mask-defaults", group, help: "mask and protect in /proc and /sys what Docker does", rare: true },
	{ long: "hostname", value: "NAME", group, help: "the host name, in a new UTS namespace", rare: true },
	{ long: "domainname", value: "NAME", group, help: "the NIS domain name, in a new UTS namespace", rare: true },
	{ long: "cap-drop", value: "CAP,...|ALL", repeat: true, group, help: "take capabilities away from the program" },
	{
		long: "cap-add",
		value: "CAP,...|ALL|DEFAULT",
		repeat: true,
		group,
		help: "give some back, after all --cap-drop (DEFAULT: those that Docker gives); a user that is not root gets them as ambient",
		rare: true,
	},
	{ long: "no-new-privs", group, help: "no set-user-ID or file capabilities from here on", rare: true },
	{
		long: "seccomp",
		value: "default|FILE|FD",
		group,
		help: "a seccomp policy: Docker's default, one in JSON (OCI's or Docker's form), or a program (array of struct sock_filter), which implies --no-new-privs",
		rare: true,
	},
	{ long: "rlimit", value: "NAME=SOFT[:HARD]", repeat: true, group, help: "a resource limit, e.g. nofile=1024:4096", rare: true },
	{
		long: "env",
		value: "NAME[=VALUE]",
		repeat: true,
		group,
		help: "set a variable; without VALUE pass it on in spite of --clear-env",
		rare: true,
	},
	{ long: "cwd", value: "DIR", group, help: "the program's working folder, inside", rare: true },
	{ long: "argv0", value: "NAME", group, help: "what the program is told that it is called", rare: true },
	{ long: "tty", short: "t", group, help: "a terminal of the container's own devpts" },
	{
		long: "new-session",
		group,
		help: "accepted: a container's program always has a session of its own, and never your terminal (TIOCSTI)",
		rare: true,
	},
	{ long: "die-with-parent", group, help: "end when the process that started tsunshare ends", rare: true },
	{ long: "stdin", value: "FD|FILE", group, help: "the program's standard input", rare: true },
	{ long: "stdout", value: "FD|FILE", group, help: "the program's standard output; a file is appended to", rare: true },
	{ long: "stderr", value: "FD|FILE", group, help: "the program's standard error; a file is appended to", rare: true },
	{ long: "join", value: "KIND=FILE|PID", repeat: true, group, help: "join an existing namespace: net=/run/netns/blue", rare: true },
	{ long: "share-net", group, help: "make no network namespace, though --net asks for one", rare: true },
	{
		long: "setup",
		value: "COMMAND",
		repeat: true,
		group,
		help: "run by the host's sh in the new namespaces, as root, when all is mounted and before the root changes to $TSBOX_ROOTFS",
		rare: true,
	},
	{ long: "pidfile", value: "FILE", group, help: "write the program's PID to FILE", rare: true },
	{
		long: "no-devices",
		group,
		help: "no device but those of --dev and --bind: without CAP_MKNOD, and the root is nodev; for a container without a devices cgroup",
		rare: true,
	},
	{ long: "record", value: "FD", group, help: "make the sandbox of the plan on descriptor FD" },
	{ long: "hold", group, help: "set all up, hold the program, print a record" },
	{ long: "hold-timeout", value: "TIME", group, help: "end a held sandbox that nobody starts in time (60s); 0: never", rare: true },
	{ long: "id", value: "NAME", group, help: "the sandbox's name; else one is made up, if held" },
	{ long: "rm", group, help: "forget the sandbox when it has ended; so it is with a made-up name", rare: true },
]);

/** True if the command line asks for a container, not only for unshare(1). */
export function isSandbox(ordered: { long: string }[]): boolean {
	return ordered.some(({ long }) => sandboxOptions.some((option) => option.long === long));
}
