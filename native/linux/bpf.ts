/**
 * bpf(2): loading eBPF programs, attaching them to cgroups and reading them back.
 *
 * The attr argument is a union with a struct for each command; the parts that are used here are declared one by one, in
 * the order of linux/bpf.h. A kernel takes a struct shorter than its own: what is missing is 0.
 */
import * as host from "#host";
import { EINVAL, ENOENT, ENOSPC, EPERM } from "./errno.ts";
import * as nr from "./nr.ts";
import { getrlimit, RLIM_INFINITY, RLIMITS, setrlimit } from "./rlimit.ts";
import { struct } from "./struct.ts";
import { dryRun, SysError, tryCall } from "./syscall.ts";

/** enum bpf_cmd */
export const BPF_PROG_LOAD = 5;
export const BPF_PROG_ATTACH = 8;
export const BPF_PROG_DETACH = 9;
export const BPF_PROG_GET_FD_BY_ID = 13;
export const BPF_OBJ_GET_INFO_BY_FD = 15;
export const BPF_PROG_QUERY = 16;

/** enum bpf_prog_type, enum bpf_attach_type */
export const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
export const BPF_CGROUP_DEVICE = 6;

/** Attach flags: other programs may be attached beside this one; it takes the place of `replace_bpf_fd` (Linux 5.6). */
export const BPF_F_ALLOW_OVERRIDE = 1;
export const BPF_F_ALLOW_MULTI = 2;
export const BPF_F_REPLACE = 4;

/** struct bpf_cgroup_dev_ctx: what a device program is asked. `access_type` is (BPF_DEVCG_ACC_* << 16) | BPF_DEVCG_DEV_*. */
export const bpfCgroupDevCtx = struct([
	["access_type", "u32"],
	["major", "u32"],
	["minor", "u32"],
]);
export const BPF_DEVCG_ACC_MKNOD = 1;
export const BPF_DEVCG_ACC_READ = 2;
export const BPF_DEVCG_ACC_WRITE = 4;
export const BPF_DEVCG_DEV_BLOCK = 1;
export const BPF_DEVCG_DEV_CHAR = 2;

/** struct bpf_insn; `regs` holds two bit fields, dst_reg in the lower half and src_reg in the upper one. */
export const bpfInsn = struct([
	["code", "u8"],
	["regs", "u8"],
	["off", "u16"],
	["imm", "s32"],
]);

/** union bpf_attr for BPF_PROG_LOAD, up to what Linux 4.17 has. */
export const bpfProgLoadAttr = struct([
	["prog_type", "u32"],
	["insn_cnt", "u32"],
	["insns", "u64"],
	["license", "u64"],
	["log_level", "u32"],
	["log_size", "u32"],
	["log_buf", "u64"],
	["kern_version", "u32"],
	["prog_flags", "u32"],
	["prog_name", "char[16]"],
	["prog_ifindex", "u32"],
	["expected_attach_type", "u32"],
]);

/** union bpf_attr for BPF_PROG_ATTACH and BPF_PROG_DETACH. */
export const bpfProgAttachAttr = struct([
	["target_fd", "u32"],
	["attach_bpf_fd", "u32"],
	["attach_type", "u32"],
	["attach_flags", "u32"],
	["replace_bpf_fd", "u32"],
]);

/** union bpf_attr for BPF_PROG_GET_FD_BY_ID. */
export const bpfGetIdAttr = struct([
	["prog_id", "u32"],
	["next_id", "u32"],
	["open_flags", "u32"],
]);

/** union bpf_attr.info, for BPF_OBJ_GET_INFO_BY_FD. */
export const bpfInfoAttr = struct([
	["bpf_fd", "u32"],
	["info_len", "u32"],
	["info", "u64"],
]);

/** union bpf_attr.query, for BPF_PROG_QUERY. */
export const bpfProgQueryAttr = struct([
	["target_fd", "u32"],
	["attach_type", "u32"],
	["query_flags", "u32"],
	["attach_flags", "u32"],
	["prog_ids", "u64"],
	["prog_cnt", "u32"],
]);

