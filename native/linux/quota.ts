/**
 * Project quotas: a limit on what is below a folder. man 2 quotactl, ioctl_xfs_fsgetxattr; ext4 (Linux 4.5) and xfs.
 *
 * A file counts for the project whose number it carries, and a folder with FS_XFLAG_PROJINHERIT gives its number to all
 * that is made in it.
 */
import { EINVAL, ENOENT, ENOSYS, ENOTTY, EOPNOTSUPP, ESRCH } from "./errno.ts";
import { ioctl } from "./fd.ts";
import { mountinfo } from "./mount.ts";
import * as nr from "./nr.ts";
import { stat, statIfAny } from "./stat.ts";
import { struct } from "./struct.ts";
import { dryRun, SysError, tryCall } from "./syscall.ts";

export const FS_IOC_FSGETXATTR = 0x801c581f;
export const FS_IOC_FSSETXATTR = 0x401c5820;
export const FS_XFLAG_PROJINHERIT = 0x200;

export const fsxattr = /* @__PURE__ */ struct([
	["fsx_xflags", "u32"],
	["fsx_extsize", "u32"],
	["fsx_nextents", "u32"],
	["fsx_projid", "u32"],
	["fsx_cowextsize", "u32"],
	["fsx_pad", "u8[8]"],
]);

/** The project that an open file counts for; 0 is none. Undefined where the file system has no projects. */
export function projectOf(fd: number): number | undefined {
	const bytes = new Uint8Array(fsxattr.size);
	const result = tryCall("FS_IOC_FSGETXATTR", nr.SYS_ioctl, fd, FS_IOC_FSGETXATTR, bytes);
	if (result === -ENOTTY || result === -EOPNOTSUPP || result === -EINVAL) return undefined;
	if (result < 0) throw new SysError("FS_IOC_FSGETXATTR", -result);
	return fsxattr.unpack(bytes).fsx_projid;
}

/** Makes an open file count for a project; with `inherit` (a folder) also what will be made in it. */
export function setProject(fd: number, project: number, inherit: boolean) {
	if (dryRun(`FS_IOC_FSSETXATTR fsx_projid=${project}${inherit ? " FS_XFLAG_PROJINHERIT" : ""}`)) return;
	const bytes = new Uint8Array(fsxattr.size);
	ioctl(fd, FS_IOC_FSGETXATTR, bytes);
	const now = fsxattr.unpack(bytes);
	const xflags = inherit ? now.fsx_xflags | FS_XFLAG_PROJINHERIT : now.fsx_xflags & ~FS_XFLAG_PROJINHERIT;
	ioctl(fd, FS_IOC_FSSETXATTR, fsxattr.pack({ ...now, fsx_xflags: xflags >>> 0, fsx_projid: project }));
}

export const PRJQUOTA = 2;
export const Q_GETQUOTA = 0x800007;
export const Q_SETQUOTA = 0x800008;
export const Q_GETNEXTQUOTA = 0x800009;
export const Q_XGETQSTAT = 0x5805;
export const FS_QUOTA_PDQ_ACCT = 1 << 4;
export const FS_QUOTA_PDQ_ENFD = 1 << 5;
export const QIF_BLIMITS = 1;
export const QIF_ILIMITS = 4;
/** Limits are counted in blocks of 1 KiB: QIF_DQBLKSIZE. */
export const QIF_DQBLKSIZE = 1024;

const dqblk = [
	["dqb_bhardlimit", "u64"],
	["dqb_bsoftlimit", "u64"],
	["dqb_curspace", "u64"],
	["dqb_ihardlimit", "u64"],
	["dqb_isoftlimit", "u64"],
	["dqb_curinodes", "u64"],
	["dqb_btime", "u64"],
	["dqb_itime", "u64"],
	["dqb_valid", "u32"],
] as const;

export const ifDqblk = /* @__PURE__ */ struct(dqblk);
export const ifNextdqblk = /* @__PURE__ */ struct([...dqblk, ["dqb_id", "u32"]]);

