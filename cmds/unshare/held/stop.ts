/** `tsunshare stop`: ends sandboxes as docker stop does: the signal, a time of grace, then SIGKILL; and waits for the end. */
import { CLOCK_MONOTONIC, clockGettime } from "../../../native/linux/clock.ts";
import { POLLIN, poll } from "../../../native/linux/poll.ts";
import { pidfdOpen, pidfdSendSignal } from "../../../native/linux/process.ts";
import { SIGCONT, SIGKILL, SIGTERM, signalNumber } from "../../../native/linux/signal.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { notA } from "../../common/command-line/options.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { findRecord, openTarget, type Target } from "../../common/record.ts";
import { stateOf, supervisor } from "../../common/sandbox-state.ts";
import { duration } from "../../common/units.ts";
import { effective } from "./deaf.ts";

const GRACE = 10;

interface Stopping {
	id: string;
	target: Target;
	/** The supervisor's pidfd: with its end all is undone. */
	supervisor: number | undefined;
}

export function stop(operands: string[], options: { time?: string; signal?: string }) {
	if (operands.length === 0) throw new UsageError("stop: no sandbox named");
	const grace = options.time === undefined ? GRACE : duration(options.time, "--time");
	const signal = options.signal === undefined ? SIGTERM : (signalNumber(options.signal) ?? notA("--signal", options.signal, "a signal"));
	/* One that has ended already is stopped, as docker has it. */
	const ids = operands.map((word) => findRecord(word).id).filter((id) => stateOf(id) !== "ended");
	const stopping = ids.map(prepare);
	for (const { id, target } of stopping) {
		const isHeld = stateOf(id) === "held";
		pidfdSendSignal(target.pidfd, isHeld ? SIGKILL : effective(target.pid, signal));
		/* What is stopped does not take it. */
		if (!isHeld) pidfdSendSignal(target.pidfd, SIGCONT);
	}
	const end = clockGettime(CLOCK_MONOTONIC) + grace;
	for (const { target } of stopping) {
		if (!hasEnded(target.pidfd, Math.max(0, end - clockGettime(CLOCK_MONOTONIC)))) pidfdSendSignal(target.pidfd, SIGKILL);
	}
	for (const { id, target, supervisor } of stopping) {
		if (!hasEnded(target.pidfd, GRACE))
			fail(`${id}: not ended by SIGKILL within ${GRACE} s`, "`tscgctl explain` and /proc/PID/stack show what it waits for");
		if (supervisor !== undefined) hasEnded(supervisor, GRACE);
	}
}

function prepare(id: string): Stopping {
	const target = openTarget(findRecord(id));
	if (!target.isSandbox) fail(`${id}: process ${target.pid} is not the sandbox's`);
	const owner = supervisor(id);
	try {
		return { id, target, supervisor: owner && pidfdOpen(owner.pid) };
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		return { id, target, supervisor: undefined };
	}
}

function hasEnded(pidfd: number, seconds: number): boolean {
	return poll([{ fd: pidfd, events: POLLIN }], seconds)[0] !== 0;
}