/** struct bpf_prog_info, up to what Linux 4.15 has. */
export const bpfProgInfo = struct([
	["type", "u32"],
	["id", "u32"],
	["tag", "u8[8]"],
	["jited_prog_len", "u32"],
	["xlated_prog_len", "u32"],
	["jited_prog_insns", "u64"],
	["xlated_prog_insns", "u64"],
	["load_time", "u64"],
	["created_by_uid", "u32"],
	["nr_map_ids", "u32"],
	["map_ids", "u64"],
	["name", "char[16]"],
]);

/* Instructions: linux/bpf_common.h and linux/bpf.h. A code is a class, with a size and a mode or an operation and a source. */
export const BPF_LDX = 0x01;
export const BPF_JMP = 0x05;
export const BPF_ALU64 = 0x07;
export const BPF_W = 0x00;
export const BPF_MEM = 0x60;
export const BPF_K = 0x00;
export const BPF_X = 0x08;
export const BPF_AND = 0x50;
export const BPF_RSH = 0x70;
export const BPF_XOR = 0xa0;
export const BPF_MOV = 0xb0;
export const BPF_JEQ = 0x10;
export const BPF_JNE = 0x50;
export const BPF_EXIT = 0x90;

/** One instruction. Jump offsets count instructions, from the one after the jump. */
export interface Instruction {
	code: number;
	dst: number;
	src: number;
	off: number;
	imm: number;
}

/** dst = *(u32 *)(src + off) */
export function loadWord(dst: number, src: number, off: number): Instruction {
	return { code: BPF_LDX | BPF_W | BPF_MEM, dst, src, off, imm: 0 };
}

/** dst = dst OP imm, in 64 bits; `imm` is sign-extended. */
export function alu(op: number, dst: number, imm: number): Instruction {
	return { code: BPF_ALU64 | op | BPF_K, dst, src: 0, off: 0, imm };
}

/** dst = dst OP src, in 64 bits. */
export function aluRegister(op: number, dst: number, src: number): Instruction {
	return { code: BPF_ALU64 | op | BPF_X, dst, src, off: 0, imm: 0 };
}

/** if (dst OP imm) jump over `off` instructions */
export function jump(op: number, dst: number, imm: number, off: number): Instruction {
	return { code: BPF_JMP | op | BPF_K, dst, src: 0, off, imm };
}

/** return r0 */
export function exit(): Instruction {
	return { code: BPF_JMP | BPF_EXIT, dst: 0, src: 0, off: 0, imm: 0 };
}

/** The program as the kernel takes it: struct bpf_insn, one after the other. */
export function encodeProgram(program: Instruction[]): Uint8Array {
	const bytes = new Uint8Array(program.length * bpfInsn.size);
	program.forEach(({ code, dst, src, off, imm }, i) => {
		bytes.set(bpfInsn.pack({ code, regs: dst | (src << 4), off, imm }), i * bpfInsn.size);
	});
	return bytes;
}

export function decodeProgram(bytes: Uint8Array): Instruction[] {
	const program: Instruction[] = [];
	for (let at = 0; at + bpfInsn.size <= bytes.length; at += bpfInsn.size) {
		const { code, regs, off, imm } = bpfInsn.unpack(bytes, at);
		program.push({ code, dst: regs & 15, src: regs >> 4, off: (off << 16) >> 16, imm });
	}
	return program;
}

/** A program that the verifier does not take; `log` is what it said of it, a line for each step. */
export class VerifierError extends SysError {
	constructor(
		errno: number,
		name: string,
		readonly log: string,
	) {
		super("bpf(BPF_PROG_LOAD)", errno, log === "" ? name : `${name}: ${lastWords(log)}`);
	}
}

/** The verifier's verdict: the line before its statistics. */
function lastWords(log: string): string {
	const lines = log.trim().split("\n");
	return lines.filter((line) => !line.startsWith("processed ")).pop() ?? "";
}

const LOG_SIZE = 1 << 16;

/**
 * Loads a program, and returns its descriptor; -1 in a dry run. `name`: 15 letters, digits, `_` and `.` at most. Throws SysError with EPERM
 * without CAP_BPF and CAP_NET_ADMIN (before Linux 5.8: CAP_SYS_ADMIN), EINVAL where the kernel does not know the type,
 * VerifierError.
 */
