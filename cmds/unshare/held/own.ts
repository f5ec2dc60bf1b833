/** The state of the sandbox whose supervisor this process is. */
import { close, O_CREAT, O_EXCL, O_RDWR, open } from "../../../native/linux/fd.ts";
import { startTime } from "../../../native/linux/proc.ts";
import { type Ended, getpid } from "../../../native/linux/process.ts";
import { fail } from "../../common/errors.ts";
import { claim, discard, type Failure, leavers, now, type OwnRecord, type Status } from "../../common/sandbox-state.ts";
import { writeState } from "../../common/state.ts";
import { ownFolder } from "../container/own-binary.ts";
import type { Box } from "../container/parent.ts";
import type { Plan } from "../container/plan.ts";
import { clearLeft, leaveAll, noteLeavers } from "./leaving.ts";

export interface Own {
	id: string;
	folder: string;
}

/**
 * Claims the sandbox's name, and notes which tools have a part in it. From here on their parts are undone when something
 * fails; a name that is taken is another sandbox's, whose parts are not ours to undo.
 */
export function enroll({ id: wanted, record }: Plan): Own {
	if (wanted !== undefined) clearLeft(wanted);
	const own = claim(wanted);
	try {
		noteLeavers(own.folder, leavers(record?.leave), ownFolder());
		close(open(`${own.folder}/hold`, O_RDWR | O_CREAT | O_EXCL, 0o600));
		return own;
	} catch (error) {
		revoke(own);
		throw error;
	}
}

/** Undoes what tools have done for a sandbox that was not made. */
export function revoke({ id, folder }: Own) {
	leaveAll(id, folder);
	discard(folder);
}

/** An argument list longer than this does not stand in the record. */
const LONGEST_COMMAND = 32_768;

export function makeRecord(plan: Plan, id: string, { pid, ns, master, filter }: Box): OwnRecord {
	const start = startTime(pid);
	const ownStart = startTime(getpid());
	if (start === undefined || ownStart === undefined)
		return fail("/proc: this process is not in it", "a sandbox record needs the /proc of this PID namespace");
	const length = plan.argv.reduce((sum, word) => sum + word.length, 0);
	return {
		...plan.record,
		tsbox: 1,
		id,
		pid,
		start,
		held: plan.hold,
		ns,
		supervisor: { pid: getpid(), start: ownStart },
		created: now(),
		command: length <= LONGEST_COMMAND ? plan.argv : plan.argv.slice(0, 1),
		...(plan.rootfs !== undefined && { rootfs: plan.rootfs }),
		...(plan.cwd !== undefined && { cwd: plan.cwd }),
		...(plan.hostname !== undefined && { hostname: plan.hostname }),
		...(plan.transient && { transient: true }),
		...(master !== undefined && { tty: master }),
		...(plan.user !== undefined && { user: plan.user }),
		...(plan.noNewPrivs && { noNewPrivs: true as const }),
		...(filter && { seccomp: filter.bytes ? ("file" as const) : ("default" as const) }),
	};
}

/** The record, and beside it what an entered program is to have as well: the environment, the seccomp policy. */
export function writeRecord({ folder }: Own, record: OwnRecord, plan: Plan, { filter }: Box) {
	if (filter?.bytes) writeState(`${folder}/seccomp`, filter.bytes);
	writeState(`${folder}/environment`, plan.environment.map((entry) => `${entry}\0`).join(""));
	writeState(`${folder}/record`, `${JSON.stringify(record)}\n`);
}

export function statusText({ code, signal }: Ended, error?: Failure): string {
	const status: Status = { code, signal, ...(error && { error }), ended: now() };
	return `${JSON.stringify(status)}\n`;
}

/**
 * The end, in this order: the status, for those who wait; what the tools have to undo; then a transient sandbox is
 * forgotten. Whoever kills us in between leaves what gc does.
 */
export function finish({ id, folder }: Own, ended: Ended, isForgotten: boolean) {
	if (!isForgotten) writeState(`${folder}/status`, statusText(ended));
	leaveAll(id, folder);
	if (isForgotten) discard(folder);
}
