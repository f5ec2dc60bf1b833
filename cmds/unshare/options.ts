/** The option table of unshare(1): names, letters and defaults are those of util-linux 2.43. */
import { options, type Values } from "../common/command-line/options.ts";

/* The help of all of tsunshare is to fit a screen: one line names the namespaces, and what goes with them stands there, too. */
const namespaces = "Namespaces: -m mount -u uts -i ipc -n net -p pid -U user -C cgroup -T time";
const users = "Users and groups; each option implies --user";
const inside = "Set-up inside, before the program";
const control = "Process";

export const unshareOptions = options([
	{
		long: "mount",
		short: "m",
		value: "FILE",
		optional: "long",
		group: namespaces,
		help: "new mounts; a FILE keeps them, as it does the others",
	},
	{ long: "uts", short: "u", value: "FILE", optional: "long", group: namespaces, help: "host and domain name", rare: true },
	{ long: "ipc", short: "i", value: "FILE", optional: "long", group: namespaces, help: "System V IPC, POSIX message queues", rare: true },
	{ long: "net", short: "n", value: "FILE", optional: "long", group: namespaces, help: "network", rare: true },
	{ long: "pid", short: "p", value: "FILE", optional: "long", group: namespaces, help: "process ids; wants --fork", rare: true },
	{
		long: "user",
		short: "U",
		value: "FILE",
		optional: "long",
		valueAfter: "rootfs",
		group: namespaces,
		help: "user and group ids, capabilities",
		rare: true,
	},
	{ long: "cgroup", short: "C", value: "FILE", optional: "long", group: namespaces, help: "root of the cgroup tree", rare: true },
	{ long: "time", short: "T", value: "FILE", optional: "long", group: namespaces, help: "monotonic and boot-time clocks", rare: true },

	{ long: "map-root-user", short: "r", group: namespaces, help: "be root in a new user namespace; needs no privileges" },
	{ long: "map-current-user", short: "c", group: users, help: "map them to themselves", rare: true },
	{ long: "map-user", value: "USER", group: users, help: "map the present user to USER (a name or number)", rare: true },
	{ long: "map-group", value: "GROUP", group: users, help: "map the present group to GROUP", rare: true },
	{ long: "map-auto", group: users, help: "map the present user's ranges of /etc/subuid and subgid from 0 on", rare: true },
	{
		long: "map-users",
		value: "INNER:OUTER:COUNT|auto|subids|all",
		repeat: true,
		group: users,
		help: "map a range, those of /etc/subuid, or all",
		rare: true,
	},
	{ long: "map-groups", value: "INNER:OUTER:COUNT|auto|subids|all", repeat: true, group: users, help: "the same for groups", rare: true },
	{ long: "map-subids", group: users, help: "map the ranges of /etc/subuid and subgid to themselves", rare: true },
	{ long: "owner", value: "UID:GID", group: users, help: "make the user namespace as this user, who then owns it", rare: true },
	{ long: "setgroups", value: "allow|deny", group: users, help: "allow or deny setgroups(2) in the user namespace", rare: true },
	{ long: "keep-caps", group: users, help: "let the program keep the capabilities in its user namespace", rare: true },

	{ long: "mount-proc", value: "DIR", optional: "long", group: namespaces, help: "mount proc on /proc, in new mounts" },
	{
		long: "mount-binfmt",
		value: "DIR",
		optional: "long",
		group: inside,
		help: "mount binfmt_misc of the new user namespace; implies --user --mount",
		rare: true,
	},
	{
		long: "load-interp",
		short: "l",
		value: "DEFINITION",
		group: inside,
		help: "register a binary format (:name:type:offset:magic:mask:interpreter:flags); implies --mount-binfmt",
		rare: true,
	},
	{
		long: "propagation",
		value: "private|slave|shared|unchanged",
		group: inside,
		help: "how mounts spread between this and the new mount namespace (private)",
		rare: true,
	},
	{ long: "root", short: "R", value: "DIR", group: inside, help: "change the root folder, with chroot(2)", rare: true },
	{ long: "wd", short: "w", value: "DIR", group: inside, help: "change the working folder", rare: true },
	{ long: "setuid", short: "S", value: "UID", group: inside, help: "set the user id", rare: true },
	{ long: "setgid", short: "G", value: "GID", group: inside, help: "set the group id, and drop all other groups", rare: true },
	{ long: "monotonic", value: "SECONDS", group: inside, help: "offset of CLOCK_MONOTONIC in the time namespace", rare: true },
	{ long: "boottime", value: "SECONDS", group: inside, help: "offset of CLOCK_BOOTTIME in the time namespace", rare: true },
	{ long: "clear-env", group: inside, help: "start the program with an empty environment", rare: true },
	{ long: "whitelist-env", value: "NAME,...", group: inside, help: "start it with these variables only", rare: true },

	{ long: "fork", short: "f", group: namespaces, help: "run the program as a child, as PID 1 with --pid" },
	{
		long: "kill-child",
		value: "SIGNAL",
		optional: "long",
		group: control,
		help: "signal the child (KILL) when tsunshare dies; implies --fork",
		rare: true,
	},
	{
		long: "forward-signals",
		group: control,
		help: "pass SIGTERM and SIGINT on to the child; implies --fork",
		rare: true,
	},
	{
		long: "preserve-fds",
		value: "N",
		group: control,
		help: "in a container: let the program have descriptors 3 to N+2, too; else those beyond 2 are closed. Without one all are passed on",
		rare: true,
	},
]);

export type UnshareOptions = Values<typeof unshareOptions>;
