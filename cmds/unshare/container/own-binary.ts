/**
 * Keeps the tool's own file out of the container's reach.
 *
 * Until the program is executed, /proc/PID/exe inside is this file, on the host; and a hostile image can make it stay so,
 * with an interpreter line `#!/proc/self/exe`. Root in the container could then write to it (CVE-2019-5736). So where we
 * could write to the file, we run from what cannot be written to: a read-only mount of it that is attached nowhere, or,
 * without the right to mount, a sealed copy in memory. For root with the usual run-time state it is a mount that stays, at
 * /run/tsbox/bin: who starts the tool from there is protected without a second start.
 */
import * as host from "#host";
import { geteuid } from "../../../native/linux/credential.ts";
import {
	AT_FDCWD,
	close,
	MFD_ALLOW_SEALING,
	MFD_CLOEXEC,
	memfdCreate,
	O_DIRECTORY,
	O_NOFOLLOW,
	O_PATH,
	O_RDONLY,
	open,
	readAll,
	sealFile,
	write,
} from "../../../native/linux/fd.ts";
import {
	MNT_DETACH,
	MOUNT_ATTR_RDONLY,
	MS_PRIVATE,
	mountSetattr,
	moveMount,
	OPEN_TREE_CLONE,
	openTree,
	umount,
} from "../../../native/linux/mount.ts";
import { execve, fexecve, PR_SET_NAME, prctl } from "../../../native/linux/process.ts";
import { checkWritable, mkdirAll, readlinkIfAny, stat, statIfAny } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { getenv, makeStateFolder, runFolder, withLock } from "../../common/state.ts";

const EXE = "/proc/self/exe";
const MFD_EXEC = 0x10;

/** Starts the tool anew from a file that cannot be written to, if it runs from one that can. */
export function protectOwnBinary() {
	if (isDryRun()) return;
	/* A copy in memory looks writable to access(2), but is sealed. */
	if (!checkWritable(EXE) || readlinkIfAny(EXE)?.startsWith("/memfd:")) return nameProcess();
	const place = protectedPlace();
	if (place !== undefined) execve(place, host.argv(), host.environ());
	const folder = dirname(readlinkIfAny(EXE) ?? "");
	fexecve(readOnlyMount() ?? sealedCopy(), host.argv(), [...host.environ(), `${OWN_FOLDER}=${folder}`], EXE);
}

function dirname(path: string): string {
	return path.slice(0, path.lastIndexOf("/"));
}

/** Once started anew, /proc/self/exe does not tell where the tools are. */
const OWN_FOLDER = "TSBOX_OWN_FOLDER";

/** The folder of the tools: that of our own file. */
export function ownFolder(): string {
	return getenv(OWN_FOLDER) ?? dirname(readlinkIfAny(EXE) ?? "");
}

/** Where the machine's tools are mounted read-only, for all to start from: then no start is made twice. */
const PLACE = "/run/tsbox/bin";

/** Our file at that place, where it is this one; the place is made by the first who may. */
function protectedPlace(): string | undefined {
	if (geteuid() !== 0 || getenv("TSBOX_RUN") !== undefined) return undefined;
	const own = readlinkIfAny(EXE) ?? "";
	const path = `${PLACE}${own.slice(own.lastIndexOf("/"))}`;
	const isOurs = () => {
		const [there, here] = [statIfAny(path), statIfAny(EXE)];
		return there !== undefined && here !== undefined && there.dev === here.dev && there.ino === here.ino && !checkWritable(path);
	};
	if (isOurs()) return path;
	try {
		makeStateFolder(runFolder());
		withLock(runFolder(), () => {
			mkdirAll(PLACE, 0o755);
			/* One folder's tools for the whole machine: those of another folder that is still there have it. */
			const there = stat(PLACE);
			const isMounted = there.mountId !== stat(`${PLACE}/..`).mountId;
			if (isMounted && there.nlink > 0) return;
			if (isMounted) umount(PLACE, MNT_DETACH);
			const copy = openTree(AT_FDCWD, dirname(own), OPEN_TREE_CLONE);
			mountSetattr(copy, MOUNT_ATTR_RDONLY, { propagation: MS_PRIVATE });
			const place = open(PLACE, O_PATH | O_DIRECTORY | O_NOFOLLOW);
			moveMount(copy, place, PLACE);
			close(place);
			close(copy);
		});
	} catch (error) {
		/* Without the right to mount, or on an old kernel: the other ways are left. */
		if (!(error instanceof SysError)) throw error;
	}
	return isOurs() ? path : undefined;
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
