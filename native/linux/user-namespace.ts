/** A user namespace that only carries an id mapping: for an idmapped mount (man 2 mount_setattr). */
import { close, O_RDONLY, open, pipe, read } from "./fd.ts";
import { CLONE_NEWUSER, type IdRange, writeIdMap } from "./namespace.ts";
import { clone, exit, pidfdSendSignal, wait } from "./process.ts";
import { SIGKILL } from "./signal.ts";

/**
 * A descriptor of a new user namespace with these maps: on a mount that takes it, an id `inner` of the file system is
 * seen as `outer`. Needs CAP_SETUID and CAP_SETGID. The process that the namespace is made in is gone again.
 */
export function makeUserNamespace(uids: IdRange[], gids: IdRange[]): number {
	const { reader, writer } = pipe();
	const { pid, pidfd } = clone(CLONE_NEWUSER);
	if (pid === 0) {
		close(writer);
		/* Until we are killed, or our parent is. */
		read(reader, new Uint8Array(1));
		exit(0);
	}
	try {
		writeIdMap(pid, "uid_map", uids);
		writeIdMap(pid, "gid_map", gids);
		return open(`/proc/${pid}/ns/user`, O_RDONLY);
	} finally {
		pidfdSendSignal(pidfd, SIGKILL);
		wait(pid);
		for (const fd of [reader, writer, pidfd]) close(fd);
	}
}
