/** tsunshare: namespaces, made (unshare), entered (enter) and listed (ls); and sandboxes, which are made of them. */
import { options } from "../common/command-line/options.ts";
import { command, main } from "../common/command-line/tool.ts";
import { isSandbox, sandboxOptions } from "./container/options.ts";
import { sandbox } from "./container/run.ts";
import { unshareHint } from "./hints.ts";
import { unshareOptions } from "./options.ts";
import { unshareCommand } from "./unshare.ts";
import { verbs } from "./verbs.ts";

main({
	name: "tsunshare",
	summary: "Run a program in namespaces of its own, as unshare(1) does, or in a sandbox.",
	details: [
		"Without a command, it takes the place of unshare(1): options, defaults and exit statuses are those of util-linux. Without a program it starts $SHELL. A program with the name of a command is started by `tsunshare -- ls`.",
		"A FILE that keeps a namespace is to be there, and can be given to `tsunshare enter` or nsenter(1) later: tsunshare --net=/run/netns/blue true.",
		"Without a container option open descriptors and the terminal are passed on, as by unshare(1). Into a container goes no descriptor but the standard streams and those that --preserve-fds names, and never a terminal of the host's: in its place the program has a pipe, or with --tty a terminal of the container's own.",
		"Where a mapping of one id and a range overlap, the id is taken out of the range, which keeps its order and loses its last id, as in util-linux 2.41. Maps are written by tsunshare itself; newuidmap and newgidmap run only where the kernel asks for them: for an ordinary user who maps ranges.",
		"A mount namespace cannot be kept by a file on a shared mount. The file is then made a private mount of its own first, so that umount has to be called twice to take it away.",
		"With a container option it makes a container: mounts, devices and links are set up in the order written, the root is changed by pivot_root(2), nothing of the host stays open, and with the end of tsunshare all of it ends. Then --user=USER[:GROUP] (after --rootfs also `--user USER`) is whom the program runs as, looked up in the root's /etc/passwd; only with a slash in it, the value is a file that keeps the user namespace. Its own failures are status 125, a wrong command line 2.",
		"Root in a user namespace that keeps CAP_SYS_ADMIN can undo masks and read-only binds: --cap-drop=SYS_ADMIN (or ALL) prevents it.",
		"With --hold the program's standard input is /dev/null, and its output goes to tsunshare's standard error, unless others are named: standard output is for the record.",
	],
	examples: [["tsunshare -r -p -f --mount-proc ps ax", "ps as root and PID 1, with its own /proc; needs no privileges"]],
	statuses: [
		["126, 127", "The program cannot be executed, or is not found. Else the status is the program's, and its signal is passed on."],
	],
	hint: unshareHint,
	verbs,
	commands: [
		command({
			name: "",
			summary: "run a program in new namespaces",
			operands: "[PROGRAM [ARGUMENT...]]",
			runsCommand: true,
			dryRun: true,
			usageStatus: 1,
			options: options([...unshareOptions, ...sandboxOptions]),
			run(line) {
				if (isSandbox(line.ordered)) sandbox(line);
				else unshareCommand(line);
			},
		}),
	],
});
