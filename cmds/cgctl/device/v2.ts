/**
 * Device rules of cgroup v2: an eBPF program of ours (device-program.ts), attached beside those of others. All programs of a cgroup and
 * of those above it must allow an access.
 *
 * The attached program is the only record of the rules: they are read back from it, changed, and a new program takes its
 * place in one step.
 */
import {
	BPF_CGROUP_DEVICE,
	BPF_F_ALLOW_MULTI,
	BPF_PROG_TYPE_CGROUP_DEVICE,
	type ProgramInfo,
	progDetach,
	progGetFdById,
	progInfo,
	progLoad,
	progQuery,
	progReplace,
} from "../../../native/linux/bpf.ts";
import { EINVAL, EPERM } from "../../../native/linux/errno.ts";
import { close, O_DIRECTORY, O_RDONLY, open } from "../../../native/linux/fd.ts";
import { CGROUP2_SUPER_MAGIC, exists, fileSystemType } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { whileDevices } from "../group/lock.ts";
import { deviceProgram, PROGRAM_NAME, rulesOf } from "./program.ts";
import { addRule, type DeviceRule, everything } from "./rules.ts";

/** What is attached to a cgroup itself. */
export interface Attached {
	/** Those of our program; undefined where there is none. */
	rules: DeviceRule[] | undefined;
	/** Programs of ours, by their descriptors: one, but for a moment on Linux before 5.6. */
	own: { fd: number; info: ProgramInfo }[];
	/** Programs that something else has attached. */
	foreign: ProgramInfo[];
}

/** What decides on devices in the cgroup of a v2 folder. */
export function readRulesV2(folder: string): Attached {
	return withCgroup(folder, (cgroup) => {
		const attached = query(cgroup, folder);
		for (const { fd } of attached.own) close(fd);
		return attached;
	});
}

/** Gives the cgroup these rules (in normal form) in place of those that it has. */
export function setRulesV2(folder: string, rules: DeviceRule[]) {
	change(folder, () => rules);
}

/** Adds rules to those that the cgroup has, in their order. Without a program, all is allowed. */
export function addRulesV2(folder: string, rules: DeviceRule[]) {
	change(folder, (attached) => {
		if (attached.own.length > 0 && !attached.rules)
			fail(
				`${show(folder)}: the rules of the attached device program (id ${attached.own[0]?.info.id}) cannot be read back`,
				"`tscgctl devices set` replaces them; the kernel hides programs while kernel.kptr_restrict and net.core.bpf_jit_harden are 2",
			);
		return rules.reduce(addRule, attached.rules ?? [everything(true)]);
	});
}

/** Detaches our program. */
export function clearRulesV2(folder: string) {
	change(folder, () => undefined);
}

/** Puts a program with the new rules in the place of ours; undefined detaches it. */
function change(folder: string, edit: (attached: Attached) => DeviceRule[] | undefined) {
	/* A lock of ours, so that two editors do not lose each other's rules; on the cgroup's folder anybody could hold one. */
	whileDevices(() =>
		withCgroup(folder, (cgroup) => {
			const attached = query(cgroup, folder);
			const rules = edit(attached);
			const [old, ...leftOver] = attached.own;
			if (rules) {
				const program = load(rules, folder);
				try {
					progReplace(cgroup, program, BPF_CGROUP_DEVICE, old?.fd);
				} catch (error) {
					if (error instanceof SysError && error.errno === EPERM) explainAttach(folder);
					throw error;
				}
				close(program);
			} else if (old) progDetach(cgroup, old.fd, BPF_CGROUP_DEVICE);
			for (const { fd } of leftOver) progDetach(cgroup, fd, BPF_CGROUP_DEVICE);
			for (const { fd } of attached.own) close(fd);
		}),
	);
}

function withCgroup<T>(folder: string, work: (cgroup: number) => T): T {
	const cgroup = isDryRun() && !exists(folder) ? -1 : open(folder, O_RDONLY | O_DIRECTORY);
	try {
		return work(cgroup);
	} finally {
		if (cgroup >= 0) close(cgroup);
	}
}

function query(cgroup: number, folder: string): Attached {
	const attached: Attached = { rules: undefined, own: [], foreign: [] };
	if (cgroup < 0) return attached;
	try {
		for (const id of progQuery(cgroup, BPF_CGROUP_DEVICE).ids) {
			const fd = progGetFdById(id);
			if (fd === undefined) continue;
			const info = progInfo(fd);
			if (info.name === PROGRAM_NAME) {
				attached.own.push({ fd, info });
				attached.rules = info.program && rulesOf(info.program);
				continue;
			}
			attached.foreign.push(info);
			close(fd);
		}
	} catch (error) {
		throw explained(error, folder);
	}
	return attached;
}

function load(rules: DeviceRule[], folder: string): number {
	try {
		return progLoad(BPF_PROG_TYPE_CGROUP_DEVICE, deviceProgram(rules), PROGRAM_NAME);
	} catch (error) {
		throw explained(error, folder);
	}
}

function explained(error: unknown, folder: string): unknown {
	if (!(error instanceof SysError)) return error;
	if (error.errno === EPERM)
		fail(
			`${show(folder)}: ${error.message}`,
			"device rules of cgroup v2 are eBPF programs; only root (CAP_SYS_ADMIN, outside of user namespaces) may load and read them",
		);
	if (error.errno === EINVAL && error.call === "bpf(BPF_PROG_QUERY)")
		fail(`${show(folder)}: this kernel has no device rules for cgroup v2`, "it was built without CONFIG_CGROUP_BPF");
	return error;
}

/** A program that was attached alone, here or above, lets no other in: says which. */
function explainAttach(folder: string) {
	for (let at = folder; at !== "" && fileSystemType(at) === CGROUP2_SUPER_MAGIC; at = at.slice(0, at.lastIndexOf("/"))) {
		const culprit = withCgroup(at, (cgroup) => {
			const { flags, ids } = progQuery(cgroup, BPF_CGROUP_DEVICE);
			return flags & BPF_F_ALLOW_MULTI ? undefined : ids[0];
		});
		if (culprit === undefined) continue;
		const fd = progGetFdById(culprit);
		const name = fd === undefined ? "" : ` "${progInfo(fd).name}"`;
		fail(
			`${show(folder)}: the device program${name} (id ${culprit}) on ${show(at)} lets no other beside or below it`,
			"it was attached without BPF_F_ALLOW_MULTI; only what attached it can change the rules there",
		);
	}
}
