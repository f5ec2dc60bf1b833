import { pidfdSendSignal } from "../../../native/linux/process.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { filterRecords } from "../../common/record.ts";
import { attach, checkThawed } from "../group/attach.ts";
import { type OpenOptions, readGroup } from "../line.ts";
import { whileOpen } from "../open.ts";

/** Puts processes into a cgroup, which is made if need be: PIDs, sandboxes' ids, or a filter of sandbox records. */
export function join(line: { options: OpenOptions & { thaw?: true }; operands: string[] }) {
	const { options, operands } = line;
	const [path, ...targets] = operands;
	if (path === undefined) throw new UsageError("join: no PATH given");
	/* An unset variable, which must not make it a filter of standard input either. */
	if (targets.includes("")) throw new UsageError('join: "": not a PID or a sandbox\'s id');
	const { group, limits } = readGroup(path, options);
	checkThawed(group, options.thaw === true);
	let ready = false;
	filterRecords(targets, ({ pid, pidfd }) => {
		/* Limits are set once; but the cgroup may have been removed since the last process of a long list. */
		whileOpen(group, options, limits, { onlyNew: ready }, () => attach(group, pid, options.leaf === true));
		ready = true;
		/* While the pidfd's process lives, its PID names no other. */
		if (!isDryRun() && !pidfdSendSignal(pidfd, 0)) fail(`${pid}: has ended`);
		return { cgroup: group.name };
	});
}
