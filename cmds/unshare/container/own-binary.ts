/**
 * Keeps the tool's own file out of the container's reach.
 *
 * Until the program is executed, /proc/PID/exe inside is this file, on the host; and a hostile image can make it stay so,
 * with an interpreter line `#!/proc/self/exe`. Root in the container could then write to it (CVE-2019-5736). So where we
 * could write to the file, we run from what cannot be written to: a read-only mount of it that is attached nowhere, or,
 * without the right to mount, a sealed copy in memory.
 */
import * as host from "#host";
import {
	AT_FDCWD,
	close,
	MFD_ALLOW_SEALING,
	MFD_CLOEXEC,
	memfdCreate,
	O_RDONLY,
	open,
	readAll,
	sealFile,
	write,
} from "../../../native/linux/fd.ts";
import { MOUNT_ATTR_RDONLY, mountSetattr, OPEN_TREE_CLONE, openTree } from "../../../native/linux/mount.ts";
import { fexecve, PR_SET_NAME, prctl } from "../../../native/linux/process.ts";
import { checkWritable, readlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";

const EXE = "/proc/self/exe";
const MFD_EXEC = 0x10;

/** Starts the tool anew from a file that cannot be written to, if it runs from one that can. */
export function protectOwnBinary() {
	if (isDryRun()) return;
	/* A copy in memory looks writable to access(2), but is sealed. */
	if (!checkWritable(EXE) || readlinkIfAny(EXE)?.startsWith("/memfd:")) return nameProcess();
	fexecve(readOnlyMount() ?? sealedCopy(), host.argv(), host.environ(), EXE);
}

/** After execveat(2) of a descriptor the process is named after its number. */
function nameProcess() {
	const name = host.encode("tsunshare");
	prctl("PR_SET_NAME", PR_SET_NAME, host.addressOf(name));
}

function readOnlyMount(): number | undefined {
	try {
		const copy = openTree(AT_FDCWD, EXE, OPEN_TREE_CLONE);
		mountSetattr(copy, MOUNT_ATTR_RDONLY);
		return copy;
	} catch (error) {
		if (error instanceof SysError) return undefined;
		throw error;
	}
}

function sealedCopy(): number {
	const own = open(EXE, O_RDONLY);
	let copy: number;
	try {
		copy = memfdCreate("tsunshare", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	} catch {
		/* Linux before 6.3 does not know MFD_EXEC. */
		copy = memfdCreate("tsunshare", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	}
	write(copy, readAll(own));
	sealFile(copy);
	close(own);
	return copy;
}
