/**
 * Sandbox records: how the tools meet in the pipe.
 *
 * One JSON object a line. `tsunshare --hold` makes it; each filter reads it, does its part, adds its own members, keeps
 * all that it does not know, and passes it on; `tsunshare start` lets the program run. A line of digits only is a PID.
 *
 *     {"tsbox":1,"id":"web","pid":4242,"start":881234,"held":true,"ns":{"mnt":4026532201}, ...}
 *
 * `start` is the process's start time (field 22 of /proc/PID/stat): with it a filter never acts on a recycled PID. A record
 * is not trusted: what is held, and whose process it is, says the state (sandbox-state.ts), which others cannot write.
 *
 * A record without a pid is a plan, of a sandbox that is yet to be made: what stands before `tsunshare --record 0` in the
 * pipe prepares and writes it.
 *
 *     {"tsbox":1,"id":"web","rootfs":"/run/web","mounts":[...],"cgroup":"/tsbox/web","cgroups":[...],"leave":["tscgctl"]}
 */

import { EINVAL, ENOSYS, EPIPE, ESRCH } from "../../native/linux/errno.ts";
import { close, read, write } from "../../native/linux/fd.ts";
import { POLLIN, poll } from "../../native/linux/poll.ts";
import { startTime } from "../../native/linux/proc.ts";
import { exit, pidfdOpen, pidfdSendSignal } from "../../native/linux/process.ts";
import { SIGKILL } from "../../native/linux/signal.ts";
import { S_IFIFO, S_IFMT, statIfAny } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { decode } from "../../native/linux/text.ts";
import { notA } from "./command-line/options.ts";
import { print } from "./command-line/tool.ts";
import { fail, show, ToolError } from "./errors.ts";
import { undoPlan } from "./leave.ts";
import { isOfSandbox, leavers, sandboxFolder, stateOf } from "./sandbox-state.ts";
import { isName, listState, readState, runFolder } from "./state.ts";

export interface SandboxRecord {
	/** The version of the format. */
	tsbox: 1;
	id: string;
	/** The program's process (held before its exec until `tsunshare start`), as this PID namespace numbers it. */
	pid: number;
	/** Its start time in clock ticks since boot. */
	start: number;
	held: boolean;
	/** The inodes of the namespaces made for it, by their names in /proc/PID/ns. */
	ns?: Record<string, number>;
	/** Members of other tools. */
	[member: string]: unknown;
}

/** What is to be mounted in a sandbox that is yet to be made, in this order. */
export interface PlannedMount {
	type: "bind" | "volume" | "image" | "tmpfs";
	/** An absolute path outside; none for a tmpfs. */
	source?: string;
	/** A path inside. */
	target: string;
	readonly?: boolean;
	/** What is mounted below the source comes along. */
	recursive?: boolean;
	propagation?: string;
	/** Options of a tmpfs: size, mode, uid, gid. */
	options?: Record<string, string>;
	/** The volume's name. */
	name?: string;
}

/** A record without a pid: a sandbox that is yet to be made. What stands before tsunshare in the pipe writes it. */
export interface PlanRecord {
	tsbox: 1;
	id: string;
	pid?: undefined;
	/** The absolute path of a mounted root. */
	rootfs?: string;
	mounts?: PlannedMount[];
	/** The cgroup's name, and its folders, one a hierarchy, that the sandbox's process enters. */
	cgroup?: string;
	cgroups?: string[];
	/** The tools that have a part to undo at its end: `TOOL leave ID`. */
	leave?: string[];
	[member: string]: unknown;
}

/** A process to work on, named for good by `pidfd`; with its record if it came with one or has an id. */
export interface Target {
	pid: number;
	pidfd: number;
	record?: SandboxRecord;
	/** The state says that this process is the sandbox's. Where a record says so only, it is treated as any process. */
	isSandbox: boolean;
}

export function isPlan(record: SandboxRecord | PlanRecord): record is PlanRecord {
	return record.pid === undefined;
}

/** The member `leave` of a plan with one more tool. */
export function withLeave({ leave }: PlanRecord, tool: string): { leave: string[] } {
	return { leave: [...leavers(leave).filter((name) => name !== tool), tool] };
}

/** The record of a sandbox by its id. */
export function findRecord(id: string): SandboxRecord {
	if (!isName(id)) fail(`${show(id)}: not a PID or a sandbox's id`);
	return (
		readState<SandboxRecord>(`${sandboxFolder(id)}/record`) ?? fail(`${id}: no such sandbox`, "`tsunshare list` shows those that there are")
	);
}

