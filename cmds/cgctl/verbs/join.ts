import { pidfdSendSignal } from "../../../native/linux/process.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { filterRecords, type PlanRecord, type Target, withLeave } from "../../common/record.ts";
import { registerLeave } from "../../common/sandbox-state.ts";
import { attach, checkThawed } from "../group/attach.ts";
import { own } from "../group/owner.ts";
import { placesOf } from "../group/path.ts";
import { type OpenOptions, readGroup } from "../line.ts";
import { whileOpen } from "../open.ts";
import { leaveOne } from "./leave.ts";

/**
 * Puts processes into a cgroup, which is made if need be: PIDs, sandboxes' ids, or a filter of sandbox records. A plan's
 * cgroup is made; the sandbox's process enters it by itself.
 *
 * A sandbox gets a cgroup on every hierarchy that is mounted, not only on those with controllers: in a cgroup namespace
 * below one that it is not in, it could mount that hierarchy as the host sees it, and change other cgroups there.
 */
export function join(line: { options: OpenOptions & { thaw?: true }; operands: string[] }) {
	const { options, operands } = line;
	const [path, ...targets] = operands;
	if (path === undefined) throw new UsageError("join: no PATH given");
	/* An unset variable, which must not make it a filter of standard input either. */
	if (targets.includes("")) throw new UsageError('join: "": not a PID or a sandbox\'s id');
	const { group, limits } = readGroup(path, options);
	checkThawed(group, options.thaw === true);
	let ready = false;

	/** The note that the cgroup is a sandbox's, taken back when it cannot be made or entered. */
	const forSandbox = <T>(id: string, work: () => T): T => {
		const takeBack = own(id, group, placesOf(group).length === 0);
		try {
			return work();
		} catch (error) {
			takeBack();
			throw error;
		}
	};

	const move = ({ pid, pidfd }: Target, everywhere: boolean) => {
		/* Limits are set once; but the cgroup may have been removed since the last process of a long list. */
		whileOpen(group, options, limits, { onlyNew: ready, everywhere }, () => attach(group, pid, options.leaf === true));
		ready = true;
		/* While the pidfd's process lives, its PID names no other. */
		if (!isDryRun() && !pidfdSendSignal(pidfd, 0)) fail(`${pid}: has ended`);
		return { cgroup: group.name };
	};

	const live = (target: Target) => {
		const { record, isSandbox } = target;
		if (!record || !isSandbox) return move(target, false);
		if (!isDryRun()) registerLeave(record.id, "tscgctl");
		return forSandbox(record.id, () => move(target, true));
	};

	const plan = (record: PlanRecord) =>
		forSandbox(record.id, () =>
			whileOpen(group, options, limits, { onlyNew: ready, everywhere: true }, () => {
				ready = true;
				return { cgroup: group.name, cgroups: placesOf(group).map(({ folder }) => folder), ...withLeave(record, "tscgctl") };
			}),
		);

	filterRecords(targets, live, plan, ({ id }) => leaveOne(id));
}