export function progLoad(progType: number, program: Instruction[], name: string, expectedAttachType = 0): number {
	if (dryRun(`bpf(BPF_PROG_LOAD, ${typeName(progType)}, ${program.length} instructions, ${JSON.stringify(name)})`)) return -1;
	const insns = encodeProgram(program);
	const license = host.encode("MIT");
	const attr = {
		prog_type: progType,
		insn_cnt: program.length,
		insns: host.addressOf(insns),
		license: host.addressOf(license),
		prog_name: name,
		expected_attach_type: expectedAttachType,
	};
	let fd = bpf(BPF_PROG_LOAD, bpfProgLoadAttr.pack(attr));
	if (fd === -EPERM) fd = withoutMemlock(() => bpf(BPF_PROG_LOAD, bpfProgLoadAttr.pack(attr)));
	if (fd >= 0) return fd;
	if (fd === -EPERM) throw new SysError("bpf(BPF_PROG_LOAD)", EPERM, name);
	/* Only a program that failed is verified with a log: it costs time. */
	const log = new Uint8Array(LOG_SIZE);
	const logged = { ...attr, log_level: 1, log_size: log.length, log_buf: host.addressOf(log) };
	const again = bpf(BPF_PROG_LOAD, bpfProgLoadAttr.pack(logged));
	if (again >= 0) return again;
	const end = log.indexOf(0);
	throw new VerifierError(-fd, name, host.decode(log, 0, end < 0 ? log.length : end));
}

/**
 * Before Linux 5.11 programs count against RLIMIT_MEMLOCK, 64 KiB for the user in all: what a dozen cgroups' programs
 * exceed. The limit is put back, so that no program that we execute later inherits it.
 */
function withoutMemlock(load: () => number): number {
	const memlock = RLIMITS.indexOf("memlock");
	const before = getrlimit(memlock);
	try {
		setrlimit(memlock, RLIM_INFINITY, RLIM_INFINITY);
	} catch {
		return -EPERM;
	}
	try {
		return load();
	} finally {
		setrlimit(memlock, before.soft, before.hard);
	}
}

/** bpf(2): the result, or -errno. */
function bpf(cmd: number, attr: Uint8Array): number {
	return tryCall("bpf", nr.SYS_bpf, cmd, attr, attr.length);
}

/** For a dry run: the kernel's name of a type, where we use it. */
function typeName(progType: number): string {
	return progType === BPF_PROG_TYPE_CGROUP_DEVICE ? "BPF_PROG_TYPE_CGROUP_DEVICE" : String(progType);
}

function attachName(attachType: number): string {
	return attachType === BPF_CGROUP_DEVICE ? "BPF_CGROUP_DEVICE" : String(attachType);
}

/**
 * Attaches a program to a cgroup. Throws SysError with EPERM where a program is attached, here or above, without
 * BPF_F_ALLOW_MULTI; E2BIG where 64 are; ENOENT where `replace` is not attached here (any more).
 */
export function progAttach(cgroup: number, program: number, attachType: number, flags: number, replace = 0) {
	const names = flags & BPF_F_REPLACE ? "BPF_F_ALLOW_MULTI|BPF_F_REPLACE" : "BPF_F_ALLOW_MULTI";
	if (dryRun(`bpf(BPF_PROG_ATTACH, ${attachName(attachType)}, ${names})`)) return;
	const attr = { target_fd: cgroup, attach_bpf_fd: program, attach_type: attachType, attach_flags: flags, replace_bpf_fd: replace };
	const result = bpf(BPF_PROG_ATTACH, bpfProgAttachAttr.pack(attr));
	if (result < 0) throw new SysError("bpf(BPF_PROG_ATTACH)", -result);
}

export function progDetach(cgroup: number, program: number, attachType: number) {
	if (dryRun(`bpf(BPF_PROG_DETACH, ${attachName(attachType)})`)) return;
	const attr = { target_fd: cgroup, attach_bpf_fd: program, attach_type: attachType };
	const result = bpf(BPF_PROG_DETACH, bpfProgAttachAttr.pack(attr));
	if (result < 0) throw new SysError("bpf(BPF_PROG_DETACH)", -result);
}

