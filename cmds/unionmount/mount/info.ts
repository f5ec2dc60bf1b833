import { readFileIfAny } from "../../../native/linux/fd.ts";
import { uname } from "../../../native/linux/namespace.ts";
import { statIfAny } from "../../../native/linux/stat.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { dataFolder } from "../../common/state.ts";
import { json, table } from "../../common/table.ts";
import { type Fact, tryFeatures } from "./features.ts";

/** Says what this kernel, and the file system of a folder, can do for union mounts. */
export function info({ options, operands }: { options: { json?: true }; operands: string[] }) {
	if (operands.length > 1) throw new UsageError("info: more than one DIR given");
	const folder = operands[0] ?? existing(dataFolder());
	if (folder === "") throw new UsageError("info: the DIR is empty");
	if (statIfAny(folder) === undefined) fail(`${show(folder)}: no such folder`);
	const facts: Fact[] = [{ name: "kernel", value: uname().release }, aufs(), ...tryFeatures(folder)];
	if (options.json) {
		const entries = facts.map(({ name, value, note }) => [name, note === undefined ? value : { value, note }]);
		return print(json(Object.fromEntries(entries)));
	}
	print(
		table(facts, [
			{ header: "FEATURE", value: ({ name }) => name },
			{ header: "HERE", value: ({ value }) => (value === true ? "yes" : value === false ? "no" : value) },
			{ header: "NOTE", value: ({ note }) => note ?? " " },
		]),
	);
}

/** The folder, or the nearest above it that is there. */
function existing(path: string): string {
	return statIfAny(path) ? path : existing(path.slice(0, path.lastIndexOf("/")) || "/");
}

function aufs(): Fact {
	const known = (readFileIfAny("/proc/filesystems") ?? "").split("\n").some((line) => line.split("\t")[1] === "aufs");
	return known
		? { name: "aufs", value: true }
		: { name: "aufs", value: false, note: "no part of Linux; overlay mounts the same layers. Where it is a module: `modprobe aufs`" };
}
