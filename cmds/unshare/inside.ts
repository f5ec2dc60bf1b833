/** Set-up inside new namespaces, before the program runs: mounts, root and working folder, ids, capabilities. */

import { setgroups, setresgid, setresuid } from "../../native/linux/credential.ts";
import { EINVAL, ENOSYS, EPERM } from "../../native/linux/errno.ts";
import { chdir, getcwd, writeKernelFile } from "../../native/linux/fd.ts";
import { joinSessionKeyring } from "../../native/linux/keyring.ts";
import { chroot, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, mount } from "../../native/linux/mount.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { notA } from "../common/command-line/options.ts";
import { fail } from "../common/errors.ts";
import type { UnshareOptions } from "./options.ts";

const BINFMT_MISC = "/proc/sys/fs/binfmt_misc";

/** The mount flags of --propagation; 0 to leave it as it is. */
export function propagationFlags(text: string | undefined): number {
	if (text === undefined || text === "private") return MS_REC | MS_PRIVATE;
	if (text === "slave") return MS_REC | MS_SLAVE;
	if (text === "shared") return MS_REC | MS_SHARED;
	return text === "unchanged" ? 0 : notA("--propagation", text, "private, slave, shared or unchanged");
}

/** The highest id; the one after it, -1 to the kernel, means none. */
export const MAX_ID = 0xfffffffe;

/** A number as a user or group id; undefined if it is none. */
export function idNumber(text: string): number | undefined {
	return /^\d{1,10}$/.test(text) && Number(text) <= MAX_ID ? Number(text) : undefined;
}

/** What is to be mounted, and where; ids as numbers. */
export interface Inside {
	propagation: number;
	/** The process has a mount namespace of its own. */
	hasMounts: boolean;
	proc?: string;
	binfmt?: string;
	interpreter?: string;
	root?: string;
	folder?: string;
	uid?: number;
	gid?: number;
}

export function readInside(options: UnshareOptions, hasMounts: boolean): Inside {
	const { mountProc, mountBinfmt, loadInterp, root } = options;
	const isNumber = (text: string | undefined, option: string) =>
		text === undefined ? undefined : (idNumber(text) ?? notA(option, text, "a number (0-4294967294)"));
	const uid = isNumber(options.setuid, "--setuid");
	const gid = isNumber(options.setgid, "--setgid");
	const folder = options.wd ?? (root === undefined ? undefined : "/");
	const binfmt = typeof mountBinfmt === "string" ? mountBinfmt : mountBinfmt || loadInterp !== undefined ? BINFMT_MISC : undefined;
	/* binfmt_misc's own place is below /proc, which then must be ours, too. */
	const proc = typeof mountProc === "string" ? mountProc : mountProc || binfmt === BINFMT_MISC ? "/proc" : undefined;
	return {
		propagation: propagationFlags(options.propagation),
		hasMounts,
		...(proc !== undefined && { proc }),
		...(binfmt !== undefined && { binfmt }),
		...(loadInterp !== undefined && { interpreter: loadInterp }),
		...(root !== undefined && { root }),
		...(folder !== undefined && { folder }),
		...(uid !== undefined && { uid }),
		...(gid !== undefined && { gid }),
	};
}

/** The order of util-linux: what a step needs is there before it. */
export function setUpInside({ propagation, hasMounts, proc, binfmt, interpreter, root, folder, uid, gid }: Inside) {
	if (hasMounts && propagation !== 0) mount("none", "/", null, propagation);
	/* With the flag F the interpreter is opened at once: it is the one outside of the new root that is meant. */
	const isFixed = interpreter !== undefined && root !== undefined && interpreter.slice(interpreter.lastIndexOf(":")).includes("F");
	if (isFixed) {
		mountNew("binfmt_misc", BINFMT_MISC);
		registerInterpreter(BINFMT_MISC, interpreter);
	}
	if (root !== undefined) chroot(root);
	if (folder !== undefined) changeFolder(folder, root !== undefined);
	if (proc !== undefined) {
		/* A recursive private / has seen to it already. */
		if (root === undefined && propagation !== (MS_REC | MS_PRIVATE)) makePrivateIfMount(proc);
		mountProc(proc);
	}
	if (binfmt !== undefined) mountNew("binfmt_misc", binfmt);
	if (interpreter !== undefined && binfmt !== undefined && !isFixed) registerInterpreter(binfmt, interpreter);
	if (gid !== undefined) setGroup(gid);
	if (uid !== undefined) setresuid(uid);
}

function mountNew(type: string, target: string) {
	mount(type, target, type, MS_NOSUID | MS_NOEXEC | MS_NODEV);
}

/** proc shows the PID namespace that it is mounted from, so the kernel asks for rights to that one, too. */
function mountProc(target: string) {
	try {
		mountNew("proc", target);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EPERM)) throw error;
		fail(
			error.message,
			"in a user namespace proc can be mounted with a PID namespace of its own (--pid --fork), and where the present /proc has nothing masked, as in a container it has",
		);
	}
}

function registerInterpreter(folder: string, definition: string) {
	writeKernelFile(`${folder}/register`, definition);
}

/** A folder that is no mount point need not be made private. */
function makePrivateIfMount(target: string) {
	try {
		mount("none", target, null, MS_REC | MS_PRIVATE);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EINVAL)) throw error;
	}
}

/**
 * Changes the working folder. A path in a new root is not to be trusted: where it leads out of it by way of a descriptor
 * of ours in /proc/self/fd, it is refused (CVE-2024-21626).
 */
export function changeFolder(folder: string, hasNewRoot: boolean) {
	chdir(folder);
	if (hasNewRoot && isOutsideOfRoot()) fail(`${folder}: leads out of the new root`);
}

/** True where the working folder is not below the root. The kernel says so in its name: man 2 getcwd. */
export function isOutsideOfRoot(): boolean {
	return getcwd().startsWith("(unreachable)");
}

/** Sets the group id and drops all other groups. */
export function setGroup(gid: number) {
	setgroups([]);
	setresgid(gid);
}

/** The caller's session keyring may hold keys of file systems and networks; no namespace keeps them from the program. */
export function leaveKeyring() {
	try {
		joinSessionKeyring();
	} catch (error) {
		/* There are no keys in this kernel, or a seccomp filter keeps all of us from them. */
		if (!(error instanceof SysError && (error.errno === ENOSYS || error.errno === EPERM))) throw error;
	}
}
