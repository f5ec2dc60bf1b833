import { chmod, chown, readdir, S_IFMT, S_IFREG, statIfAny } from "../../native/linux/fs.ts";
import { parseUser } from "../common/accounts.ts";
import { fail, UsageError } from "../common/errors.ts";
import { notA } from "../common/options.ts";
import { type OpenOptions, readGroup } from "./line.ts";
import { whileOpen } from "./open.ts";
import { type Group, placesOf } from "./path.ts";

export interface CreateOptions extends OpenOptions {
	admin?: string;
	tasks?: string;
	dperm?: string;
	fperm?: string;
	tperm?: string;
}

/** Makes cgroups, as cgcreate(1) does. */
export function create(line: { options: CreateOptions; operands: string[] }) {
	const { options, operands } = line;
	if (operands.length === 0) throw new UsageError("create: no PATH given");
	for (const path of operands) {
		const { group, limits } = readGroup(path, options);
		whileOpen(group, options, limits, { verbose: true }, () => setOwners(group, options));
	}
}

function user(text: string | undefined): { uid: number; gid: number } | undefined {
	return text === undefined ? undefined : (parseUser(text) ?? fail(`${text}: no such user or group`));
}

function mode(option: string, text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	return /^[0-7]{3,4}$/.test(text) ? Number.parseInt(text, 8) : notA(option, text, "a mode (0755)");
}

/** cgcreate's -a, -t, -d, -f and -s: who may set limits, who may add processes. */
function setOwners(group: Group, options: CreateOptions) {
	const admin = user(options.admin);
	const tasks = user(options.tasks);
	const modes = { folder: mode("--dperm", options.dperm), file: mode("--fperm", options.fperm), tasks: mode("--tperm", options.tperm) };
	if (!admin && !tasks && Object.values(modes).every((m) => m === undefined)) return;
	for (const { folder } of placesOf(group)) {
		if (admin) chown(folder, admin.uid, admin.gid);
		if (modes.folder !== undefined) chmod(folder, modes.folder);
		for (const name of readdir(folder)) {
			const path = `${folder}/${name}`;
			if (((statIfAny(path)?.mode ?? 0) & S_IFMT) !== S_IFREG) continue;
			const isList = name === "tasks" || name === "cgroup.procs" || name === "cgroup.threads";
			const owner = isList ? (tasks ?? admin) : admin;
			const bits = isList ? (modes.tasks ?? modes.file) : modes.file;
			if (owner) chown(path, owner.uid, owner.gid);
			if (bits !== undefined) chmod(path, bits);
		}
	}
}
