/** Work that a process in new namespaces needs done from the old ones. */
import { close, pipe, read, write } from "../../native/linux/fd.ts";
import { exit, exitStatus, fork, wait } from "../../native/linux/process.ts";
import { isDryRun } from "../../native/linux/syscall.ts";

/**
 * Forks a child that stays in the namespaces of now. What is returned makes it do its `job`, and waits for that; if the
 * job fails, the child has said why, and we exit with its status. If we die before, so does the child.
 */
export function helper(job: () => void): () => void {
	/* A dry run has no child; it shows the job where it would be done. */
	if (isDryRun()) return job;
	const { reader, writer } = pipe();
	const pid = fork();
	if (pid === 0) {
		close(writer);
		if (read(reader, new Uint8Array(1)) === 1) job();
		exit(0);
	}
	close(reader);
	return () => {
		write(writer, "!");
		close(writer);
		const ended = wait(pid);
		if (ended && exitStatus(ended) !== 0) exit(exitStatus(ended));
	};
}
