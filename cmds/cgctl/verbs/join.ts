import { pidfdSendSignal } from "../../../native/linux/process.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { filterRecords, type PlanRecord, type Target, withLeave } from "../../common/record.ts";
import { registerLeave, supervisor } from "../../common/sandbox-state.ts";
import { attach, checkThawed } from "../group/attach.ts";
import { own, ownedBy } from "../group/owner.ts";
import { folderIn, type Group } from "../group/path.ts";
import { type OpenOptions, readGroup } from "../line.ts";
import { type Opened, whileOpen } from "../open.ts";
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

	/** The note that the cgroup is a sandbox's, made before the cgroup is, and taken back when that or `work` fails. */
	const forSandbox = (id: string, work: (opened: Opened) => Members): Members => {
		let takeBack = () => {};
		const first = (isThere: boolean) => {
			takeBack = own(id, group, !isThere);
		};
		try {
			return whileOpen(group, options, limits, { onlyNew: ready, everywhere: true, first }, work);
		} catch (error) {
			takeBack();
			throw error;
		}
	};

	const move = ({ pid, pidfd }: Target) => {
		attach(group, pid, options.leaf === true);
		ready = true;
		/* While the pidfd's process lives, its PID names no other. */
		if (!isDryRun() && !pidfdSendSignal(pidfd, 0)) fail(`${pid}: has ended`);
		return { cgroup: group.name };
	};

	const live = (target: Target) => {
		const { record, isSandbox } = target;
		/* Limits are set once; but the cgroup may have been removed since the last process of a long list. */
		if (!record || !isSandbox) return whileOpen(group, options, limits, { onlyNew: ready }, () => move(target));
		if (!isDryRun()) registerLeave(record.id, "tscgctl");
		return forSandbox(record.id, () => move(target));
	};

	const plan = (record: PlanRecord) => {
		if (!isDryRun()) reclaim(record.id, group);
		return forSandbox(record.id, ({ hierarchies }) => {
			ready = true;
			const folders = hierarchies.map((hierarchy) => folderIn(group, hierarchy));
			return { cgroup: group.name, cgroups: folders, ...withLeave(record, "tscgctl") };
		});
	};

	filterRecords(targets, live, plan, ({ id }) => leaveOne(id));
}

type Members = Record<string, unknown>;

/** What a sandbox of the same name has left, whose end nobody has seen to. One that lives keeps its cgroup. */
function reclaim(id: string, group: Group) {
	const owned = ownedBy(id);
	if (owned?.cgroup !== group.name || !owned.made) return;
	if (supervisor(id)) fail(`${id}: there is a container of this name`, "`tsunshare list` shows it");
	leaveOne(id);
}