/** linux/dqblk_xfs.h; of its 80 bytes what we read. */
export const fsQuotaStat = /* @__PURE__ */ struct([
	["qs_version", "u8"],
	["qs_flags", "u16"],
]);
const fsQuotaStatSize = 80;

/** quotactl_fd(2) for projects (Linux 5.14), before by the block device. Returns 0 or -errno. */
function quotactl(fd: number, command: number, id: number, data: Uint8Array): number {
	/* QCMD() of linux/quota.h; to the kernel it is an unsigned int. */
	const cmd = command * 256 + PRJQUOTA;
	const result = tryCall("quotactl_fd", nr.SYS_quotactl_fd, fd, cmd, id, data);
	if (result !== -ENOSYS) return result;
	const device = blockDevice(fd);
	return device === undefined ? -ENOSYS : tryCall("quotactl", nr.SYS_quotactl, cmd, device, id, data);
}

/** The node of the device that an open file's file system is on. */
function blockDevice(fd: number): string | undefined {
	const { dev, mountId } = stat("", fd);
	const source = mountinfo().find((entry) => entry.id === mountId)?.source;
	return [source, `/dev/block/${dev}`].find((path) => path?.startsWith("/") && statIfAny(path)?.rdev === dev);
}

/** What a file system does with projects: keeps to their limits, only counts, neither, or knows none. */
export function projectQuotaState(fd: number): "enforced" | "counted" | "off" | "none" {
	const bytes = new Uint8Array(fsQuotaStatSize);
	const result = quotactl(fd, Q_XGETQSTAT, 0, bytes);
	if (result < 0) return result === -ESRCH ? "off" : "none";
	const { qs_flags } = fsQuotaStat.unpack(bytes);
	if ((qs_flags & FS_QUOTA_PDQ_ENFD) !== 0) return "enforced";
	return (qs_flags & FS_QUOTA_PDQ_ACCT) !== 0 ? "counted" : "off";
}

export interface ProjectQuota {
	/** Bytes; 0 for no limit. */
	limit: number;
	used: number;
	/** Files and folders; 0 for no limit. */
	inodeLimit: number;
	inodes: number;
}

/** A project's limits and use. A project that has neither is all 0. */
export function projectQuota(fd: number, project: number): ProjectQuota {
	const bytes = new Uint8Array(ifDqblk.size);
	const result = quotactl(fd, Q_GETQUOTA, project, bytes);
	if (result < 0 && result !== -ENOENT) throw new SysError("quotactl", -result);
	const found = ifDqblk.unpack(bytes);
	return {
		limit: found.dqb_bhardlimit * QIF_DQBLKSIZE,
		used: found.dqb_curspace,
		inodeLimit: found.dqb_ihardlimit,
		inodes: found.dqb_curinodes,
	};
}

/** Sets a project's limits in bytes, and files and folders; 0 for none. */
export function setProjectQuota(fd: number, project: number, limit: number, inodeLimit = 0) {
	if (dryRun(`quotactl(Q_SETQUOTA, ${project}, limit=${limit}${inodeLimit ? `, inodes=${inodeLimit}` : ""})`)) return;
	const blocks = Math.ceil(limit / QIF_DQBLKSIZE);
	const quota = ifDqblk.pack({
		dqb_bhardlimit: blocks,
		dqb_bsoftlimit: blocks,
		dqb_ihardlimit: inodeLimit,
		dqb_isoftlimit: inodeLimit,
		dqb_valid: QIF_BLIMITS | QIF_ILIMITS,
	});
	const result = quotactl(fd, Q_SETQUOTA, project, quota);
	if (result < 0) throw new SysError("quotactl", -result);
}

/** The first project from `from` on that has a limit or is in use; undefined where there is none. Linux 4.6. */
export function nextProject(fd: number, from: number): number | undefined {
	const bytes = new Uint8Array(ifNextdqblk.size);
	const result = quotactl(fd, Q_GETNEXTQUOTA, from, bytes);
	if (result < 0 && result !== -ENOENT) throw new SysError("quotactl", -result);
	return result < 0 ? undefined : ifNextdqblk.unpack(bytes).dqb_id;
}