export function allRecords(): SandboxRecord[] {
	const records: SandboxRecord[] = [];
	for (const id of listState(`${runFolder()}/sandboxes`)) {
		const record = readState<SandboxRecord>(`${sandboxFolder(id)}/record`);
		if (record) records.push(record);
	}
	return records;
}

const whole = (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0;

/** A line of standard input: a record, a plan, or a PID. Fails on anything else. */
export function parseLine(line: string): SandboxRecord | PlanRecord | number {
	if (/^\d+$/.test(line)) return Number(line);
	let record: SandboxRecord | PlanRecord;
	try {
		record = JSON.parse(line) as SandboxRecord;
	} catch {
		return fail(
			`standard input: not a sandbox record or a PID: ${show(line.slice(0, 60))}`,
			"pipe in what `tsunshare --hold` or another filter prints",
		);
	}
	if (typeof record !== "object" || record === null || record.tsbox !== 1)
		fail('standard input: a record without "tsbox":1', "this version reads format 1");
	if (typeof record.id !== "string" || !isName(record.id)) fail('standard input: a record whose "id" is not a name');
	if (isPlan(record)) return checkPlan(record);
	if (!whole(record.pid) || !whole(record.start)) fail('standard input: a record whose "pid" or "start" is not a positive number');
	return record;
}

const isText = (value: unknown) => typeof value === "string" && !value.includes("\0");
const isPath = (value: unknown) => isText(value) && (value as string).startsWith("/");

/** What other tools, or somebody's editor, have written into a plan is checked before anything is done by it. */
function checkPlan(plan: PlanRecord): PlanRecord {
	const wrong = (member: string, noun: string): never => fail(`standard input: a plan whose "${member}" is not ${noun}`);
	if (plan.rootfs !== undefined && !isPath(plan.rootfs)) wrong("rootfs", "an absolute path");
	if (plan.cgroups !== undefined && !(Array.isArray(plan.cgroups) && plan.cgroups.every(isPath)))
		wrong("cgroups", "a list of absolute paths");
	if (plan.leave !== undefined && leavers(plan.leave).length !== plan.leave?.length) wrong("leave", "a list of tools");
	if (plan.mounts === undefined) return plan;
	if (!Array.isArray(plan.mounts)) wrong("mounts", "a list");
	for (const mount of plan.mounts) {
		if (typeof mount !== "object" || mount === null || !["bind", "volume", "image", "tmpfs"].includes(mount.type))
			wrong("mounts", "a list of mounts");
		if (!isPath(mount.target)) wrong("target", "an absolute path");
		if (mount.type !== "tmpfs" && !isPath(mount.source)) wrong("source", "an absolute path");
		if (mount.propagation !== undefined && !isText(mount.propagation)) wrong("propagation", "a word");
	}
	return plan;
}

/** The status of a tool that runs a program and has not come to that. */
const EXIT_NOT_STARTED = 125;

/** The plan that descriptor `fd` gives, which is read to its end. */
export function readPlanRecord(fd: string): PlanRecord {
	if (!/^\d{1,7}$/.test(fd)) return notA("--record", fd, "a descriptor's number");
	const [line, ...more] = inputLines(Number(fd));
	if (line === undefined) return noRecord(Number(fd), EXIT_NOT_STARTED);
	const parsed = parseLine(line);
	if (more.length > 0) fail("--record: more than one record: each sandbox has a tsunshare of its own");
	if (typeof parsed === "number") return fail(`--record: ${parsed}: a PID, not a plan`);
	return isPlan(parsed) ? parsed : fail(`${parsed.id}: made already`, "`tsunshare start` lets it run");
}

/** Opens a process for good. Fails if it is gone, or if the PID has come to name another process since. */
export function openTarget(from: SandboxRecord | number): Target {
	const pid = typeof from === "number" ? from : from.pid;
	const record = typeof from === "number" ? undefined : from;
	const name = record ? `${record.id} (pid ${pid})` : String(pid);
	let pidfd: number;
	try {
		pidfd = pidfdOpen(pid);
	} catch (error) {
		if (error instanceof SysError && error.errno === ESRCH) fail(`${name}: no such process`);
		if (error instanceof SysError && error.errno === EINVAL) fail(`${name}: not a process`, "it is a thread, or 0");
		if (error instanceof SysError && error.errno === ENOSYS) fail("pidfd_open: this kernel does not have it", "tsbox needs Linux 5.4");
		throw error;
	}
	/* In this order: once the pidfd is open, the start time that is read belongs to its process or to none. */
	if (record && startTime(pid) !== record.start) {
		close(pidfd);
		fail(`${name}: has ended; its PID names another process now`);
	}
	return record ? { pid, pidfd, record, isSandbox: isOfSandbox(record.id, pid, record.start) } : { pid, pidfd, isSandbox: false };
}

/** The lines of standard input, one at a time, each as soon as it is there. */
export function* inputLines(fd = 0): Generator<string> {
	const chunk = new Uint8Array(4096);
	/* Bytes, not text: a read may end within a letter. */
	let rest = new Uint8Array(0);
	for (;;) {
		const length = read(fd, chunk);
		if (length === 0) break;
		const bytes = new Uint8Array(rest.length + length);
		bytes.set(rest);
		bytes.set(chunk.subarray(0, length), rest.length);
		let start = 0;
		for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
			if (end > start) yield decode(bytes, start, end);
			start = end + 1;
		}
		rest = bytes.subarray(start);
		if (rest.length > 1 << 20) fail("standard input: a line of more than 1 MiB");
	}
	if (rest.length > 0) yield decode(rest);
}

