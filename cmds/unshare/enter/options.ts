/** The option table of nsenter(1): names, letters and defaults are those of util-linux 2.43. */
import { options, type Values } from "../../common/command-line/options.ts";

const namespaces = "Namespaces, of the target or by a FILE or an id (:NSID)";
const inside = "In there";
const sandbox = "In a whole sandbox";

export const enterOptions = options([
	{ long: "target", short: "t", value: "PID[:INODE]|ID", help: "the process or sandbox whose namespaces to enter" },
	{ long: "all", short: "a", help: "enter all its namespaces" },

	{ long: "mount", short: "m", value: "FILE", optional: "both", group: namespaces, help: "mounts" },
	{ long: "uts", short: "u", value: "FILE", optional: "both", group: namespaces, help: "host and domain name" },
	{ long: "ipc", short: "i", value: "FILE", optional: "both", group: namespaces, help: "System V IPC, POSIX message queues" },
	{ long: "net", short: "n", value: "FILE", optional: "both", group: namespaces, help: "network" },
	{ long: "pid", short: "p", value: "FILE", optional: "both", group: namespaces, help: "process ids" },
	{ long: "user", short: "U", value: "FILE", optional: "both", group: namespaces, help: "user and group ids, capabilities" },
	{ long: "cgroup", short: "C", value: "FILE", optional: "both", group: namespaces, help: "root of the cgroup tree" },
	{ long: "time", short: "T", value: "FILE", optional: "both", group: namespaces, help: "monotonic and boot-time clocks" },
	{ long: "net-socket", short: "N", value: "FD", group: namespaces, help: "the network of this socket of the target's", rare: true },
	{ long: "user-parent", group: namespaces, help: "the parent of the target's user namespace", rare: true },

	{ long: "root", short: "r", value: "DIR", optional: "both", group: inside, help: "change the root folder: the target's, or DIR" },
	{ long: "wd", short: "w", value: "DIR", optional: "both", group: inside, help: "change the working folder: the target's, or DIR" },
	{ long: "wdns", short: "W", value: "DIR", group: inside, help: "change it to DIR as seen from in there", rare: true },
	{ long: "setuid", short: "S", value: "UID|follow", group: inside, help: "set the user id; follow: the target's" },
	{ long: "setgid", short: "G", value: "GID|follow", group: inside, help: "set the group id, and drop all other groups" },
	{ long: "preserve-credentials", group: inside, help: "keep the ids when a user namespace is entered", rare: true },
	{ long: "keep-caps", group: inside, help: "let the program keep the capabilities in the user namespace", rare: true },
	{ long: "env", short: "e", group: inside, help: "take the target's environment" },
	{ long: "join-cgroup", short: "c", group: inside, help: "join the target's cgroup, in each hierarchy", rare: true },
	{
		long: "new-session",
		group: inside,
		help: "run it in a session of its own: no input into your terminal",
		rare: true,
	},
	{ long: "tty", group: sandbox, help: "a terminal of the sandbox's own devpts" },
	{ long: "set-env", value: "NAME[=VALUE]", repeat: true, group: sandbox, help: "set a variable, or pass it on" },
	{ long: "privileged", group: sandbox, help: "with all capabilities, without the seccomp policy" },
	{ long: "detach", group: sandbox, help: "do not wait for it; its streams are /dev/null" },
	{ long: "no-fork", short: "F", group: inside, help: "do not fork, even if a PID namespace is entered", rare: true },
	{ long: "follow-context", short: "Z", group: inside, help: "take the target's SELinux context", rare: true },
	{
		long: "preserve-fds",
		value: "N",
		group: inside,
		help: "in a container: let the program have descriptors 3 to N+2, too; else those beyond 2 are closed. Without one all are passed on",
		rare: true,
	},
]);

export type EnterOptions = Values<typeof enterOptions>;
