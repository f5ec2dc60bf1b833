import { readdir } from "../../../native/linux/fd.ts";
import { chmod, chown, S_IFMT, S_IFREG, statIfAny } from "../../../native/linux/stat.ts";
import { parseUser } from "../../common/accounts.ts";
import { notA } from "../../common/command-line/options.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { type Group, placesOf } from "../group/path.ts";
import { type OpenOptions, readGroup } from "../line.ts";
import { whileOpen } from "../open.ts";

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
	const owners = readOwners(options);
	for (const { group, limits } of operands.map((path) => readGroup(path, options)))
		whileOpen(group, options, limits, { verbose: true }, () => setOwners(group, owners));
}

/** `--admin USER[:GROUP]` and the like. Throws UsageError for what is no name, ToolError for one that nobody has. */
export function readUser(option: string, text: string | undefined): { uid: number; gid: number } | undefined {
	if (text === undefined) return undefined;
	if (text === "" || text === ":") notA(option, text, "USER[:GROUP]");
	return parseUser(text) ?? fail(`${show(text)}: no such user or group`);
}

function mode(option: string, text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	return /^[0-7]{3,4}$/.test(text) ? Number.parseInt(text, 8) : notA(option, text, "a mode (0755)");
}

/** cgcreate's -a, -t, -d, -f and -s: who may set limits, who may add processes. */
function readOwners(options: CreateOptions) {
	const admin = readUser("--admin", options.admin);
	const tasks = readUser("--tasks", options.tasks);
	const modes = { folder: mode("--dperm", options.dperm), file: mode("--fperm", options.fperm), tasks: mode("--tperm", options.tperm) };
	return { admin, tasks, modes };
}

function setOwners(group: Group, { admin, tasks, modes }: ReturnType<typeof readOwners>) {
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