/**
 * The ids of the programs attached to a cgroup itself, in the order in which they run, and the flags that they were
 * attached with. Linux 4.15; throws SysError with EINVAL where the kernel has no CONFIG_CGROUP_BPF.
 */
export function progQuery(cgroup: number, attachType: number): { flags: number; ids: number[] } {
	/* As many as can be attached: BPF_CGROUP_MAX_PROGS. */
	for (let size = 64; ; size *= 2) {
		const ids = new Uint32Array(size);
		const attr = bpfProgQueryAttr.pack({
			target_fd: cgroup,
			attach_type: attachType,
			prog_ids: host.addressOf(ids),
			prog_cnt: size,
		});
		const result = bpf(BPF_PROG_QUERY, attr);
		if (result === -ENOSPC) continue;
		if (result < 0) throw new SysError("bpf(BPF_PROG_QUERY)", -result);
		const { attach_flags, prog_cnt } = bpfProgQueryAttr.unpack(attr);
		return { flags: attach_flags, ids: [...ids.subarray(0, prog_cnt)] };
	}
}

/** A descriptor of the program with that id; undefined where it is gone. Throws SysError with EPERM without CAP_SYS_ADMIN. */
export function progGetFdById(id: number): number | undefined {
	const fd = bpf(BPF_PROG_GET_FD_BY_ID, bpfGetIdAttr.pack({ prog_id: id }));
	if (fd === -ENOENT) return undefined;
	if (fd < 0) throw new SysError("bpf(BPF_PROG_GET_FD_BY_ID)", -fd, String(id));
	return fd;
}

/** What the kernel tells of a loaded program. */
export interface ProgramInfo {
	id: number;
	name: string;
	/** A hash of its instructions, as bpftool(8) prints it. */
	tag: string;
	uid: number;
	/** Its instructions after verification; undefined where the kernel hides them (kernel.kptr_restrict with net.core.bpf_jit_harden). */
	program?: Instruction[];
}

/** What the kernel tells of a program: first how long it is, then its instructions. */
export function progInfo(fd: number): ProgramInfo {
	const info = getInfo(fd, bpfProgInfo.pack({}));
	const { id, name, tag, created_by_uid: uid, xlated_prog_len: length } = bpfProgInfo.unpack(info);
	const hex = [...tag].map((byte) => byte.toString(16).padStart(2, "0")).join("");
	const insns = new Uint8Array(length);
	const asked = bpfProgInfo.pack({ xlated_prog_len: length, xlated_prog_insns: host.addressOf(insns) });
	const hidden = length === 0 || bpfProgInfo.unpack(getInfo(fd, asked)).xlated_prog_insns === 0;
	return { id, name, tag: hex, uid, ...(hidden ? {} : { program: decodeProgram(insns) }) };
}

function getInfo(fd: number, info: Uint8Array): Uint8Array {
	const attr = bpfInfoAttr.pack({ bpf_fd: fd, info_len: info.length, info: host.addressOf(info) });
	const result = bpf(BPF_OBJ_GET_INFO_BY_FD, attr);
	if (result < 0) throw new SysError("bpf(BPF_OBJ_GET_INFO_BY_FD)", -result);
	return info;
}

/** Puts `program` in the place of `old` (undefined: beside what is there). Both descriptors stay open. */
export function progReplace(cgroup: number, program: number, attachType: number, old: number | undefined) {
	if (old === undefined) return progAttach(cgroup, program, attachType, BPF_F_ALLOW_MULTI);
	try {
		progAttach(cgroup, program, attachType, BPF_F_ALLOW_MULTI | BPF_F_REPLACE, old);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EINVAL)) throw error;
		/* Before Linux 5.6: for a moment both decide, which forbids more than either, and never allows more. */
		progAttach(cgroup, program, attachType, BPF_F_ALLOW_MULTI);
		progDetach(cgroup, old, attachType);
	}
}