/** What the operands name: PIDs or sandboxes' ids. */
export function operandTargets(operands: string[]): Target[] {
	return operands.map((word) => openTarget(/^\d+$/.test(word) ? Number(word) : findRecord(word)));
}

type Members = Record<string, unknown> | undefined;

/**
 * A verb as a filter: does `apply` for each operand, or else for each line of standard input, and passes the records
 * on with the members that it returns; `plan` does the same for a sandbox that is yet to be made. When it fails, a sandbox
 * that is held is killed and not passed on; `undo` takes the part in a plan back that cannot be passed on.
 */
export function filterRecords(
	operands: string[],
	apply: (target: Target) => Members,
	plan?: (record: PlanRecord) => Members,
	undo?: (record: PlanRecord) => void,
) {
	if (operands.length > 0) {
		for (const target of operandTargets(operands)) apply(target);
		return;
	}
	let seen = false;
	for (const line of inputLines()) {
		seen = true;
		const parsed = parseLine(line);
		if (typeof parsed !== "number" && isPlan(parsed)) {
			let members: Members;
			try {
				members = plan ? plan(parsed) : notYetMade(parsed);
			} catch (error) {
				undoPlan(parsed);
				throw error;
			}
			try {
				write(1, `${JSON.stringify({ ...parsed, ...members })}\n`);
			} catch (error) {
				undo?.(parsed);
				undoPlan(parsed);
				/* The stage behind is gone, and has said why. */
				if (error instanceof SysError && error.errno === EPIPE) exit(141);
				throw error;
			}
			continue;
		}
		const target = openTarget(parsed);
		try {
			const members = apply(target);
			if (target.record) print(`${JSON.stringify({ ...target.record, ...members })}\n`);
		} catch (error) {
			killIfHeld(target);
			throw error;
		}
		close(target.pidfd);
	}
	if (!seen) noRecord();
}

export function notYetMade({ id }: PlanRecord): never {
	return fail(`${id}: a plan of a sandbox that is not made yet`, "this stage stands behind `tsunshare --record 0`, which makes it");
}

/** Kills a held sandbox that a filter has failed on; by a record alone, nothing is killed. */
export function killIfHeld({ record, pidfd, isSandbox }: Target) {
	if (record && isSandbox && stateOf(record.id) === "held") pidfdSendSignal(pidfd, SIGKILL);
}

/** No record has come. Through a pipe that means that the stage before has failed, and said why: then not a word. */
export function noRecord(fd = 0, status = 1): never {
	if (isPipe(fd)) exit(status);
	throw new ToolError("standard input: no sandbox record", "name a sandbox or a PID, or pipe a record in");
}

function isPipe(fd = 0): boolean {
	return ((statIfAny("", fd)?.mode ?? 0) & S_IFMT) === S_IFIFO;
}

/**
 * For a filter whose command line is wrong: the sandboxes that come to it through a pipe are killed if they are held, as
 * if it had failed on them. Waits a few seconds for a line, since standard input may be a pipe that nobody writes to.
 */
export function abandonRecords() {
	if (!isPipe() || poll([{ fd: 0, events: POLLIN }], 5)[0] === 0) return;
	for (const line of inputLines()) {
		const parsed = parseLine(line);
		if (typeof parsed !== "number" && isPlan(parsed)) undoPlan(parsed);
		else killIfHeld(openTarget(parsed));
	}
}
