import { readFileIfAny } from "../../../native/linux/fd.ts";
import { chown } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { UsageError } from "../../common/errors.ts";
import { isThere, placesOf } from "../group/path.ts";
import { type OpenOptions, readGroup } from "../line.ts";
import { whileOpen } from "../open.ts";
import { readUser } from "./create.ts";

/**
 * Lets a user rule over the cgroups below this one: gives away the folder, so that the user may make cgroups in it, and
 * the files that cgroup-v2.rst ("Model of Delegation") names. Those with the cgroup's own limits stay root's.
 */
export function delegate(line: { options: OpenOptions & { user?: string }; operands: string[] }) {
	const { options, operands } = line;
	if (operands.length !== 1) throw new UsageError("delegate: give one PATH");
	const user = readUser("--user", options.user);
	if (!user) throw new UsageError("delegate: no --user given");
	const { group, limits } = readGroup(operands[0] as string, options);
	whileOpen(group, options, limits, { verbose: true }, () => {
		/* The kernel lists v2's files; on v1 those that take processes in. */
		const listed = (readFileIfAny("/sys/kernel/cgroup/delegate") ?? "cgroup.procs\ncgroup.threads\ncgroup.subtree_control").split("\n");
		for (const { folder, hierarchy } of placesOf(group)) {
			chown(folder, user.uid, user.gid);
			const files = hierarchy.version === 2 ? listed : ["cgroup.procs", "tasks"];
			for (const file of files)
				if (file !== "" && (isDryRun() || isThere(`${folder}/${file}`))) chown(`${folder}/${file}`, user.uid, user.gid);
		}
	});
}
