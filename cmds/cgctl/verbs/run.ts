import { ENOENT, ENOTDIR } from "../../../native/linux/errno.ts";
import { environ, execvp } from "../../../native/linux/process.ts";
import { strerror } from "../../../native/linux/strerror.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { checkThawed, enterFirst, enterLast, leave } from "../group/attach.ts";
import { whileKept } from "../group/lock.ts";
import { checkOurs, type Group, shownName } from "../group/path.ts";
import type { Limits } from "../limits/table.ts";
import { hasLimits, type OpenOptions, readGroup } from "../line.ts";
import { whileOpen } from "../open.ts";

export interface RunOptions extends OpenOptions {
	wait?: true;
	stats?: string;
	rm?: true;
	thaw?: true;
}

/** Enters a cgroup and executes a program in the place of this one. */
export function run(line: { options: RunOptions; operands: string[] }) {
	const { group, limits, argv } = readRun(line);
	enterGroup(group, line.options, limits);
	execute(argv);
}

/** The cgroup, the limits and the program of a command line. */
export function readRun({ options, operands }: { options: RunOptions; operands: string[] }): {
	group: Group;
	limits: Limits;
	argv: string[];
} {
	const [path, ...argv] = operands;
	if (path === undefined) throw new UsageError("run: no PATH given");
	if (argv.length === 0) throw new UsageError("run: no PROGRAM given");
	return { ...readGroup(path, options), argv };
}

/** Moves this process into the cgroup, which is made if it is not there. */
export function enterGroup(group: Group, options: RunOptions, limits: Limits) {
	const leaf = options.leaf === true;
	checkThawed(group, options.thaw === true);
	/* Most often it is there already, and entering it is all: then nothing is asked of the kernel first. */
	if (!hasLimits(limits) && options.controllers === undefined) {
		checkOurs(group, options);
		if (whileKept(() => enterFirst(group, leaf)) && enterLast(group, leaf)) return;
	}
	/* What was just made can be removed again only without this process in it. */
	const orLeave = (entering: () => boolean) => () => {
		try {
			if (!entering()) fail(`${shownName(group)}: removed while it was entered`);
		} catch (error) {
			leave(group);
			throw error;
		}
	};
	const last = orLeave(() => enterLast(group, leaf));
	whileOpen(
		group,
		options,
		limits,
		{ last },
		orLeave(() => enterFirst(group, leaf)),
	);
}

/** Becomes the program. Fails as a shell does: 127 if there is none, 126 if it cannot be executed. */
export function execute(argv: string[]): never {
	try {
		return execvp(argv, environ());
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		return fail(
			`${show(argv[0] as string)}: ${strerror(error.errno)}`,
			undefined,
			error.errno === ENOENT || error.errno === ENOTDIR ? 127 : 126,
		);
	}
}
